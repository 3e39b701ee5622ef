"""How many samples each cluster may keep: complexity, a softmax of it, and the nearest quotas within bounds (Abbas et al. 2024).

The quotas x minimise sum (x_j - P_j N)^2 subject to sum x_j = N and lo_j <= x_j <= M_j. Their form is known: x_j = clip(P_j N + shift, lo_j, M_j)
with the one shift that makes the sum N. So what full clusters cannot take goes to every free cluster in equal parts, not in proportion.
"""

from typing import NamedTuple

import numpy as np

from datacomp.artifacts.clusters import Floats, Integers, Members
from datacomp.errors import FilterError

_PRODUCTS = 1 << 24  # that are in memory at a time
_DIGITS = 6  # of a remainder: those that differ by rounding alone are equal


class Preset(NamedTuple):
    """Settings that belong together."""

    temperature: float
    neighbours: int  # the nearest other centroids whose distance counts
    balance: float  # the part of N that is handed out evenly


PRESETS = {"paper": Preset(0.1, 20, 0.0), "authors_code_defaults": Preset(0.5, 20, 0.5)}


class Complexity(NamedTuple):
    """What is known of each cluster, shape (k,) each."""

    sizes: Integers
    inter: Floats  # mean cosine distance of its centroid to its nearest others
    intra: Floats  # mean cosine distance of its members to its centroid

    @property
    def values(self) -> Floats:
        """C = d_inter d_intra."""
        return np.asarray(self.inter * self.intra)


def complexity(members: Members, centroids: Floats, neighbours: int) -> Complexity:
    """Measure clusters of members (N,) about unit centroids (k, D)."""
    cluster = np.asarray(members["cluster"])
    sizes = np.bincount(cluster, minlength=len(centroids))
    distances = np.bincount(cluster, weights=1.0 - np.asarray(members["cosine"], np.float64), minlength=len(centroids))
    return Complexity(sizes, _inter(np.asarray(centroids, np.float64), neighbours), np.maximum(distances / np.maximum(sizes, 1), 0))


def _inter(centroids: Floats, neighbours: int) -> Floats:
    """Mean cosine distance of each centroid to the nearest others, as many as there are up to `neighbours`; 1 for one that is alone."""
    count = min(neighbours, len(centroids) - 1)
    found = np.ones(len(centroids))
    if not count:
        return found
    step = max(1, _PRODUCTS // len(centroids))
    for start in range(0, len(centroids), step):
        products = centroids[start : start + step] @ centroids.T
        products[np.arange(len(products)), start + np.arange(len(products))] = -np.inf  # itself, wherever the search would put it
        nearest = -np.partition(-products, count - 1, axis=1)[:, :count]
        found[start : start + step] = np.maximum(1.0 - np.sort(nearest, axis=1).mean(axis=1), 0)
    return found


def shares(values: Floats, temperature: float) -> Floats:
    """The softmax of complexities over a temperature: each cluster's share of what is kept, shape (k,)."""
    powers = np.exp((values - values.max()) / temperature)
    return np.asarray(powers / powers.sum())


def floors(sizes: Integers, count: int, balance: float) -> Integers:
    """The least that each cluster keeps: one sample or, as the authors' code has it, a part of what an even division gives, less than all it has."""
    if not balance:
        return np.minimum(sizes, 1)
    return np.clip(sizes - 1, 0, int(balance * count / len(sizes)))


def exact(wanted: Floats, lowest: Integers, highest: Integers, count: int) -> Floats:
    """The quotas (k,) nearest to what is wanted, between their bounds and with `count` as their sum.

    Raises FilterError where the bounds leave no room for that sum.
    """
    least, most = int(lowest.sum()), int(highest.sum())
    if not least <= count <= most:
        raise FilterError(
            f"{count:,} samples are to be kept of {len(highest):,} clusters, which keep {least:,} at least and hold {most:,}", allowed=f"{least:,} to {most:,}"
        )
    turns = np.concatenate([lowest - wanted, highest - wanted])  # the shifts at which a cluster begins to take more, and at which it is full
    order = np.argsort(turns, kind="stable")
    turns, slopes = turns[order], np.cumsum(np.repeat([1, -1], len(wanted))[order])
    sums = least + np.r_[0.0, np.cumsum(slopes[:-1] * np.diff(turns))]  # of all quotas, where the shift is at each turn
    place = min(max(int(np.searchsorted(sums, count, side="right")) - 1, 0), len(turns) - 1)
    shift = turns[place] + ((count - sums[place]) / slopes[place] if slopes[place] else 0.0)
    return np.asarray(np.clip(wanted + shift, lowest, highest))


def whole(quotas: Floats, highest: Integers, count: int) -> Integers:
    """Whole quotas (k,) with `count` as their sum: rounded down, then one more for the largest remainders with room, of equal ones the first."""
    found: Integers = np.minimum(np.floor(quotas), highest).astype(np.int64)
    left = count - int(found.sum())
    remainders = np.round(quotas - found, _DIGITS)
    order = np.lexsort((np.arange(len(found)), -remainders))
    found[order[found[order] < highest[order]][:left]] += 1
    assert found.sum() == count
    return found
