"""Samples drawn with replacement from clusters: DataComp's image-based sampling, and concepts in balance.

A cluster is drawn with a probability in proportion to s^alpha, then any of its members alike. s is how many target pictures, such as ImageNet's,
have the cluster's centroid as their nearest; without targets it is the cluster's own size. So alpha 0 draws all clusters alike that have a target or a
member, and without targets alpha 1 draws all samples alike. A sample is drawn at most 100 times, as in the paper.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datacomp import digest, draws
from datacomp.artifacts.clusters import Integers, Members
from datacomp.artifacts.column import Column, Multiplicity, Provenance, Scores
from datacomp.cluster import embeddings
from datacomp.cluster.nearest import Nearest
from datacomp.cluster.select import OverClusters
from datacomp.errors import FilterError
from datacomp.launch import local

MOST_TIMES = 100
MOST_ALPHA = 5  # powers beyond it leave what a number can hold


class ClusterSample(OverClusters):
    """An exact number of draws."""

    def __init__(self, clusters: str, targets: str, count: int, alpha: float, most: int, seed: int) -> None:
        super().__init__("cluster_sample", clusters, seed=seed)
        self.targets = Path(targets) if targets else None
        self.count, self.alpha, self.most = count, alpha, most

    def times(self, members: Members, columns: Sequence[Column], scores: Scores | None) -> Multiplicity:
        """How often each member is drawn."""
        del columns, scores
        cluster = np.asarray(members["cluster"])
        sizes = np.bincount(cluster, minlength=self.given.record.clusters)
        met = sizes if self.targets is None else self._met(self.targets)
        chances = np.where(met > 0, np.maximum(met, 1.0) ** self.alpha, 0)
        weights = (chances / sizes)[cluster]
        if self.count > self.most * np.count_nonzero(weights):
            raise FilterError(
                f"{self.count:,} draws were asked for of {np.count_nonzero(weights):,} samples up to {self.most} times each", repair="lower --count"
            )
        return draws.repeats(weights, self.count, self.most, self.seed, "cluster sample")

    def _met(self, targets: Path) -> Integers:
        """How many targets each cluster is nearest to."""
        from datacomp.network import arrays

        stored = arrays.read(targets).numpy()
        centroids = np.asarray(self.given.centroids())
        if stored.shape[1] != centroids.shape[1]:
            raise FilterError(f"{targets} has vectors of {stored.shape[1]} numbers, the clusters of {centroids.shape[1]}", repair="make both of one network")
        nearest = Nearest(centroids, local.cores())
        found = np.zeros(len(centroids), np.int64)
        for start in range(0, len(stored), embeddings.BLOCK_ROWS):
            block = stored[start : start + embeddings.BLOCK_ROWS]
            lengths = np.linalg.norm(block.astype(np.float64), axis=1, keepdims=True)
            if not (np.isfinite(lengths) & (lengths > 0)).all():
                raise FilterError(f"{targets} holds a vector that is not finite or has no direction", repair="make the features of the targets again")
            found += np.bincount(nearest((block / lengths).astype(np.float32)), minlength=len(found))
        return found

    def provenance(self) -> Provenance:
        """The clusters and the targets."""
        used = super().provenance()
        if self.targets is None:
            return used
        return Provenance(used.assets | {self.targets.name[:200]: digest.of_file(self.targets)}, (*used.external_resources, self.targets.name[:200]))


def make(*, clusters: str = "", targets: str = "", count: int | None = None, alpha: float = 0.0, most_times: int = MOST_TIMES, seed: int = 0) -> ClusterSample:
    """Draw samples with replacement from clusters that are drawn first."""
    if count is None or count < 1 or most_times < 1:
        raise FilterError(f"cluster_sample draws --count samples, each up to {most_times} times; {count} came", repair="add --count, as in: --count 30000")
    if not 0 <= alpha <= MOST_ALPHA:
        raise FilterError(f"--alpha {alpha:g} came", allowed=f"0 to {MOST_ALPHA}")
    return ClusterSample(clusters, targets, count, alpha, most_times, seed)
