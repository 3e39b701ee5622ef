"""The evaluation stage: a checkpoint and a suite in, results out, in float32. Finished tasks are not computed again."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from datacomp import files, progress
from datacomp.artifacts import results
from datacomp.artifacts.results import PUBLISHED, RESULTS, Network, Results, TaskResult
from datacomp.artifacts.run import Checkpoint, Run
from datacomp.declared.scale import Scale
from datacomp.declared.suite import Family, Suite, Task
from datacomp.evaluate import classification, faces, grouped, retrieval, sets, winogavil
from datacomp.evaluate import subject as subjects
from datacomp.evaluate.check import check_samples
from datacomp.evaluate.metrics import Measured
from datacomp.evaluate.model import Model
from datacomp.evaluate.subject import Subject
from datacomp.launch import local
from datacomp.launch.local import Workers
from datacomp.records import Record

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
    workers: Workers = None,
) -> Results:
    """Evaluate a checkpoint of a run, by default the last, on every task of a suite or on those named.

    Results of another checkpoint or suite are never taken for this one's: each file names the digests of both. Those of some tasks only are
    returned and stand in eval_results.jsonl; the record of the suite is not written.
    """
    subject = subjects.of_run(run, scale, checkpoint)
    name = suite.spec.name
    with files.writing(subject.home):
        path, folder = subject.folder / f"{name}.json", subject.folder / name
        return _evaluate(subject, suite, suite.chosen(tasks), data, path, folder, device=device, threads=threads, workers=workers)


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
    workers: Workers = None,
) -> Results:
    """Evaluate a network that others trained, as `choose.one` finds it, into the folder `out`."""
    subject = subjects.of_model(model, weights, out)
    with files.writing(subject.home):
        return _evaluate(subject, suite, suite.chosen(tasks), data, out / RESULTS, out, device=device, threads=threads, workers=workers)


def _evaluate(
    subject: Subject,
    suite: Suite,
    tasks: tuple[Task, ...],
    data: Path,
    path: Path,
    folder: Path,
    *,
    device: str | None,
    threads: int | None,
    workers: Workers,
) -> Results:
    """Results of some tasks, from `path` where they are finished, else measured by `workers`; each is kept in `folder`."""
    about = {"suite_sha256": suite.digest()} | subject.told()
    if path.is_file() and _same(finished := Results.read(path), about):
        return finished.model_copy(update={"tasks": tuple(result for result in finished.tasks if result.task in {task.name for task in tasks})})
    missing = tuple(task for task in tasks if _kept(folder, task, about) is None)
    if missing:
        share = _Share(subject, about, missing, data, folder, device, threads or local.compute_threads())
        parts = _cut(share, workers)
        for _ in local.run_all(_measure, parts, workers=len(parts) if local.is_here(workers) else workers):
            pass
        for task in missing:
            files.await_file(_path(folder, task))
    kept = {task.name: _kept(folder, task, about) for task in suite.tasks}
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


class _Share(NamedTuple):
    """Tasks that one process measures with one network."""

    subject: Subject
    about: dict[str, object]
    tasks: tuple[Task, ...]
    data: Path
    folder: Path
    device: str | None
    threads: int
    beside: int = 1  # processes on the same machine, this one among them


def _cut(share: _Share, workers: Workers) -> list[_Share]:
    """Parts of about as many samples: one for each GPU of this machine, or for each of those who measure elsewhere."""
    is_here = local.is_here(workers)
    devices = local.devices(share.device) if is_here else [share.device] * local.most_tasks(workers)
    parts: list[list[Task]] = [[] for _ in devices[: len(share.tasks)]]
    for task in sorted(share.tasks, key=lambda task: task.samples, reverse=True):
        min(parts, key=lambda part: sum(task.samples for task in part)).append(task)
    return [share._replace(tasks=tuple(part), device=device, beside=len(parts) if is_here else 1) for part, device in zip(parts, devices, strict=False)]


def _measure(share: _Share) -> None:
    """Measure tasks one after the other; each is written when it is done, and one that is there is kept."""
    tasks = [task for task in share.tasks if _kept(share.folder, task, share.about) is None]
    local.set_threads(share.threads)
    test_sets = [sets.read(share.data, task) for task in progress.show(tasks, total=len(tasks), unit=" sets", title="check test sets")]
    model = Model(share.subject.source.load(local.device(share.device)), workers=max(1, local.cores() // share.beside))
    with progress.counter(total=sum(task.samples for task in tasks), unit=" samples", title="evaluate") as bar:
        model.seen = bar.update
        for number, (task, test_set) in enumerate(zip(tasks, test_sets, strict=True), start=1):
            bar.set_description(f"evaluate {task.name} ({number}/{len(tasks)})")
            found = FAMILIES[task.family](model, test_set)
            check_samples(task, found.samples)
            result = TaskResult(task=task.name, samples=found.samples, data_sha256=test_set.content_sha256, metrics=found.metrics, standard_errors=found.errors)
            _Finished.model_validate({**share.about, "result": result}).write(_path(share.folder, task))
            bar.update(sum(task.samples for task in tasks[:number]) - bar.n)  # where riddles are counted, not pictures
