"""How long the fit of 10 pools at 8 budgets takes, with the intervals of all 22 parameters, beside scipy's least squares over all parameters at once.

    python benchmarks/scaling.py [--repeats 3]

The peer is what one writes without variable projection and derivatives: scipy.optimize.least_squares with numeric derivatives over all parameters
jointly, from as many random starts within the same bounds as the fit here has, and its intervals are the linear ones that cost it nothing. The peer's best
loss is printed beside the fit's: a start that ends in a worse place was not a fit.
"""

import argparse
import statistics
import time

import numpy as np
from scipy import optimize

from datacomp.scaling import fit as fitting
from datacomp.scaling.fit import HALF_LIFE, NORMALISER, UTILITY, Fit, Point
from datacomp.scaling.laws import Pool, Shared, error

SIZE, NOISE, STARTS = 12_800_000, 0.002, 6
SHARED = Shared(0.022, 0.1)
POOLS = {f"{10 * place}-{10 * place + 10}": Pool(SIZE, -0.13 + 0.008 * place, 3 + 0.5 * place) for place in range(10)}


def measured(seed: int) -> list[Point]:
    """Errors of all pools at all budgets, with the noise of seeds that DataComp states for ImageNet."""
    random = np.random.default_rng(seed)
    looks = (0.5, 1, 2, 3, 4, 6, 8, 10)
    return [Point(name, look * SIZE, float(error(look * SIZE, [pool], SHARED)) + NOISE * random.normal()) for name, pool in POOLS.items() for look in looks]


def ours(points: list[Point]) -> tuple[Fit, float]:
    """The fit with all intervals, and its sum of squares."""
    found = fitting.fit(dict.fromkeys(POOLS, float(SIZE)), points)
    fitting.intervals(found)
    return found, sum((point.error - float(error(point.seen, [found.pools[point.pool]], found.shared))) ** 2 for point in points)


def jointly(points: list[Point], seed: int) -> float:
    """The peer's least sum of squares."""
    names = list(POOLS)
    low = np.log([NORMALISER[0], 1e-6, *[-UTILITY[1], HALF_LIFE[0]] * len(names)])
    high = np.log([NORMALISER[1], min(point.error for point in points), *[-UTILITY[0], HALF_LIFE[1]] * len(names)])

    def residuals(x: np.ndarray) -> np.ndarray:
        shared, own = Shared(np.exp(x[0]), np.exp(x[1])), np.exp(x[2:]).reshape(-1, 2)
        pools = {name: Pool(SIZE, -utility, half_life) for name, (utility, half_life) in zip(names, own, strict=True)}
        return np.array([float(error(point.seen, [pools[point.pool]], shared)) - point.error for point in points])

    random = np.random.default_rng(seed)
    starts = [random.uniform(low, high) for _ in range(STARTS)]
    return min(2 * optimize.least_squares(residuals, start, bounds=(low, high), x_scale="jac", ftol=1e-12, xtol=1e-10).cost for start in starts)


def main() -> None:
    """Measure both on the same points, in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    taken: dict[str, list[float]] = {"fit and intervals": [], "joint least squares": []}
    for seed in range(given.repeats):
        points = measured(seed)
        start = time.perf_counter()
        _, loss = ours(points)
        between = time.perf_counter()
        peer = jointly(points, seed)
        taken["fit and intervals"].append(between - start)
        taken["joint least squares"].append(time.perf_counter() - between)
        print(f"points {seed}: sum of squares {loss:.3e}, the peer's {peer:.3e}")
    medians = {name: statistics.median(times) for name, times in taken.items()}
    for name, median in medians.items():
        print(f"{name}: {median:.2f} s (median of {given.repeats})")
    print(f"ratio {medians['joint least squares'] / medians['fit and intervals']:.2f}")


if __name__ == "__main__":
    main()
