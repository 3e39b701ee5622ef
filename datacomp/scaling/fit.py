"""Fitting the law of one pool to all pools at once: they share normaliser and irreducible error (Goyal et al. 2024, arXiv 2404.07177, section 4).

Bounded least squares on errors, from the best points of a grid on which each pool's utility is solved for (variable projection). The authors search a grid
alone, for each pool by itself. What several budgets cannot tell apart shows as a wide interval or a parameter at its bound, and is said.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, stats

from datacomp.errors import StageError
from datacomp.scaling.laws import UNIT_SAMPLES, Pool, Shared, Values

NORMALISER, UTILITY, HALF_LIFE = (1e-5, 10.0), (-1.0, -1e-3), (0.05, 100.0)  # bounds; utilities are fitted as log -b
_LARGEST = 128e6  # samples seen that the normaliser's bounds are for: it stands with them as a product, so where fewer were seen it is as much larger
_GRID = {"normaliser": 16, "irreducible": 9, "half_life": 13}
_STARTS = 6
_NEVER = 1e9  # the half-life in repetitions of a pool that never wears out
_BELOW = 1e-4  # the irreducible error stays so far below the least that was measured
_AT_BOUND = 1e-6  # as near a parameter is at its bound
_ILL = 1e5  # condition of the scaled Jacobian above which directions cannot be told apart


class Point(NamedTuple):
    """An error that was measured."""

    pool: str
    seen: float  # samples
    error: float
    deviation: float = 1.0  # its standard deviation up to a factor that is estimated, or known (`is_known`)
    is_mid: bool = False  # of a checkpoint in the middle of its run's schedule
    samples: float | None = None  # of the pool that this point was trained on, where draws of several sizes stand for one pool


class Interval(NamedTuple):
    """A parameter with its profile interval; an end that lies at the parameter's bound is open."""

    value: float
    low: float
    high: float
    is_open: bool


class Fit(NamedTuple):
    """What was fitted, with all that predictions need. The covariance is that of `parameters`."""

    shared: Shared
    pools: dict[str, Pool]
    covariance: Values
    deviation: float  # of one measurement of deviation 1
    freedom: int  # degrees
    points: tuple[Point, ...]
    warnings: tuple[str, ...]
    by_size: bool = False  # whether a draw of a pool has a half-life in proportion to its size

    @property
    def quantile(self) -> float:
        """Student's, for intervals of 95 %."""
        return float(stats.t.ppf(0.975, self.freedom))


class _Bucket:
    """A pool's points as the law needs them."""

    def __init__(self, samples: float, points: Sequence[Point], *, by_size: bool) -> None:
        seen, sizes = np.array([(point.seen, point.samples or samples) for point in points]).T
        self.lasts = sizes[:, None] / samples if by_size else np.ones((1, 1))  # a half-life, in those of the pool
        self.numbers = np.arange(1, max(2, int(np.ceil((seen / sizes).max()))))  # passes after the first
        starts = self.numbers * sizes[:, None]
        self.grows = np.log(np.clip(seen[:, None], starts, starts + sizes[:, None]) / starts)  # (points, passes)
        self.first = np.log(np.minimum(seen, sizes) / UNIT_SAMPLES)
        self.errors = np.array([point.error for point in points])
        self.weights = 1 / np.array([point.deviation for point in points])

    def logs(self, half_life: float) -> tuple[Values, Values]:
        """What utility is multiplied with, less log a, and its derivative by log tau: both of shape (points,)."""
        lives = self.numbers / (half_life * self.lasts)
        grown = self.grows * 0.5**lives
        return self.first + grown.sum(axis=1), (grown * np.log(2) * lives).sum(axis=1)


