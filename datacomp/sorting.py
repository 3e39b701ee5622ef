"""Order among more uids, records or numbers than memory holds: sorted runs on disk, merged by blocks; the k-th smallest number of a stream.

A record is a structured array's row whose first fields are f0 and f1, as a uid's are; these two are its order.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from datacomp import uids

FAN_IN = 256  # runs that are read side by side
_THREADS = 2  # numpy sorts without holding the interpreter; what else is done with a block takes about as long as two sorts
_DIGIT_BITS = 16

Keys: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]
Records: TypeAlias = np.ndarray[Any, np.dtype[np.void]]


def write_run(path: Path, array: Records) -> None:
    """Write some records, sorted, as a run."""
    _sorted(array).tofile(path)


def write_runs(folder: Path, arrays: Iterable[Records]) -> list[Path]:
    """Write arrays of records, each sorted, as runs with names of their own in a folder."""
    runs = []
    for number, array in enumerate(arrays):
        runs.append(folder / f"run-{number}")
        write_run(runs[-1], array)
    return runs


def count(arrays: Iterable[uids.UidArray], scratch: Path) -> uids.Count:
    """What is known of the sorted list of all uids of some arrays."""
    found = uids.Count()
    for block in merge(write_runs(scratch, arrays)):
        found.add(block)
    return found


def merge(runs: Sequence[Path], block_records: int = uids.BLOCK_UIDS, dtype: np.dtype[np.void] = uids.UID) -> Iterator[Records]:
    """Yield the records of all runs in sorted blocks, copies included, and remove the runs.

    Memory holds a few blocks of up to `block_records`, which threads sort ahead of their use.
    """
    while len(runs) > FAN_IN:
        runs = [_joined(runs[start : start + FAN_IN], block_records, dtype) for start in range(0, len(runs), FAN_IN)]
    with ThreadPoolExecutor(_THREADS) as threads:
        sorting = deque[Future[Records]]()
        for block in _pieces(runs, block_records, dtype):
            sorting.append(threads.submit(_sorted, block, in_runs=True))
            if len(sorting) > _THREADS:
                yield sorting.popleft().result()
        yield from (block.result() for block in sorting)


def _joined(runs: Sequence[Path], block_records: int, dtype: np.dtype[np.void]) -> Path:
    joined = runs[0].with_name(f"{runs[0].name}-joined")
    with joined.open("wb") as file:
        for block in merge(runs, block_records, dtype):
            block.tofile(file)
    return joined


def _sorted(array: Records, *, in_runs: bool = False) -> Records:
    ordered: Records = array[uids.order(array, in_runs=in_runs)]
    return ordered


def _pieces(runs: Sequence[Path], block_records: int, dtype: np.dtype[np.void]) -> Iterator[Records]:
    """Cut all runs at the same record, so that what is before a cut is smaller than what is after it."""
    share = max(1, block_records // max(1, len(runs)))
    readers = [_Reader(run, share, dtype) for run in runs]
    while readers := [reader for reader in readers if reader.fill()]:
        unread = [reader.buffer[-1:] for reader in readers if not reader.at_end]
        edge = min(unread, key=lambda last: last[0].item(), default=None)  # up to here the buffers hold all that the runs have
        yield np.concatenate([reader.take(edge) for reader in readers])
    for run in runs:
        run.unlink()


class _Reader:
    """A run, some records at a time."""

    def __init__(self, path: Path, share: int, dtype: np.dtype[np.void]) -> None:
        self.path, self.share, self.place, self.dtype = path, share, 0, dtype
        self.size = path.stat().st_size // dtype.itemsize
        self.buffer: Records = np.empty(0, dtype)

    @property
    def at_end(self) -> bool:
        return self.place == self.size

    def fill(self) -> bool:
        """Fill the buffer; it stays empty if the run is used up."""
        if len(self.buffer) < self.share and not self.at_end:
            more = np.fromfile(self.path, self.dtype, self.share - len(self.buffer), offset=self.place * self.dtype.itemsize)
            self.place += len(more)
            self.buffer = np.concatenate([self.buffer, more])
        return bool(len(self.buffer))

    def take(self, edge: Records | None) -> Records:
        """Give what does not exceed `edge`, or everything."""
        stop = len(self.buffer) if edge is None else int(np.searchsorted(self.buffer, edge, side="right")[0])
        taken, self.buffer = self.buffer[:stop], self.buffer[stop:]
        return taken


def smallest(blocks: Callable[[], Iterable[Keys]], index: int) -> np.uint64:
    """The number at an index of the ascending order of a stream, found digit by digit in up to four passes."""
    prefix, shift = np.uint64(0), 64
    while shift:
        shift -= _DIGIT_BITS
        counts = np.zeros(1 << _DIGIT_BITS, np.int64)
        for block in blocks():
            digits = block >> np.uint64(shift)
            alike = digits[digits >> np.uint64(_DIGIT_BITS) == prefix] & np.uint64((1 << _DIGIT_BITS) - 1)
            counts += np.bincount(alike.astype(np.int64), minlength=1 << _DIGIT_BITS)
        before = np.cumsum(counts)
        digit = int(np.searchsorted(before, index, side="right"))
        index -= int(before[digit - 1]) if digit else 0
        prefix = prefix << np.uint64(_DIGIT_BITS) | np.uint64(digit)
        if counts[digit] <= uids.BLOCK_UIDS:  # few enough to look at together
            alike = np.concatenate([block[block >> np.uint64(shift) == prefix] for block in blocks()])
            return np.uint64(np.partition(alike, index)[index])
    return np.uint64(prefix)
