"""Training shards: the samples of a list, copied into webdataset tars, or only listed with their places. The record is written last."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self

import numpy as np

from datacomp import digest, places, uids
from datacomp.artifacts.subset import SubsetRecord
from datacomp.errors import StageError
from datacomp.records import Count, Digest, Line, Record
from datacomp.uids import UidArray

RECORD = "shards.json"
NOT_HERE: Final = "not resharded here"
ASKED = "asked.json"  # what unfinished shards are to be
LIST = "sample_ids.npy"  # a copy of the list, under the name that the published trainer reads
PLAN, POOL_TARS = "samples.npy", "tars.json"
PLANNED = np.dtype(
    [
        ("f0", "<u8"),  # the place in the order: random, or the pool's
        ("f1", "<u8"),  # of the uid, upper half
        ("lower", "<u8"),  # of the uid
        ("start", "<u8"),  # where the sample lies in its tar
        ("bytes", "<u8"),
        ("tar", "<u4"),  # its place among the pool's, by name
        ("copy", "<u4"),  # how many copies of the same uid came before
        ("paired", "?"),  # as in the tar's index
        ("plain", "?"),
        ("", "V6"),
    ]
)

Planned = np.ndarray[Any, np.dtype[np.void]]


class Shard(Record):
    """One tar, or as many samples of the pool's tars as one would hold."""

    name: Line
    samples: Count
    pairs: Count  # of the samples, how many have a picture and a caption: what is trained on
    uids_sha256: Digest  # of the uids in the shard's order: the same wherever the same list was resharded
    content_sha256: Digest | Literal[""]  # of the XXH3-128 of each sample's bytes; empty where nothing was copied


class Reachable(Record):
    """The samples that a pool's tars really hold: the effective pool."""

    samples: Count
    uids_sha256: Digest


class ShardsRecord(Record):
    """What was asked of a pool and what was found."""

    pool: Line  # the name that the pool gives itself, empty for somebody else's
    pool_uids_sha256: Digest | Literal[""]  # empty for tars that were not resharded here
    effective_pool: Reachable
    subset: SubsetRecord
    asked_samples: Count
    found_samples: Count
    unpaired_samples: Count  # of those found, without a picture or a caption
    missing_samples: dict[Line, Count]  # by reason
    tombstones_sha256: Digest | Literal[""] = ""  # of the list of taken-down uids, if there were any
    unnamed_samples: Count  # in the pool's tars, of no known uid
    broken_tars: tuple[Line, ...]  # of the pool, read as far as they are whole
    shard_samples: int
    shuffled: bool
    form: Literal["copied", "virtual", "not resharded here"]
    blurred: bool = False  # whether faces were blurred on the way
    shards: tuple[Shard, ...]


class PoolTars(Record):
    """The tars that a virtual resharding points into. They must not change: sizes in bytes, times of change in nanoseconds."""

    folder: str
    tars: dict[Line, tuple[int, int]]

    @classmethod
    def now(cls, folder: Path) -> Self:
        """Every tar of a folder as it is now."""
        states = {path.name: places.state(path) for path in sorted(folder.glob("*.tar"))}
        return cls(folder=str(folder if places.is_remote(folder) else folder.resolve()), tars=states)

    def paths(self) -> tuple[Path, ...]:
        """The tars by name, as a plan numbers them."""
        return tuple(places.at(self.folder) / name for name in sorted(self.tars))


class VirtualShard(NamedTuple):
    """Samples of a pool's tars, in the order in which a shard would hold them: some rows of a plan."""

    plan: Path
    tars: tuple[Path, ...]
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class ShardSet:
    """Training shards, most often of one folder."""

    path: Path
    record: ShardsRecord
    digest: str  # of the record, and so of every sample
    places: tuple[Path | VirtualShard, ...]  # of the shards

    def tars(self) -> tuple[Path, ...]:
        """The tars in order; a virtual resharding has none."""
        return tuple(place for place in self.places if not isinstance(place, VirtualShard))


def name(number: int) -> str:
    """The name of a shard."""
    return f"{number:08d}.tar"


def uids_of(planned: Planned) -> UidArray:
    """The uids of planned samples, in their order."""
    found: UidArray = np.empty(len(planned), uids.UID)
    found["f0"], found["f1"] = planned["f1"], planned["lower"]
    return found


def read_plan(path: Path) -> Planned:
    """Map the list of samples to write, dtype PLANNED, in their order."""
    planned: Planned = np.load(path, mmap_mode="r", allow_pickle=False)
    if planned.dtype != PLANNED or planned.ndim != 1:
        raise StageError(f"{path} is no plan of shards", repair="reshard again with --overwrite")
    return planned


def read(path: Path) -> ShardSet:
    """Open finished shards; folders that lack their record or a tar of it are refused."""
    if not (path / RECORD).is_file():
        raise StageError(f"{path} holds no finished shards: {RECORD} is missing", repair=f"datacomp reshard --pool POOL --subset FILE.npy --out {path}")
    record = ShardsRecord.read(path / RECORD)
    places = _virtual(path, record) if record.form == "virtual" else tuple(path / shard.name for shard in record.shards)
    for place in places:
        if not isinstance(place, VirtualShard) and not place.is_file():
            raise StageError(f"{path} lacks {place.name}, which {RECORD} names", repair="remove the folder and reshard again")
    return ShardSet(path, record, digest.of_file(path / RECORD), places)


def _virtual(path: Path, record: ShardsRecord) -> tuple[VirtualShard, ...]:
    tars = PoolTars.read(path / POOL_TARS)
    if tars != PoolTars.now(places.at(tars.folder)):
        raise StageError(f"the tars in {tars.folder} are not as they were when {path} was written", repair="reshard again with --virtual --overwrite")
    ends = np.cumsum([shard.samples for shard in record.shards]).tolist()
    return tuple(VirtualShard(path / PLAN, tars.paths(), end - shard.samples, end) for shard, end in zip(record.shards, ends, strict=True))
