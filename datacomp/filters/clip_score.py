"""The best part of a pool by a score: CLIP score filtering (DataComp, section 4.1), or any column of the metadata or of a score table."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from datacomp import digest, progress, tables
from datacomp.artifacts import scores as passes
from datacomp.artifacts.column import NETWORKS
from datacomp.artifacts.pool import Block
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

    def __init__(self, table: Path, *options: object, **more: object) -> None:
        super().__init__("score", *options, **more)  # type: ignore[arg-type]
        self.columns = ("uid",)
        self.table = table

    def score(self, block: Block) -> Scores:
        """The scores of the block's uids; each must have exactly one."""
        wanted = block.columns
        found = self._found(block)
        if found["uid"].is_duplicated().any():
            twice = found.filter(pl.col("uid").is_duplicated())["uid"][0]
            raise FilterError(f"{self.table} has several scores for uid {twice}", allowed="one row a uid")
        if missing := len(wanted.join(found, on="uid", how="anti")):
            self._check_missing(block, missing, wanted.join(found, on="uid", how="anti")["uid"][0])
        joined = wanted.join(found, on="uid", how="left", maintain_order="left")
        return Block(joined, block.span, block.table).numbers(self.column)

    def _found(self, block: Block) -> pl.DataFrame:
        """The rows of the table that have uids of the block."""
        path = self.table / f"{block.span.stem}.parquet" if self.table.is_dir() else self.table
        return tables.look_up([path], [self.column], block.columns["uid"])

    def _check_missing(self, block: Block, missing: int, first: str) -> None:
        raise FilterError(
            f"{self.table} has no score for {missing:,} of {len(block):,} rows of {block.span.stem}.parquet, the first is {first}",
            repair="score the whole pool, or give the pool that was scored",
        )

    def provenance(self) -> Provenance:
        """The table."""
        paths = sorted(self.table.glob("*.parquet")) if self.table.is_dir() else [self.table]
        return Provenance({self.table.name: digest.of_files({path.name: path for path in paths})}, (f"scores {self.table.name}",))


class BestOfPass(BestOfTable):
    """The same by the scores that `datacomp score` wrote. What has none is below all; a fraction is one of the rows that have a score."""

    of_scored = True

    def __init__(self, given: passes.Scores, *options: object, **more: object) -> None:
        super().__init__(given.path, *options, **more)
        self.given = given

    def select(self, columns: Sequence[Column]) -> Iterator[Multiplicity]:
        """As by any table; every score must be one of a row of the pool."""
        found, given = top.scored(columns), self.given.record.scored_samples
        if found != given:
            raise FilterError(f"{self.table} has {given:,} scores, of which {found:,} are of rows of this pool", repair="give the pool that was scored")
        if missing := sum(len(column.scores) for column in columns) - found:
            progress.say(f"{missing:,} rows of the pool have no score and are not kept")
        return super().select(columns)

    def _found(self, block: Block) -> pl.DataFrame:
        if self.given.record.by_metadata_file:
            return super()._found(block)
        return tables.look_up(self.given.tables(), [self.column], block.columns["uid"])

    def _check_missing(self, block: Block, missing: int, first: str) -> None:
        """Nothing: the record of the scores counts by reason what a pool's tars hold and could not be scored."""

    def provenance(self) -> Provenance:
        """The scores and the network behind them."""
        self.given.check()
        record = self.given.record
        scorer = record.inputs.scorer
        name = f"{scorer.kind} {scorer.name}"[:150]
        return Provenance({f"scores {self.table.name}"[:200]: record.scores_sha256, name: scorer.weights_sha256}, (f"scores by {name}",))


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
    table = Path(scores)
    if (table / passes.ASKED).is_file():
        return BestOfPass(passes.read(table), score or passes.COLUMN, fraction, threshold, skip_fraction, exact_count=exact_count)
    return BestOfTable(table, score or _only_column(table), fraction, threshold, skip_fraction, exact_count=exact_count)


def _only_column(table: Path) -> str:
    first = next(iter(sorted(table.glob("*.parquet"))), table) if table.is_dir() else table
    numeric = [name for name, dtype in tables.columns(first).items() if dtype.is_numeric()]
    if len(numeric) != 1:
        raise FilterError(f"{first} has {len(numeric)} columns of numbers", allowed=", ".join(numeric), repair="name one with --score")
    return numeric[0]


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
