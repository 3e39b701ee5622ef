"""Bringing published test sets from the Hub: only files of the layout, or those of which one is made, each held against the Hub's digest.

The manifest comes last. Nothing of a repository is run.
"""

import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from huggingface_hub.hf_api import RepoFile

from datacomp import files, hub, progress
from datacomp.declared.suite import PublishedData, Task
from datacomp.errors import StageError
from datacomp.evaluate import convert as converting
from datacomp.evaluate import sets
from datacomp.evaluate.sets import Manifest
from datacomp.records import Line, Record

WORK = "work"  # in a set's folder until it is complete: where the Hub's client works
_STARTED, _SOURCE = "started.json", "source"  # in it
_HUB = re.compile(r"https://huggingface\.co/datasets/([\w.-]+/[\w.-]+)")
_AT_ONCE = 8  # questions


class Started(Record):
    """What a folder is being filled from, written first: a restart stays at the commit that was chosen."""

    repository: Line
    revision: Line


class Remote(NamedTuple):
    """A test set as it lies on the Hub, at one commit. There are no files where the repository does not have those that are wanted."""

    task: Task
    source: hub.Source
    files: dict[str, RepoFile]

    @property
    def bytes(self) -> int:
        """Of all its files; a set that is made of them takes about as much."""
        return sum(file.size for file in self.files.values())

    @property
    def is_made(self) -> bool:
        """Whether the set is made of its files, which lie beside it meanwhile."""
        return isinstance(self.task.data, PublishedData) and bool(self.task.data.files)


def missing(tasks: Sequence[Task], data: Path) -> tuple[Task, ...]:
    """The tasks whose published set is not there with all its files; no network is needed."""
    return tuple(task for task in tasks if isinstance(task.data, PublishedData) and not sets.is_there(data, task))


def find(tasks: Sequence[Task], data: Path, revision: str = "") -> tuple[Remote, ...]:
    """Ask the Hub for the sets of some tasks that a download into `data` has still to bring: files and sizes, nothing is written.

    `revision` is a commit, branch or tag; by default the record's, else the newest commit. Raises StageError for a task that is pinned to
    another one, for sets that are there from another one, and for a task whose set lies elsewhere.
    """
    sources = [(task, source) for task in tasks if (source := _source(task, data, revision))]

    def ask(wanted: tuple[Task, hub.Source]) -> Remote:
        task, source = wanted
        at = source._replace(revision=hub.commit(source))
        return Remote(task, at, _wanted(task, hub.listing(at)))

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return tuple(progress.show(threads.map(ask, sources), total=len(sources), unit=" sets", title="ask the Hub"))


def _source(task: Task, data: Path, revision: str) -> hub.Source | None:
    """Where a set comes from; None where it is there."""
    found = _HUB.fullmatch(task.data.address) if isinstance(task.data, PublishedData) else None
    if found is None or not isinstance(task.data, PublishedData):
        raise StageError(f"test set {task.folder} does not lie on the Hub", repair="draw it with datacomp evalsets make, or see the record of the task")
    pinned = task.data.revision
    if revision and pinned and revision != pinned:
        raise StageError(f"task {task.name} is pinned to revision {pinned[:12]}, {revision} is asked for", repair="leave --revision away")
    folder = data / task.folder
    manifest, started = folder / sets.MANIFEST, folder / WORK / _STARTED
    there = Manifest.read(manifest).revision if manifest.is_file() else Started.read(started).revision if started.is_file() else ""
    wanted = revision or pinned or there
    if there and re.fullmatch("[0-9a-f]{40}", wanted) and wanted != there:
        raise StageError(f"{folder} is of revision {there[:12]}, {wanted[:12]} is asked for", repair="remove it, or choose another folder")
    if there and manifest.is_file() and sets.is_there(data, task):
        return None
    return hub.Source(found[1], there or wanted)


def _wanted(task: Task, there: dict[str, RepoFile]) -> dict[str, RepoFile]:
    """The files of the layout among those of a repository, or those of which the set is made."""
    assert isinstance(task.data, PublishedData)
    names = list(task.data.files)
    if not names and (count := sum(re.fullmatch(r"test/(0|[1-9]\d*)\.tar", path) is not None for path in there)):
        names = sets.file_names(task.family, count)
    return {name: there[name] for name in names} if there.keys() >= set(names) else {}


def check_disk(remotes: Sequence[Remote], data: Path) -> None:
    """Refuse a disk that is too small for what is still to come."""
    there = sum(path.stat().st_size for remote in remotes for path in (data / remote.task.folder).rglob("*") if path.is_file())
    existing = next(folder for folder in (data.resolve(), *data.resolve().parents) if folder.exists())
    needed, free = sum(remote.bytes for remote in remotes) + _beside(remotes) - there, shutil.disk_usage(existing).free
    if needed > free:
        raise StageError(f"the test sets need {needed / 1e9:,.1f} GB more in {data}, {free / 1e9:,.1f} GB are free", repair="make room, or name fewer --tasks")


