"""What the page shows, as plain values: every number formatted, every place on a line computed, nothing written."""

from collections.abc import Iterator
from typing import NamedTuple

from datacomp.artifacts.entry import Aggregate, Entry
from datacomp.artifacts.run import Source
from datacomp.board import averages, choices, commands, enter, pictures, repeats, reports, standing
from datacomp.board.compare import Difference, Measured
from datacomp.board.pictures import Curves, Picture, Point
from datacomp.board.rank import Listed, Table
from datacomp.board.reports import Report
from datacomp.declared import pool as pools
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.declared import track as tracks
from datacomp.declared.pool import PoolSpec
from datacomp.declared.scale import Scale
from datacomp.declared.suite import Suite, Task
from datacomp.declared.track import Track

_NO_ENTRY = "no valid entry"
_OF_TABLE = ("draft scale", "draft suite", "open division")  # follow from what a whole table shares, so they stand above it


class Whisker(NamedTuple):
    """Where a value and the ends of its error lie on a line, in percent of its width."""

    low: str
    at: str
    high: str


class Row(NamedTuple):
    """One entry in a table."""

    place: int  # among all, references too: the order that the rank column restores
    rank: str  # among valid entries; empty for a reference
    slug: str
    entry: Entry
    samples: int
    average: Aggregate
    whisker: Whisker
    groups: tuple[Aggregate, ...]
    badges: tuple[str, ...]
    reference: str  # why it is no valid entry; empty for one that is
    ranks: str  # from the highest to the lowest that chance could have given it; empty for a reference
    gain: Difference | None  # over no filter on the same reachable pool
    reached: float | None  # share of the pool
    trust: str
    same: tuple[int, ...]  # places of the other entries of the same list and recipe, in the order of the table
    measured: str  # the rest is for the page's program
    words: str
    traits: str


class Section(NamedTuple):
    """One table with everything around it."""

    key: str
    table: Table
    track: Track
    scale: Scale
    suite: Suite
    pool: PoolSpec
    marks: tuple[str, ...]
    rows: tuple[Row, ...]
    best: tuple[str, ...]  # the highest value of each column among valid entries, as shown: the average, then the groups
    span: tuple[float, float]  # what the lines beside the averages reach from and to
    measures: str
    limits: str
    has_gains: bool
    has_reached: bool  # less than the whole pool
    picture: Picture | None  # of averages against the size of the list


class Bar(NamedTuple):
    """From chance to the value on a line from 0 to 1, in percent of its width."""

    chance: str
    start: str
    width: str
    low: str
    spread: str  # the error's width, both sides
    below: bool  # worse than guessing


class TaskRow(NamedTuple):
    """One task of an entry."""

    task: Task
    groups: tuple[str, ...]
    aggregate: Aggregate
    per_seed: tuple[float, ...]
    bar: Bar


class Together(NamedTuple):
    """All entries of one list and recipe: how the others are called, and the average of all their runs."""

    others: tuple[tuple[Listed, str], ...]  # with their seeds
    average: Aggregate
    runs: int


class EntryView(NamedTuple):
    """One entry's own page."""

    listed: Listed
    section: Section
    row: Row
    together: Together | None
    losses: Curves | None
    reports: tuple[Report, ...]
    marks: tuple[tuple[str, str], ...]  # the mark, and what it means
    aggregates: tuple[tuple[str, Aggregate], ...]
    tasks: tuple[TaskRow, ...]
    sources: tuple[Source, ...]
    commands: str


def percent(share: float) -> str:
    """Write a share in percent, as the board prints it."""
    return f"{100 * share:.1f}"


def signed(share: float) -> str:
    """Write a difference in percent, with its sign."""
    return f"{100 * share:+.1f}".replace("-", "\u2212")


