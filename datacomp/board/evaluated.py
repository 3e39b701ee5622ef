"""What was evaluated, wherever it lies: a record of results, published lines, a run, or the runs of one list that differ by their seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from datacomp import files
from datacomp.artifacts import results, run_folder
from datacomp.artifacts.entry import Entry
from datacomp.artifacts.results import Imported, Results, TaskScores
from datacomp.artifacts.run_folder import RunFolder
from datacomp.board import averages
from datacomp.declared import expected as figures
from datacomp.declared import suite as suites
from datacomp.declared.expected import Expected
from datacomp.declared.suite import Suite
from datacomp.errors import StageError
from datacomp.records import Record

PUBLISHED_SUITE = "datacomp"  # which the published tools measure


class Evaluated(NamedTuple):
    """One list's or one network's scores."""

    path: Path
    suite: Suite
    seeds: tuple[tuple[TaskScores, ...], ...]  # one a run
    expected: Expected | None = None  # what is known of the seeds' noise under this recipe and suite

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that every run was evaluated on, in the suite's order."""
        there = [{scores.task for scores in seed} for seed in self.seeds]
        return tuple(task for task in self.suite.spec.tasks if all(task in seed for seed in there))


class Score(Record):
    """A task's main metric, or a mean; None is a value that there is none of, or an error that nobody knows."""

    name: str
    value: float | None
    standard_error: float | None


class Summary(Record):
    """Scores in short; there are no means unless every task is there that counts."""

    tasks: tuple[Score, ...]
    means: tuple[Score, ...]


def read(path: Path, suite: str = "") -> Evaluated:
    """Read a results.json, an eval_results.jsonl, or the folder of one of them, of a run or of one list's runs.

    `suite` is that of published lines, which do not name it, and that of runs which were evaluated on several. Raises StageError where nothing
    was evaluated, or on another suite than today's.
    """
    if path.is_dir():
        if runs := [run_folder.read(folder) for folder in run_folder.find(path)]:
            return _runs(path, runs, suite)
        path = next((file for name in (results.RESULTS, results.PUBLISHED) if (file := path / name).is_file()), path)
    if path.is_dir() or not path.exists():
        raise StageError(
            f"there are no results at {path}", allowed=f"{results.RESULTS}, {results.PUBLISHED}, a run, or a folder that holds one", repair="datacomp evaluate"
        )
    if path.suffix == ".jsonl":
        measured = suites.load(suite or PUBLISHED_SUITE)
        return Evaluated(path, measured, (results.imported(path, measured).tasks,))
    found = results.read(path)
    return Evaluated(path, _suite(path, found), (found.tasks,))


def of_entry(entry: Entry, suite: Suite) -> Evaluated:
    """The runs of an entry under its suite."""
    return Evaluated(Path(), suite, tuple(run.tasks for run in entry.runs), _expected(entry.scale, entry.recipe_sha256, suite))


def import_published(path: Path, suite: Suite, out: Path) -> Imported:
    """Write the scores of an eval_results.jsonl as a record into a folder. Raises StageError where other results are there."""
    found = results.imported(path, suite)
    place = out / results.RESULTS
    with files.writing(out):
        if place.is_file() and results.read(place) != found:
            raise StageError(f"{place} holds other results", repair="choose another --out")
        found.write(place)
    return found


def summary(suite: Suite, seeds: Sequence[Sequence[TaskScores]]) -> Summary:
    """Tasks that every run has, and means; the values are means over the runs."""
    found = Evaluated(Path(), suite, tuple(map(tuple, seeds)))
    counting = {task.name: task.counts for task in suite.tasks}
    tasks = tuple(_score(found, name, (name,)) if counting[name] else Score(name=name, value=None, standard_error=None) for name in found.tasks)
    return Summary(tasks=tasks, means=tuple(_score(found, name, span) for name, span in means(found).items()))


def means(found: Evaluated) -> dict[str, tuple[str, ...]]:
    """The tasks of every mean; none where a task is missing that counts."""
    complete = set(found.suite.counting) <= set(found.tasks)
    return averages.ranking(found.suite) | averages.further(found.suite) if complete else {}


def sample_errors_known(found: Evaluated, tasks: tuple[str, ...]) -> bool:
    """Whether each of these tasks has a standard error; imported scores have few."""
    main = {task.name: task.main_metric for task in found.suite.tasks if task.name in tasks}
    return all(main[scores.task] in scores.standard_errors for seed in found.seeds for scores in seed if scores.task in main)


def _score(found: Evaluated, name: str, tasks: tuple[str, ...]) -> Score:
    reached = averages.aggregate(found.suite, tasks, found.seeds)
    return Score(name=name, value=reached.value, standard_error=reached.standard_error if sample_errors_known(found, tasks) else None)


def _runs(path: Path, runs: Sequence[RunFolder], suite: str) -> Evaluated:
    inputs = [run.inputs for run in runs]
    told = [one.model_copy(update={"seed": 0}) for one in inputs]
    if any(one != told[0] for one in told) or len({one.seed for one in inputs}) < len(inputs):
        raise StageError(f"the {len(runs)} runs below {path} are not those of one list that differ by their seeds", repair="name one run, or one list's folder")
    names = sorted({found.suite for run in runs for found in run.evaluated})
    if not suite and len(names) != 1:
        problem = f"was evaluated on {len(names)} suites" if names else "was not evaluated"
        raise StageError(f"{path} {problem}", allowed=", ".join(names), repair="say which with --suite" if names else f"datacomp evaluate --run {runs[0].path}")
    found = [_results(run, suite or names[0]) for run in runs]
    measured = _suite(path, found[0])
    for one in found[1:]:
        _suite(path, one)
    return Evaluated(path, measured, tuple(one.tasks for one in found), _expected(inputs[0].scale, inputs[0].recipe_sha256, measured))


def _results(run: RunFolder, suite: str) -> Results:
    """A run's results under a suite."""
    for found in run.evaluated:
        if found.suite == suite:
            return found
    raise StageError(f"{run.path} has no results under suite {suite}", repair=f"datacomp evaluate --run {run.path} --suite {suite}")


def _suite(path: Path, found: Results | Imported) -> Suite:
    suite = suites.load(found.suite)
    if suite.digest() != found.suite_sha256:
        raise StageError(f"{path} holds results of another suite {found.suite} than today's, version {found.suite_version}", repair="evaluate again")
    return suite


def _expected(scale: str, recipe_sha256: str, suite: Suite) -> Expected | None:
    """What is known of a recipe's scores under a suite."""
    if scale not in figures.names():
        return None
    found = figures.load(scale)
    return found if found.recipe_sha256 == recipe_sha256 and found.measured_with(suite) else None
