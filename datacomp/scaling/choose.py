"""Which pools to train on at a budget, by laws that were fitted to each of them alone (Goyal et al. 2024, arXiv 2404.07177, section 5)."""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from datacomp.errors import StageError
from datacomp.scaling import laws
from datacomp.scaling.fit import Fit, Point, fit, parameters
from datacomp.scaling.laws import Pool, Shared, Values

MOST_FOR_ALL_SUBSETS = 12
_STEP = 1e-4  # of derivatives
_SCAN = 400  # budgets between which crossovers are looked for

_MOST_LOG = 100.0  # of a budget that nothing bounds

Union = tuple[str, ...]
JOINED = " + "  # pools of a union, as they are written


class Predicted(NamedTuple):
    """The error of a union at a budget, and its interval of 95 % from what the fit leaves open; the noise of a single run comes on top."""

    union: Union
    error: float
    low: float
    high: float


class Crossover(NamedTuple):
    """From this budget on a union that lost before wins; with the interval of 95 % that the fit leaves open, on a logarithmic axis."""

    seen: float
    before: Union
    after: Union
    low: float
    high: float


class LeftOut(NamedTuple):
    """Mean absolute errors of predictions for a budget that was not used in the fit: by the law, by the nearest point, and by a plain power law."""

    seen: float
    law: float
    nearest: float
    power: float


def predict(fitted: Fit, seen: float, union: Union) -> Predicted:
    """The error after training on a union of pools, which need not have been measured."""
    error, half = curve(fitted, seen, union)
    return Predicted(union, float(error), float(error - half), float(error + half))


def curve(fitted: Fit, seen: Any, union: Union) -> tuple[Values, Values]:
    """The errors at several budgets and half the widths of their intervals, both of the shape of `seen`."""
    return _error(fitted, parameters(fitted), seen, union), _half(fitted, lambda x: _error(fitted, x, seen, union))


def sized(fitted: Fit, point: Point) -> Fit:
    """The fit with the point's pool as large as it was there, where draws of several sizes stand for one pool."""
    pool, samples = fitted.pools[point.pool], point.samples or fitted.pools[point.pool].samples
    lasts = samples / pool.samples if fitted.by_size else 1.0
    return fitted._replace(pools={**fitted.pools, point.pool: pool._replace(samples=samples, half_life=pool.half_life * lasts)})


def _half(fitted: Fit, function: Callable[[Values], Values]) -> Values:
    """Half the width of the interval of 95 % of what follows from the parameters, to first order."""
    x = parameters(fitted)
    slopes = np.stack([(function(x + step) - function(x - step)) / (2 * _STEP) for step in _STEP * np.eye(len(x))])
    variance = np.einsum("i...,ij,j...->...", slopes, fitted.covariance, slopes)
    half: Values = fitted.quantile * np.sqrt(np.maximum(variance, 0.0))
    return half


def _error(fitted: Fit, x: Values, seen: Any, union: Union) -> Values:
    places = {name: place for place, name in enumerate(fitted.pools)}
    pools = [Pool(fitted.pools[name].samples, -np.exp(x[2 + 2 * places[name]]), np.exp(x[3 + 2 * places[name]])) for name in union]
    return laws.error(seen, pools, Shared(float(np.exp(x[0])), float(x[1])))


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


UNIONS = ("score", "utility", "all")


def candidates(fitted: Fit, kind: str) -> list[Union]:
    """Unions to compare: prefixes of the pools' order by score, of that by fitted utility, or all. Raises StageError for another kind."""
    if kind not in UNIONS:
        raise StageError(f"unions of kind {kind!r} came", allowed=", ".join(UNIONS))
    return subsets(list(fitted.pools)) if kind == "all" else prefixes(list(fitted.pools) if kind == "score" else by_utility(fitted))


def choose(fitted: Fit, seen: float, unions: Sequence[Union]) -> list[Predicted]:
    """The unions with the errors that are predicted for them, the least first."""
    return sorted((predict(fitted, seen, union) for union in unions), key=lambda found: found.error)


