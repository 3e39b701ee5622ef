"""Calibration: runs of a baseline's list against the scores that are known of it, to see whether a site measures what others do."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from datacomp.artifacts.run import Run
from datacomp.board import averages, enter
from datacomp.declared import pool as pools
from datacomp.declared import scale as scales
from datacomp.declared.expected import Expected, Spread
from datacomp.declared.suite import Suite
from datacomp.errors import StageError

# Student's t by degrees of freedom, 0 for the normal distribution: what a difference exceeds, on either side, in one of a hundred comparisons.
LIMITS = {1: 63.66, 2: 9.92, 3: 5.84, 4: 4.60, 5: 4.03, 6: 3.71, 7: 3.50, 8: 3.36, 9: 3.25, 10: 3.17, 12: 3.05, 15: 2.95, 20: 2.85, 30: 2.75, 60: 2.66, 0: 2.58}


def limit(freedom: float) -> float:
    """The limit of the nearest degrees of freedom that are no more than these."""
    return LIMITS[max(known for known in LIMITS if known <= freedom)]


class Compared(NamedTuple):
    """One average: what is known of it and what was seen."""

    name: str
    expected: float  # mean of the known runs
    seen: float  # mean of the runs at hand
    spread: Spread | None  # of single runs; None where nobody knows it, and then nothing is judged
    known_runs: int
    seen_runs: int

    @property
    def standard_error(self) -> float:
        """Of the difference between the means of k runs and of n known runs, all of other seeds: s √(1/k + 1/n).

        s is the standard deviation of one run, so a single run (k = 1) against a mean of n has s √(1 + 1/n), and two single runs s √2. The
        test samples are the same for all and add nothing. Runs with the same seed are alike rather than independent, which makes the true
        error smaller than this.
        """
        return 0.0 if self.spread is None else self.spread.deviation * math.sqrt(1 / self.seen_runs + 1 / self.known_runs)

    @property
    def errors(self) -> float:
        """The difference, in standard errors."""
        return (self.seen - self.expected) / self.standard_error if self.spread else 0.0

    @property
    def limit(self) -> float:
        """How many standard errors are noise: 99 of 100 differences are, of Student's distribution where the spread is itself an estimate."""
        return limit(self.spread.freedom if self.spread else 0)

    @property
    def verdict(self) -> str:
        """In words."""
        if self.spread is None:
            return "not judged"
        return "within noise" if abs(self.errors) <= self.limit else "outside"


class Calibration(NamedTuple):
    """All averages of a suite, and what a reader must know."""

    averages: tuple[Compared, ...]
    notes: tuple[str, ...]

    @property
    def outside(self) -> tuple[Compared, ...]:
        """The averages that noise does not explain."""
        return tuple(found for found in self.averages if found.verdict == "outside")


def compare(runs: Sequence[Run], suite: Suite, expected: Expected, baseline: str) -> Calibration:
    """Compare runs of one baseline's list, which differ by their seeds, with what is expected of it.

    Raises StageError where the figures are of another recipe, suite or pool, or there are none for this baseline; EntryError for a run that was
    not evaluated.
    """
    if baseline not in expected.baselines:
        raise StageError(f"nobody has written down scores of baseline {baseline} at scale {expected.scale}", allowed=", ".join(expected.baselines))
    if not expected.measured_with(suite):
        raise StageError(f"the scores to expect at scale {expected.scale} were measured with another suite {suite.spec.name} than today's", repair=_ANEW)
    for run in runs:
        _check(run, expected)
    seeds = [run.record.inputs.seed for run in runs]
    if len(set(seeds)) != len(seeds):
        raise StageError(f"several runs have the same seed: {', '.join(map(str, seeds))}", allowed="one run a seed")
    results = [enter.seed_run(run, suite).tasks for run in runs]
    if any(run.record.inputs.sources != runs[0].record.inputs.sources for run in runs):
        raise StageError("the runs were trained on different shards", allowed="runs of one list that differ by their seeds")
    seen = averages.aggregates(suite, results)
    known = expected.baselines[baseline].scores
    compared = [Compared(name, statistics.fmean(scores), seen[name].value, expected.spread(name), len(scores), len(runs)) for name, scores in known.items()]
    return Calibration(tuple(compared), _notes(runs[0], expected))


_ANEW = "measure the baselines again with three seeds and write tracks/expected/ anew, or use the version of datacomp that has these figures"


def _check(run: Run, expected: Expected) -> None:
    """Refuse a run that the figures say nothing about."""
    record, inputs = run.record, run.record.inputs
    if inputs.recipe_sha256 != expected.recipe_sha256:
        raise StageError(
            f"{run.path} was trained by recipe {inputs.recipe_sha256[:12]}… of scale {inputs.scale}, the expected scores are of {expected.recipe_sha256[:12]}…",
            repair=_ANEW,
        )
    if inputs.division != "closed":
        raise StageError(f"{run.path} is of the {inputs.division} division", allowed="whole runs by the scale's own recipe")
    scale = scales.load(inputs.scale)
    if record.samples_seen != scale.budget.samples_seen:
        raise StageError(f"{run.path} saw {record.samples_seen:,} samples", allowed=f"all {scale.budget.samples_seen:,} of scale {scale.name}")
    if len(inputs.sources) != 1:
        raise StageError(f"{run.path} was trained on {len(inputs.sources)} sources", allowed="the list of one baseline")
    promised, trained = pools.load(scale.pool).uids_sha256, inputs.sources[0].pool_uids_sha256
    if promised and trained != promised:
        raise StageError(
            f"{run.path} was trained on another pool ({trained[:12] or 'unknown'}…) than {scale.pool} ({promised[:12]}…)", repair="use the scale's whole pool"
        )


def _notes(run: Run, expected: Expected) -> tuple[str, ...]:
    source = run.record.inputs.sources[0]
    missing = sum(source.missing_samples.values())
    lost = f"{missing:,} of the list's {source.subset.samples:,} samples were missing here; that is no noise" if missing else ""
    return tuple(filter(None, (f"expected: {expected.source}", f"noise: {expected.noise_source}", lost)))
