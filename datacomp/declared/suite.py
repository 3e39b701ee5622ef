"""The measuring stick: tasks, groups and averages of one suite version."""

from typing import Literal

from datacomp import rooms
from datacomp.declared import lock
from datacomp.errors import RecordError
from datacomp.records import Record


class GeneratedData(Record):
    """Test data that is drawn from a seed (docs/miniature.md); the digest covers labels and pixels before encoding."""

    kind: Literal["generated"]
    world: str
    seed: int
    variant: str
    content_sha256: str


class Task(lock.Declared):
    """One data set and how it is scored."""

    title: str
    family: Literal["classification"]
    main_metric: Literal["acc1", "mean_per_class_recall"]
    samples: int
    classes: int
    chance: float  # of the main metric, by guessing
    counts: bool  # in the average
    data: GeneratedData
    citation: str
    licence: str

    @property
    def folder(self) -> str:
        """The data set's folder in the published layout."""
        return f"wds_{self.name.replace('/', '-')}_test"


class Group(Record):
    """Some tasks whose unweighted mean is printed."""

    name: str
    title: str
    tasks: tuple[str, ...]


class SuiteSpec(lock.Declared):
    """A suite as written down: names of tasks and groups."""

    version: int
    summary: str
    precision: Literal["float32"]
    tasks: tuple[str, ...]
    groups: tuple[Group, ...]


class Suite(Record):
    """A suite with its task records."""

    spec: SuiteSpec
    tasks: tuple[Task, ...]

    @property
    def counting(self) -> tuple[str, ...]:
        """The tasks that count in the average."""
        return tuple(task.name for task in self.tasks if task.counts)


def load(name: str) -> Suite:
    """Read one suite and its tasks."""
    room = rooms.eval_suite()
    spec = lock.read(SuiteSpec, room, "suites", name)
    suite = Suite(spec=spec, tasks=tuple(lock.read(Task, room, "tasks", task) for task in spec.tasks))
    for group in spec.groups:
        if unknown := set(group.tasks) - set(spec.tasks):
            raise RecordError(f"suite {name}: group {group.name} names {', '.join(sorted(unknown))}", allowed=", ".join(spec.tasks))
    return suite


def names() -> tuple[str, ...]:
    """All suites."""
    return lock.available(rooms.eval_suite(), "suites")
