"""Statistics of comparisons: means of arms, gaps between them paired by seed, the noise of seeds, rank correlation between scales.

A run's score is taken for the sum of what its arm makes, of what its seed makes at every arm, and of a rest. What a seed makes everywhere falls out of
a gap between two arms with the same seeds; the rest does not. It is estimated from all arms of a scale together, by least squares: with three seeds and
14 arms it has 26 degrees of freedom, where the differences of two arms by themselves have 2 and their standard error can be anything. Its price is that
seeds are taken to differ alike at every arm. The test samples, the same ones for all runs, add their part as if they were others for each arm, and part of
what they add stands in the rest already: both make errors too large rather than too small.
"""

import math
import statistics
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from scipy import stats

from datacomp.board import averages
from datacomp.declared.scale import Scale
from datacomp.declared.suite import Suite
from datacomp.errors import StageError
from datacomp.pipelines.compared import Row

Values: TypeAlias = Mapping[str, Mapping[int, float]]  # of arms and seeds
_ERRORS = 2.0  # standard errors that a difference must exceed to be more than noise


class Noise(NamedTuple):
    """How much single runs differ by their seeds: a standard deviation, and the degrees of freedom that it was estimated with."""

    deviation: float
    freedom: int


class Mean(NamedTuple):
    """An arm's mean over seeds; the error is None as long as no arm of the scale has two seeds."""

    value: float
    standard_error: float | None
    seeds: int


class Gap(NamedTuple):
    """How much a second arm lies above a first, over the seeds that both have."""

    difference: float
    standard_error: float | None  # by the pooled noise and the test samples; None as long as nothing tells how seeds differ
    own_error: float | None  # by the seeds of these two arms alone, with `seeds` - 1 degrees of freedom, the test samples aside
    seeds: int

    @property
    def errors(self) -> float:
        """The difference in standard errors; 0 while there is no error."""
        return self.difference / self.standard_error if self.standard_error else 0.0

    @property
    def is_above(self) -> bool:
        """Whether the second lies above the first by more than noise."""
        return self.errors > _ERRORS

    @property
    def is_within_noise(self) -> bool:
        """Whether noise alone would make as much."""
        return self.standard_error is not None and abs(self.errors) <= _ERRORS


class Spread(NamedTuple):
    """What the spread between arms is made of: standard deviations, and the share of variance that is seeds' noise."""

    between_arms: float  # of what the arms make, the noise taken off
    seeds: Noise
    share_of_runs: float  # between single runs with one seed
    share_of_means: float  # between means over the seeds that there are


class Ranks(NamedTuple):
    """Spearman's rank correlation over what two orders share."""

    correlation: float
    shared: tuple[str, ...]


class Table:
    """The rows of one scale, as far as they are of today's recipe and suite."""

    def __init__(self, rows: Iterable[Row], scale: Scale, suite: Suite, *, uids_sha256: str = "") -> None:
        """Take the rows that hold today; `uids_sha256` is the pool's, if that is known.

        Raises StageError where they are of pools that differ.
        """
        self.scale, self.suite = scale, suite
        of_scale = [row for row in rows if row.scale == scale.name]
        today = (scale.digest(), suite.digest())
        held = [row for row in of_scale if (row.about.recipe_sha256, row.about.suite_sha256) == today and uids_sha256 in ("", row.about.pool_uids_sha256)]
        if len({row.about.pool_content_sha256 for row in held}) > 1:
            raise StageError(f"rows of scale {scale.name} are of pools that differ", repair="run the comparison again: what is of an older pool is replaced")
        self.left_out = len(of_scale) - len(held)  # rows of another recipe, suite or pool
        self.rows: dict[str, dict[int, Row]] = {}
        for row in sorted(held, key=lambda row: row.key):
            self.rows.setdefault(row.arm, {})[row.seed] = row

    @cached_property
    def aggregates(self) -> dict[str, tuple[str, ...]]:
        """The tasks of the average and of each group."""
        return averages.ranking(self.suite)

    def values(self, aggregate: str = averages.AVERAGE) -> dict[str, dict[int, float]]:
        """A mean over tasks for each arm and seed."""
        return {arm: {seed: self._of([row], aggregate)[0][0] for seed, row in rows.items()} for arm, rows in self.rows.items()}

    def mean(self, arm: str, aggregate: str = averages.AVERAGE) -> Mean:
        """An arm's mean, its error joined of seeds, pooled over the arms, and test samples."""
        found, sample_error = self._of(self.rows[arm].values(), aggregate)
        noise = within(self.values(aggregate))
        error = math.hypot(sample_error, noise.deviation / math.sqrt(len(found))) if noise else None
        return Mean(statistics.fmean(found), error, len(found))

    def gap(self, first: str, second: str, aggregate: str = averages.AVERAGE) -> Gap | None:
        """How much a second arm lies above a first; None where they have no seed in common."""
        common = sorted(self.rows.get(first, {}).keys() & self.rows.get(second, {}).keys())
        if not common:
            return None
        below, below_error = self._of((self.rows[first][seed] for seed in common), aggregate)
        above, above_error = self._of((self.rows[second][seed] for seed in common), aggregate)
        return gap(below, above, math.hypot(below_error, above_error), rest(self.values(aggregate)))

    def seeds(self, arms: Iterable[str]) -> str:
        """With which some arms were measured, in words; empty if none was."""
        return ", ".join(map(str, sorted({seed for arm in arms for seed in self.rows.get(arm, {})})))

    def spread(self, aggregate: str = averages.AVERAGE) -> Spread | None:
        """What the spread between the arms is made of."""
        return spread(self.values(aggregate))

    def _of(self, rows: Iterable[Row], aggregate: str) -> tuple[list[float], float]:
        return averages.seed_means(self.suite, self.aggregates[aggregate], [row.tasks for row in rows])