def section(table: Table) -> Section:
    """Join a table with its records, its rows and the span of its lines."""
    scale, suite = scales.load(table.scale), suites.load(table.suite, table.suite_version)
    means = [listed.entry.aggregates[averages.AVERAGE] for listed in table.listed]
    span, pool = _span(means), pools.load(scale.pool)
    entries = [listed.entry for listed in table.listed]
    known = [choices.measured(entry, suite) for entry in entries]
    reached = [one[averages.AVERAGE] for one in known]
    intervals = iter(standing.rank_intervals([one for entry, one in zip(entries, reached, strict=True) if not _reference(entry)]))
    rows: list[Row] = []
    same = repeats.of_same_recipe(entries)
    for listed, mean, measured, gain, others in zip(table.listed, means, known, standing.gains(entries, reached), same, strict=True):
        ranked = not _reference(listed.entry)
        rank = str(1 + sum(bool(row.rank) for row in rows)) if ranked else ""
        ranks = "–".join(map(str, sorted(set(next(intervals))))) if ranked else ""  # noqa: RUF001 - from, to
        rows.append(_row(listed, suite, pool, len(rows) + 1, rank, ranks, gain, measured, whisker(mean, span), others))
    valid = [row for row in rows if not row.reference]
    columns = zip(*((row.average, *row.groups) for row in valid), strict=True)
    key = f"{table.track}-{table.division}-{table.scale}-{table.suite}-v{table.suite_version}"
    return Section(
        key=key,
        table=table,
        track=tracks.load(table.track),
        scale=scale,
        suite=suite,
        pool=pool,
        marks=tuple(mark for mark in table.listed[0].entry.marks if mark in _OF_TABLE),
        rows=tuple(rows),
        best=tuple(percent(max(mean.value for mean in column)) for column in columns) if len(valid) > 1 else (),
        span=span,
        measures=choices.measures_text(suite),
        limits=choices.LIMITS,
        has_gains=any(row.gain for row in rows),
        has_reached=any((row.reached or 1.0) < 1.0 for row in rows),
        picture=_of_lists(key, rows) if len(rows) > 1 else None,
    )


def _of_lists(key: str, rows: list[Row]) -> Picture:
    points = [Point(row.entry.method, row.samples, row.average.value, bool(row.reference)) for row in rows]
    return pictures.picture(f"{key}-lists", "Average against the size of the list", "samples in the list", points)


def across_scales(sections: list[Section]) -> list[Picture]:
    """A picture for each track, division and suite with entries at several scales, of averages against the samples seen in training."""
    groups: dict[tuple[str, ...], list[Section]] = {}
    for found in sections:
        groups.setdefault((found.table.track, found.table.division, found.table.suite, str(found.table.suite_version)), []).append(found)
    drawn = []
    for key, group in groups.items():
        if len(group) < 2:
            continue
        points = [
            Point(
                f"{row.entry.method} ({found.scale.name})",
                found.scale.budget.samples_seen,
                row.average.value,
                bool(row.reference),
                f"{row.entry.method}\n{row.entry.proposed_by}",
            )
            for found in group
            for row in found.rows
        ]
        title = f"Average against compute: {group[0].track.title}, {key[1]} division, suite {key[2]}"
        drawn.append(pictures.picture(f"{'-'.join(key)}-scales", title, "samples seen in training", points))
    return drawn


def _row(
    listed: Listed,
    suite: Suite,
    pool: PoolSpec,
    place: int,
    rank: str,
    ranks: str,
    gain: Difference | None,
    measured: dict[str, Measured],
    line: Whisker,
    same: tuple[int, ...],
) -> Row:
    entry = listed.entry
    return Row(
        place=place,
        rank=rank,
        slug=listed.slug,
        entry=entry,
        samples=sum(source.subset.samples for source in entry.runs[0].sources),
        average=entry.aggregates[averages.AVERAGE],
        whisker=line,
        groups=tuple(entry.aggregates[group.name] for group in suite.spec.groups),
        badges=tuple(mark for mark in _marks(entry, others=len(same)) if mark not in _OF_TABLE and not mark.startswith(_NO_ENTRY)),
        reference=_reference(entry),
        ranks=ranks,
        gain=gain,
        reached=standing.reached(entry, pool),
        trust=listed.trust,
        same=same,
        measured=choices.measured_text(entry, suite, measured),
        words=choices.words(entry),
        traits=choices.traits(listed),
    )


def _marks(entry: Entry, *, others: int) -> tuple[str, ...]:
    """An entry's own marks, and what this board knows of its code, its seeds and its resources; `others` are of the same list and recipe."""
    known = (
        enter.code_mark(entry),
        enter.seed_mark(entry),
        _seeds_left_out(len(entry.seeds_left_out)),
        "" if choices.is_public(entry) else choices.WITHOUT_ADDRESS,
        f"list entered {others + 1} times" * bool(others),
    )
    return (*entry.marks, *filter(None, known))


def _seeds_left_out(count: int) -> str:
    return f"{count} seed{'s' * (count > 1)} left out" if count else ""


def _reference(entry: Entry) -> str:
    return next((mark for mark in entry.marks if mark.startswith(_NO_ENTRY)), "")


