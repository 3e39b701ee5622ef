"""What readers of the page choose by: measures with all that a comparison needs, words to find an entry by, and traits to filter by."""

import json
import re
from typing import NamedTuple

from datacomp import rooms
from datacomp.artifacts.entry import Entry
from datacomp.board import averages, calibrate, compare, evaluated
from datacomp.board.rank import Listed
from datacomp.declared.suite import Suite
from datacomp.records import read_toml

PUBLIC = "public"  # traits
SEVERAL_SEEDS = "seeds"
VERIFIED = "verified"
WITHOUT_ADDRESS = "resources without an address"  # a mark
LIMITS = json.dumps(calibrate.LIMITS)

# Public things that the filters of the program name and that are no file of tracks/assets.toml.
KNOWN_PUBLIC = ("gcld3", "WordNet 3.0", "ImageNet-21k's list of synsets")
_ADDRESS = re.compile(r"https?://")


class Measure(NamedTuple):
    """A mean or a task."""

    name: str
    title: str
    group: str  # a task's first one
    mean: bool


def measures(suite: Suite) -> tuple[Measure, ...]:
    """Average, groups, and every task that has a main metric."""
    groups = suite.spec.groups
    means = [Measure(averages.AVERAGE, "Average", "", mean=True), *(Measure(group.name, group.title, "", mean=True) for group in groups)]
    titles = {task: group.title for group in reversed(groups) for task in group.tasks}
    return (*means, *(Measure(task.name, task.title, titles.get(task.name, "other"), mean=False) for task in suite.tasks if task.main_metric))


def measures_text(suite: Suite) -> str:
    """The measures as the page's program reads them."""
    return json.dumps([measure._asdict() for measure in measures(suite)])


def measured(entry: Entry, suite: Suite) -> dict[str, compare.Measured]:
    """Every measure of an entry with what its error is made of."""
    side = evaluated.of_entry(entry, suite)
    spans = averages.ranking(suite)
    return {one.name: compare.measured(side, spans[one.name], one.name) if one.mean else compare.measured_task(side, one.name) for one in measures(suite)}


def measured_text(entry: Entry, suite: Suite, found: dict[str, compare.Measured]) -> str:
    """Value, standard error, variances of test samples and seeds, degrees of freedom, for each measure; null where it is not known."""
    seeds = [run.tasks for run in entry.runs]
    rows = []
    for one in measures(suite):
        known = found[one.name]
        error = entry.aggregates[one.name].standard_error if one.mean else averages.task_aggregate(suite, one.name, seeds).standard_error
        variance, freedom = known.seeds or (None, None)
        rows.append([_short(known.value), _short(error), _short(known.sample_error**2 if known.sample_error_known else None), _short(variance), freedom])
    return json.dumps(rows, separators=(",", ":"))


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def words(entry: Entry) -> str:
    """Everything of an entry that can be searched, besides what its row shows."""
    lists = [source.subset.filter for source in entry.runs[0].sources]
    return " ".join((entry.run_by, entry.description, *lists, *entry.external_resources, *(source.name for source in entry.data_sources)))


def traits(listed: Listed) -> str:
    """What the page can filter by."""
    entry = listed.entry
    found = ((PUBLIC, is_public(entry)), (SEVERAL_SEEDS, len(entry.runs) > 1), (VERIFIED, listed.verification is not None))
    return " ".join(name for name, holds in found if holds)


def is_public(entry: Entry) -> bool:
    """Whether everything from outside that an entry names can be had by anybody, as far as the entry says.

    That is a file of tracks/assets.toml, something with a web address, or one of the few that the filters themselves name.
    """
    named = [name for name in entry.external_resources if not _ADDRESS.search(name) and name not in KNOWN_PUBLIC]
    known = read_toml(rooms.tracks() / "assets.toml") if named else {}
    return all(name in known for name in named) and all(source.url for source in entry.data_sources)
