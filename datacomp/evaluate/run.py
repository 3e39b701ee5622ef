"""The evaluation stage: a run's last checkpoint and a suite in, results out. Finished tasks are not computed again."""

from pathlib import Path

from datacomp import files, progress
from datacomp.artifacts import results
from datacomp.artifacts.results import Results, TaskResult
from datacomp.artifacts.run import Run
from datacomp.declared.scale import Scale
from datacomp.declared.suite import Suite, Task
from datacomp.errors import StageError
from datacomp.evaluate import classification, sets
from datacomp.launch import local
from datacomp.network.embed import Embedder
from datacomp.records import Record

FAMILIES = {"classification": classification.evaluate}


class _Finished(Record):
    """One task's result with what it is a function of, kept until the whole suite is done."""

    suite_sha256: str
    weights_sha256: str
    result: TaskResult


def evaluate(run: Run, scale: Scale, suite: Suite, data: Path, *, device: str | None = None, threads: int | None = None) -> Results:
    """Evaluate a run's last checkpoint on every task of a suite, in float32.

    Results of another checkpoint or suite are never taken for this one's: each file names the digests of both.
    """
    weights_sha256 = run.record.checkpoints[-1].sha256
    path = results.path_in(run.path, suite.spec.name)
    run.record.inputs.check(scale)
    with files.writing(run.path):
        if path.is_file() and _fits(finished := Results.read(path), suite, weights_sha256):
            return finished
        local.set_threads(threads or local.compute_threads())
        test_sets = {task.name: sets.read(data, task) for task in suite.tasks}
        network = Embedder(scale, run.weights(), device=local.device(device))
        done = [
            _task(network, task, test_sets[task.name], path.parent / suite.spec.name, suite.digest(), weights_sha256)
            for task in progress.show(suite.tasks, total=len(suite.tasks), unit=" tasks", title="evaluate")
        ]
        found = Results(
            suite=suite.spec.name,
            suite_version=suite.spec.version,
            suite_sha256=suite.digest(),
            weights_sha256=weights_sha256,
            tasks=tuple(done),
        )
        found.write(path)
    return found


def _fits(found: Results, suite: Suite, weights_sha256: str) -> bool:
    return found.suite_sha256 == suite.digest() and found.weights_sha256 == weights_sha256


def _task(network: Embedder, task: Task, test_set: sets.TestSet, folder: Path, suite_sha256: str, weights_sha256: str) -> TaskResult:
    path = folder / f"{task.folder}.json"
    if path.is_file():
        kept = _Finished.read(path)
        if (kept.suite_sha256, kept.weights_sha256) == (suite_sha256, weights_sha256):
            return kept.result
    found, errors, samples = FAMILIES[task.family](network, test_set)
    if samples != task.samples:
        raise StageError(f"test set {task.folder} has {samples:,} samples, task {task.name} has {task.samples:,}", repair="make or download the set again")
    result = TaskResult(task=task.name, samples=samples, data_sha256=test_set.content_sha256, metrics=found, standard_errors=errors)
    _Finished(suite_sha256=suite_sha256, weights_sha256=weights_sha256, result=result).write(path)
    return result
