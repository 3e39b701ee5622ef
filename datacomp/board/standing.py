"""How an entry stands: the ranks that chance could have given it, its gain over no filter, and how much of the pool it was chosen from."""

from collections.abc import Sequence

import numpy as np

from datacomp import draws
from datacomp.artifacts.entry import Entry
from datacomp.board import averages, compare
from datacomp.board.compare import Difference, Measured
from datacomp.declared.pool import PoolSpec

NO_FILTER = "no_filter"
DRAWS = 1000
SHARE = 0.95  # of the draws have a rank in the interval


def rank_intervals(known: Sequence[Measured]) -> list[tuple[int, int]]:
    """The lowest and the highest rank that each of some averages has in 95 of 100 bootstrap draws.

    Each draw adds to every average what other test samples and other seeds would have added: normally distributed, with the variances of both. It
    is drawn from what an entry says, for the answers to single samples are not in it. Entries of one seed at a scale whose spread nobody knows
    have the part of the samples only, so their intervals are too narrow.
    """
    values = np.array([one.value for one in known])
    errors = np.sqrt([one.sample_error**2 + (one.seeds.variance if one.seeds else 0.0) for one in known])
    draw, place = np.arange(DRAWS)[:, None], np.arange(len(known))[None, :]
    first, second = (draws.uniform(0, f"rank interval {half}", draw, place) for half in ("radius", "angle"))
    normal = np.sqrt(-2 * np.log1p(-first)) * np.cos(2 * np.pi * second)  # Box and Muller 1958
    ranks = np.argsort(np.argsort(-(values + errors * normal), axis=1, kind="stable"), axis=1) + 1
    edge = int((1 - SHARE) / 2 * DRAWS)
    ordered = np.sort(ranks, axis=0)
    return [(int(low), int(high)) for low, high in zip(ordered[edge], ordered[-1 - edge], strict=True)]


def gains(entries: Sequence[Entry], known: Sequence[Measured]) -> list[Difference | None]:
    """How much better each average is than that of all samples within the same reach; None for that one itself, and where nobody entered it."""
    unfiltered: dict[str, tuple[Entry, Measured]] = {}
    for entry, one in zip(entries, known, strict=True):
        if entry.runs[0].sources[0].subset.filter == NO_FILTER and (reach := _reach(entry)):
            unfiltered[reach] = max(unfiltered.get(reach, (entry, one)), (entry, one), key=lambda found: len(found[0].runs))
    found = []
    for entry, one in zip(entries, known, strict=True):
        base = unfiltered.get(_reach(entry))
        apart = base is not None and entry.runs[0].sources[0].subset.filter != NO_FILTER
        found.append(compare.difference(averages.AVERAGE, base[1], one, is_mean=True) if base and apart else None)
    return found


def _reach(entry: Entry) -> str:
    """The digest of the samples that an entry's one list could be chosen from, empty where it has several lists."""
    sources = entry.runs[0].sources
    return sources[0].effective_pool.uids_sha256 if len(sources) == 1 else ""


def reached(entry: Entry, pool: PoolSpec) -> float | None:
    """The share of the scale's pool that was within an entry's reach, None where its samples come from elsewhere."""
    sources = entry.runs[0].sources
    if len(sources) != 1 or sources[0].pool != pool.name or not pool.samples:
        return None
    return min(sources[0].effective_pool.samples / pool.samples, 1.0)
