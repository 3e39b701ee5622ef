"""Checking an entry: what it says against the rules and the records, and against the run itself where that is given."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from datacomp.artifacts import run as runs
from datacomp.artifacts.entry import Aggregate, Entry
from datacomp.artifacts.results import TaskResult
from datacomp.board import averages, enter
from datacomp.declared import suite as suites
from datacomp.declared import track as tracks
from datacomp.declared.suite import Suite, Task
from datacomp.errors import DatacompError, EntryError

SELF_REPORTED = "self-reported"
ARTEFACTS_CHECKED = "artefacts checked"
_WITHOUT_ACC1 = ("faces", "retrieval", "winogavil")
_TOLERANCE = 1e-9  # of a recomputed mean


class Check(NamedTuple):
    """One thing that was looked at; `problem` is empty when it holds."""

    name: str
    problem: str


def verify(path: Path, run_folders: tuple[Path, ...] = ()) -> tuple[Entry, list[Check], str]:
    """Read an entry and look at everything; return it, the checks, and the trust level that it reaches.

    Raises RecordError for what is no entry at all.
    """
    entry = Entry.read(path)
    checks = check(entry)
    found = [against_run(entry, folder) for folder in run_folders]
    checks += [checked for checked, _ in found]
    covered = {run.seed for run in entry.runs} == {seed for _, seed in found}
    return entry, checks, ARTEFACTS_CHECKED if covered and not any(checked.problem for checked in checks) else SELF_REPORTED


def demand(path: Path, checks: list[Check]) -> None:
    """Raise EntryError that names the first check that an entry does not pass."""
    if broken := [check for check in checks if check.problem]:
        raise EntryError(f"{path} does not hold: {broken[0].name}: {broken[0].problem}", repair="write it again with: datacomp enter")


def check(entry: Entry, suite_of: Callable[[str], Suite] | None = None) -> list[Check]:
    """Every check that needs the entry alone. `suite_of` reads a suite by its name; who checks many entries keeps what it read."""
    try:
        track, scale, suite = tracks.load(entry.track), entry.recipe(), (suite_of or suites.load)(entry.suite)
    except DatacompError as error:
        return [Check("track, scale and suite are known", str(error))]
    digests = {
        "rules": (entry.rules_sha256, track.digest()),
        "recipe": (entry.recipe_sha256, scale.digest()),
        "suite": (entry.suite_sha256, suite.digest()),
    }
    found = [Check(f"digest of the {name}", _differs(given, expected)) for name, (given, expected) in digests.items()]
    found.append(Check("suite version", _differs(entry.suite_version, suite.spec.version)))
    rules = enter.broken_rules(entry, scale, track)
    found.append(Check("rules of the track", "; ".join(rules)))
    impossible = _impossible(entry, suite)
    found.append(Check("metrics are possible", "; ".join(impossible)))
    if impossible:
        return found  # arithmetic on what is no metric can overflow
    try:
        computed = averages.aggregates(suite, [run.tasks for run in entry.runs])
        found.append(Check("averages", _other_averages(entry, computed)))
    except DatacompError as error:
        found.append(Check("averages", str(error)))
    found.append(Check("marks", _differs(entry.marks, enter.marks(entry, scale, suite))))
    return found


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
        if not all(math.isclose(said, true, abs_tol=_TOLERANCE) for said, true in pairs):
            return f"{name} is {_plus_minus(given)} in the entry and {_plus_minus(expected)} from its own metrics"
    return ""


def _plus_minus(aggregate: Aggregate) -> str:
    return f"{aggregate.value:.6f} ± {aggregate.standard_error:.6f}"


def _impossible(entry: Entry, suite: Suite) -> list[str]:
    declared = {task.name: task for task in suite.tasks}
    problems = []
    for run in entry.runs:
        names = [result.task for result in run.tasks]
        problems += [f"{name} stands {names.count(name)} times in one run" for name in sorted(set(names)) if names.count(name) > 1]
        problems += [f"{name} is no task of suite {suite.spec.name}" for name in sorted(set(names) - set(declared))]
        for result in run.tasks:
            if result.task in declared:
                problems += [f"{result.task}: {problem}" for problem in _impossible_task(result, declared[result.task])]
    return problems


def _impossible_task(result: TaskResult, task: Task) -> list[str]:
    """What cannot have come out of scoring this task's samples."""
    problems = []
    if result.samples != task.samples or (task.pinned and result.data_sha256 != task.data.content_sha256):
        problems.append("it was measured on other data")
    values = [(name, value) for name, value in result.metrics.items() if value is not None and not name.startswith("count_")]
    values += [(f"the standard error of {name}", error) for name, error in result.standard_errors.items()]
    problems += [f"{name} is {value}" for name, value in values if not 0 <= value <= 1]
    if task.family in _WITHOUT_ACC1:
        return problems
    accuracy = result.metrics.get("acc1")
    if accuracy is None or not 0 <= accuracy <= 1:
        return [*problems, "it has no possible acc1"]
    if not math.isclose(accuracy * task.samples, round(accuracy * task.samples), abs_tol=1e-6):
        problems.append(f"acc1 is no whole number of {task.samples:,} samples")
    expected = math.sqrt(accuracy * (1 - accuracy) / task.samples)
    if not math.isclose(result.standard_errors.get("acc1", -1.0), expected, abs_tol=_TOLERANCE):
        problems.append(f"the standard error of acc1 must be {expected:.6f}")
    return problems


def for_board(entry: Entry, suite_of: Callable[[str], Suite] | None = None) -> list[Check]:
    """Every check that a board makes of an entry."""
    tests_only = f"scale {entry.scale} is for tests only" if enter.TESTS_ONLY in entry.marks else ""
    return [*check(entry, suite_of), Check("the scale has a board", tests_only)]


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
        true = enter.seed_run(run, suites.load(entry.suite))
        differs = [field for field in type(true).model_fields if getattr(claimed, field) != getattr(true, field)]
        return Check(name, f"the entry says something else about its {', '.join(differs)}" if differs else ""), seed
    except DatacompError as error:
        return Check(name, str(error)), seed
