"""A random part of the pool: the control for every other filter."""

from collections.abc import Iterator, Sequence

from datacomp import draws
from datacomp.artifacts.pool import Block
from datacomp.errors import FilterError
from datacomp.filters import top
from datacomp.filters.base import Column, Multiplicity, Provenance, Scores


class Random:
    """Exactly floor(N * fraction) samples, chosen by a hash of seed and uid: the order of the pool's files does not matter."""

    name = "random"
    columns = ()
    threaded = True

    def __init__(self, fraction: float, seed: int) -> None:
        self.fraction, self.seed = fraction, seed

    def score(self, block: Block) -> Scores:
        """A random number for each uid."""
        return draws.uniform(self.seed, "random filter", block.uids["f0"], block.uids["f1"])

    def select(self, columns: Sequence[Column]) -> Iterator[Multiplicity]:
        """Keep the highest numbers."""
        return top.exact(columns, self.fraction)

    def provenance(self) -> Provenance:
        """Nothing was used besides the pool."""
        return Provenance()


def make(*, fraction: float | None = None, seed: int = 0) -> Random:
    """Keep a random fraction."""
    if fraction is None:
        raise FilterError("random needs to know how much to keep", repair="add --fraction, as in: --fraction 0.3")
    top.check_fraction(fraction)
    return Random(fraction, seed)
