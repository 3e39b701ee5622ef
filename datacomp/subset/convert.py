"""Lists from and to other files: text with one uid a line, parquet with a column uid, raw memmaps. What comes unsorted is sorted on disk."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from datacomp import files, sorting, tables, uids
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.subset import Subset
from datacomp.errors import SubsetError

TEXT, PARQUET, NUMPY, RAW = (".txt", ".csv"), (".parquet",), (".npy",), (".raw", ".memmap")
_ALLOWED = ", ".join((*NUMPY, *RAW, *TEXT, *PARQUET))


class Converted(NamedTuple):
    """A list and how many uids of its source it lacks."""

    subset: Subset
    dropped_samples: int


def to_list(source: Path, out: Path, within: uids.UidArray | None = None) -> Converted:
    """Write the list that a file holds, in whatever form and order, as a sorted .npy list with a record; copies of a uid stay.

    Uids that the sorted array `within` lacks are dropped and counted. The record states no origin: it is a new list.
    """
    with files.scratch(out.parent) as folder:
        runs, dropped = [], 0
        for number, block in enumerate(_blocks(source)):
            kept = block if within is None else block[uids.count(block, within) > 0]
            dropped += len(block) - len(kept)
            runs.append(folder / f"{number}.raw")
            sorting.write_run(runs[-1], kept)
        return Converted(subsets.write(out, sorting.merge(runs)), dropped)


def _blocks(source: Path) -> Iterator[uids.UidArray]:
    if source.suffix in TEXT:
        yield from _text_blocks(source)
    elif source.suffix in PARQUET:
        yield from _parquet_blocks(source)
    elif source.suffix in (*NUMPY, *RAW):
        yield from map(np.array, uids.blocks(subsets.map_file(source)))
    else:
        raise SubsetError(f"{source} is of no known kind", allowed=_ALLOWED)


def _text_blocks(source: Path) -> Iterator[uids.UidArray]:
    """One uid a line; empty lines, quotes and a heading are passed over."""
    if not source.is_file():
        raise SubsetError(f"there is no list at {source}", repair="check the path")
    with source.open(encoding="utf-8", errors="replace") as file:
        while lines := list(itertools.islice(file, uids.BLOCK_UIDS)):
            words = [word for line in lines if (word := line.strip().strip('",')) and word != "uid"]
            if words:
                yield uids.parse(words, str(source))


def _parquet_blocks(source: Path) -> Iterator[uids.UidArray]:
    rows = tables.count_rows(source, "uid")
    for start in range(0, rows, uids.BLOCK_UIDS):
        yield uids.parse(tables.read_parquet(source, ["uid"], start=start, rows=uids.BLOCK_UIDS)["uid"], str(source))


def from_list(listed: Subset, out: Path) -> None:
    """Write a list as text, parquet or a raw memmap, by the ending of `out`."""
    if out.suffix in TEXT:
        with files.whole(out) as temporary:
            _write_text(listed, temporary)
    elif out.suffix in PARQUET:
        with files.whole(out) as temporary, files.scratch(out.parent) as folder:
            _write_text(listed, folder / "text")
            pl.scan_csv(folder / "text", has_header=False, schema={"uid": pl.String}).sink_parquet(temporary)
    elif out.suffix in RAW:
        with files.whole(out) as temporary, temporary.open("wb") as file:
            for block in uids.blocks(listed.uids):
                file.write(uids.raw(block))
    else:
        raise SubsetError(f"{out} is of no known kind", allowed=_ALLOWED)


def _write_text(listed: Subset, path: Path) -> None:
    with path.open("w") as file:
        for block in uids.blocks(listed.uids):
            file.writelines(f"{uid}\n" for uid in uids.text(block))
