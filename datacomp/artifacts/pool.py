"""A pool on disk, CommonPool's way: metadata/*.parquet with *.npz row for row beside them, shards/*.tar with *_stats.json."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from datacomp import tables, uids
from datacomp.errors import PoolError
from datacomp.records import Count, Line, Record

PLAN = "plan.json"  # what a pool is to hold, written first
FEATURES = ("b32_img", "b32_txt", "l14_img", "l14_txt")


class PoolFile(Record):
    """One metadata file and the tar of the same name."""

    stem: str
    samples: int


class BuiltFrom(Record):
    """Where a pool of somebody's own pictures comes from: samples found = samples of the pool + samples dropped, by reason."""

    sources: tuple[Line, ...]  # tars; file NNNNNNNN is made of the one at that place
    found_samples: Count
    dropped_samples: dict[Line, Count]
    given_uids: Count  # of the pool's samples, how many brought their own
    left_out_members: Count  # of the pool's samples: neither picture, caption nor json
    networks: dict[Line, Line]  # by column prefix, in words


class PoolRecord(Record):
    """What a pool holds, written when it is complete."""

    name: str
    samples: int
    partial: bool  # true if it holds only the first samples of the pool of that name
    uids_sha256: str
    content_sha256: str  # of uids, captions and pixels before encoding, or the pictures' bytes where others encoded them
    files: tuple[PoolFile, ...]
    networks: dict[str, str]  # the networks behind scores and features: column prefix, digest
    built: BuiltFrom | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """The folder of a pool; `record` is None where somebody else's tools wrote it."""

    path: Path
    stems: tuple[str, ...]
    record: PoolRecord | None

    def metadata(self, stem: str) -> Path:
        """The table of one file."""
        return self.path / "metadata" / f"{stem}.parquet"

    def features(self, stem: str) -> Path:
        """The features of one file."""
        return self.path / "metadata" / f"{stem}.npz"

    def tars(self) -> tuple[Path, ...]:
        """Every tar of pictures, by name."""
        return tuple(sorted((self.path / "shards").glob("*.tar")))


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a pool's metadata: what a filter is handed.

    `uids` has shape (N,), `columns` N rows in the same order, `feature(key)` shape (N, D) in float16.
    """

    uids: uids.UidArray
    columns: pl.DataFrame
    features_path: Path = field(repr=False)

    def numbers(self, column: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """A numeric column, shape (N,); a missing value is NaN."""
        return self.columns[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()

    def feature(self, key: str) -> np.ndarray[Any, np.dtype[np.float16]]:
        """One of CommonPool's feature arrays, row for row with the block."""
        array = tables.read_npz(self.features_path, key)
        if len(array) != len(self.uids):
            raise PoolError(f"{self.features_path}: {key} has {len(array):,} rows, the table {len(self.uids):,}", repair="make or download both files again")
        return array


def read(path: Path) -> Pool:
    """Open a pool.

    Raises PoolError for a folder that is none, that is not finished, or that lacks a file which its record names.
    """
    if (path / PLAN).is_file() and not (path / "pool.json").is_file():
        raise PoolError(f"{path} is a pool that is not finished", repair="start the command that makes it again; it goes on where it stopped")
    stems = tuple(sorted(table.stem for table in (path / "metadata").glob("*.parquet")))
    record = PoolRecord.read(path / "pool.json") if (path / "pool.json").is_file() else None
    if record is not None and (missing := [file.stem for file in record.files if file.stem not in stems]):
        raise PoolError(f"{path}/metadata lacks {missing[0]}.parquet, which pool.json names", repair="make or download the pool again")
    if not stems:
        raise PoolError(
            f"{path} is no pool: it has no metadata/*.parquet",
            allowed="a folder with metadata/ and shards/",
            repair=f"finish it, or make one with: datacomp pool make nano --out {path}",
        )
    return Pool(path, stems, record)


def blocks(pool: Pool, columns: tuple[str, ...]) -> Iterator[Block]:
    """Stream a pool's metadata, reading the named columns only; `uid` is always read."""
    for stem in pool.stems:
        yield read_block(pool, stem, columns)


def read_block(pool: Pool, stem: str, columns: tuple[str, ...]) -> Block:
    """Read one metadata file as a block."""
    path = pool.metadata(stem)
    frame = tables.read_parquet(path, ["uid", *(column for column in columns if column != "uid")])
    return Block(uids.parse(frame["uid"], str(path)), frame, pool.features(stem))


def all_uids(pool: Pool) -> uids.UidArray:
    """Every uid of a pool, sorted."""
    everything: uids.UidArray = np.concatenate([block.uids for block in blocks(pool, ())])
    ordered: uids.UidArray = everything[uids.order(everything)]
    return ordered
