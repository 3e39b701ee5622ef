"""The most frequent captions and domains of a pool, counted in memory that does not grow with it.

Counting is exact while there are few different names. Beyond, the rarest are forgotten whenever there are too many, so that every
count may be too low, by at most a known number (lossy counting, Manku and Motwani 2002).
"""

import numpy as np
import polars as pl

from datacomp.records import Count, Record
from datacomp.subset.histograms import Mask, Split

MAX_NAMES = 200_000  # that are remembered
NAME_CHARACTERS = 200  # by which names are told apart
_SHOWN = 10
_CLEAR = 4.0  # standard deviations: among so many names, two or three are nothing
_LEAST_ROWS = 5


class Name(Record):
    """A caption, a domain or a language, and how many rows have it."""

    name: str
    counted: Split


class Names(Record):
    """What stands out among the names of a column."""

    most_kept: tuple[Name, ...]
    most_dropped: tuple[Name, ...]
    over: tuple[Name, ...]  # kept clearly more often than the rest
    under: tuple[Name, ...]
    different: Count | None  # None where some were forgotten
    missing: Split  # rows without a name
    at_most_uncounted: Count  # of any name


class Tally:
    """Names and their counts, growing block by block."""

    def __init__(self, most: int = MAX_NAMES) -> None:
        self._most = most
        self._table = pl.DataFrame(schema={"name": pl.String, "kept": pl.Int64, "dropped": pl.Int64})
        self._counted, self._missing = np.zeros(2, np.int64), np.zeros(2, np.int64)
        self._uncounted = 0

    def add(self, names: pl.Series, kept: Mask) -> None:
        """Count some rows; a null is no name. Names that begin alike are one."""
        there = names.is_not_null().to_numpy()
        self._counted += (np.count_nonzero(there & ~kept), np.count_nonzero(there & kept))
        self._missing += (np.count_nonzero(~there & ~kept), np.count_nonzero(~there & kept))
        rows = pl.DataFrame({"name": names.str.slice(0, NAME_CHARACTERS), "kept": kept.astype(np.int64), "dropped": (~kept).astype(np.int64)})
        self._table = pl.concat([self._table, rows.drop_nulls()]).group_by("name").sum()
        if len(self._table) > self._most:
            ordered = self._ordered("kept", "dropped")
            self._uncounted += sum(ordered.row(self._most // 2)[1:])
            self._table = ordered.head(self._most // 2)
        copied = pl.Series("name", self._table["name"].to_list(), dtype=pl.String)  # polars' own would hold on to the text of every block
        self._table = self._table.with_columns(copied)

    def _ordered(self, *columns: str) -> pl.DataFrame:
        """The most frequent first; names, which are all different, settle ties."""
        return self._table.sort(pl.sum_horizontal(*columns), "name", descending=[True, False])

    def most(self, count: int) -> tuple[Name, ...]:
        """The most frequent names, kept or not."""
        return _names(self._ordered("kept", "dropped").head(count))

    def missing(self) -> Split:
        """The rows without a name."""
        return Split(kept=int(self._missing[1]), dropped=int(self._missing[0]))

    def names(self) -> Names:
        """What stands out."""
        return Names(
            most_kept=_names(self._ordered("kept").filter(pl.col("kept") > 0).head(_SHOWN)),
            most_dropped=_names(self._ordered("dropped").filter(pl.col("dropped") > 0).head(_SHOWN)),
            over=_names(self._standing_out(descending=True)),
            under=_names(self._standing_out(descending=False)),
            different=None if self._uncounted else len(self._table),
            missing=self.missing(),
            at_most_uncounted=self._uncounted,
        )

    def _standing_out(self, *, descending: bool) -> pl.DataFrame:
        """The names whose kept rows are farthest from what their number and the overall share lead to expect."""
        rows = int(self._counted.sum())
        share = int(self._counted[1]) / rows if rows else 0.0
        total = pl.col("kept") + pl.col("dropped")
        distance = (pl.col("kept") - share * total) / (share * (1 - share) * total).sqrt()
        clear = distance >= _CLEAR if descending else distance <= -_CLEAR
        if not 0 < share < 1:
            return self._table.clear()
        return self._table.filter((total >= _LEAST_ROWS) & clear).sort(distance, "name", descending=[descending, False]).head(_SHOWN)


def _names(table: pl.DataFrame) -> tuple[Name, ...]:
    return tuple(Name(name=name, counted=Split(kept=kept, dropped=dropped)) for name, kept, dropped in table.iter_rows())
