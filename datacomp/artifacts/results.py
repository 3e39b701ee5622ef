"""Results: raw metrics per task of one checkpoint under one suite. Averages are not stored here; they are computed anew."""

import json
import math
from pathlib import Path

from datacomp import digest, records
from datacomp.declared.suite import Suite, Task
from datacomp.errors import RecordError
from datacomp.records import Count, Digest, Line, Record

RESULTS = "results.json"
PUBLISHED = "eval_results.jsonl"
_MAIN_METRIC = "main_metric"


class TaskScores(Record):
    """One task's metrics, with standard errors from the test sample where they are known."""

    task: Line
    metrics: dict[Line, float | None]
    standard_errors: dict[Line, float]


class TaskResult(TaskScores):
    """What this program measured on one task."""

    samples: Count
    data_sha256: Digest


class Network(Record):
    """A network that somebody else trained; the digest is that of its architecture and preprocessing."""

    name: Line
    sha256: Digest


class Results(Record):
    """Every task of a suite."""

    suite: Line
    suite_version: Count
    suite_sha256: Digest
    weights_sha256: Digest
    network: Network | None = None  # None is the scale's
    tasks: tuple[TaskResult, ...]


class Imported(Record):
    """Scores that another program wrote. Weights, data and precision are unknown, so it is no `Results` and cannot get into an entry."""

    imported_sha256: Digest  # of the file with the published lines
    suite: Line
    suite_version: Count
    suite_sha256: Digest
    tasks: tuple[TaskScores, ...]


class PublishedLine(Record):
    """One line of eval_results.jsonl."""

    key: Line
    dataset: Line
    metrics: dict[Line, float | None]


def read(path: Path) -> Results | Imported:
    """Read a record of results, measured here or imported."""
    text = records.read_bytes(path)
    return Imported.parse(text, str(path)) if b'"imported_sha256"' in text else Results.parse(text, str(path))


def path_in(run: Path, suite: str, *, step: int | None = None) -> Path:
    """Where a run's results under a suite lie: those of the last checkpoint, or those after a step before it."""
    return folder_in(run, step=step) / f"{suite}.json"


def folder_in(run: Path, *, step: int | None = None) -> Path:
    """Where everything lies that was measured of a run's last checkpoint, or of that after a step before it."""
    folder = run / "evaluation"
    return folder if step is None else folder / f"step_{step:08d}"


def published_line(task: Task, result: TaskResult) -> str:
    """One line of eval_results.jsonl, as the published tools write and read it; what is undefined is null."""
    main = result.metrics.get(task.main_metric) if task.main_metric else None
    return json.dumps({"key": task.name, "dataset": task.title, "metrics": {**result.metrics, _MAIN_METRIC: main}}, allow_nan=False)


def imported(path: Path, suite: Suite) -> Imported:
    """Read eval_results.jsonl of the published tools, of all tasks of a suite or of some.

    Raises RecordError, which names the line, for what they do not write: other keys, values that are no finite numbers, a task that is unknown,
    there twice or under another name, a main metric that is no share or differs from the metric that it repeats.
    """
    text = records.read_bytes(path)
    found: dict[str, TaskScores] = {}
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{path} line {number}"
        scores = _scores(PublishedLine.parse(line, where), suite, where)
        if scores.task in found:
            raise RecordError(f"{where}: task {scores.task} is there twice", repair="keep the line that holds")
        found[scores.task] = scores
    if not found:
        raise RecordError(f"{path} holds no results", repair="check the path")
    return Imported(
        imported_sha256=digest.of_bytes(text),
        suite=suite.spec.name,
        suite_version=suite.spec.version,
        suite_sha256=suite.digest(),
        tasks=tuple(found[name] for name in suite.spec.tasks if name in found),
    )


def _scores(line: PublishedLine, suite: Suite, where: str) -> TaskScores:
    """A line's metrics. Of standard errors only that of acc1 is known, a share of all samples."""
    try:
        (task,) = suite.chosen((line.key,))
    except RecordError as error:
        raise RecordError(f"{where}: {error.what}", allowed=error.allowed) from None
    if line.dataset != task.title:
        raise RecordError(f"{where}: task {task.name} is called {line.dataset!r}", allowed=repr(task.title))
    metrics = {name: value for name, value in line.metrics.items() if name != _MAIN_METRIC}
    main = metrics.get(task.main_metric) if task.main_metric else None
    if line.metrics.get(_MAIN_METRIC) != main:
        raise RecordError(f"{where}: {_MAIN_METRIC} is {line.metrics.get(_MAIN_METRIC)}", allowed=f"{main}, the line's {task.main_metric or 'null'}")
    if task.counts and main is None:
        raise RecordError(f"{where}: task {task.name} has no {task.main_metric}", repair="evaluate the task again, or leave the line out")
    for value in (main, metrics.get("acc1")):
        if value is not None and not 0 <= value <= 1:
            raise RecordError(f"{where}: task {task.name} has {value}", allowed="shares between 0 and 1")
    acc1 = metrics.get("acc1")
    errors = {} if acc1 is None else {"acc1": math.sqrt(acc1 * (1 - acc1) / task.samples)}
    return TaskScores(task=task.name, metrics=metrics, standard_errors=errors)
