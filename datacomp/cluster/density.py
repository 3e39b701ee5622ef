"""Density-based pruning as a filter (Abbas et al. 2024): dense clusters near others keep little, wide ones far from others much."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from datacomp.artifacts.clusters import Clusters, Floats, Integers, Members
from datacomp.artifacts.column import Column, Multiplicity, Scores
from datacomp.cluster import quota
from datacomp.cluster.quota import PRESETS, Complexity, Preset
from datacomp.cluster.select import OverClusters
from datacomp.errors import FilterError

KINDS = ("density", "uniform")


class Quotas(NamedTuple):
    """What each cluster may keep and why, shape (k,) each."""

    complexity: Complexity
    shares: Floats
    exact: Floats
    whole: Integers


def quotas(clusters: Clusters, count: int, settings: Preset, kind: str = "density") -> Quotas:
    """Divide `count` samples among clusters. Raises FilterError where their sizes leave no room for as many."""
    found = quota.complexity(clusters.members(), clusters.centroids(), settings.neighbours)
    if kind == "uniform":
        wanted = found.sizes / found.sizes.sum()
        exact = quota.exact(wanted * count, np.zeros_like(found.sizes), found.sizes, count)
    else:
        wanted = quota.shares(found.values, settings.temperature)
        exact = quota.exact(wanted * count, quota.floors(found.sizes, count, settings.balance), found.sizes, count)
    return Quotas(found, wanted, exact, quota.whole(exact, found.sizes, count))


class Density(OverClusters):
    """Keep so many of each cluster as its complexity says: those to keep first."""

    def __init__(self, clusters: str, count: int | None, fraction: float | None, settings: Preset, kind: str, keep: str, score: str, seed: int) -> None:
        super().__init__("density", clusters, keep, score, seed)
        self.settings, self.kind = settings, kind
        self.count = int(self.given.record.clustered_samples * (fraction or 0)) if count is None else count

    def quotas(self) -> Quotas:
        """What each cluster may keep."""
        return quotas(self.given, self.count, self.settings, self.kind)

    def times(self, members: Members, columns: Sequence[Column], scores: Scores | None) -> Multiplicity:
        """Once for each of the first members of every cluster."""
        del columns
        found = self.quotas()
        sizes = found.complexity.sizes
        turn = np.arange(len(members)) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # of each member in its cluster
        kept = np.zeros(len(members), bool)
        kept[self.order(members, scores)[turn < np.repeat(found.whole, sizes)]] = True
        return kept


def settings(preset: str, temperature: float | None, neighbours: int | None, balance: float | None) -> Preset:
    """A preset with what is given besides. Raises FilterError for what cannot be."""
    if preset not in PRESETS:
        raise FilterError(f"--preset {preset} came", allowed=", ".join(PRESETS))
    base = PRESETS[preset]
    chosen = Preset(
        base.temperature if temperature is None else temperature,
        base.neighbours if neighbours is None else neighbours,
        base.balance if balance is None else balance,
    )
    if not chosen.temperature > 0 or chosen.neighbours < 1 or not 0 <= chosen.balance <= 1:
        raise FilterError(f"{chosen} came", allowed="a temperature above 0, 1 neighbour or more, a balance of 0 to 1")
    return chosen


def make(
    *,
    clusters: str = "",
    count: int | None = None,
    fraction: float | None = None,
    quota: str = "density",
    preset: str = "paper",
    temperature: float | None = None,
    neighbours: int | None = None,
    balance: float | None = None,
    keep: str = "hard",
    score: str = "",
    seed: int = 0,
) -> Density:
    """Keep an exact number of the clustered samples, more of complex clusters. A preset stands for the settings that are not given.

    A uniform quota is the same share of each cluster instead, as in SSP-Pruning (Sorscher et al. 2022), by which the paper measures itself.
    """
    if quota not in KINDS:
        raise FilterError(f"--quota {quota} came", allowed=", ".join(KINDS))
    if quota == "uniform" and (preset != "paper" or (temperature, neighbours, balance) != (None, None, None)):
        raise FilterError("a uniform quota came with settings of the density", repair="leave out --preset, --temperature, --neighbours and --balance")
    if (count is None) == (fraction is None):
        raise FilterError(f"density takes a count or a fraction; {'neither' if count is None else 'both'} came", repair="add one, as in: --fraction 0.3")
    if fraction is not None and not 0 < fraction <= 1:
        raise FilterError(f"the fraction is {fraction:g}", allowed="above 0 and up to 1")
    if count is not None and count < 1:
        raise FilterError(f"the count is {count:,}", allowed="1 or more")
    chosen = settings(preset, temperature, neighbours, balance)
    return Density(clusters, count, fraction, chosen, quota, keep, score, seed)
