"""Looking at lists: does one fit a pool, what does it say of itself, and mending what can be mended."""

import contextlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datacomp import uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.subset import Subset
from datacomp.errors import SubsetError


def check(path: Path, pool: Pool | None = None) -> Subset:
    """Open a list, refuse it if it is none or if the pool does not hold all of it, and give it a record if it has none."""
    subset = subsets.read(path)
    if pool is not None:
        foreign = subset.uids[uids.count(subset.uids, pools.all_uids(pool)) == 0]
        if len(foreign):
            raise SubsetError(
                f"{len(foreign):,} of the {len(subset.uids):,} uids of {path} are not in the pool at {pool.path}, the first is {uids.text(foreign[:1])[0]}",
                allowed="uids of that pool",
                repair=f"give the pool that the list was made from, or: datacomp subset repair {path} --pool {pool.path} --out {path.stem}-repaired.npy",
            )
    if not subsets.sidecar(path).is_file():
        with contextlib.suppress(OSError):  # in a place that cannot be written to, a list stays without a record
            subset.record.write(subsets.sidecar(path))
    return subset


class Repaired(NamedTuple):
    """A mended list and how many uids it lost."""

    subset: Subset
    dropped_samples: int


def repair(path: Path, out: Path, pool: Pool | None = None) -> Repaired:
    """Sort a list and, where a pool is given, drop what it does not hold; copies of a uid stay. The result says what was done to it."""
    array = np.array(subsets.map_file(path))
    array = array[uids.order(array)]
    kept = array if pool is None else array[uids.count(array, pools.all_uids(pool)) > 0]
    return Repaired(subsets.write(out, kept, subsets.describe(kept)), len(array) - len(kept))
