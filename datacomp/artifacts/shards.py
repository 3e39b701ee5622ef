"""Training shards: the samples of a list, copied into webdataset tars. The record is written last."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datacomp import digest
from datacomp.artifacts.subset import SubsetRecord
from datacomp.errors import StageError
from datacomp.records import Count, Digest, Line, Record

RECORD = "shards.json"


class Shard(Record):
    """One tar."""

    name: Line
    samples: Count
    sha256: Digest


class Reachable(Record):
    """The samples that a pool's tars really hold: the effective pool."""

    samples: Count
    uids_sha256: Digest


class ShardsRecord(Record):
    """What was asked of a pool and what was found."""

    pool: Line  # the name that the pool gives itself, empty for somebody else's
    pool_uids_sha256: Digest
    effective_pool: Reachable
    subset: SubsetRecord
    asked_samples: Count
    found_samples: Count
    missing_samples: dict[Line, Count]  # by reason
    tombstones_sha256: Digest | Literal[""] = ""  # of the list of taken-down uids, if there were any
    shard_samples: int
    shards: tuple[Shard, ...]


@dataclass(frozen=True, slots=True)
class ShardSet:
    """A folder of training shards."""

    path: Path
    record: ShardsRecord
    digest: str  # of the record, and so of every tar

    def tars(self) -> tuple[Path, ...]:
        """The tars in order."""
        return tuple(self.path / shard.name for shard in self.record.shards)


def read(path: Path) -> ShardSet:
    """Open finished shards; folders that lack their record or a tar of it are refused."""
    if not (path / RECORD).is_file():
        raise StageError(f"{path} holds no finished shards: {RECORD} is missing", repair=f"datacomp reshard --pool POOL --subset FILE.npy --out {path}")
    record = ShardsRecord.read(path / RECORD)
    for shard in record.shards:
        if not (path / shard.name).is_file():
            raise StageError(f"{path} lacks {shard.name}, which {RECORD} names", repair="remove the folder and reshard again")
    return ShardSet(path, record, digest.of_file(path / RECORD))
