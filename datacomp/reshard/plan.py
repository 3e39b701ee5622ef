"""Which sample goes where: a list against a pool's tars."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datacomp import draws, tars, uids
from datacomp.artifacts.shards import Reachable
from datacomp.errors import PoolError
from datacomp.uids import UidArray

TOMBSTONED = "tombstoned"


@dataclass(frozen=True, slots=True)
class Indexed:
    """Every sample that a pool's tars hold, but for those taken down, sorted by uid; `place` is (tar, sample), shape (N, 2)."""

    paths: tuple[Path, ...]
    samples: tuple[tuple[tars.Sample, ...], ...]
    uids: UidArray
    place: np.ndarray[Any, np.dtype[np.int64]]
    tombstones: UidArray  # sorted

    def reachable(self) -> Reachable:
        """The effective pool."""
        return Reachable(samples=len(self.uids), uids_sha256=uids.digest_of(self.uids))


@dataclass(frozen=True, slots=True)
class Plan:
    """The samples to write, in their order: rows of `Indexed` and how often each uid came before, and what is missing."""

    rows: np.ndarray[Any, np.dtype[np.int64]]  # (M,)
    copies: np.ndarray[Any, np.dtype[np.int64]]  # (M,)
    missing: dict[str, int]


def combine(paths: tuple[Path, ...], indices: list[tuple[tuple[tars.Sample, ...], uids.UidArray]], tombstones: uids.UidArray) -> Indexed:
    """Join the indices of a pool's tars without the samples that were taken down; a uid that stands in two places is refused."""
    everything = np.concatenate([found for _, found in indices])
    place = np.concatenate([np.stack([np.full(len(found), tar), np.arange(len(found))], axis=1) for tar, (_, found) in enumerate(indices)])
    order = uids.order(everything)
    order = order[uids.count(everything[order], tombstones) == 0]
    everything, place = everything[order], place[order]
    if uids.distinct(everything) != len(everything):
        twice = everything[int(np.argmax(everything[1:] == everything[:-1]))]
        raise PoolError(f"uid {uids.text(np.array([twice]))[0]} stands twice in the pool's tars", repair="make or download the pool again")
    return Indexed(paths, tuple(samples for samples, _ in indices), everything, place, tombstones)


def select(indexed: Indexed, wanted: uids.UidArray, pool: uids.UidArray) -> Plan:
    """Find every listed uid; copies of one uid are spread over all shards by a shuffle that the list itself seeds."""
    found = uids.count(wanted, indexed.uids) > 0
    gone = uids.count(wanted, indexed.tombstones) > 0
    lost = wanted[~found & ~gone]
    in_pool = uids.count(lost, pool) > 0
    missing = {TOMBSTONED: int(np.count_nonzero(gone)), "not in the pool": int(np.count_nonzero(~in_pool)), "not downloaded": int(np.count_nonzero(in_pool))}
    kept = wanted[found]
    rows = np.searchsorted(indexed.uids, kept)
    copies = np.arange(len(kept)) - np.searchsorted(kept, kept, side="left")
    order = draws.permutation(len(kept), 0, f"reshard {uids.digest_of(wanted)}")
    return Plan(rows[order], copies[order], {reason: n for reason, n in missing.items() if n})
