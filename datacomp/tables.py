"""Arrays and tables from disk without running anything that they hold."""

import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl

from datacomp import files
from datacomp.errors import PoolError

_LENGTHS, _LENGTHS_OFFSET = struct.Struct("<HH"), 26  # of a member's name and extra field, in its header in a zip file, after which it begins


def read_parquet(path: Path, columns: list[str] | None = None, *, start: int = 0, rows: int | None = None) -> pl.DataFrame:
    """Read some columns, and some rows, of a parquet file; one that lacks them or is broken is an error that names it."""
    with _named(path):
        _check_columns(path, columns or [])
        table = pl.scan_parquet(str(path), glob=False).slice(start, rows)
        return (table if columns is None else table.select(columns)).collect()


def count_rows(path: Path, column: str) -> int:
    """The rows of a parquet file that has that column."""
    with _named(path):
        _check_columns(path, [column])
        return int(pl.scan_parquet(str(path), glob=False).select(pl.len()).collect().item())


def columns(path: Path) -> pl.Schema:
    """The columns of a parquet file and their types."""
    with _named(path):
        return pl.scan_parquet(str(path), glob=False).collect_schema()


def look_up(paths: list[Path], columns: list[str], wanted: pl.Series) -> pl.DataFrame:
    """Read uid and some columns of the rows of some files whose uid is wanted, in memory that grows with those alone."""
    with _named(paths[0]):
        _check_columns(paths[0], ["uid", *columns])
        asked = pl.LazyFrame({"uid": wanted})
        return pl.scan_parquet([str(path) for path in paths], glob=False).select("uid", *columns).join(asked, on="uid", how="semi").collect(engine="streaming")


def _check_columns(path: Path, columns: list[str]) -> None:
    there = pl.scan_parquet(str(path), glob=False).collect_schema()
    if missing := sorted(set(columns) - set(there)):
        raise PoolError(f"{path} has no column {', '.join(missing)}", allowed=", ".join(there))


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise PoolError(f"there is no table at {path}", repair="check the path, or make or download the pool again") from None
    except pl.exceptions.PolarsError as error:
        raise PoolError(f"{path} cannot be read as parquet: {error}", repair="make or download this file again") from None


def write_parquet(path: Path, frame: pl.DataFrame) -> None:
    """Write a parquet file whole or not at all."""
    with files.whole(path) as temporary:
        frame.write_parquet(temporary, compression="zstd", statistics=True)


def read_npz(path: Path, key: str, *, start: int = 0, rows: int | None = None, of_rows: int | None = None) -> np.ndarray[Any, np.dtype[Any]]:
    """Read one array of an npz file, or some rows of its `of_rows`; pickled objects are refused."""
    with _opened_npz(path, key, of_rows) as (member, shape, dtype):
        wanted = shape[0] if rows is None else rows
        member.seek(start * dtype.itemsize * math.prod(shape[1:]), os.SEEK_CUR)
        return _read_rows(member, wanted, shape, dtype)


def read_npz_blocks(path: Path, key: str, block_rows: int, *, of_rows: int | None = None, mapped: bool = False) -> Iterator[np.ndarray[Any, np.dtype[Any]]]:
    """Read one array of an npz file from its first row to its last, in memory for a block of rows.

    Mapped blocks come from the disk as they are looked at, without the archive's checksum: for all passes but one over a file that is read often. An array
    that is compressed cannot be mapped, and is read as if nobody had asked.
    """
    with _opened_npz(path, key, of_rows) as (member, shape, dtype):
        array = _mapped(path, key, member.tell(), shape, dtype) if mapped else None
        for start in range(0, shape[0], block_rows):
            yield _read_rows(member, min(block_rows, shape[0] - start), shape, dtype) if array is None else array[start : start + block_rows]


def _mapped(path: Path, key: str, header_bytes: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, np.dtype[Any]] | None:
    """An array of an npz file on the disk, unless it is compressed or empty."""
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        entry = archive.getinfo(f"{key}.npy")
        if entry.compress_type != zipfile.ZIP_STORED or 0 in shape:
            return None
        file.seek(entry.header_offset + _LENGTHS_OFFSET)
        begin = file.tell() + _LENGTHS.size + sum(_LENGTHS.unpack(file.read(_LENGTHS.size)))
    return np.asarray(np.memmap(path, dtype, "r", begin + header_bytes, shape))


def npz_dtype(path: Path, key: str) -> np.dtype[Any]:
    """The dtype of one array of an npz file."""
    with _opened_npz(path, key, None) as (_, _, dtype):
        return dtype


@contextmanager
def _opened_npz(path: Path, key: str, of_rows: int | None) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype[Any]]]:
    """An array of an npz file, of which the header is read."""
    try:
        with _named_npz(path), path.open("rb") as file, zipfile.ZipFile(file) as archive, archive.open(f"{key}.npy") as member:
            shape, dtype = _header(member)
            if of_rows is not None and shape[0] != of_rows:
                raise PoolError(f"{path}: {key} has {shape[0]:,} rows, the table {of_rows:,}", repair="make or download both files again")
            yield member, shape, dtype
    except KeyError:
        raise PoolError(f"{path} has no array {key!r}", allowed="b32_img, b32_txt, l14_img, l14_txt in CommonPool's metadata") from None


def _read_rows(member: IO[bytes], rows: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, np.dtype[Any]]:
    return np.frombuffer(member.read(rows * dtype.itemsize * math.prod(shape[1:])), dtype).reshape(rows, *shape[1:])


def npz_rows(path: Path) -> dict[str, int]:
    """The arrays of an npz file and their rows, from its headers alone."""
    rows = {}
    with _named_npz(path), path.open("rb") as file, zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                rows[name.removesuffix(".npy")] = _header(member)[0][0]
    return rows


@contextmanager
def _named_npz(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise PoolError(f"there are no features at {path}", repair="download the pool's npz files, or make the pool again") from None
    except (ValueError, IndexError, OSError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise PoolError(f"{path} cannot be read as npz: {error}", repair="make or download this file again") from None


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of an array in .npy form, of which the header is read."""
    read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(member)[0]
    if version not in read_header:
        raise ValueError(f"it is of .npy version {version}")
    shape, column_major, dtype = read_header[version](member)
    if dtype.hasobject or column_major:
        raise ValueError("it holds pickled objects" if dtype.hasobject else "it is stored by columns")
    return shape, dtype


def write_npy(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], blocks: Iterable[np.ndarray[Any, Any]]) -> None:
    """Write a .npy file whole or not at all, from blocks of its rows: memory does not grow with it."""
    with files.whole(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
        for block in blocks:
            block.tofile(file)


def write_npz(path: Path, arrays: Mapping[str, np.ndarray[Any, np.dtype[Any]]]) -> None:
    """Write an npz file whole or not at all; the same arrays give the same bytes."""
    with files.whole(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
