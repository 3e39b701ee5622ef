"""What filters over clusters share: whose turn it is within a cluster, and from what is kept of the members back to the rows of a pool."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from datacomp import draws, progress
from datacomp.artifacts import clusters as made
from datacomp.artifacts.clusters import Clusters, Floats, Integers, Members
from datacomp.artifacts.column import NETWORKS, Column, Multiplicity, Provenance, Scores
from datacomp.artifacts.pool import Block
from datacomp.errors import FilterError
from datacomp.launch import local

KEEP = ("hard", "easy", "random", "score")


class OverClusters:
    """A filter that decides on the members of clusters. `times` says how often each is kept; rows of the pool that are no members are not."""

    threaded = True

    def __init__(self, name: str, clusters: str, keep: str = "hard", score: str = "", seed: int = 0) -> None:
        if not clusters:
            raise FilterError(f"{name} needs clusters", repair="make them with: datacomp cluster make --pool POOL --out CLUSTERS, and add --clusters CLUSTERS")
        if keep not in KEEP:
            raise FilterError(f"--keep {keep} came", allowed=", ".join(KEEP))
        if (keep == "score") != bool(score):
            raise FilterError(f"--keep {keep} came {'with' if score else 'without'} a --score", allowed="--keep score --score COLUMN, or neither")
        self.name, self.keep, self.seed = name, keep, seed
        self.given: Clusters = made.read(Path(clusters))
        self.columns: tuple[str, ...] = (NETWORKS.get(score, score),) if score else ()

    def score(self, block: Block) -> Scores:
        """The score to choose by within a cluster, if it is one of the metadata."""
        return block.numbers(self.columns[0]) if self.columns else np.zeros(len(block), np.bool_)

    def times(self, members: Members, columns: Sequence[Column], scores: Scores | None) -> Multiplicity:
        """How often each member is kept, shape (N,), in the order of uids; `scores` are theirs."""
        raise NotImplementedError

    def select(self, columns: Sequence[Column]) -> Iterator[Multiplicity]:
        """Ask about the members, then look up every row. Raises FilterError unless all members are rows of the pool."""
        members = self.given.members()
        scores = np.full(len(members), np.nan) if self.columns else None
        found, rows = np.zeros(len(members), bool), 0
        for column, places in zip(columns, self._all_places(columns), strict=True):
            rows += len(places)
            found[places[places >= 0]] = True
            if scores is not None:
                scores[places[places >= 0]] = column.scores[places >= 0]
        if not found.all():
            raise FilterError(
                f"{self.given.path} has {len(found):,} samples, of which {np.count_nonzero(found):,} are rows of this pool",
                repair="give the pool whose embeddings were clustered",
            )
        if rows > len(members):
            progress.say(f"{rows - len(members):,} rows of the pool are in no cluster and are not kept")
        times = self.times(members, columns, scores)
        times = np.append(times, times.dtype.type(0))  # the last is that of rows that are no members
        return (times[places] for places in self._all_places(columns))

    def places(self, column: Column) -> Integers:
        """The place of each row among the members, -1 for one that is none."""
        return made.find(self._upper, self.given.members(), column.uids)

    def _all_places(self, columns: Sequence[Column]) -> Iterator[Integers]:
        """Those of block after block; they are found anew each time, as memory does not grow with the pool."""
        return local.run_all(self.places, columns, threads=True)

    @cached_property
    def _upper(self) -> Integers:
        return np.ascontiguousarray(self.given.members()["f0"])

    def order(self, members: Members, scores: Scores | None) -> Integers:
        """The places of all members, cluster by cluster, those to keep first: equal ones by uid."""
        cosine = np.asarray(members["cosine"])
        if self.keep == "random":
            first: Floats | Integers = draws.bits(self.seed, self.name, members["f0"], members["f1"])
        elif scores is not None:
            first = np.where(np.isnan(scores), np.inf, -scores)
        else:
            first = cosine if self.keep == "hard" else -cosine
        return np.lexsort((first, members["cluster"]))  # is stable, and members are sorted by uid

    def provenance(self) -> Provenance:
        """The clusters, and the network behind their embeddings where it is known."""
        self.given.check()
        record = self.given.record
        network = record.inputs.network
        about = f"{record.clusters:,} clusters of {record.inputs.key}{f' by {network}' if network else ''}"
        return Provenance({f"clusters {self.given.path.name}"[:200]: record.members_sha256}, (about[:200],))
