"""A list that waits for somebody to run it: a folder with a record and, where it does not lie elsewhere, the list."""

from pathlib import Path
from typing import Literal

from datacomp import rooms, uids
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.entry import Description, Link, Name
from datacomp.artifacts.subset import SubsetRecord
from datacomp.errors import SubsetError
from datacomp.records import Line, Record

FORMAT: Literal["datacomp-queued/1"] = "datacomp-queued/1"
RECORD = "queued.json"
LIST = "list.npy"
ROOM = "queue"  # of leaderboard/


class Queued(Record):
    """What is proposed, and who proposes it."""

    format: Literal["datacomp-queued/1"]
    track: Line
    scale: Line
    method: Name
    description: Description
    proposed_by: Name
    links: tuple[Link, ...]
    list_at: Link | Literal[""]  # where the list is; empty: beside this record
    subset: SubsetRecord

    @property
    def id(self) -> str:
        """Its name in the queue: the beginning of its digest."""
        return self.digest()[:16]


def find(wish: str) -> Path:
    """The folder of a queued list, by its path or by its id in leaderboard/queue/.

    Raises SubsetError where there is none.
    """
    known = rooms.leaderboard() / ROOM
    for folder in (Path(wish), known / wish):
        if (folder / RECORD).is_file():
            return folder
    waiting = sorted(path.parent.name for path in known.glob(f"*/{RECORD}"))
    raise SubsetError(f"no list {wish} is queued", allowed=f"a folder with {RECORD}, or an id of leaderboard/{ROOM}/: {', '.join(waiting) or 'there is none'}")


def read(folder: Path) -> tuple[Queued, Path]:
    """A queued list's record and the list itself, which is the one that the record names.

    Raises SubsetError for another list, and for one that has to be brought first.
    """
    queued, path = Queued.read(folder / RECORD), folder / LIST
    if not path.is_file() and queued.list_at:
        raise SubsetError(f"the list of {folder} lies at {queued.list_at}", repair=f"bring it to {path}, then start the same command again")
    if subsets.read(path).record != queued.subset:
        raise SubsetError(f"{path} is not the list that {RECORD} beside it names", repair="bring both again")
    return queued, path


def write(below: Path, queued: Queued, listed: Path) -> Path:
    """Write a queued list into a folder of its own below another, its record last; return that folder."""
    folder = below / queued.id
    if queued.list_at:
        queued.subset.write(subsets.sidecar(folder / LIST))
    else:
        subsets.write(folder / LIST, uids.blocks(subsets.map_file(listed)), queued.subset.model_dump(exclude_unset=True))
    queued.write(folder / RECORD)
    return folder


def files(folder: Path) -> dict[str, Path]:
    """What goes to the board, by its path there."""
    names = (RECORD, LIST, subsets.sidecar(Path(LIST)).name)
    return {f"leaderboard/{ROOM}/{folder.name}/{name}": folder / name for name in names if (folder / name).is_file()}
