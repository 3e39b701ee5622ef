"""Results: raw metrics per task of one checkpoint under one suite. Averages are not stored here; they are computed anew."""

from pathlib import Path

from datacomp.errors import StageError
from datacomp.records import Record


class TaskResult(Record):
    """One task's metrics, with standard errors from the test sample where they are defined."""

    task: str
    samples: int
    data_sha256: str
    metrics: dict[str, float | None]
    standard_errors: dict[str, float]


class Results(Record):
    """Every task of a suite."""

    suite: str
    suite_version: int
    suite_sha256: str
    weights_sha256: str
    tasks: tuple[TaskResult, ...]

    def of(self, task: str) -> TaskResult:
        """The result of one task."""
        for result in self.tasks:
            if result.task == task:
                return result
        raise StageError(f"the results hold no task {task!r}", allowed=", ".join(result.task for result in self.tasks))


def path_in(run: Path, suite: str) -> Path:
    """Where a run's results under a suite lie."""
    return run / "evaluation" / f"{suite}.json"
