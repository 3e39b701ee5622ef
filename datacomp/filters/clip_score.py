"""The best part of a pool by a score: CLIP score filtering (DataComp, section 4.1), or any column of the metadata or of a score table."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from datacomp import progress
from datacomp.artifacts import scores as passes
from datacomp.artifacts.column import NETWORKS
from datacomp.artifacts.pool import Block
from datacomp.artifacts.scores import ScoreTable
from datacomp.errors import FilterError
from datacomp.filters import top
from datacomp.filters.base import Column, Multiplicity, Provenance, Scores


class Best:
    """A fraction of the pool, what reaches a threshold, or a band between two fractions."""

    threaded = True
    of_scored = False  # whether a fraction is one of the rows that have a score

    def __init__(self, name: str, score: str, fraction: float | None, threshold: float | None, skip_fraction: float, *, exact_count: bool) -> None:
        self.name, self.column = name, score
        self.columns: tuple[str, ...] = (score,)
        self.fraction, self.threshold, self.skip_fraction, self.exact_count = fraction, threshold, skip_fraction, exact_count

    def score(self, block: Block) -> Scores:
        """The column itself."""
        return block.numbers(self.column)

    def select(self, columns: Sequence[Column]) -> Iterator[Multiplicity]:
        """Keep what reaches the threshold, or the best fraction less the part of it to skip."""
        if self.threshold is not None:
            return top.above(columns, self.threshold)
        assert self.fraction is not None
        if not self.skip_fraction:
            return self._best(columns, self.fraction)
        pairs = zip(self._best(columns, self.fraction), self._best(columns, self.skip_fraction), strict=True)
        return (np.asarray(kept & ~skipped) for kept, skipped in pairs)

    def _best(self, columns: Sequence[Column], fraction: float) -> Iterator[Multiplicity]:
        if self.exact_count:
            return top.exact(columns, fraction, of_scored=self.of_scored)
        return top.above(columns, top.fraction_threshold(columns, fraction, of_scored=self.of_scored))

    def provenance(self) -> Provenance:
        """The scores are the pool's own."""
        return Provenance()


class BestOfTable(Best):
    """The same by a column of a table of scores, keyed by uid: a parquet file, or a folder with one for each metadata file."""

    def __init__(self, table: ScoreTable, *options: object, **more: object) -> None:
        super().__init__("score", table.column, *options, **more)  # type: ignore[arg-type]
        self.columns = ("uid",)
        self.table, self.of_scored = table, table.given is not None

    def score(self, block: Block) -> Scores:
        """The scores of the block's uids."""
        return read_scores(self.table, block)

    def select(self, columns: Sequence[Column]) -> Iterator[Multiplicity]:
        """Keep the best; every score of a pass must be one of a row of the pool."""
        check_scored(self.table, columns)
        return super().select(columns)

    def provenance(self) -> Provenance:
        """The table and what it rests on."""
        return Provenance(*self.table.used())


def read_scores(table: ScoreTable, block: Block) -> Scores:
    """The scores of a block's uids, NaN where a pass left one out, for reasons that its record counts.

    Raises FilterError where somebody else's table has none or several for a uid.
    """
    wanted = block.columns
    found = table.look_up(block.span.stem, wanted["uid"])
    if table.given is None and (missing := len(wanted.join(found, on="uid", how="anti"))):
        raise FilterError(
            f"{table.path} has no score for {missing:,} of {len(block):,} rows of {block.span.stem}.parquet, "
            f"the first is {wanted.join(found, on='uid', how='anti')['uid'][0]}",
            repair="score the whole pool, or give the pool that was scored",
        )
    joined = wanted.join(found, on="uid", how="left", maintain_order="left")
    return Block(joined, block.span, block.table).numbers(table.column)


def check_scored(table: ScoreTable, columns: Sequence[Column]) -> None:
    """Raise FilterError for a pass of which some scores are of no row of the pool; say how many rows have none."""
    if table.given is None:
        return
    found, given = top.scored(columns), table.given.record.scored_samples
    if found != given:
        raise FilterError(f"{table.path} has {given:,} scores, of which {found:,} are of rows of this pool", repair="give the pool that was scored")
    if missing := sum(len(column.scores) for column in columns) - found:
        progress.say(f"{missing:,} rows of the pool have no score and are not kept")


def make(*, score: str = "l14", fraction: float | None = None, threshold: float | None = None, skip_fraction: float = 0.0, exact_count: bool = False) -> Best:
    """Keep the best by a CLIP score (b32, l14) or another column of the metadata."""
    _check("clip_score", fraction, threshold, skip_fraction, exact_count=exact_count)
    return Best("clip_score", NETWORKS.get(score, score), fraction, threshold, skip_fraction, exact_count=exact_count)


def make_score(
    *, scores: str = "", score: str = "", fraction: float | None = None, threshold: float | None = None, skip_fraction: float = 0.0, exact_count: bool = False
) -> Best:
    """Keep the best by a column of a table of scores, or of the metadata."""
    _check("score", fraction, threshold, skip_fraction, exact_count=exact_count)
    if not scores:
        if not score:
            raise FilterError("score needs to know what to rank by", repair="add --scores TABLE, a parquet file with columns uid and score, or --score COLUMN")
        return Best("score", NETWORKS.get(score, score), fraction, threshold, skip_fraction, exact_count=exact_count)
    return BestOfTable(passes.open_table(Path(scores), score), fraction, threshold, skip_fraction, exact_count=exact_count)


def _check(name: str, fraction: float | None, threshold: float | None, skip_fraction: float, *, exact_count: bool) -> None:
    if (fraction is None) == (threshold is None):
        came = "neither of them" if fraction is None else "both"
        raise FilterError(f"{name} takes a fraction or a threshold; {came} came", repair="add one, as in: --fraction 0.3")
    if fraction is None:
        if exact_count or skip_fraction:
            raise FilterError("an exact count and a part to skip need a fraction", repair="replace --threshold by --fraction")
        return
    top.check_fraction(fraction)
    if not 0 <= skip_fraction < fraction:
        raise FilterError(f"{skip_fraction:g} of the pool is to be skipped of its best {fraction:g}", allowed=f"0 up to, but not including, {fraction:g}")
