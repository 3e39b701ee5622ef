"""Arrays and tables from disk without running anything that they hold."""

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from datacomp import files
from datacomp.errors import PoolError


def read_parquet(path: Path, columns: list[str] | None = None) -> pl.DataFrame:
    """Read some columns of a parquet file; one that lacks them or is broken is an error that names it."""
    with _named(path):
        _check_columns(path, columns or [])
        return pl.read_parquet(path, columns=columns, glob=False)


def count_rows(path: Path, column: str) -> int:
    """The rows of a parquet file that has that column."""
    with _named(path):
        _check_columns(path, [column])
        return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())


def columns(path: Path) -> dict[str, pl.DataType]:
    """The columns of a parquet file and their types."""
    with _named(path):
        return dict(pl.read_parquet_schema(path))


def _check_columns(path: Path, columns: list[str]) -> None:
    there = pl.read_parquet_schema(path)
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


def read_npz(path: Path, key: str) -> np.ndarray[Any, np.dtype[Any]]:
    """Read one array of an npz file; pickled objects are refused."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            array: np.ndarray[Any, np.dtype[Any]] = arrays[key]
            return array
    except KeyError:
        raise PoolError(f"{path} has no array {key!r}", allowed="b32_img, b32_txt, l14_img, l14_txt in CommonPool's metadata") from None
    except FileNotFoundError:
        raise PoolError(f"there are no features at {path}", repair="download the pool's npz files, or make the pool again") from None
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise PoolError(f"{path} cannot be read as npz: {error}", repair="make or download this file again") from None


def write_npz(path: Path, arrays: Mapping[str, np.ndarray[Any, np.dtype[Any]]]) -> None:
    """Write an npz file whole or not at all; the same arrays give the same bytes."""
    with files.whole(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