def gap(first: list[float], second: list[float], sample_error: float, noise: Noise | None) -> Gap:
    """The difference of two arms with the same seeds, in their order."""
    differences = [above - below for below, above in zip(first, second, strict=True)]
    seeds = len(differences)
    error = math.hypot(sample_error, noise.deviation * math.sqrt(2 / seeds)) if noise else None
    own = statistics.stdev(differences) / math.sqrt(seeds) if seeds > 1 else None
    return Gap(statistics.fmean(differences), error, own, seeds)


def within(values: Values) -> Noise | None:
    """How single runs differ from the mean of their arm, over all arms; None where no arm has two."""
    squares = sum((len(found) - 1) * statistics.variance(found.values()) for found in values.values() if len(found) > 1)
    freedom = sum(len(found) - 1 for found in values.values())
    return Noise(math.sqrt(squares / freedom), freedom) if freedom else None


def rest(values: Values) -> Noise | None:
    """The same with what a seed makes at every arm taken off; None where there are too few runs to tell."""
    arms, seeds = list(values), sorted({seed for found in values.values() for seed in found})
    runs = [(arms.index(arm), seeds.index(seed), score) for arm, found in values.items() for seed, score in found.items()]
    design: np.ndarray[Any, np.dtype[np.float64]] = np.zeros((len(runs), len(arms) + len(seeds)))
    for place, (arm, seed, _) in enumerate(runs):
        design[place, [arm, len(arms) + seed]] = 1.0
    scores = np.array([score for *_, score in runs])
    solution, _, rank, _ = np.linalg.lstsq(design, scores, rcond=None)
    freedom = len(runs) - int(rank)
    return Noise(math.sqrt(float(((scores - design @ solution) ** 2).sum()) / freedom), freedom) if freedom else None


def spread(values: Values) -> Spread | None:
    """Variance components by the method of moments; None where there are too few runs to tell."""
    noise = rest(values) if values else None
    if noise is None or len(values) < 2:
        return None
    observed = statistics.variance(statistics.fmean(found.values()) for found in values.values())
    of_means = noise.deviation**2 * statistics.fmean(1 / len(found) for found in values.values())
    between = max(observed - of_means, 0.0)
    runs = between + noise.deviation**2
    return Spread(math.sqrt(between), noise, noise.deviation**2 / runs if runs else 0.0, min(of_means / observed, 1.0) if observed else 0.0)


def ranks(first: Mapping[str, float], second: Mapping[str, float]) -> Ranks | None:
    """Spearman's correlation of two orders; None where they share fewer than three, or one of them has no order."""
    shared = tuple(name for name in first if name in second)
    pairs = [(first[name], second[name]) for name in shared]
    if len(shared) < 3 or any(len(set(side)) == 1 for side in zip(*pairs, strict=True)):
        return None
    return Ranks(float(stats.spearmanr(*zip(*pairs, strict=True)).statistic), shared)
