"""A pool on disk, CommonPool's way: metadata/*.parquet with *.npz row for row beside them, shards/*.tar with *_stats.json."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import polars as pl

from datacomp import digest, files, places, rooms, sorting, tables, uids
from datacomp.artifacts.shards import Reachable
from datacomp.declared import asset as assets
from datacomp.errors import DatacompError, PoolError
from datacomp.records import Count, Digest, Line, Record

PLAN = "plan.json"  # what a pool is to hold, written first
TOMBSTONES = "tombstones.txt"
BLOCK_ROWS = 1 << 19  # CommonPool's files have about so many

Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]


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
    faces_blurred: bool = False  # where the metadata say that they are


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
    content_sha256: str = ""  # of uids, captions and pixels before encoding, or the pictures' bytes where others encoded them; empty where they lie on the web
    files: tuple[PoolFile, ...]
    networks: dict[str, str] = {}  # noqa: RUF012 - the networks behind scores and features: column prefix, digest
    built: BuiltFrom | None = None
    origin: HubOrigin | None = None
    pictures: Pictures | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """The folder of a pool; `record` is None where somebody else's tools wrote it."""

    path: Path
    tables: Path  # the folder of its metadata
    stems: tuple[str, ...]
    record: PoolRecord | None

    def metadata(self, stem: str) -> Path:
        """The table of one file."""
        return self.tables / f"{stem}.parquet"

    def features(self, stem: str) -> Path:
        """The features of one file."""
        return self.tables / f"{stem}.npz"

    def tars(self) -> tuple[Path, ...]:
        """Every tar of pictures, by name."""
        return tuple(sorted((self.path / "shards").glob("*.tar")))

    def tombstones(self) -> uids.UidArray:
        """Uids that were taken down, officially or for this folder: sorted, each once. Every stage drops and counts them."""
        return tombstones(self.path)

    def tombstones_sha256(self) -> str:
        """The digest of that list, empty if it is."""
        return tombstones_sha256(self.path)


class Span(NamedTuple):
    """Some rows of one metadata file."""

    stem: str
    start: int
    rows: int
    file_rows: int  # of the whole file


@dataclass(frozen=True)
class Block:
    """Some rows of a pool's metadata: what a filter is handed.

    `columns` has N rows, `uids` shape (N,) in the same order, `feature(key)` shape (N, D) in float16.
    """

    columns: pl.DataFrame
    span: Span
    table: Path = field(repr=False)  # the metadata file, with its features beside it
    kept: Mask | None = field(default=None, repr=False)  # of the span's rows, where some are left out

    def __len__(self) -> int:
        return self.span.rows if self.kept is None else int(np.count_nonzero(self.kept))

    @cached_property
    def uids(self) -> uids.UidArray:
        """The uids, read when they are first asked for: most filters do not look at them."""
        if "uid" in self.columns:
            return uids.parse(self.columns["uid"], str(self.table))
        return read_uids(self.table, self.span, self.kept)

    def where(self, kept: Mask) -> "Block":
        """The rows of a whole span for which `kept`, of shape (N,), is true."""
        assert self.kept is None
        return Block(self.columns.filter(kept) if self.columns.width else self.columns, self.span, self.table, kept)

    def numbers(self, column: str) -> np.ndarray[Any, np.dtype[np.floating[Any]]]:
        """A numeric column, shape (N,), in float32 if it is stored so, else in float64; a missing value is NaN."""
        numbers = self.columns[column]
        if not numbers.dtype.is_numeric():
            raise PoolError(f"column {column} of {self.span.stem}.parquet holds {numbers.dtype}", allowed="a column of numbers")
        return numbers.cast(pl.Float32 if numbers.dtype == pl.Float32 else pl.Float64).fill_null(float("nan")).to_numpy()

    def feature(self, key: str) -> np.ndarray[Any, np.dtype[np.float16]]:
        """One of CommonPool's feature arrays, row for row with the block."""
        array = tables.read_npz(self.table.with_suffix(".npz"), key, start=self.span.start, rows=self.span.rows, of_rows=self.span.file_rows)
        return array if self.kept is None else array[self.kept]


