"""How a quantity is spread over what a list kept and what it dropped: counts in bins that are fixed before the rows come."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from datacomp.records import Count, Record

Numbers: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

MAX_NUMBER = 1e9  # what lies beyond is no score, no size and no length, and counts as missing
_SCORE_BINS = 40  # about so many are shown
_FINE = 20  # fine bins in each of them, for the medians


class Split(Record):
    """A number of pool rows: those that the list names and those that it does not."""

    kept: Count
    dropped: Count

    @property
    def rows(self) -> int:
        """Both."""
        return self.kept + self.dropped

    @property
    def share(self) -> float | None:
        """The kept share; None of nothing."""
        return self.kept / self.rows if self.rows else None


class Bin(Record):
    """From `start` up to, and without, `end`; the last bin of some quantities has no end."""

    start: float
    end: float | None
    counted: Split


class Histogram(Record):
    """One quantity over the pool's rows."""

    name: str
    bins: tuple[Bin, ...]
    missing: Split  # rows without the quantity
    median_kept: float | None  # to the fine bin, which for lengths and sizes below the last bin is the number itself
    median_dropped: float | None


def filled(bins: Sequence[Bin]) -> Sequence[Bin]:
    """The bins from the first to the last that holds a row; one where none does."""
    places = [place for place, found in enumerate(bins) if found.counted.rows]
    return bins[places[0] : places[-1] + 1] if places else bins[:1]


class Edges(NamedTuple):
    """Where bins begin: fine ones, and those of them (by index) at which a shown one begins. An open scale's last bin has no end."""

    fine: Numbers
    shown: tuple[int, ...]
    open: bool


def of_whole_numbers(starts: Sequence[int]) -> Edges:
    """Edges for lengths and sizes; every number up to the last start has a fine bin of its own."""
    return Edges(np.arange(starts[-1] + 1, dtype=np.float64), tuple(starts), open=True)


def of_hundredths(starts: Sequence[int]) -> Edges:
    """Edges for ratios, given in hundredths."""
    return Edges(np.arange(starts[0], starts[-1] + 1) / 100, tuple(start - starts[0] for start in starts), open=True)


def of_scores(low: float, high: float) -> Edges:
    """Edges from the lowest score to the highest, at round numbers."""
    mantissa, exponent = _round_step((high - low) / _SCORE_BINS or max(abs(low), 1.0) / 100)
    above, below = (mantissa * 10**exponent, _FINE) if exponent > 0 else (mantissa, _FINE * 10**-exponent)
    unit = above * _FINE / below
    first, last = math.floor(low / unit), math.floor(high / unit) + 1
    fine = [number * above / below for number in range(first * _FINE, last * _FINE + 1)]  # one division, so that 0.3 is 0.3
    return Edges(np.array(fine), tuple(range(0, len(fine), _FINE)), open=False)


def _round_step(step: float) -> tuple[int, int]:
    """The next 1, 2 or 5 times a power of ten: mantissa and exponent."""
    exponent = math.floor(math.log10(step))
    for mantissa in (1, 2, 5):
        if mantissa * 10.0**exponent >= step:
            return mantissa, exponent
    return 1, exponent + 1


def usable(values: Numbers) -> Mask:
    """Which values are numbers within reach; NaN is not."""
    found: Mask = np.abs(values) <= MAX_NUMBER
    return found


class Counter:
    """A histogram that grows block by block."""

    def __init__(self, name: str, edges: Edges) -> None:
        self.name, self._edges = name, edges
        self._counts = np.zeros((2, len(edges.fine)), np.int64)  # dropped, kept
        self._missing = np.zeros(2, np.int64)

    def add(self, values: Numbers, kept: Mask) -> None:
        """Count some rows, `values` and `kept` of shape (N,). What is missing is NaN."""
        there = usable(values)
        places = np.clip(np.searchsorted(self._edges.fine, values, side="right") - 1, 0, len(self._edges.fine) - 1)
        for side in (0, 1):
            mine = kept == bool(side)
            self._counts[side] += np.bincount(places[mine & there], minlength=len(self._edges.fine))
            self._missing[side] += np.count_nonzero(mine & ~there)

    def histogram(self) -> Histogram:
        """What was counted, in the bins to show."""
        edges: list[float | None] = [float(self._edges.fine[place]) for place in self._edges.shown]
        edges += [None] if self._edges.open else []
        dropped, kept = self._counts
        sums = np.add.reduceat(self._counts, self._edges.shown[: len(edges) - 1], axis=1)
        return Histogram(
            name=self.name,
            bins=tuple(
                Bin(start=start or 0.0, end=end, counted=Split(kept=int(sums[1, place]), dropped=int(sums[0, place])))
                for place, (start, end) in enumerate(pairwise(edges))
            ),
            missing=Split(kept=int(self._missing[1]), dropped=int(self._missing[0])),
            median_kept=self._median(kept),
            median_dropped=self._median(dropped),
        )

    def _median(self, counts: Any) -> float | None:
        """The lower median, to the start of its fine bin."""
        before = np.cumsum(counts)
        return float(self._edges.fine[np.searchsorted(before, (before[-1] + 1) // 2)]) if before[-1] else None
