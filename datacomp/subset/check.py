"""Looking at a list: whether it is one, and whether it fits a pool."""

import contextlib
from pathlib import Path

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
