"""The measuring stick: tasks, groups and averages of one suite version."""

from pathlib import Path
from typing import Annotated, Literal, Self

import pydantic

from datacomp import rooms
from datacomp.declared import lock
from datacomp.errors import LockError, RecordError
from datacomp.records import Digest, Record

Family = Literal["classification", "iwildcam", "camelyon17", "fmow", "dollar_street", "geode", "faces", "retrieval", "winogavil"]
Metric = Literal["acc1", "mean_per_class_recall", "mean_recall@1", "jaccard_score_10-12", "F1-macro_all", "acc_worst_region", "acc_top5_wg", "acc_wg"]


class GeneratedData(Record):
    """Test data that is drawn from a seed (docs/miniature.md); the digest covers labels and pixels before encoding."""

    kind: Literal["generated"]
    world: str
    seed: int
    variant: str
    content_sha256: Digest


class PublishedData(Record):
    """Test data that others published. It is pinned once both revision and digest are there; the digest covers names and bytes of all files."""

    kind: Literal["published"]
    address: str  # where the pictures come from
    files: tuple[str, ...] = ()  # there, of which the set is made; none where it lies there in the layout that is read
    revision: str = ""  # of that address
    content_sha256: Digest | Literal[""] = ""


class Task(lock.Declared):
    """One data set and how it is scored."""

    title: str
    family: Family
    main_metric: Metric | None = None
    samples: int
    classes: int | None = None  # where there are classes
    chance: float | None = None  # of the main metric, by guessing
    chance_source: str = ""  # how that was computed, or who says so
    counts: bool  # in the average
    reason: str = ""  # why it does not count
    upstream_seconds: int | None = None  # for ViT-B/32 by the published evaluator, as its task list says
    data: Annotated[GeneratedData | PublishedData, pydantic.Field(discriminator="kind")]
    citation: str
    licence: str

    @pydantic.model_validator(mode="after")
    def _counts_by_something(self) -> Self:
        if self.counts and self.main_metric is None:
            raise ValueError("a task that counts has a main metric")
        if not self.counts and not self.reason:
            raise ValueError("a task that does not count has a reason")
        return self

    @property
    def folder(self) -> str:
        """The data set's folder in the published layout, which drops the first part of a name except for vtab/ and wilds/ (and our own nano/)."""
        part, _, rest = self.name.partition("/")
        return f"wds_{rest if part in _DROPPED else self.name.replace('/', '-')}_test"

    @property
    def pinned(self) -> bool:
        """Whether the record says which bytes are measured."""
        return bool(self.data.content_sha256)


_DROPPED = ("fairness", "retrieval", "misc")


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
    subsets: tuple[Group, ...] = ()  # further means, which rank nothing and stand in no entry


class Suite(Record):
    """A suite with its task records."""

    spec: SuiteSpec
    tasks: tuple[Task, ...]

    @property
    def counting(self) -> tuple[str, ...]:
        """The tasks that count in the average."""
        return tuple(task.name for task in self.tasks if task.counts)

    def chosen(self, names: tuple[str, ...]) -> tuple[Task, ...]:
        """The named tasks in the suite's order, all of them where none is named."""
        if unknown := sorted(set(names) - set(self.spec.tasks)):
            raise RecordError(f"suite {self.spec.name} has no task {', '.join(unknown)}", allowed=", ".join(self.spec.tasks))
        return tuple(task for task in self.tasks if not names or task.name in names)


EARLIER = "earlier"  # folder of the versions that were


def load(name: str, version: int | None = None) -> Suite:
    """Read one suite and its tasks: today's version, or an earlier one that is kept whole.

    Raises RecordError for what is neither, LockError for a kept one that differs from what it was.
    """
    room = rooms.eval_suite()
    spec = lock.read(SuiteSpec, room, "suites", name)
    if version is not None and version != spec.version:
        return _earlier(room, name, version, spec.version)
    suite = Suite(spec=spec, tasks=tuple(lock.read(Task, room, "tasks", task) for task in spec.tasks))
    for group in (*spec.groups, *spec.subsets):
        if unknown := set(group.tasks) - set(suite.counting):
            raise RecordError(f"suite {name}: group {group.name} names {', '.join(sorted(unknown))}", allowed=", ".join(suite.counting))
    return suite


def _earlier(room: Path, name: str, version: int, today: int) -> Suite:
    stem = f"{name}-v{version}"
    path = room / EARLIER / f"{stem}.json"
    if not path.is_file():
        raise RecordError(f"suite {name} has no version {version}", allowed=f"today's, {today}, and those kept in {room.name}/{EARLIER}/")
    suite = Suite.read(path)
    if (suite.spec.name, suite.spec.version) != (name, version) or suite.digest() != lock.locks(room).get(f"{EARLIER}/{stem}"):
        raise LockError(f"{room.name}/{EARLIER}/{stem}.json is not what the lock of the room holds", repair="restore the file; what was measured stays")
    return suite


def names() -> tuple[str, ...]:
    """All suites."""
    return lock.available(rooms.eval_suite(), "suites")
