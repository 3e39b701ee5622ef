"""Writing that survives a kill: temporary name, fsync, rename; and the lock that keeps a second writer away.

Whatever carries its final name is whole. A stage's record is written last and means "complete".
"""

import fcntl
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from datacomp import places
from datacomp.errors import BusyError, StageError

_TEMPORARY = ".part-"
_LOCK = ".lock"
_LOOK_AGAIN_S = 1.0
LATE_S = 120.0  # so late a network file system may show what another machine wrote

patience_s = 0.0  # how long to wait for another writer; a job of a cluster sets it: an earlier start of the same job may not have ended yet


@contextmanager
def whole(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary path to write a file to; it takes its real name when the block ends well, else it vanishes.

    What is not durable survives a kill; when the machine itself fails it may be there and empty, and its reader must notice.
    What belongs into a store is written on this machine first: an object there is whole or not there. Two writers of the same file, as when
    a cluster starts a job twice, do not meet before the name is taken.
    """
    if places.is_remote(path):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / path.name
            path.fs.put_file(str(Path(folder) / path.name), path.path)  # type: ignore[attr-defined]
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        publish(temporary, path, durable=durable)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Give a folder for what is needed for a while, on the disk of the result; it vanishes with the block, or with the next sweep."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=_TEMPORARY) as path:
        yield Path(path)


def publish(temporary: Path, path: Path, *, durable: bool = True) -> None:
    """Bring a finished file to the disk and give it its real name: the only place where anything becomes visible."""
    if not durable:
        temporary.replace(path)
        return
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with whole(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write_bytes(path, text.encode())


def sweep(folder: Path) -> None:
    """Remove what a killed writer left under a temporary name."""
    for leftover in sorted(folder.rglob(f"{_TEMPORARY}*"), reverse=True):  # what lies in a scratch folder comes before it
        _remove(leftover)


def empty(folder: Path) -> None:
    """Remove everything that a folder holds, its lock aside."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name != _LOCK:
            _remove(path)


def held(folder: Path) -> list[Path]:
    """What a folder holds, its lock and what a killed writer left aside; nothing where there is no folder."""
    found = sorted(folder.iterdir()) if folder.is_dir() else ()
    return [path for path in found if path.name != _LOCK and not path.name.startswith(_TEMPORARY)]


def await_file(path: Path) -> None:
    """Wait for a file that another machine has written: a network file system may show it late. Raises StageError where it does not appear."""
    until = time.monotonic() + LATE_S
    while not path.is_file():
        if time.monotonic() > until:
            raise StageError(f"{path} does not appear", repair="look at the log of what was to write it; all machines must see the same file system")
        if path.parent.is_dir():
            os.scandir(path.parent).close()  # has the file system look again
        time.sleep(_LOOK_AGAIN_S)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextmanager
def writing(folder: Path, *, wait: bool = False, leave_lock: bool = True) -> Iterator[None]:
    """Be the only process that writes to a folder; a lock whose owner died is free.

    The lock's file stays, or goes when the block ends well: for folders that are handed on, and in which all is written then.
    Raises BusyError, naming the owner, when another process has it, unless one is to wait for it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("a+") as file:
        until = time.monotonic() + patience_s
        while not _lock(file, wait=wait):
            if time.monotonic() > until:
                file.seek(0)
                owner = file.read(200).strip() or "another process"
                raise BusyError(f"{folder} is being written by {owner}", repair="wait for it, end it, or choose another folder")
            time.sleep(_LOOK_AGAIN_S)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        sweep(folder)
        yield
        if not leave_lock:
            (folder / _LOCK).unlink()


def _lock(file: IO[str], *, wait: bool) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
