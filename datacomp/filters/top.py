"""The best-scored part of a pool, by a threshold, by a fraction as the published code takes it, or by an exact count."""

from collections.abc import Iterator, Sequence

import numpy as np

from datacomp.errors import FilterError
from datacomp.filters.base import Column, Multiplicity


def check_fraction(fraction: float) -> None:
    """Refuse what is no share of a pool."""
    if not 0 < fraction <= 1:
        raise FilterError(f"the fraction is {fraction:g}", allowed="above 0 and up to 1")


def above(columns: Sequence[Column], threshold: float) -> Iterator[Multiplicity]:
    """Keep the scores of at least `threshold`; NaN is below everything."""
    return (column.scores >= threshold for column in columns)


def fraction_threshold(columns: Sequence[Column], fraction: float) -> float:
    """The score at index int(N * fraction) of the descending order, NaN last.

    This is the rule of DataComp's published code: with `above` it keeps one sample more than the fraction says, and all ties. At
    fraction 1, where the published code fails, it is the lowest score.
    """
    scores = np.concatenate([column.scores for column in columns])
    if not (numbers := scores[~np.isnan(scores)]).size:
        raise FilterError("no row of the pool has a score", repair="choose another --score column")
    index = min(int(len(scores) * fraction), len(numbers) - 1)
    return float(-np.partition(-numbers, index)[index])


def exact(columns: Sequence[Column], fraction: float) -> Iterator[Multiplicity]:
    """Keep exactly floor(N * fraction) rows: the highest scores, of equal ones the smallest uids."""
    scores = np.concatenate([column.scores for column in columns])
    ids = np.concatenate([column.uids for column in columns])
    order = np.lexsort((ids["f1"], ids["f0"], -np.nan_to_num(scores, nan=-np.inf)))
    kept = np.zeros(len(scores), bool)
    kept[order[: int(len(scores) * fraction)]] = True
    start = 0
    for column in columns:
        yield kept[start : start + len(column.scores)]
        start += len(column.scores)
