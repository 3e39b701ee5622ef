"""What a filter is: a score for each row, and from all scores how often each row is kept.

A filter sees metadata, one block at a time, and never the truth of a generated pool. Two methods cover thresholds, top fractions,
clusters and repetition: `score` looks at the rows of one block, `select` at the scores of the whole pool.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from datacomp.artifacts.pool import Block
from datacomp.uids import UidArray

Scores: TypeAlias = np.ndarray[Any, np.dtype[Any]]  # (N,), numbers or booleans
Multiplicity: TypeAlias = np.ndarray[Any, np.dtype[Any]]  # (N,), whole numbers or booleans: how often a row is kept


class Column(NamedTuple):
    """The scores of one block, in the pool's order."""

    block: Block  # without the columns
    scores: Scores

    @property
    def uids(self) -> UidArray:
        """The block's uids, shape (N,), read when they are asked for."""
        return self.block.uids


class Provenance(NamedTuple):
    """What a filter used besides the pool; it goes into the list's record and from there into the entry."""

    assets: dict[str, str] = {}  # noqa: RUF012 - name and sha256; never changed
    external_resources: tuple[str, ...] = ()


class Filter(Protocol):
    """A filter, made with its options.

    Processes run `score`. A filter whose work is done by libraries that let other threads run may say so with `threaded = True`: then
    threads run it, and no process has to start.
    """

    name: str  # as the list's record states it, [variant] included
    columns: tuple[str, ...]  # of the metadata that `score` reads

    def score(self, block: Block) -> Scores:
        """Give each row of a block a number, or say with a boolean whether to keep it."""

    def select(self, columns: Sequence[Column]) -> Iterator[Multiplicity]:
        """From all scores, block by block in the same order: how often each row is kept."""

    def provenance(self) -> Provenance:
        """What was used besides the pool."""


class RowFilter:
    """A filter that decides on each row alone: `score` returns booleans, and they are the selection."""

    name: str
    columns: tuple[str, ...] = ()

    def select(self, columns: Sequence[Column]) -> Iterator[Multiplicity]:
        """Keep the rows whose score is true."""
        return (column.scores for column in columns)

    def provenance(self) -> Provenance:
        """Nothing was used besides the pool."""
        return Provenance()
