"""A pool on disk, CommonPool's way: metadata/*.parquet with *.npz row for row beside them, shards/*.tar with *_stats.json."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from datacomp import rooms, tables, tars, uids
from datacomp.artifacts.shards import Reachable
from datacomp.errors import PoolError, TarError
from datacomp.records import Digest, Line, Record

PLAN = "plan.json"  # what a pool is to hold, written first
TOMBSTONES = "tombstones.txt"
FEATURES = ("b32_img", "b32_txt", "l14_img", "l14_txt")


class PoolFile(Record):
    """One metadata file; in a generated pool the tar of the same name goes with it."""

    stem: str
    samples: int


class HubOrigin(Record):
    """Where downloaded metadata come from."""

    repository: Line
    folder: Line
    revision: Line  # the commit that every file was taken from
    pinned: bool  # whether the pool's record named that commit beforehand


class Pictures(Record):
    """What the web still gave: the audit in short."""

    effective_pool: Reachable
    audit_sha256: Digest  # of audit.json


class PoolRecord(Record):
    """What a pool holds, written when it is complete."""

    name: str
    samples: int
    partial: bool  # true if it holds only the first samples of the pool of that name
    uids_sha256: str
    content_sha256: str = ""  # of uids, captions and pixels before encoding; empty where the pictures lie on the web
    files: tuple[PoolFile, ...]
    networks: dict[str, str] = {}  # noqa: RUF012 - the networks behind scores and features: column prefix, digest
    origin: HubOrigin | None = None
    pictures: Pictures | None = None


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

    def tombstones(self) -> uids.UidArray:
        """Uids that were taken down, officially or for this folder: sorted, each once. Every stage drops and counts them."""
        return tombstones(rooms.tracks() / TOMBSTONES, self.path / TOMBSTONES)

    def tombstones_sha256(self) -> str:
        """The digest of that list, empty if it is."""
        listed = self.tombstones()
        return uids.digest_of(listed) if len(listed) else ""


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


def index_tar(path: Path) -> tuple[tuple[tars.Sample, ...], uids.UidArray]:
    """The samples of one tar of a pool and their uids, shape (N,), read from each sample's json."""
    samples = tuple(tars.index(path))
    found = []
    with tars.TarReader(path) as reader:
        for sample in samples:
            try:
                found.append(str(json.loads(reader.read(sample.members["json"]))["uid"]))
            except (KeyError, ValueError, TypeError):
                raise TarError(f"{path}: sample {sample.key!r} has no json with a uid", repair="make or download this shard again") from None
    return samples, uids.parse(found, str(path))


def tombstones(*paths: Path) -> uids.UidArray:
    """The uids of some lists in text, one a line, sorted, each once; a list that is not there is empty."""
    listed = []
    for path in paths:
        lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
        listed.append(uids.parse([uid for line in lines if (uid := line.partition("#")[0].strip())], str(path)))
    everything: uids.UidArray = np.concatenate(listed)
    everything = everything[uids.order(everything)]
    once: uids.UidArray = everything[uids.firsts(everything)]
    return once


def all_uids(pool: Pool) -> uids.UidArray:
    """Every uid of a pool, sorted."""
    everything: uids.UidArray = np.concatenate([block.uids for block in blocks(pool, ())])
    ordered: uids.UidArray = everything[uids.order(everything)]
    return ordered
