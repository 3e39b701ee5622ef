"""Errors of runs as points for scaling laws, from the records of runs and their results: every checkpoint that was evaluated is one."""

from pathlib import Path
from typing import NamedTuple

from datacomp.artifacts import results, run_folder
from datacomp.artifacts.results import Results
from datacomp.artifacts.run import REHEARSAL, RunRecord
from datacomp.board import averages
from datacomp.declared.suite import Suite
from datacomp.errors import StageError
from datacomp.scaling.fit import Point
from datacomp.scaling.points import Measured


class Seen(NamedTuple):
    """A checkpoint with its error."""

    part: str  # what it was trained on, by the run's folder
    uids_sha256: str  # of that list
    samples: int  # of it, as far as they could be had
    seen: int
    error: float
    is_mid: bool


def checkpoints(folder: Path, suite: Suite, score: str = averages.AVERAGE) -> list[Seen]:
    """Every evaluated checkpoint of the finished runs at or below a folder; the error is one less a mean of the suite, or a task's main metric.

    Raises StageError for runs of several sources, of different recipes, and for results of other weights or of another suite.
    """
    known = averages.ranking(suite) | averages.further(suite) | {task: (task,) for task in suite.counting}
    if score not in known:
        raise StageError(f"suite {suite.spec.name} has no score {score!r}", allowed=", ".join(known))
    found: list[Seen] = []
    recipes: dict[tuple[object, ...], Path] = {}
    for path in run_folder.find(folder):
        record = run_folder.read(path).record
        if record is None or record.inputs.division == REHEARSAL:
            continue
        recipes.setdefault(_recipe(record), path)
        if len(recipes) > 1:
            one, other = recipes.values()
            raise StageError(f"{one} and {other} follow recipes that differ by more than their budgets", repair="fit them apart: name a folder of one recipe")
        if len(record.inputs.sources) > 1:
            raise StageError(f"{path} was trained on {len(record.inputs.sources)} sources, and no law says what each of them did", repair="leave that run out")
        found += _of_run(path, _name(path, folder), record, suite, known[score])
    if not found:
        raise StageError(f"no run below {folder} was evaluated on suite {suite.spec.name}", repair="datacomp evaluate --run RUN --checkpoint all")
    return found


def read(folder: Path, suite: Suite, score: str = averages.AVERAGE) -> Measured:
    """The points of all runs at or below a folder: a pool for each list, in the order of the folders' names."""
    found = checkpoints(folder, suite, score)
    names: dict[str, Seen] = {}
    for each in found:
        names.setdefault(each.uids_sha256, each)
    samples = {first.part: float(first.samples) for first in names.values()}
    if len(samples) < len(names):
        raise StageError(f"several lists were trained on below folders of one name: {found[0].part}", repair="name the folders by their lists")
    return Measured(samples, tuple(point(each, names[each.uids_sha256].part) for each in found))


def point(seen: Seen, pool: str) -> Point:
    """A checkpoint as a point of a pool."""
    return Point(pool, float(seen.seen), seen.error, is_mid=seen.is_mid)


def _recipe(record: RunRecord) -> tuple[object, ...]:
    """What must be the same for errors to lie on the same curves."""
    return record.inputs.scale, tuple(sorted((place, value) for place, value in record.inputs.changes.items() if not place.startswith("budget.")))


def _name(path: Path, folder: Path) -> str:
    """The folder that the seeds of one list share, else the run's own."""
    below = path.relative_to(folder)
    return below.parent.as_posix() if len(below.parts) > 1 else path.resolve().name


def _of_run(path: Path, part: str, record: RunRecord, suite: Suite, tasks: tuple[str, ...]) -> list[Seen]:
    found = []
    source, last = record.inputs.sources[0], record.checkpoints[-1]
    for checkpoint in record.checkpoints:
        file = results.path_in(path, suite.spec.name, step=None if checkpoint == last else checkpoint.step)
        if not file.is_file():
            continue
        measured = Results.read(file)
        if (measured.weights_sha256, measured.suite_sha256) != (checkpoint.sha256, suite.digest()):
            raise StageError(f"{file} is of other weights, or of another suite {suite.spec.name} than today's", repair="evaluate that run again")
        error = 1 - averages.aggregate(suite, tasks, [measured.tasks]).value
        found.append(Seen(part, source.subset.uids_sha256, source.samples, checkpoint.samples_seen, error, checkpoint != last))
    return found
