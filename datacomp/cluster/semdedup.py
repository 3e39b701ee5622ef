"""Semantic deduplication as a filter: of pictures that are near each other within a cluster, one is kept."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from datacomp import progress
from datacomp.artifacts.clusters import Members
from datacomp.artifacts.column import Column, Multiplicity, Scores
from datacomp.artifacts.pool import Mask
from datacomp.cluster import dedup, embeddings, grouped
from datacomp.cluster.embeddings import Part
from datacomp.cluster.grouped import Reader
from datacomp.cluster.select import OverClusters
from datacomp.errors import FilterError
from datacomp.launch import local


class SemDeDup(OverClusters):
    """Drop what has an earlier one of its cluster with a cosine above 1 - epsilon."""

    def __init__(self, clusters: str, epsilon: float, keep: str, chains: str, score: str, seed: int, embedded: str) -> None:
        super().__init__("semdedup", clusters, keep, score, seed)
        self.epsilon, self.chains = epsilon, chains
        self.embedded = embeddings.of_scores(Path(embedded), self.given.record.inputs.key) if embedded else None

    def times(self, members: Members, columns: Sequence[Column], scores: Scores | None) -> Multiplicity:
        """Once for each member that is no duplicate."""
        order = self.order(members, scores)
        parts = self.embedded.parts if self.embedded else _parts(columns)
        kept = np.ones(len(members), bool)
        sizes = np.bincount(members["cluster"])
        ranges = list(zip((np.cumsum(sizes) - sizes).tolist(), sizes.tolist(), strict=True))
        with grouped.written(self.given, parts, order, self._upper) as read, threadpool_limits(1, user_api="blas"):
            done = local.run_all(partial(self._duplicates, read), ranges, threads=True)
            dropped = np.concatenate(list(progress.show(done, total=len(ranges), unit=" clusters", title="semdedup")))
        kept[order[dropped]] = False
        return kept

    def _duplicates(self, read: Reader, cluster: tuple[int, int]) -> Mask:
        """Which rows of a cluster are duplicates, whose first row and size are given."""
        start, size = cluster
        return dedup.duplicates(lambda first, last: read(start + first, start + min(last, size)), size, self.epsilon, self.chains)


def _parts(columns: Sequence[Column]) -> Iterator[Part]:
    """The files of the pool that a filter is asked about."""
    for table in dict.fromkeys(column.block.table for column in columns):
        yield Part(table, table.with_suffix(".npz"))


def make(
    *, clusters: str = "", epsilon: float | None = None, keep: str = "hard", chains: str = "published", score: str = "", seed: int = 0, embeddings: str = ""
) -> SemDeDup:
    """Drop near duplicates within clusters."""
    if epsilon is None:
        raise FilterError("semdedup needs to know how near duplicates are", repair="add --epsilon, as in --epsilon 0.05: a cosine above 0.95")
    if not 0 < epsilon < 2:
        raise FilterError(f"epsilon is {epsilon:g}", allowed="above 0 and below 2")
    if chains not in dedup.CHAINS:
        raise FilterError(f"--chains {chains} came", allowed=", ".join(dedup.CHAINS))
    return SemDeDup(clusters, epsilon, keep, chains, score, seed, embeddings)
