"""Checking an entry: what it says against the rules and the records, and against the run itself where that is given."""

import math
from pathlib import Path
from typing import NamedTuple

from datacomp import digest
from datacomp.artifacts import results as results_files
from datacomp.artifacts import run as runs
from datacomp.artifacts.entry import Aggregate, Entry, SeedRun
from datacomp.artifacts.results import Results
from datacomp.board import averages, enter
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.declared import track as tracks
from datacomp.declared.suite import Suite
from datacomp.errors import DatacompError

SELF_REPORTED = "self-reported"
ARTEFACTS_CHECKED = "artefacts checked"
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
    checks += [_against_run(entry, folder) for folder in run_folders]
    covered = len(run_folders) >= len(entry.runs) and not any(found.problem for found in checks)
    return entry, checks, ARTEFACTS_CHECKED if covered else SELF_REPORTED


def check(entry: Entry) -> list[Check]:
    """Every check that needs the entry alone."""
    try:
        track, scale, suite = tracks.load(entry.track), scales.load(entry.scale), suites.load(entry.suite)
    except DatacompError as error:
        return [Check("track, scale and suite are known", str(error))]
    digests = {
        "rules": (entry.rules_sha256, track.digest()),
        "recipe": (entry.recipe_sha256, scale.digest()),
        "suite": (entry.suite_sha256, suite.digest()),
    }
    found = [Check(f"{name} is today's", _differs(given, expected)) for name, (given, expected) in digests.items()]
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
        for result in run.tasks:
            if result.task not in declared:
                problems.append(f"{result.task[:80]} is no task of suite {suite.spec.name}")
                continue
            task = declared[result.task]
            if result.samples != task.samples or result.data_sha256 != task.data.content_sha256:
                problems.append(f"{result.task} was measured on other data")
            problems += [f"{result.task}: {name[:40]} is {value}" for name, value in result.metrics.items() if value is not None and not 0 <= value <= 1]
            problems += [
                f"{result.task}: the standard error of {name[:40]} is {error}" for name, error in result.standard_errors.items() if not 0 <= error <= 1
            ]
            hits = min(max(result.metrics.get("acc1") or 0.0, 0.0), 1.0) * task.samples
            if not math.isclose(hits, round(hits), abs_tol=1e-6):
                problems.append(f"{result.task}: acc1 is no whole number of {task.samples:,} samples")
    return problems


def _against_run(entry: Entry, folder: Path) -> Check:
    name = f"run at {folder}"
    try:
        run = runs.read(folder)
        claimed = next((found for found in entry.runs if found.seed == run.record.inputs.seed), None)
        if claimed is None:
            return Check(name, f"the entry has no run with its seed, {run.record.inputs.seed}")
        return Check(name, _run_differs(entry, claimed, run))
    except DatacompError as error:
        return Check(name, str(error))


def _run_differs(entry: Entry, claimed: SeedRun, run: runs.Run) -> str:
    if claimed.run_sha256 != run.digest:
        return "its record is not the one that the entry names"
    if claimed.weights_sha256 != run.record.checkpoints[-1].sha256:
        return "its checkpoint is not the one that the entry names"
    path = results_files.path_in(run.path, entry.suite)
    if not path.is_file() or digest.of_file(path) != claimed.results_sha256:
        return "its results are not those that the entry names"
    if Results.read(path).tasks != claimed.tasks:
        return "its results differ from the entry's"
    return ""