def crossovers(fitted: Fit, unions: Sequence[Union], low: float, high: float) -> list[Crossover]:
    """The budgets between two ends at which another union becomes the best, to a millionth."""
    budgets = np.geomspace(low, high, _SCAN)
    errors = np.array([_error(fitted, parameters(fitted), budgets, union) for union in unions])
    best = errors.argmin(axis=0)
    return [_meeting(fitted, unions[best[place]], unions[best[place + 1]], budgets[place], budgets[place + 1]) for place in np.flatnonzero(np.diff(best))]


def _meeting(fitted: Fit, before: Union, after: Union, low: float, high: float) -> Crossover:
    """Where the second union's error falls below the first's."""

    def gain(x: Values, seen: float) -> Values:
        return np.asarray(_error(fitted, x, seen, before) - _error(fitted, x, seen, after))

    best = parameters(fitted)
    while high / low > 1 + 1e-6:
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if gain(best, middle) <= 0 else (low, middle)
    slope = float(gain(best, high * np.exp(_STEP)) - gain(best, high * np.exp(-_STEP))) / (2 * _STEP)  # by the budget's logarithm
    half = float(_half(fitted, lambda x: gain(x, high))) / max(abs(slope), 1e-12)
    ends = np.exp(np.clip(np.log(high) + half * np.array([-1, 1]), 0, _MOST_LOG))
    return Crossover(high, before, after, float(ends[0]), float(ends[1]))


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
            law=_missed(left, [predict(sized(law, point), seen, (point.pool,)).error for point in left]),
            nearest=_missed(left, [_nearest(kept, point) for point in left]),
            power=_missed(left, [predict(sized(power, point), seen, (point.pool,)).error for point in left]),
        )


def _nearest(points: Sequence[Point], to: Point) -> float:
    """The error at the budget of the same pool that is nearest on a logarithmic axis."""
    return min((point for point in points if point.pool == to.pool), key=lambda point: abs(np.log(point.seen / to.seen))).error


def _missed(points: Sequence[Point], guesses: Sequence[float]) -> float:
    return float(np.mean([abs(point.error - guess) for point, guess in zip(points, guesses, strict=True)]))


class Checked(NamedTuple):
    """What was measured and not fitted, beside what the law predicts and what two simpler guesses say."""

    union: Union
    seen: float
    is_mid: bool
    runs: int
    measured: float  # the mean over runs that differ by their seeds
    spread: float  # standard error of that mean, NaN of a single run
    predicted: Predicted
    nearest: float  # the mean over the union's pools of their errors at the nearest budget that was fitted
    power: float  # by a plain power law


def check(fitted: Fit, checks: Sequence[Point]) -> list[Checked]:
    """Compare predictions with points that the fit did not see, such as unions and further budgets; a union's pools stand in `Point.pool`.

    Draws of pools tell nothing but what repetition costs: the simpler guesses are made without them.
    """
    if not checks:
        return []
    whole = [point for point in fitted.points if point.samples in (None, fitted.pools[point.pool].samples)]
    power = fit({name: pool.samples for name, pool in fitted.pools.items()}, whole, repeats=False)
    found = []
    for pool, seen, is_mid in dict.fromkeys((point.pool, point.seen, point.is_mid) for point in checks):
        union = tuple(pool.split(JOINED))
        if unknown := set(union) - set(fitted.pools):
            raise StageError(f"{pool} was measured, and {min(unknown)} was not fitted", allowed=", ".join(fitted.pools))
        errors = [point.error for point in checks if (point.pool, point.seen, point.is_mid) == (pool, seen, is_mid)]
        spread = float(np.std(errors, ddof=1) / np.sqrt(len(errors))) if len(errors) > 1 else float("nan")
        near = float(np.mean([_nearest(whole, Point(name, seen, 1.0)) for name in union]))
        told = predict(fitted, seen, union)
        found.append(Checked(union, seen, is_mid, len(errors), float(np.mean(errors)), spread, told, near, predict(power, seen, union).error))
    return found


class Picked(NamedTuple):
    """At one budget: the union that the laws choose among those that were trained on, and the one that came out best."""

    chosen: Checked
    best: Checked


def picked(checked: Sequence[Checked]) -> list[Picked]:
    """For each budget at which several unions were measured: the choice and the best, the least budget first."""
    found = []
    for seen in sorted({each.seen for each in checked}):
        there = [each for each in checked if each.seen == seen]
        if len(there) > 1:
            found.append(Picked(min(there, key=lambda each: each.predicted.error), min(there, key=lambda each: each.measured)))
    return found
