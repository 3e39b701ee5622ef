"""Asked = found + missing by reason: the whole pool and the whole list go past each other in order."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from datacomp import sorting, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.shards import Reachable
from datacomp.errors import PoolError
from datacomp.uids import UidArray

TOMBSTONED, CORRUPT, NOT_DOWNLOADED, NOT_IN_POOL = REASONS = ("tombstoned", "corrupt", "not downloaded", "not in the pool")


def compare(runs: Sequence[Path], listed: UidArray, tombstones: UidArray, lost: BinaryIO) -> Reachable:
    """Go through all uids in a pool's tars, runs of them: what of them can be had; `lost` takes the listed uids that cannot, in order.

    Raises PoolError for a uid that stands in two places.
    """
    count, place, last = uids.Count(), 0, None
    for block in sorting.merge(runs):
        first = uids.firsts(block)
        if not first.all() or block[0].item() == last:
            twice = block[~first] if not first.all() else block
            raise PoolError(f"uid {uids.text(twice[:1])[0]} stands twice in the pool's tars", repair="make or download the pool again")
        last = block[-1].item()
        standing = block[uids.count(block, tombstones) == 0] if len(tombstones) else block
        count.add(standing)
        end = int(np.searchsorted(listed, block[-1:], side="right")[0])
        lost.writelines(uids.raw(piece[uids.count(piece, standing) == 0]) for piece in uids.blocks(listed[place:end]))
        place = end
    lost.writelines(uids.raw(piece) for piece in uids.blocks(listed[place:]))
    return Reachable(samples=count.samples, uids_sha256=count.digest())


def reasons(lost: Path, tombstones: UidArray, corrupt: UidArray, pool: Pool) -> dict[str, int]:
    """Why listed uids, in order in a file, cannot be had; reasons that do not occur are left out."""
    size = lost.stat().st_size // uids.UID.itemsize
    if not size:
        return {}
    array: UidArray = np.memmap(lost, uids.UID, "r", shape=(size,))
    named = np.memmap(lost.with_suffix(".named"), np.bool_, "w+", shape=(size,))  # by the pool's metadata
    for block in pools.blocks(pool, ()):
        for start, end in _ranges(array, block.uids):
            named[start:end] = True
    counts = dict.fromkeys(REASONS, 0)
    for start in range(0, size, uids.BLOCK_UIDS):
        piece, known = array[start : start + uids.BLOCK_UIDS], named[start : start + uids.BLOCK_UIDS]
        left = np.ones(len(piece), bool)
        for reason, which in ((TOMBSTONED, _in(piece, tombstones)), (CORRUPT, _in(piece, corrupt)), (NOT_DOWNLOADED, known), (NOT_IN_POOL, left)):
            counts[reason] += int(np.count_nonzero(left & which))
            left = left & ~which
    return {reason: number for reason, number in counts.items() if number}


def _ranges(array: UidArray, wanted: UidArray) -> Iterable[tuple[int, int]]:
    """Where the wanted uids stand in a sorted array: start and end of each that does."""
    wanted = wanted[uids.order(wanted)]  # pages of a mapped file in order
    starts, ends = np.searchsorted(array, wanted, side="left"), np.searchsorted(array, wanted, side="right")
    there = ends > starts
    return zip(starts[there].tolist(), ends[there].tolist(), strict=True)


def _in(piece: UidArray, listed: UidArray) -> pools.Mask:
    return uids.count(piece, listed) > 0
