"""What is measured otherwise than a suite says: it lies under a name of its own, and no average, entry or board ever reads it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from datacomp import files
from datacomp.artifacts.results import Network
from datacomp.declared.suite import Task
from datacomp.errors import StageError
from datacomp.evaluate.metrics import Measured
from datacomp.evaluate.model import Model
from datacomp.evaluate.subject import Subject
from datacomp.launch import local
from datacomp.launch.local import Workers
from datacomp.records import Count, Digest, Line, Record


class Aside(Record):
    """One task's metrics outside the suite, with what they are a function of. It is no `Results`, and cannot get into an entry."""

    task: Line
    task_sha256: Digest
    data_sha256: Digest
    weights_sha256: Digest
    network: Network | None = None
    samples: Count
    metrics: dict[Line, float | None]
    standard_errors: dict[Line, float]


class How(NamedTuple):
    """With what one process measures: a device (by default the first GPU there is) and threads."""

    device: str | None = None
    threads: int | None = None

    def model(self, subject: Subject) -> Model:
        """Load what is measured."""
        local.set_threads(self.threads or local.compute_threads())
        return Model(subject.source.load(local.device(self.device)), workers=local.cores())


Found = TypeVar("Found", bound=Aside)
Job = TypeVar("Job")


def check_classes(task: Task) -> None:
    """Raise StageError for a task whose pictures do not have one label each."""
    if task.classes is None:
        raise StageError(f"task {task.name} is of family {task.family}, which has no classes", allowed="tasks whose pictures have one label each")


def about(subject: Subject, task: Task, data_sha256: str) -> dict[str, Any]:
    """The part of a record that says what was measured."""
    return {"task": task.name, "task_sha256": task.digest(), "data_sha256": data_sha256, **subject.told()}


def values(found: Measured) -> dict[str, Any]:
    """The part of a record that says what was found."""
    return {"samples": found.samples, "metrics": found.metrics, "standard_errors": found.errors}


def measured(kind: type[Found], path: Path, said: dict[str, Any], work: Callable[[Job], None], job: Job, workers: Workers) -> Found:
    """The record at `path` if an earlier call measured the same, else what `work` writes there, here or elsewhere."""
    if not (path.is_file() and same(kept := kind.read(path), said)):
        for _ in local.run_all(work, [job], workers=workers):
            pass
        files.await_file(path)
        kept = kind.read(path)
    return kept


def same(kept: Record, said: dict[str, Any]) -> bool:
    """Whether a record is about what is said; a network that is not named is the scale's."""
    return all(getattr(kept, name) == value for name, value in {"network": None, **said}.items())