class _Problem:
    """Residuals and their derivatives over all pools."""

    def __init__(self, samples: dict[str, float], points: Sequence[Point], *, by_size: bool) -> None:
        self.names = list(samples)
        self.buckets = [_Bucket(samples[name], [point for point in points if point.pool == name], by_size=by_size) for name in self.names]
        self.least = min(point.error for point in points)
        self.factor = max(1.0, _LARGEST / max(point.seen for point in points))
        low = [np.log(NORMALISER[0] * self.factor), 0.0] + [np.log(-UTILITY[1]), np.log(HALF_LIFE[0])] * len(self.names)
        high = [np.log(NORMALISER[1] * self.factor), self.least - _BELOW] + [np.log(-UTILITY[0]), np.log(HALF_LIFE[1])] * len(self.names)
        self.bounds = np.array(low), np.array(high)

    def residuals(self, x: Values) -> Values:
        """Weighted differences of law and measurement, pool by pool."""
        found = []
        for number, bucket in enumerate(self.buckets):
            logs, _ = bucket.logs(np.exp(x[3 + 2 * number]))
            found.append((np.exp(-np.exp(x[2 + 2 * number]) * (x[0] + logs)) + x[1] - bucket.errors) * bucket.weights)
        return np.concatenate(found)

    def jacobian(self, x: Values) -> Values:
        """Derivatives of the residuals, shape (points, parameters)."""
        rows = []
        for number, bucket in enumerate(self.buckets):
            logs, by_half_life = bucket.logs(np.exp(x[3 + 2 * number]))
            utility = -np.exp(x[2 + 2 * number])
            falls = np.exp(utility * (x[0] + logs)) * utility
            row = np.zeros((len(logs), len(x)))
            row[:, 0], row[:, 1] = falls, 1.0
            row[:, 2 + 2 * number], row[:, 3 + 2 * number] = falls * (x[0] + logs), falls * by_half_life
            rows.append(row * bucket.weights[:, None])
        return np.concatenate(rows)

    def starts(self) -> list[Values]:
        """The best points of a grid over normaliser, irreducible error and half-lives, with the utilities that fit there."""
        found = []
        for normaliser in self.factor * np.geomspace(1e-3, 1.0, _GRID["normaliser"]):
            for irreducible in np.linspace(0, 0.95 * self.least, _GRID["irreducible"]):
                loss, x = 0.0, [np.log(normaliser), irreducible]
                for bucket in self.buckets:
                    best = min(self._solved(bucket, np.log(normaliser), irreducible))
                    loss += best[0]
                    x += [best[1], best[2]]
                found.append((loss, x))
        return [np.clip(x, *self.bounds) for _, x in sorted(found)[:_STARTS]]

    @staticmethod
    def _solved(bucket: _Bucket, log_normaliser: float, irreducible: float) -> Iterator[tuple[float, float, float]]:
        """For each half-life of the grid: the loss, and the parameters of the pool. Logs of errors are linear in the utility."""
        falls = bucket.errors - irreducible
        weights = bucket.weights * falls
        for half_life in np.geomspace(*HALF_LIFE, _GRID["half_life"]):
            logs = log_normaliser + bucket.logs(float(half_life))[0]
            utility = float(np.clip(((weights * logs) @ (weights * np.log(falls))) / max(((weights * logs) ** 2).sum(), 1e-300), *UTILITY))
            loss = float((((np.exp(utility * logs) - falls) * bucket.weights) ** 2).sum())
            yield loss, float(np.log(-utility)), float(np.log(half_life))

    def solve(self, start: Values, held: Sequence[int] = ()) -> tuple[Values, float]:
        """Least squares from a start, with some parameters held where they are: the parameters, and the loss."""
        free = np.setdiff1d(np.arange(len(start)), held)
        x = np.array(start)

        def whole(part: Values) -> Values:
            x[free] = part
            return x

        low, high = (bound[free] for bound in self.bounds)
        found = optimize.least_squares(
            lambda part: self.residuals(whole(part)),
            np.clip(start[free], low + 1e-9, high - 1e-9),
            lambda part: self.jacobian(whole(part))[:, free],
            bounds=(low, high),
            x_scale="jac",
            ftol=1e-13,
            xtol=1e-11,
            gtol=1e-13,
            max_nfev=300,
        )
        return whole(found.x).copy(), 2 * found.cost


def fit(samples: dict[str, float], points: Sequence[Point], *, is_known: bool = False, repeats: bool = True, by_size: bool = False) -> Fit:
    """Fit all pools, given their sizes in samples; `is_known` says that the points' deviations are known and not only relative.

    Where points are of draws of a pool, these have its half-life, or `by_size` one in proportion to their size: by the theorem on unions, two halves that are
    alike make a pool with twice the half-life of each.
    Without `repeats` every look is worth as much as the first: a plain power law for each pool, to compare with.
    Raises StageError for pools without points and for fewer points than parameters.
    """
    _check(samples, points)
    problem = _Problem(samples, points, by_size=by_size)
    held = [] if repeats else list(range(3, 2 + 2 * len(samples), 2))
    starts = problem.starts()
    for start in starts:
        start[held] = np.log(_NEVER)
    best, loss = min((problem.solve(start, held) for start in starts), key=lambda found: found[1])
    freedom = len(points) - len(best) + len(held)
    deviation = 1.0 if is_known else float(np.sqrt(loss / freedom)) if freedom else 0.0
    low, high = problem.bounds
    is_held, is_low, is_high = np.isin(np.arange(len(best)), held), best <= low + _AT_BOUND, best >= high - _AT_BOUND
    is_free = ~(is_held | is_low | is_high)
    best = np.select([is_held, is_low, is_high], [best, low, high], best)  # how near the bound the solver stopped says nothing
    jacobian = problem.jacobian(best) * is_free
    tells = [*_warnings(problem, is_free | is_held, jacobian), *_mixed(points)]
    covariance = np.asarray(np.linalg.pinv(jacobian.T @ jacobian) * deviation**2, np.float64)
    pools = {name: Pool(samples[name], -float(np.exp(best[2 + 2 * n])), float(np.exp(best[3 + 2 * n]))) for n, name in enumerate(samples)}
    shared = Shared(float(np.exp(best[0])), float(best[1]))
    return Fit(shared, pools, covariance, deviation, freedom, tuple(points), tuple(tells), by_size)


