"""CLIP score filtering: keep the pairs whose picture and caption are similar (DataComp, section 4.1)."""

from collections.abc import Iterator, Sequence

from datacomp.artifacts.pool import Block
from datacomp.errors import FilterError
from datacomp.filters import top
from datacomp.filters.base import Column, Multiplicity, Provenance, Scores

DEFAULT_SCORE = "clip_l14_similarity_score"


class ClipScore:
    """The best part of a pool by one column of its metadata."""

    name = "clip_score"

    def __init__(self, score: str, fraction: float | None, threshold: float | None, *, exact_count: bool) -> None:
        self.columns = (score,)
        self.fraction, self.threshold, self.exact_count = fraction, threshold, exact_count

    def score(self, block: Block) -> Scores:
        """The column itself."""
        return block.numbers(self.columns[0])

    def select(self, columns: Sequence[Column]) -> Iterator[Multiplicity]:
        """Keep what reaches the threshold, or the best fraction."""
        if self.threshold is not None:
            return top.above(columns, self.threshold)
        assert self.fraction is not None
        if self.exact_count:
            return top.exact(columns, self.fraction)
        return top.above(columns, top.fraction_threshold(columns, self.fraction))

    def provenance(self) -> Provenance:
        """The scores are the pool's own."""
        return Provenance()


def make(*, score: str = DEFAULT_SCORE, fraction: float | None = None, threshold: float | None = None, exact_count: bool = False) -> ClipScore:
    """Keep the best scores, by a fraction or by a threshold."""
    if (fraction is None) == (threshold is None):
        came = "neither of them" if fraction is None else "both"
        raise FilterError(f"clip_score takes a fraction or a threshold; {came} came", repair="add one, as in: --fraction 0.3")
    if fraction is not None:
        top.check_fraction(fraction)
    if exact_count and fraction is None:
        raise FilterError("an exact count needs a fraction", repair="replace --threshold by --fraction")
    return ClipScore(score, fraction, threshold, exact_count=exact_count)
