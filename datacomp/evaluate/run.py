"""The evaluation stage: a checkpoint and a suite in, results out, in float32. Finished tasks are not computed again."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from datacomp import digest, files, progress
from datacomp.artifacts import results
from datacomp.artifacts.results import Network, Results, TaskResult
from datacomp.artifacts.run import Checkpoint, Run, weights_path
from datacomp.declared.scale import Scale
from datacomp.declared.suite import Family, Suite, Task
from datacomp.errors import StageError
from datacomp.evaluate import classification, faces, grouped, retrieval, sets, winogavil
from datacomp.evaluate.check import check_samples
from datacomp.evaluate.metrics import Measured
from datacomp.evaluate.model import Model
from datacomp.launch import local
from datacomp.network import choose
from datacomp.network.embed import Embedder, Encoder
from datacomp.records import Record

PUBLISHED = "eval_results.jsonl"
RESULTS = "results.json"

FAMILIES: dict[Family, Callable[[Model, sets.TestSet], Measured]] = {
    "classification": classification.evaluate,
    "iwildcam": grouped.iwildcam,
    "camelyon17": grouped.camelyon17,
    "fmow": grouped.fmow,
    "dollar_street": grouped.dollar_street,
    "geode": grouped.geode,
    "faces": faces.evaluate,
    "retrieval": retrieval.evaluate,
    "winogavil": winogavil.evaluate,
}


class _Finished(Record):
    """One task's result with what it is a function of, kept beside the others."""

    suite_sha256: str
    weights_sha256: str
    network: Network | None = None
    result: TaskResult


class _Subject(NamedTuple):
    """What is evaluated: weights, the network that they belong to if it is not the scale's, and how it is loaded on a device."""

    weights_sha256: str
    network: Network | None
    load: Callable[[str], Encoder]

    def told(self) -> dict[str, object]:
        """Its part of a record; what is not there is not written."""
        return {"weights_sha256": self.weights_sha256} | ({"network": self.network} if self.network else {})


def evaluate(
    run: Run,
    scale: Scale,
    suite: Suite,
    data: Path,
    *,
    tasks: tuple[str, ...] = (),
    checkpoint: Checkpoint | None = None,
    device: str | None = None,
    threads: int | None = None,
) -> Results:
    """Evaluate a checkpoint of a run, by default the last, on every task of a suite or on those named.

    Results of another checkpoint or suite are never taken for this one's: each file names the digests of both. Those of some tasks only are
    returned and stand in eval_results.jsonl; the record of the suite is not written.
    """
    run.record.inputs.check(scale)
    last = run.record.checkpoints[-1]
    wanted = checkpoint or last
    path = results.path_in(run.path, suite.spec.name, step=None if wanted == last else wanted.step)

    def load(device: str) -> Encoder:
        weights = weights_path(run.path, wanted.step)
        if not weights.is_file() or digest.of_file(weights) != wanted.sha256:
            raise StageError(f"{weights} is not the checkpoint that the run's record names", repair="restore the file, or train again")
        return Embedder(scale, weights, device=device)

    with files.writing(run.path):
        subject = _Subject(wanted.sha256, None, load)
        return _evaluate(subject, suite, suite.chosen(tasks), data, path, path.parent / suite.spec.name, device=device, threads=threads)


def evaluate_published(
    model: str,
    weights: Path | None,
    suite: Suite,
    data: Path,
    out: Path,
    *,
    tasks: tuple[str, ...] = (),
    device: str | None = None,
    threads: int | None = None,
) -> Results:
    """Evaluate a network that others trained, as `choose.one` finds it, into the folder `out`."""
    found = choose.one(None, model, weights)
    network = Network(name=found.name, sha256=digest.of_content(choose.declared(found).content()))
    subject = _Subject(found.sha256, network, lambda device: choose.load(found, device))
    with files.writing(out):
        return _evaluate(subject, suite, suite.chosen(tasks), data, out / RESULTS, out, device=device, threads=threads)


def _evaluate(
    subject: _Subject, suite: Suite, tasks: tuple[Task, ...], data: Path, path: Path, folder: Path, *, device: str | None, threads: int | None
) -> Results:
    """Results of some tasks, from `path` where they are finished, else one after the other; each is kept in `folder`."""
    about = {"suite_sha256": suite.digest()} | subject.told()
    if path.is_file() and _same(finished := Results.read(path), about):
        return finished.model_copy(update={"tasks": tuple(result for result in finished.tasks if result.task in {task.name for task in tasks})})
    kept = {task.name: _kept(folder, task, about) for task in suite.tasks}
    missing = [task for task in tasks if kept[task.name] is None]
    if missing:
        local.set_threads(threads or local.compute_threads())
        test_sets = [sets.read(data, task) for task in progress.show(missing, total=len(missing), unit=" sets", title="check test sets")]
        model = Model(subject.load(local.device(device)), workers=local.cores())
        for task, test_set in progress.show(zip(missing, test_sets, strict=True), total=len(missing), unit=" tasks", title="evaluate"):
            kept[task.name] = _measure(model, task, test_set)
            _Finished.model_validate({**about, "result": kept[task.name]}).write(_path(folder, task))
    done = [(task, result) for task in suite.tasks if (result := kept[task.name])]
    found = Results.model_validate(
        {
            "suite": suite.spec.name,
            "suite_version": suite.spec.version,
            **about,
            "tasks": tuple(result for task, result in done if task in tasks),
        }
    )
    files.write_text(folder / PUBLISHED, "".join(results.published_line(task, result) + "\n" for task, result in done))
    if len(found.tasks) == len(suite.tasks):
        found.write(path)
    return found


def _same(found: Results | _Finished, about: dict[str, object]) -> bool:
    return (found.suite_sha256, found.weights_sha256, found.network) == (about["suite_sha256"], about["weights_sha256"], about.get("network"))


def _path(folder: Path, task: Task) -> Path:
    return folder / f"{task.folder}.json"


def _kept(folder: Path, task: Task, about: dict[str, object]) -> TaskResult | None:
    """What an earlier call measured, if it measured the same."""
    path = _path(folder, task)
    return kept.result if path.is_file() and _same(kept := _Finished.read(path), about) else None


def _measure(model: Model, task: Task, test_set: sets.TestSet) -> TaskResult:
    found = FAMILIES[task.family](model, test_set)
    check_samples(task, found.samples)
    return TaskResult(task=task.name, samples=found.samples, data_sha256=test_set.content_sha256, metrics=found.metrics, standard_errors=found.errors)
