"""Reading a declared record, and refusing a frozen one that differs from what was promised."""

from pathlib import Path
from typing import Literal, TypeVar

from datacomp.errors import LockError, RecordError
from datacomp.records import Record, read_toml

Status = Literal["frozen", "draft"]


class Declared(Record):
    """A record of a data room: it has a name, which is its file's, and a status."""

    name: str
    status: Status


R = TypeVar("R", bound=Declared)


def read(kind: type[R], room: Path, folder: str, name: str) -> R:
    """Read `room/folder/name.toml` (a / in a name is a - in its file's), checked against the room's LOCK.toml when it is frozen.

    Raises RecordError for an unknown name, LockError for a frozen record that is not what the lock holds.
    """
    stem = name.replace("/", "-")
    path = room / folder / f"{stem}.toml"
    if stem not in available(room, folder):
        raise RecordError(f"{name!r} is not among the {folder} of {room.name}/", allowed=", ".join(available(room, folder)))
    record = kind.read(path)
    if record.name != name:
        raise RecordError(f"{path} calls itself {record.name!r}", allowed=f"the file's own name, {name!r}")
    check(record, room, f"{folder}/{stem}")
    return record


def check(record: Declared, room: Path, key: str) -> None:
    """Hold one record against the lock of its room."""
    locked = locks(room).get(key)
    if record.status == "draft" and locked is not None:
        raise LockError(f"{room.name}/{key}.toml is locked and calls itself a draft", repair="restore the file; what was frozen stays frozen")
    if record.status == "frozen" and locked is None:
        raise LockError(
            f"{room.name}/{key}.toml is frozen and not in {room.name}/LOCK.toml",
            repair=f'add the line "{key}" = "{record.digest()}" to the lock, in the commit that freezes the record',
        )
    if locked is not None and locked != record.digest():
        raise LockError(
            f"{room.name}/{key}.toml was changed: its digest is {record.digest()[:12]}…, the lock says {locked[:12]}…",
            repair="restore the file, or give the changed record a new name; a frozen record never changes",
        )


def locks(room: Path) -> dict[str, str]:
    """The digests that a room promises, by `folder/name`."""
    table = read_toml(room / "LOCK.toml").get("sha256", {})
    return {str(key): str(value) for key, value in table.items()}


def available(room: Path, folder: str) -> tuple[str, ...]:
    """The names of a folder's records."""
    return tuple(sorted(path.stem for path in (room / folder).glob("*.toml")))