def intervals(fitted: Fit) -> dict[str, Interval]:
    """Profile intervals of 95 % of all parameters: a and d, then b and tau of each pool."""
    samples = {name: pool.samples for name, pool in fitted.pools.items()}
    problem, best = _Problem(samples, fitted.points, by_size=fitted.by_size), parameters(fitted)
    loss = float((problem.residuals(best) ** 2).sum())
    names = ["a", "d", *(f"{kind} {name}" for name in fitted.pools for kind in ("b", "tau"))]
    found = {}
    for place, name in enumerate(names):
        ends = [_end(problem, best, loss, place, side, fitted) for side in (-1, 1)]
        values = [_shown(name, x) for x in (best[place], ends[0][0], ends[1][0])]
        found[name] = Interval(values[0], min(values[1:]), max(values[1:]), ends[0][1] or ends[1][1])
    return found


def parameters(fitted: Fit) -> Values:
    """The parameters as they are fitted."""
    own = [value for pool in fitted.pools.values() for value in (np.log(-pool.utility), np.log(pool.half_life))]
    return np.array([np.log(fitted.shared.normaliser), fitted.shared.irreducible, *own])


def _shown(name: str, x: float) -> float:
    return float(x) if name == "d" else float(-np.exp(x) if name.startswith("b ") else np.exp(x))


def _end(problem: _Problem, best: Values, loss: float, place: int, side: int, fitted: Fit) -> tuple[float, bool]:
    """Where the profile has risen to Student's quantile on one side, and whether the bound came first."""
    bound = float(problem.bounds[0 if side < 0 else 1][place])
    expected = np.sqrt(max(fitted.covariance[place, place], 1e-6)) * fitted.quantile
    last, inside, width = np.array(best), float(best[place]), expected / 2

    @cache  # asked again from elsewhere, the search may end in another minimum, on the other side of the quantile
    def rise(x: float) -> float:
        """How far the profile at x is above the quantile, in standard deviations."""
        last[place] = x
        found, found_loss = problem.solve(last, held=[place])
        last[:] = found
        return float(np.sqrt(max(found_loss - loss, 0.0)) / max(fitted.deviation, 1e-300) - fitted.quantile)

    rise(inside)
    while True:
        x = float(side * min(side * (best[place] + side * width), side * bound))
        if rise(x) > 0:
            return float(optimize.brentq(rise, inside, x, xtol=1e-4 * expected)), False
        if x == bound:
            return bound, True
        inside, width = x, 2 * width


def _check(samples: dict[str, float], points: Sequence[Point]) -> None:
    counts = {name: sum(point.pool == name for point in points) for name in samples}
    if unknown := {point.pool for point in points} - set(samples):
        raise StageError(f"points name pool {min(unknown)}, whose size is not given")
    if lacking := [name for name, count in counts.items() if not count]:
        raise StageError(f"pool {lacking[0]} has no points", repair="measure it at several budgets, or leave it away")
    if len(points) <= 2 * len(samples) + 2:
        raise StageError(
            f"{len(points)} points for {2 * len(samples) + 2} parameters: {len(samples)} pools with two each, and two shared",
            allowed="more points than parameters",
            repair="measure more budgets",
        )
    if bad := [point for point in points if not (point.seen > 0 and 0 < point.error < np.inf and 0 < point.deviation < np.inf)]:
        raise StageError(f"a point of pool {bad[0].pool} has {bad[0].seen:,.0f} samples seen, error {bad[0].error}", allowed="numbers above 0")


def _mixed(points: Sequence[Point]) -> Iterator[str]:
    if mid := sum(point.is_mid for point in points):
        yield f"{mid} of {len(points)} points are of checkpoints in the middle of a schedule; a run that ended there would have had a lower error"


def _warnings(problem: _Problem, is_free: Any, jacobian: Values) -> Iterator[str]:
    for number, name in enumerate(problem.names):
        for offset, what in enumerate(("utility", "half-life")):
            if not is_free[2 + 2 * number + offset]:
                yield f"the {what} of pool {name} lies at its bound: these points do not tell it"
    for place, what in enumerate(("normaliser", "irreducible error")):
        if not is_free[place]:
            yield f"the {what} lies at its bound: these points do not tell it"
    scaled = jacobian[:, is_free] / np.maximum(np.linalg.norm(jacobian[:, is_free], axis=0), 1e-300)
    if scaled.size and (condition := np.linalg.cond(scaled)) > _ILL:
        yield f"parameters trade off against each other (condition {condition:.0e}): trust predictions within the measured budgets only"
