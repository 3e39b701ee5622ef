"""Pinning test sets: their tasks' records name the revision and the digest of what a first checked download found."""

from collections.abc import Sequence
from pathlib import Path

from datacomp import progress, rooms
from datacomp.declared import pin as pinning
from datacomp.declared.pin import Pinned
from datacomp.declared.suite import PublishedData, Task
from datacomp.errors import StageError
from datacomp.evaluate import check as checking
from datacomp.evaluate import sets
from datacomp.evaluate.sets import Manifest


def pin(tasks: Sequence[Task], data: Path) -> tuple[Pinned, ...]:
    """Write revision and digest of each downloaded set into its task's record; only say so where records are read-only.

    Every set is looked through first: if one does not hold, nothing is written. Raises StageError for a folder without downloaded sets.
    """
    found = [(task, manifest) for task in tasks if isinstance(task.data, PublishedData) and (manifest := _downloaded(task, data))]
    if not found:
        raise StageError(f"{data} holds no downloaded test sets of these tasks", repair=f"datacomp evalsets download --suite SUITE --data {data}")
    for task, _ in progress.show(found, total=len(found), unit=" sets", title="check test sets"):
        checking.check(data, task)
    return tuple(_pin(task, manifest) for task, manifest in found)


def _downloaded(task: Task, data: Path) -> Manifest | None:
    path = data / task.folder / sets.MANIFEST
    manifest = Manifest.read(path) if path.is_file() else None
    return manifest if manifest and manifest.revision else None


def _pin(task: Task, manifest: Manifest) -> Pinned:
    assert isinstance(task.data, PublishedData)
    path = rooms.eval_suite() / "tasks" / f"{task.name.replace('/', '-')}.toml"
    before = {"revision": task.data.revision, "content_sha256": task.data.content_sha256}
    return pinning.pin(path, before, {"revision": manifest.revision, "content_sha256": manifest.content_sha256})
