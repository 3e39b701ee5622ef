"""What a filter is: a score for each row, and from all scores how often each row is kept.

A filter sees metadata, one block at a time, and never the truth of a generated pool. Two methods cover thresholds, top fractions,
clusters and repetition: `score` looks at the rows of one block, `select` at the scores of the whole pool.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from datacomp.artifacts.column import Column, Multiplicity, Provenance, Scores
from datacomp.artifacts.pool import Block

__all__ = ["Column", "Filter", "Multiplicity", "Provenance", "RowFilter", "Scores"]


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