def read(path: Path) -> Pool:
    """Open a pool: its folder, or a bare folder of metadata.

    Raises PoolError for a folder that is none, that is not finished, or that lacks a file which its record names.
    """
    if path.name == "metadata":  # what the published tools are given
        path = path.parent
    with _reachable(path):
        if (path / PLAN).is_file() and not (path / "pool.json").is_file():
            raise PoolError(f"{path} is a pool that is not finished", repair="start the command that makes it again; it goes on where it stopped")
        record = PoolRecord.read(path / "pool.json") if (path / "pool.json").is_file() else None
        folder = path / "metadata"
        stems = _stems(folder)
        if not stems and record is None:
            folder, stems = path, _stems(path)
    if record is not None and (missing := sorted({file.stem for file in record.files} - set(stems))):
        raise PoolError(f"{folder} lacks {missing[0]}.parquet, which pool.json names", repair="make or download the pool again")
    if not stems:
        raise PoolError(
            f"{path} is no pool: it has no metadata/*.parquet",
            allowed="a folder with metadata/ and shards/, or a folder of metadata",
            repair=f"check the path, finish it, or make one with: datacomp pool make nano --out {path}",
        )
    return Pool(path, folder, stems, record)


@contextmanager
def _reachable(path: Path) -> Iterator[None]:
    """Name the place in every error of a store that cannot be read."""
    if "://" not in str(path):
        yield
        return
    try:
        yield
    except DatacompError:
        raise
    except Exception as error:  # noqa: BLE001 - a store's clients have errors of many kinds, with no common parent
        raise PoolError(
            f"{path} cannot be read: {type(error).__name__}: {error}",
            repair="check the address and the environment (for s3://: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL)",
        ) from None


def _stems(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(table.stem for table in folder.glob("*.parquet")))


def spans(pool: Pool) -> Iterator[Span]:
    """Cut a pool's metadata into pieces that fit into memory, whatever the size of its files."""
    for stem in pool.stems:
        file_rows = tables.count_rows(pool.metadata(stem), "uid")
        for start in range(0, file_rows, BLOCK_ROWS):
            yield Span(stem, start, min(BLOCK_ROWS, file_rows - start), file_rows)


def blocks(pool: Pool, columns: tuple[str, ...]) -> Iterator[Block]:
    """Stream a pool's metadata, reading the named columns only."""
    for span in spans(pool):
        yield read_block(pool, span, columns)


def read_block(pool: Pool, span: Span, columns: tuple[str, ...]) -> Block:
    """Read some rows of a metadata file: the named columns."""
    frame = read_columns(pool, span, columns) if columns else pl.DataFrame()
    return Block(frame, span, pool.metadata(span.stem))


def read_uids(table: Path, span: Span, kept: Mask | None = None) -> uids.UidArray:
    """Read the uids of some rows of a metadata file, or of those for which `kept` is true."""
    column = tables.read_parquet(table, ["uid"], start=span.start, rows=span.rows)["uid"]
    return uids.parse(column if kept is None else column.filter(pl.Series(kept)), str(table))


def read_columns(pool: Pool, span: Span, columns: tuple[str, ...]) -> pl.DataFrame:
    """Read some rows of a metadata file: the named columns alone."""
    return tables.read_parquet(pool.metadata(span.stem), list(columns), start=span.start, rows=span.rows)


def tombstones(folder: Path) -> uids.UidArray:
    """The uids that were taken down, from the official list and a pool folder's own, in text, one a line: sorted, each once."""
    listed = []
    for path in (rooms.tracks() / TOMBSTONES, folder / TOMBSTONES):
        lines = path.read_text().splitlines() if path.is_file() else []
        listed.append(uids.parse([uid for line in lines if (uid := line.partition("#")[0].strip())], str(path)))
    everything: uids.UidArray = np.concatenate(listed)
    everything = everything[uids.order(everything)]
    once: uids.UidArray = everything[uids.firsts(everything)]
    return once


def tombstones_sha256(folder: Path) -> str:
    """The digest of that list, empty if it is."""
    listed = tombstones(folder)
    return uids.digest_of(listed) if len(listed) else ""


def uids_sha256(pool: Pool, scratch: Path) -> str:
    """The digest of every uid of a pool: what its record states, or else what its metadata give, sorted in a scratch folder.

    The cache keeps it until the metadata change: sorting a large pool takes hours.
    """
    if pool.record is not None:
        return pool.record.uids_sha256
    states = [[str(pool.metadata(stem).absolute()), *places.state(pool.metadata(stem))] for stem in pool.stems]
    kept = assets.cache_folder() / "pools" / f"{digest.of_content(states)}.txt"
    if kept.is_file() and re.fullmatch(r"[0-9a-f]{64}", found := kept.read_text()):
        return found
    found = sorting.count((block.uids for block in blocks(pool, ())), scratch).digest()
    with suppress(OSError):  # a full or read-only cache
        files.write_text(kept, found)
    return found


def all_uids(pool: Pool) -> uids.UidArray:
    """Every uid of a pool, sorted."""
    everything: uids.UidArray = np.concatenate([block.uids for block in blocks(pool, ())])
    ordered: uids.UidArray = everything[uids.order(everything)]
    return ordered