def _span(means: list[Aggregate]) -> tuple[float, float]:
    """Reach from the lowest to the highest end of an error, widened to whole percent so that it can be printed."""
    low, high = min(mean.value - mean.standard_error for mean in means), max(mean.value + mean.standard_error for mean in means)
    return max(0.0, (100 * low // 1 - 1) / 100), min(1.0, (100 * high // 1 + 2) / 100)


def whisker(mean: Aggregate, span: tuple[float, float]) -> Whisker:
    """Lay one average on its table's span."""
    low, high = span
    ends = (mean.value - mean.standard_error, mean.value, mean.value + mean.standard_error)
    return Whisker(*(_place((value - low) / (high - low)) for value in ends))


def _place(share: float) -> str:
    return f"{100 * min(max(share, 0.0), 1.0):.2f}"


def bar(mean: Aggregate, chance: float) -> Bar:
    """Draw one task: what lies between guessing and the value."""
    low, high = max(mean.value - mean.standard_error, 0.0), min(mean.value + mean.standard_error, 1.0)
    return Bar(_place(chance), _place(min(chance, mean.value)), _place(abs(mean.value - chance)), _place(low), _place(high - low), mean.value < chance)


def entry_view(found: Section, place: int) -> EntryView:
    """Collect what one entry's own page shows."""
    listed, row = found.table.listed[place], found.rows[place]
    entry, suite = listed.entry, found.suite
    seeds = [run.tasks for run in entry.runs]
    tasks = []
    for task in suite.tasks:
        if task.main_metric is None:
            continue
        mean = averages.task_aggregate(suite, task.name, seeds)
        titles = tuple(group.title for group in suite.spec.groups if task.name in group.tasks)
        tasks.append(TaskRow(task, titles, mean, tuple(averages.main_metric(suite, task.name, results)[0] for results in seeds), bar(mean, task.chance or 0.0)))
    return EntryView(
        listed=listed,
        section=found,
        row=row,
        together=_together(found, place) if row.same else None,
        losses=_losses(entry, found.scale),
        reports=tuple(_reports(entry)),
        marks=tuple((mark, meaning(mark)) for mark in _marks(entry, others=len(row.same))),
        aggregates=(("Average", row.average), *((group.title, mean) for group, mean in zip(suite.spec.groups, row.groups, strict=True))),
        tasks=tuple(tasks),
        sources=entry.runs[0].sources,
        commands=commands.of_chain(entry, found.pool.name, earlier=found.table.earlier),
    )


def _together(found: Section, place: int) -> Together:
    """An entry with the others of its list and recipe."""
    listed = found.table.listed
    group = sorted((place, *found.rows[place].same))
    runs = [run.tasks for other in group for run in listed[other].entry.runs]
    others = tuple((listed[other], ", ".join(str(run.seed) for run in listed[other].entry.runs)) for other in found.rows[place].same)
    return Together(others, averages.aggregate(found.suite, found.suite.counting, runs), len(runs))


def _losses(entry: Entry, scale: Scale) -> Curves | None:
    told = [(run.seed, run.loss_curve) for run in entry.runs if run.loss_curve]
    return pictures.curves("losses", told, scale.budget.global_batch_samples) if told else None


def _reports(entry: Entry) -> Iterator[Report]:
    names = {source.subset.uids_sha256: source.name for source in entry.runs[0].sources}
    for place, one in enumerate(entry.list_reports):
        yield reports.report(one, names[one.uids_sha256], f"bars-{place}")


def meaning(mark: str) -> str:
    """Say a mark in words."""
    said = {
        "draft scale": "The scale's recipe is not frozen yet. Should it change, these numbers compare with none that come after.",
        "draft suite": "The suite's tasks are not frozen yet. Should they change, these numbers compare with none that come after.",
        "for tests only": "The scale is for trying the program, not for results.",
        "open division": "Training differs from the scale's recipe. Compare within the open division only.",
        "single seed": "Trained once. The standard errors hold the error from the test samples only, not how much training runs differ.",
        enter.CHOSEN_SEEDS: "The seeds are not those from 0 on, and nothing is said of the others: whether there were better and worse ones, nobody can see.",
        choices.WITHOUT_ADDRESS: "It names a model or data from outside without an address, so others may not be able to make the list again.",
        enter.UNRELEASED_CODE: "Made with a version of the program that was never released, so others may not be able to make it again.",
        enter.MODIFIED_CODE: "Made with a program that says it is a released version and is not: its code was changed.",
    }
    if mark.startswith(_NO_ENTRY):
        return f"Shown as a reference and not ranked: {mark.removeprefix(_NO_ENTRY).lstrip(': ')}."
    if mark.endswith("samples missing"):
        return f"{mark.removesuffix(' missing')} of the list were not found in the pool's shards, so the list was trained on without them."
    if mark.endswith(" left out"):
        return "Runs of other seeds were left out; the reasons stand below."
    if mark.startswith("list entered"):
        return "Other entries are of the same list and recipe; they stand below, with the average of all their runs."
    return said.get(mark, mark)
