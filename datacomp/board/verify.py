"""Checking an entry: what it says against the rules and the records, earlier entries, and against the run itself where that is given."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from datacomp import digest
from datacomp.artifacts import run as runs
from datacomp.artifacts.entry import Aggregate, Entry, SeedRun
from datacomp.artifacts.results import Results
from datacomp.board import averages, enter, lists, possible, repeats, texts, told
from datacomp.declared import suite as suites
from datacomp.declared import track as tracks
from datacomp.declared.suite import Suite
from datacomp.errors import DatacompError, EntryError

SELF_REPORTED = "self-reported"
ARTEFACTS_CHECKED = "artefacts checked"
RERUN = "re-run"
SuiteOf = Callable[[str, int], Suite]


class Check(NamedTuple):
    """One thing that was looked at; `problem` is empty when it holds."""

    name: str
    problem: str


class Beside(NamedTuple):
    """What an entry is held against besides itself."""

    runs: tuple[Path, ...] = ()  # folders, one for each seed
    lists: tuple[Path, ...] = ()  # uid lists; those beside a run are found
    pool: Path | None = None  # which must hold every uid of a list
    earlier: Mapping[str, Entry] | None = None  # entries by the names of their files, which this one must not repeat


def verify(path: Path, beside: Beside | None = None) -> tuple[Entry, list[Check], str]:
    """Read an entry and look at everything; return it, the checks, and the trust level that it reaches.

    Raises RecordError for what is no entry at all.
    """
    beside = beside or Beside()
    entry = Entry.read(path)
    checks = [*check(entry), _form(entry, path)]
    if beside.earlier is not None:
        checks.append(Check("no repeat of an earlier entry", "; ".join(repeats.of_earlier(entry, beside.earlier))))
    found = [against_run(entry, folder) for folder in beside.runs]
    checks += [checked for checked, _ in found]
    of_lists = lists.check(entry, (*beside.lists, *lists.of_runs(entry, beside.runs)), beside.pool)
    checks += [Check(name, problem) for name, problem in of_lists.checks.items()]
    covered = {run.seed for run in entry.runs} == {seed for _, seed in found} and of_lists.is_all
    return entry, checks, ARTEFACTS_CHECKED if covered and not any(checked.problem for checked in checks) else SELF_REPORTED


def demand(path: Path, checks: list[Check]) -> None:
    """Raise EntryError that names the first check that an entry does not pass."""
    if broken := [check for check in checks if check.problem]:
        raise EntryError(f"{path} does not hold: {broken[0].name}: {broken[0].problem}", repair="write it again with: datacomp enter")


def check(entry: Entry, suite_of: SuiteOf | None = None) -> list[Check]:
    """Every check that needs the entry alone. `suite_of` reads a suite by name and version; who checks many entries keeps what it read."""
    if hostile := texts.hidden(entry.plain()):
        return [Check("texts can be shown", "; ".join(hostile))]
    try:
        track, scale, suite = tracks.load(entry.track), entry.recipe(), (suite_of or suites.load)(entry.suite, entry.suite_version)
    except DatacompError as error:
        return [Check("track, scale and suite are known", str(error))]
    digests = {
        "rules": (entry.rules_sha256, track.digest()),
        "recipe": (entry.recipe_sha256, scale.digest()),
        "suite": (entry.suite_sha256, suite.digest()),
    }
    found = [Check(f"digest of the {name}", _differs(given, expected)) for name, (given, expected) in digests.items()]
    again = [f"{name}: {problem}" for name, value in enter.repeated(entry.runs).items() if (problem := _differs(getattr(entry, name), value))]
    found.append(Check("pool and resources are those of the runs", "; ".join(again)))
    rules = enter.broken_rules(entry, scale, track)
    found.append(Check("rules of the track", "; ".join(rules)))
    found.append(Check("what is told besides can be", "; ".join(told.problems(entry, scale))))
    found.append(Check("no run is another one", "; ".join(repeats.within(entry))))
    impossible = possible.problems(entry, suite)
    found.append(Check("metrics are possible", "; ".join(impossible)))
    if impossible:
        return found  # arithmetic on what is no metric can overflow
    try:
        computed = averages.aggregates(suite, [run.tasks for run in entry.runs])
        found.append(Check("averages", _other_averages(entry, computed)))
    except DatacompError as error:
        found.append(Check("averages", str(error)))
    others = [str(run.seed) for run in entry.runs if _results(entry, run).digest() != run.results_sha256]
    found.append(Check("digest of the results", f"the metrics of seed {', '.join(others)} are not those of the results' file" if others else ""))
    found.append(Check("marks", _differs(entry.marks, enter.marks(entry, scale, suite))))
    return found


def _form(entry: Entry, path: Path) -> Check:
    """The file is the canonical text of the entry: nothing stands in it twice, or where some readers do not see it."""
    return Check("the file is as datacomp enter writes it", "" if digest.of_file(path) == entry.digest() else "other programs may read something else in it")


def _results(entry: Entry, run: SeedRun) -> Results:
    """The file of results that a run of an entry had."""
    return Results(suite=entry.suite, suite_version=entry.suite_version, suite_sha256=entry.suite_sha256, weights_sha256=run.weights_sha256, tasks=run.tasks)


def _differs(given: object, expected: object) -> str:
    return "" if given == expected else f"the entry says {_short(given)}, it is {_short(expected)}"


def _short(value: object) -> str:
    return f"{value[:12]}…" if isinstance(value, str) and len(value) > 40 else str(value)[:200]


def _other_averages(entry: Entry, computed: dict[str, Aggregate]) -> str:
    if entry.aggregates.keys() != computed.keys():
        return f"the entry has {', '.join(sorted(entry.aggregates))}; the suite has {', '.join(sorted(computed))}"
    for name, expected in computed.items():
        given = entry.aggregates[name]
        pairs = ((given.value, expected.value), (given.standard_error, expected.standard_error))
        if not all(math.isclose(said, true, abs_tol=possible.CLOSE) for said, true in pairs):
            return f"{name} is {_plus_minus(given)} in the entry and {_plus_minus(expected)} from its own metrics"
    return ""


def _plus_minus(aggregate: Aggregate) -> str:
    return f"{aggregate.value:.6f} ± {aggregate.standard_error:.6f}"


def for_newcomer(path: Path) -> tuple[Entry, list[Check]]:
    """Read an entry that is to come to a board and make every check of it. Raises RecordError for what is no entry at all."""
    entry, checks = for_board(path)
    try:
        version = suites.load(entry.suite).spec.version
    except DatacompError:
        return entry, checks  # which say so
    earlier = f"it is version {entry.suite_version}, today's is {version}" if entry.suite_version != version else ""
    return entry, [*checks, Check("the suite's version is today's", earlier)]


def for_board(path: Path, suite_of: SuiteOf | None = None) -> tuple[Entry, list[Check]]:
    """Read an entry and make every check that a board makes of one that is there. Raises RecordError for what is no entry at all."""
    entry = Entry.read(path)
    tests_only = f"scale {entry.scale} is for tests only" if enter.TESTS_ONLY in entry.marks else ""
    return entry, [*check(entry, suite_of), _form(entry, path), Check("the scale has a board", tests_only)]


def against_run(entry: Entry, folder: Path, *, weights: bool = True) -> tuple[Check, int | None]:
    """Hold an entry against one run on disk, its records alone or its weights as well; return the run's seed too, None where there is no run."""
    name = f"{'run' if weights else 'records'} at {folder}"
    seed = None
    try:
        run = runs.read(folder) if weights else runs.read_record(folder)
        seed = run.record.inputs.seed
        if weights:
            from datacomp.network import load  # torch is loaded where there are weights only

            load.read_tensors(run.weights())  # refuses weights that would run code for whoever trusts the entry
        claimed = next((found for found in entry.runs if found.seed == seed), None)
        if claimed is None:
            return Check(name, f"the entry has no run with its seed, {seed}"), seed
        true = enter.seed_run(run, suites.load(entry.suite, entry.suite_version))
        untold = {"loss_curve"} if claimed.loss_curve is None or true.loss_curve is None else set()  # entries of before, and bundles, have none
        differs = [field for field in true.differing(claimed) if field not in untold]
        return Check(name, f"the entry says something else about its {', '.join(differs)}" if differs else ""), seed
    except DatacompError as error:
        return Check(name, str(error)), seed