def _beside(remotes: Sequence[Remote]) -> int:
    """The bytes of files that lie beside the sets for a while, since one of these is made of them."""
    return max((remote.bytes for remote in remotes if remote.is_made), default=0)


def check_layout(remotes: Sequence[Remote]) -> None:
    """Raise StageError where a repository does not have the published layout, nor the files of which the set is made: there is nothing to fetch."""
    if without := [remote for remote in remotes if not remote.files]:
        listed = ", ".join(f"{remote.task.name} ({_lack(remote)})" for remote in without)
        raise StageError(
            f"{len(without)} test sets are not published as they are read here: {listed}",
            repair="bring a commit that has it with datacomp evalsets download --revision, make the set with datacomp evalsets convert as docs/guide.md"
            " says under Evaluating, or name other --tasks",
        )


def _lack(remote: Remote) -> str:
    assert isinstance(remote.task.data, PublishedData)
    return f"{remote.source.repository} lacks {' or '.join(remote.task.data.files) or 'tars in the published layout'}"


def download(remotes: Sequence[Remote], data: Path) -> None:
    """Bring test sets one after the other; started again, it goes on where it stopped.

    Raises StageError for a folder with other files than the Hub's, and for a set that is not what its record says.
    """
    check_disk(remotes, data)
    with files.writing(data, wait=True):
        for number, remote in enumerate(remotes, start=1):
            _bring(remote, data, f"{remote.task.name} ({number}/{len(remotes)})")


def _bring(remote: Remote, data: Path, title: str) -> None:
    task, folder = remote.task, data / remote.task.folder
    work, manifest = folder / WORK, folder / sets.MANIFEST
    started = Started(repository=remote.source.repository, revision=remote.source.revision)
    if manifest.is_file() and Manifest.read(manifest).revision and sets.is_there(data, task):
        return  # another process brought it meanwhile
    if not (work / _STARTED).is_file() or Started.read(work / _STARTED) != started:  # what lies there is not of this command's making
        _check_others(remote, folder)
        started.write(work / _STARTED)
    manifest.unlink(missing_ok=True)
    if remote.is_made:
        _make(remote, data, title)
    else:
        hub.fetch(remote.source, remote.files, folder, work / "hub", title=title)
    try:
        sets.read(data, task, revision=started.revision)
    except StageError:
        manifest.unlink(missing_ok=True)  # it is not the set that was asked for
        raise
    shutil.rmtree(work)


def _check_others(remote: Remote, folder: Path) -> None:
    """Refuse a folder whose files are not the Hub's. Of those that were made of the Hub's only a manifest can tell."""
    manifest = folder / sets.MANIFEST
    if remote.is_made and not (manifest.is_file() and Manifest.read(manifest).revision):
        others = [path for path in files.held(folder) if path.name != WORK]
    else:
        others = [folder / name for name, file in remote.files.items() if (folder / name).is_file() and not hub.is_same(folder / name, file)]
    if others:
        raise StageError(f"{others[0]} does not come from {remote.source.repository}", repair=f"remove {folder}, or choose another folder")


def _make(remote: Remote, data: Path, title: str) -> None:
    """Bring what a set is made of, and make it. Its tars appear last, all at once; from then on what it was made of is not needed."""
    folder = data / remote.task.folder
    source = folder / WORK / _SOURCE
    if not sets.is_there(data, remote.task):
        for name, file in remote.files.items():
            if (source / name).is_file() and not hub.is_same(source / name, file):
                (source / name).unlink()  # it was changed since it came
        hub.fetch(remote.source, remote.files, source, folder / WORK / "hub", title=title)
        with files.scratch(folder / WORK) as scratch:
            made = converting.make(source, remote.task, scratch)
            (made / sets.MANIFEST).unlink(missing_ok=True)  # it says nothing of a revision
            shutil.rmtree(folder / "test", ignore_errors=True)  # from which something was lost
            for path in sorted(made.iterdir(), key=lambda path: path.is_dir()):
                path.replace(folder / path.name)
    shutil.rmtree(source, ignore_errors=True)


def told(remotes: Sequence[Remote]) -> str:
    """How much a download is."""
    beside = _beside(remotes)
    return f"{len(remotes)} test sets, {sum(remote.bytes for remote in remotes) / 1e9:,.3f} GB" + (
        f" ({beside / 1e9:,.3f} GB more of disk while sets are made of what came)" if beside else ""
    )
