"""The published repetition pairs: lists that were trained on once as long and ten times as long, and what laws make of them.

DataComp (arXiv 2304.14108) trained on some lists of its small and medium pools ten times as long (Table 12) as on all others (Tables 25 and 26). A filter's
list of the small pool is a draw of its list of the medium pool, a tenth as large; so both are taken for one pool here, with one utility and one half-life.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from datacomp.board import published
from datacomp.board.published import Published
from datacomp.declared import expected
from datacomp.errors import StageError
from datacomp.scaling import laws
from datacomp.scaling.fit import UTILITY, Point
from datacomp.scaling.laws import Pool, Shared
from datacomp.scaling.points import Measured

METRICS = {"imagenet": "imagenet", "average_38": "average"}  # by the name under which tracks/expected/ states the noise between seeds
SCALES = ("small", "medium")
LONG, SHORT = "Table 12", ("Table 25", "Table 26")
_HALF_LIVES = np.geomspace(0.05, 1000.0, 1501)
_NORMALISERS, _GRID = (1e-3, 1.0), 41
_MISPLACED = "misplaced"  # a row whose note says so


class Pair(NamedTuple):
    """One list's errors."""

    scale: str
    method: str
    samples: float  # of the list, as published: two or three digits
    seen: tuple[float, float]
    errors: tuple[float, float]


class Possible(NamedTuple):
    """One of the laws that agree with all pairs within the noise of single runs: two budgets leave what the pools share open."""

    shared: Shared
    pools: tuple[Pool, ...]  # in the order of the pairs


class Told(NamedTuple):
    """What all possible laws say of a budget."""

    seen: float
    ranges: tuple[tuple[float, float], ...]  # of the errors, in the order of the pairs
    best: dict[str, float]  # share of the possible laws by which a list is the best


def pairs(results: Path, metric: str) -> list[Pair]:
    """The pairs of the published results, by scale, the least error after the longer training first. Raises StageError for another metric."""
    if metric not in METRICS:
        raise StageError(f"the pairs have no {metric!r}", allowed=", ".join(METRICS))
    rows = [row for table in published.read(results) for row in table.rows]
    short = {(row.scale, _plain(row.method)): row for row in rows if row.source.endswith(SHORT)}
    found = []
    for long in rows:
        once = short.get((long.scale, _plain(long.method)))
        if once is None or not long.source.endswith(LONG) or _MISPLACED in long.notes:
            continue
        samples, seen = published.amount(once.dataset_size), [published.amount(row.samples_seen) for row in (once, long)]
        errors = [_error(row, metric) for row in (once, long)]
        if samples and seen[0] and seen[1] and errors[0] and errors[1]:
            found.append(Pair(long.scale, once.method, samples, (seen[0], seen[1]), (errors[0], errors[1])))
    return sorted(found, key=lambda pair: (SCALES.index(pair.scale), pair.errors[1]))


def _plain(method: str) -> str:
    """A name as both tables write it."""
    return method.replace(" ", "").lower()


def _error(row: Published, metric: str) -> float | None:
    reached: float | None = getattr(row, metric)
    return None if reached is None else 1 - reached


def measured(found: Sequence[Pair]) -> Measured:
    """The points of the methods that have pairs at both scales, in the order of their errors at the larger one."""
    both = [pair for pair in found if pair.scale == "medium" and any((one.scale, one.method) == ("small", pair.method) for one in found)]
    samples = {pair.method: pair.samples for pair in both}
    points = [
        Point(pair.method, seen, error, samples=pair.samples)
        for method in samples
        for pair in found
        if pair.method == method
        for seen, error in zip(pair.seen, pair.errors, strict=True)
    ]
    return Measured(samples, tuple(points))


def possible(found: Sequence[Pair], noise: float) -> list[Possible]:
    """The laws, on a grid of what the pools share, whose misfit to all points is one that noise gives in 95 of 100 cases."""
    least = min(error for pair in found for error in pair.errors)
    most = float(stats.chi2.ppf(0.95, 2 * len(found))) * noise**2
    logs = [_logs(pair) for pair in found]
    made = []
    for normaliser in np.geomspace(*_NORMALISERS, _GRID):
        for irreducible in np.linspace(0, 0.95 * least, _GRID):
            nearest = [_nearest(pair, each, float(normaliser), float(irreducible)) for pair, each in zip(found, logs, strict=True)]
            if sum(misfit for _, misfit in nearest) <= most:
                made.append(Possible(Shared(float(normaliser), float(irreducible)), tuple(pool for pool, _ in nearest)))
    return made


def _logs(pair: Pair) -> laws.Values:
    """What utility is multiplied with where the normaliser is 1, shape (half-lives, 2)."""
    found: laws.Values = np.array([-np.log(laws.error(np.array(pair.seen), [Pool(pair.samples, -1.0, tau)], Shared(1.0, 0.0))) for tau in _HALF_LIVES])
    return found


def _nearest(pair: Pair, logs: laws.Values, normaliser: float, irreducible: float) -> tuple[Pool, float]:
    """The pool whose law comes nearest to both points, and the sum of squares that it misses them by; logs of errors are linear in the utility."""
    lines, falls = logs + np.log(normaliser), np.array(pair.errors) - irreducible
    weighted = falls * lines
    utilities = np.clip((weighted @ (falls * np.log(falls))) / np.maximum((weighted**2).sum(axis=1), 1e-300), *UTILITY)
    misfits = ((np.exp(utilities[:, None] * lines) - falls) ** 2).sum(axis=1)
    place = int(misfits.argmin())
    return Pool(pair.samples, float(utilities[place]), float(_HALF_LIVES[place])), float(misfits[place])


def told(found: Sequence[Pair], family: Sequence[Possible], seen: float) -> Told:
    """What the possible laws say of a budget that nobody trained for."""
    errors = np.array([[float(laws.error(seen, [pool], each.shared)) for pool in each.pools] for each in family])
    best = Counter(found[place].method for place in errors.argmin(axis=1))
    shares = {name: count / len(family) for name, count in best.most_common()}
    return Told(seen, tuple(zip(errors.min(axis=0).tolist(), errors.max(axis=0).tolist(), strict=True)), shares)


def noise(scale: str, metric: str) -> float:
    """How much single runs differ by their seeds, as their authors state it: a standard deviation."""
    return expected.load(scale).stated_noise[METRICS[metric]]
