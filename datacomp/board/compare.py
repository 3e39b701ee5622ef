"""Two lists or networks under one suite: differences of tasks and means, with intervals that join test samples and seeds."""

import math
import statistics
from typing import NamedTuple

from datacomp.artifacts.results import TaskResult
from datacomp.board import averages, calibrate, evaluated
from datacomp.board.evaluated import Evaluated
from datacomp.errors import StageError
from datacomp.records import Record


class Difference(Record):
    """How a second list or network differs from a first in one task or mean; None is what nobody knows."""

    name: str
    is_mean: bool
    first: float
    second: float
    difference: float
    standard_error: float | None
    interval: tuple[float, float] | None  # holds 99 of 100 such differences
    has_seeds: bool  # whether the error counts how both differ from seed to seed, or the test samples alone

    @property
    def verdict(self) -> str:
        """In words."""
        if self.interval is None:
            return "not judged"
        return "within noise" if self.interval[0] <= 0 <= self.interval[1] else "differs"


class Comparison(NamedTuple):
    """All differences, and what a reader must know."""

    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


class SeedPart(NamedTuple):
    """What seeds add to the variance of a mean over runs, and the degrees of freedom it was estimated with: 0 where somebody states it."""

    variance: float
    freedom: int


class Measured(NamedTuple):
    """A task or a mean of one side with what its error is made of."""

    value: float
    sample_error: float  # from the test samples
    sample_error_known: bool  # where not, the error above is too small
    seeds: SeedPart | None  # None where nobody knows how it differs from seed to seed


def compare(first: Evaluated, second: Evaluated) -> Comparison:
    """Compare what both were evaluated on, `second` less `first`.

    Raises StageError where they have different suites or no task in common.
    """
    suite = first.suite
    if suite.digest() != second.suite.digest():
        raise StageError(f"{first.path} was evaluated on suite {suite.spec.name}, {second.path} on {second.suite.spec.name}", allowed="results of one suite")
    tasks = [name for name in suite.counting if name in first.tasks and name in second.tasks]
    if not tasks:
        raise StageError(f"{first.path} and {second.path} have no task in common that has a main metric", allowed=f"tasks of suite {suite.spec.name}")
    found = [difference(name, measured_task(first, name), measured_task(second, name), is_mean=False) for name in tasks]
    means = evaluated.means(first) if evaluated.means(second) else {}
    found += [difference(name, measured(first, span, name), measured(second, span, name), is_mean=True) for name, span in means.items()]
    return Comparison(tuple(found), _notes(first, second, tasks, found))


def measured_task(side: Evaluated, task: str) -> Measured:
    """One task; where it is a group by itself, the noise that is known is the group's."""
    noise = next((group.name for group in side.suite.spec.groups if group.tasks == (task,)), task)
    return measured(side, (task,), noise)


def measured(side: Evaluated, tasks: tuple[str, ...], noise: str) -> Measured:
    """A mean over tasks; `noise` names the average whose spread over seeds is known."""
    means, sample_error = averages.seed_means(side.suite, tasks, side.seeds)
    return Measured(statistics.fmean(means), sample_error, evaluated.sample_errors_known(side, tasks), _seed_part(side, noise, means))


def difference(name: str, first: Measured, second: Measured, *, is_mean: bool) -> Difference:
    """`second` less `first`.

    Variances add: of the test samples on both sides, though they are the same, which makes the true error smaller; and of the seeds. The limit
    is that of Student's distribution by Welch's degrees of freedom.
    """
    sides = (first, second)
    parts = [side.seeds for side in sides if side.seeds]
    variance = sum(side.sample_error**2 for side in sides) + sum(part.variance for part in parts)
    spread = sum(part.variance**2 / part.freedom for part in parts if part.freedom)
    known = all(side.sample_error_known for side in sides)
    error, differs = math.sqrt(variance), second.value - first.value
    margin = error * calibrate.limit(max(variance**2 / spread, 1.0) if spread else 0)
    return Difference(
        name=name,
        is_mean=is_mean,
        first=first.value,
        second=second.value,
        difference=differs,
        standard_error=error if known else None,
        interval=(differs - margin, differs + margin) if known else None,
        has_seeds=len(parts) == len(sides),
    )


def _seed_part(side: Evaluated, noise: str, means: list[float]) -> SeedPart | None:
    """From several runs by themselves, together with what was measured of the scale; from one by what is known of the scale."""
    known = side.expected.spread(noise) if side.expected else None
    own = len(means) - 1
    if not own:
        return SeedPart(known.deviation**2, known.freedom) if known else None
    squares, freedom = own * statistics.variance(means), own
    if known:
        squares, freedom = squares + known.freedom * known.deviation**2, freedom + known.freedom
    return SeedPart(squares / freedom / len(means), freedom)


def _notes(first: Evaluated, second: Evaluated, tasks: list[str], found: list[Difference]) -> tuple[str, ...]:
    suite = first.suite
    whole = any(one.is_mean for one in found)
    unknown = [one.name for one in found if one.interval is None]
    others = [name for name in tasks if len({data for side in (first, second) if (data := _data(side, name))}) > 1]
    noises = {side.expected.scale: side.expected.noise_source for side in (first, second) if side.expected}
    return tuple(
        filter(
            None,
            (
                "" if whole else f"{len(tasks)} of the {len(suite.counting)} tasks that count are in both: no average",
                f"no standard errors, so no intervals: {_some(unknown)}" if unknown else "",
                f"the test data of {_some(others)} were not the same bytes" if others else "",
                *(f"noise of scale {scale}: {source}" for scale, source in noises.items()),
            ),
        )
    )


def _data(side: Evaluated, task: str) -> str:
    """The digest of the test set that a task was measured on, empty where it is unknown."""
    return next((scores.data_sha256 for seed in side.seeds for scores in seed if isinstance(scores, TaskResult) and scores.task == task), "")


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 5 else f"{', '.join(names[:4])} and {len(names) - 4} more"
