"""Order among more uids or numbers than memory holds: sorted runs on disk, merged by blocks; the k-th smallest number of a stream."""

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


def write_run(path: Path, array: uids.UidArray) -> None:
    """Write some uids, sorted, as a run."""
    _sorted(array).tofile(path)


def merge(runs: Sequence[Path], block_uids: int = uids.BLOCK_UIDS) -> Iterator[uids.UidArray]:
    """Yield the uids of all runs in sorted blocks, copies included, and remove the runs.

    Memory holds a few blocks of up to `block_uids`, which threads sort ahead of their use.
    """
    while len(runs) > FAN_IN:
        runs = [_joined(runs[start : start + FAN_IN], block_uids) for start in range(0, len(runs), FAN_IN)]
    with ThreadPoolExecutor(_THREADS) as threads:
        sorting = deque[Future[uids.UidArray]]()
        for block in _pieces(runs, block_uids):
            sorting.append(threads.submit(_sorted, block))
            if len(sorting) > _THREADS:
                yield sorting.popleft().result()
        yield from (block.result() for block in sorting)


def _joined(runs: Sequence[Path], block_uids: int) -> Path:
    joined = runs[0].with_name(f"{runs[0].name}-joined")
    with joined.open("wb") as file:
        for block in merge(runs, block_uids):
            block.tofile(file)
    return joined


def _sorted(array: uids.UidArray) -> uids.UidArray:
    ordered: uids.UidArray = array[uids.order(array)]
    return ordered


def _pieces(runs: Sequence[Path], block_uids: int) -> Iterator[uids.UidArray]:
    """Cut all runs at the same uids, so that what is before a cut is smaller than what is after it."""
    share = max(1, block_uids // max(1, len(runs)))
    readers = [_Reader(run, share) for run in runs]
    while readers := [reader for reader in readers if reader.fill()]:
        unread = [reader.buffer[-1:] for reader in readers if not reader.at_end]
        edge = min(unread, key=lambda last: last[0].item(), default=None)  # up to here the buffers hold all that the runs have
        yield np.concatenate([reader.take(edge) for reader in readers])
    for run in runs:
        run.unlink()


class _Reader:
    """A run, some uids at a time."""

    def __init__(self, path: Path, share: int) -> None:
        self.path, self.share, self.place = path, share, 0
        self.size = path.stat().st_size // uids.UID.itemsize
        self.buffer: uids.UidArray = np.empty(0, uids.UID)

    @property
    def at_end(self) -> bool:
        return self.place == self.size

    def fill(self) -> bool:
        """Fill the buffer; it stays empty if the run is used up."""
        if len(self.buffer) < self.share and not self.at_end:
            more = np.fromfile(self.path, uids.UID, self.share - len(self.buffer), offset=self.place * uids.UID.itemsize)
            self.place += len(more)
            self.buffer = np.concatenate([self.buffer, more])
        return bool(len(self.buffer))

    def take(self, edge: uids.UidArray | None) -> uids.UidArray:
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
