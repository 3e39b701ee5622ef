"""Which pools to train on at a budget, by laws that were fitted to each of them alone (Goyal et al. 2024, arXiv 2404.07177, section 5)."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from datacomp.errors import StageError
from datacomp.scaling import laws
from datacomp.scaling.fit import Fit, Point, fit, parameters
from datacomp.scaling.laws import Pool, Shared, Values

MOST_FOR_ALL_SUBSETS = 12
_STEP = 1e-4  # of derivatives
_SCAN = 400  # budgets between which crossovers are looked for

Union = tuple[str, ...]


class Predicted(NamedTuple):
    """The error of a union at a budget, and its interval of 95 % from what the fit leaves open; the noise of a single run comes on top."""

    union: Union
    error: float
    low: float
    high: float


class Crossover(NamedTuple):
    """From this budget on a union that lost before wins."""

    seen: float
    before: Union
    after: Union


class LeftOut(NamedTuple):
    """Mean absolute errors of predictions for a budget that was not used in the fit: by the law, by the nearest point, and by a plain power law."""

    seen: float
    law: float
    nearest: float
    power: float


def predict(fitted: Fit, seen: float, union: Union) -> Predicted:
    """The error after training on a union of pools, which need not have been measured."""
    x = parameters(fitted)
    slopes = np.array([(_error(fitted, x + step, seen, union) - _error(fitted, x - step, seen, union)) / (2 * _STEP) for step in _STEP * np.eye(len(x))])
    error = _error(fitted, x, seen, union)
    half = fitted.quantile * float(np.sqrt(max(slopes @ fitted.covariance @ slopes, 0.0)))
    return Predicted(union, error, error - half, error + half)


def _error(fitted: Fit, x: Values, seen: float, union: Union) -> float:
    places = {name: place for place, name in enumerate(fitted.pools)}
    pools = [Pool(fitted.pools[name].samples, -np.exp(x[2 + 2 * places[name]]), np.exp(x[3 + 2 * places[name]])) for name in union]
    return float(laws.error(seen, pools, Shared(float(np.exp(x[0])), float(x[1]))))


def prefixes(ranked: Sequence[str]) -> list[Union]:
    """The best pool, the best two, and so on, the best first."""
    return [tuple(ranked[:count]) for count in range(1, len(ranked) + 1)]


def by_utility(fitted: Fit) -> list[str]:
    """Pools by fitted utility, the most useful first; noise can order near ones otherwise than their scores do."""
    return sorted(fitted.pools, key=lambda name: fitted.pools[name].utility)


def subsets(names: Sequence[str]) -> list[Union]:
    """All unions of some pools. Raises StageError where there are too many pools for that."""
    if len(names) > MOST_FOR_ALL_SUBSETS:
        raise StageError(f"{len(names)} pools have {2 ** len(names) - 1:,} unions", allowed=f"up to {MOST_FOR_ALL_SUBSETS} pools", repair="ask for prefixes")
    return [union for count in range(1, len(names) + 1) for union in combinations(names, count)]


def choose(fitted: Fit, seen: float, unions: Sequence[Union]) -> list[Predicted]:
    """The unions with the errors that are predicted for them, the least first."""
    return sorted((predict(fitted, seen, union) for union in unions), key=lambda found: found.error)


def crossovers(fitted: Fit, unions: Sequence[Union], low: float, high: float) -> list[Crossover]:
    """The budgets between two ends at which another union becomes the best, to a millionth."""
    budgets = np.geomspace(low, high, _SCAN)
    errors = np.array([laws.error(budgets, [fitted.pools[name] for name in union], fitted.shared) for union in unions])
    best = errors.argmin(axis=0)
    return [
        Crossover(
            _meeting(fitted, unions[best[place]], unions[best[place + 1]], budgets[place], budgets[place + 1]), unions[best[place]], unions[best[place + 1]]
        )
        for place in np.flatnonzero(np.diff(best))
    ]


def _meeting(fitted: Fit, before: Union, after: Union, low: float, high: float) -> float:
    """Where the second union's error falls below the first's."""
    while high / low > 1 + 1e-6:
        middle = float(np.sqrt(low * high))
        errors = [float(laws.error(middle, [fitted.pools[name] for name in union], fitted.shared)) for union in (before, after)]
        low, high = (middle, high) if errors[0] <= errors[1] else (low, middle)
    return high


def leave_one_budget_out(samples: dict[str, float], points: Sequence[Point]) -> Iterator[LeftOut]:
    """Fit without each budget in turn and predict it. Budgets without which there are too few points are passed over."""
    for seen in sorted({point.seen for point in points}):
        kept, left = [point for point in points if point.seen != seen], [point for point in points if point.seen == seen]
        try:
            law, power = (fit(samples, kept, repeats=repeats) for repeats in (True, False))
        except StageError:
            continue
        yield LeftOut(
            seen,
            law=_missed(left, [predict(law, seen, (point.pool,)).error for point in left]),
            nearest=_missed(left, [_nearest(kept, point) for point in left]),
            power=_missed(left, [predict(power, seen, (point.pool,)).error for point in left]),
        )


def _nearest(points: Sequence[Point], to: Point) -> float:
    """The error at the budget of the same pool that is nearest on a logarithmic axis."""
    return min((point for point in points if point.pool == to.pool), key=lambda point: abs(np.log(point.seen / to.seen))).error


def _missed(points: Sequence[Point], guesses: Sequence[float]) -> float:
    return float(np.mean([abs(point.error - guess) for point, guess in zip(points, guesses, strict=True)]))
