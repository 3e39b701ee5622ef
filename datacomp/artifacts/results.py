"""Results: raw metrics per task of one checkpoint under one suite. Averages are not stored here; they are computed anew."""

import json
from pathlib import Path

from datacomp.declared.suite import Task
from datacomp.records import Count, Digest, Line, Record


class TaskResult(Record):
    """One task's metrics, with standard errors from the test sample where they are defined."""

    task: Line
    samples: Count
    data_sha256: Digest
    metrics: dict[Line, float | None]
    standard_errors: dict[Line, float]


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


def path_in(run: Path, suite: str, *, step: int | None = None) -> Path:
    """Where a run's results under a suite lie: those of the last checkpoint, or those after a step before it."""
    folder = run / "evaluation"
    return folder / f"{suite}.json" if step is None else folder / f"step_{step:08d}" / f"{suite}.json"


def published_line(task: Task, result: TaskResult) -> str:
    """One line of eval_results.jsonl, as the published tools write and read it; what is undefined is null."""
    main = result.metrics.get(task.main_metric) if task.main_metric else None
    return json.dumps({"key": task.name, "dataset": task.title, "metrics": {**result.metrics, "main_metric": main}}, allow_nan=False)
