"""Averages of an entry, always computed anew from its raw metrics."""

import math
import statistics
from collections.abc import Sequence

from datacomp.artifacts.entry import Aggregate
from datacomp.artifacts.results import TaskResult
from datacomp.declared.suite import Suite
from datacomp.errors import EntryError

AVERAGE = "average"


def aggregates(suite: Suite, seeds: Sequence[Sequence[TaskResult]]) -> dict[str, Aggregate]:
    """The mean over all counting tasks and over each group, each with its standard error; `seeds` holds one result list a run.

    Raises EntryError when a task is missing: an average over fewer tasks is another average.
    """
    groups = {AVERAGE: suite.counting} | {group.name: group.tasks for group in suite.spec.groups}
    return {name: _aggregate(suite, tasks, seeds) for name, tasks in groups.items()}


def subset_aggregates(suite: Suite, seeds: Sequence[Sequence[TaskResult]]) -> dict[str, Aggregate]:
    """The suite's further means, which rank nothing. Raises EntryError as `aggregates` does."""
    return {subset.name: _aggregate(suite, subset.tasks, seeds) for subset in suite.spec.subsets}


def task_aggregate(suite: Suite, task: str, seeds: Sequence[Sequence[TaskResult]]) -> Aggregate:
    """One task's main metric over the seeds."""
    return _aggregate(suite, (task,), seeds)


def _aggregate(suite: Suite, tasks: tuple[str, ...], seeds: Sequence[Sequence[TaskResult]]) -> Aggregate:
    """A mean of means. Its error joins two parts: the test samples (the same ones for every seed) and the spread over seeds."""
    means, sample_errors = [], []
    for results in seeds:
        values, errors = zip(*(main_metric(suite, task, results) for task in tasks), strict=True)
        means.append(sum(values) / len(values))
        sample_errors.append(math.sqrt(sum(error**2 for error in errors)) / len(errors))
    seed_error = statistics.stdev(means) / math.sqrt(len(means)) if len(means) > 1 else 0.0
    return Aggregate(value=statistics.fmean(means), standard_error=math.hypot(statistics.fmean(sample_errors), seed_error))


def main_metric(suite: Suite, task: str, results: Sequence[TaskResult]) -> tuple[float, float]:
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
