"""Averages of an entry, always computed anew from its raw metrics."""

import math
import statistics
from collections.abc import Sequence

from datacomp.artifacts.entry import Aggregate
from datacomp.artifacts.results import TaskScores
from datacomp.declared.suite import Suite
from datacomp.errors import EntryError

AVERAGE = "average"


def ranking(suite: Suite) -> dict[str, tuple[str, ...]]:
    """The tasks of the average and of each group."""
    return {AVERAGE: suite.counting} | {group.name: group.tasks for group in suite.spec.groups}


def further(suite: Suite) -> dict[str, tuple[str, ...]]:
    """The tasks of each mean that ranks nothing."""
    return {subset.name: subset.tasks for subset in suite.spec.subsets}


def aggregates(suite: Suite, seeds: Sequence[Sequence[TaskScores]]) -> dict[str, Aggregate]:
    """The mean over all counting tasks and over each group, each with its standard error; `seeds` holds one result list a run.

    Raises EntryError when a task is missing: an average over fewer tasks is another average.
    """
    return {name: aggregate(suite, tasks, seeds) for name, tasks in ranking(suite).items()}


def task_aggregate(suite: Suite, task: str, seeds: Sequence[Sequence[TaskScores]]) -> Aggregate:
    """One task's main metric over the seeds."""
    return aggregate(suite, (task,), seeds)


def aggregate(suite: Suite, tasks: tuple[str, ...], seeds: Sequence[Sequence[TaskScores]]) -> Aggregate:
    """A mean of means. Its error joins two parts: the test samples (the same ones for every seed) and the spread over seeds."""
    means, sample_error = seed_means(suite, tasks, seeds)
    seed_error = statistics.stdev(means) / math.sqrt(len(means)) if len(means) > 1 else 0.0
    return Aggregate(value=statistics.fmean(means), standard_error=math.hypot(sample_error, seed_error))


def seed_means(suite: Suite, tasks: tuple[str, ...], seeds: Sequence[Sequence[TaskScores]]) -> tuple[list[float], float]:
    """The mean over tasks of each run, and the standard error that the test samples give it."""
    means, sample_errors = [], []
    for results in seeds:
        values, errors = zip(*(main_metric(suite, task, results) for task in tasks), strict=True)
        means.append(sum(values) / len(values))
        sample_errors.append(math.sqrt(sum(error**2 for error in errors)) / len(errors))
    return means, statistics.fmean(sample_errors)


def main_metric(suite: Suite, task: str, results: Sequence[TaskScores]) -> tuple[float, float]:
    """The main metric of one task in one run, with its standard error from the test sample."""
    declared = next(found for found in suite.tasks if found.name == task)
    metric = declared.main_metric or ""
    for result in results:
        value = result.metrics.get(metric)
        if result.task == task and value is not None:
            return value, result.standard_errors.get(metric, 0.0)
    raise EntryError(
        f"task {task} has no {metric or 'main metric'} in the results",
        allowed=f"all {len(suite.tasks)} tasks of suite {suite.spec.name}",
        repair="evaluate the whole suite",
    )
