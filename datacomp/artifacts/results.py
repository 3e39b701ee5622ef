"""Results: raw metrics per task of one checkpoint under one suite. Averages are not stored here; they are computed anew."""

from pathlib import Path

from datacomp.records import Count, Digest, Line, Record


class TaskResult(Record):
    """One task's metrics, with standard errors from the test sample where they are defined."""

    task: Line
    samples: Count
    data_sha256: Digest
    metrics: dict[Line, float | None]
    standard_errors: dict[Line, float]


class Results(Record):
    """Every task of a suite."""

    suite: Line
    suite_version: Count
    suite_sha256: Digest
    weights_sha256: Digest
    tasks: tuple[TaskResult, ...]


def path_in(run: Path, suite: str) -> Path:
    """Where a run's results under a suite lie."""
    return run / "evaluation" / f"{suite}.json"
