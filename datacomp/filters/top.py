"""The best-scored part of a pool, by a threshold, by a fraction as the published code takes it, or by an exact count.

Scores come span by span and are passed over several times, so that memory does not grow with the pool.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from datacomp import sorting
from datacomp.errors import FilterError
from datacomp.filters.base import Column, Multiplicity, Scores
from datacomp.sorting import Keys


def check_fraction(fraction: float) -> None:
    """Refuse what is no share of a pool."""
    if not 0 < fraction <= 1:
        raise FilterError(f"the fraction is {fraction:g}", allowed="above 0 and up to 1")


def above(columns: Sequence[Column], threshold: float) -> Iterator[Multiplicity]:
    """Keep the scores of at least `threshold`; NaN is below everything."""
    return (column.scores >= threshold for column in columns)


def fraction_threshold(columns: Sequence[Column], fraction: float, *, of_scored: bool = False) -> float:
    """The score at index int(N * fraction) of the descending order, NaN last.

    This is the rule of DataComp's published code: with `above` it keeps one sample more than the fraction says, and all ties. At
    fraction 1, where the published code fails, it is the lowest score; where the index falls on NaN, for which the published code keeps
    nothing, as well. N counts all rows, or those that have a score.
    """
    numbers = scored(columns)
    if not numbers:
        raise FilterError("no row of the pool has a score", repair="choose another --score column")
    index = min(int(_rows(columns, of_scored=of_scored) * fraction), numbers - 1)
    return _score(sorting.smallest(lambda: (_descending(column.scores) for column in columns), index))


def scored(columns: Sequence[Column]) -> int:
    """How many rows have a score."""
    return sum(int(np.count_nonzero(~np.isnan(column.scores))) for column in columns)


def _rows(columns: Sequence[Column], *, of_scored: bool) -> int:
    return scored(columns) if of_scored else sum(len(column.scores) for column in columns)


def exact(columns: Sequence[Column], fraction: float, *, of_scored: bool = False) -> Iterator[Multiplicity]:
    """Keep exactly floor(N * fraction) rows: the highest scores, of equal ones the smallest uids, of equal uids the first rows.

    N counts all rows, or those that have a score.
    """
    wanted = int(_rows(columns, of_scored=of_scored) * fraction)
    if not wanted:
        return (np.zeros(len(column.scores), bool) for column in columns)
    edges: list[np.uint64] = []
    left = wanted
    for key in _KEYS:  # the edge as a score, then among rows of that score as a uid's upper half, then its lower
        alike = partial(_alike, columns, key, tuple(edges))
        edges.append(sorting.smallest(alike, left - 1))
        left -= sum(int(np.count_nonzero(block < edges[-1])) for block in alike())
    return _up_to(columns, edges, left)


_KEYS: tuple[Callable[[Column], Keys], ...] = (
    lambda column: _descending(column.scores),
    lambda column: np.ascontiguousarray(column.uids["f0"]),
    lambda column: np.ascontiguousarray(column.uids["f1"]),
)


def _alike(columns: Sequence[Column], key: Callable[[Column], Keys], edges: Sequence[np.uint64]) -> Iterator[Keys]:
    """The next key of the rows whose first keys are the edges."""
    for column in columns:
        equal = np.ones(len(column.scores), bool)
        for earlier, edge in zip(_KEYS, edges, strict=False):
            equal &= earlier(column) == edge
        if equal.any():  # else its uids need not be read
            yield key(column)[equal]


def _up_to(columns: Iterable[Column], edges: Sequence[np.uint64], copies: int) -> Iterator[Multiplicity]:
    """Keep the rows before the edge in the order of scores and uids, and the first so many copies of the edge itself."""
    for column in columns:
        kept = np.zeros(len(column.scores), bool)
        equal = np.ones(len(column.scores), bool)
        for key, edge in zip(_KEYS, edges, strict=True):
            if not equal.any():
                break
            keys = key(column)
            kept |= equal & (keys < edge)
            equal &= keys == edge
        rows = np.flatnonzero(equal)[:copies]
        copies -= len(rows)
        kept[rows] = True
        yield kept


_POSITIVE = 2**63 - 1  # all bits but the sign


def _descending(scores: Scores) -> Keys:
    """Numbers whose order is that of the scores from the highest to the lowest, NaN last."""
    bits = np.add(scores, 0.0, dtype=np.float64).view(np.int64)  # -0 becomes 0, its equal
    keys = np.where(bits < 0, bits, bits ^ _POSITIVE).view(np.uint64)
    keys[np.isnan(scores)] = 2**64 - 1
    return keys


def _score(key: np.uint64) -> float:
    """The score behind a key of `_descending`."""
    bits = key if key > _POSITIVE else key ^ np.uint64(_POSITIVE)
    return float(np.array(bits, np.uint64).view(np.float64))
