"""What metrics the evaluation of a task can give: whole numbers of samples, metrics that follow from others, bounds of the rest.

The names are those that the evaluation writes. Where the records do not say how many samples a class has, a bound holds for every way to share them out.
"""

import math
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from datacomp.artifacts.entry import Entry
from datacomp.artifacts.results import TaskResult
from datacomp.declared.suite import Family, Suite, Task

CLOSE = 1e-9  # between a value and what it is recomputed to be, in another order of sums
_WHOLE = 1e-6  # of a number of samples
_SHARES = ("acc1", "acc5")
_RECALL, _F1 = "mean_per_class_recall", "F1-macro_all"
_KS = (1, 5, 10)
_RETRIEVAL = tuple(f"{side}_retrieval_recall@{k}" for side in ("image", "text") for k in _KS)
_JACCARD = ("avg_jaccard_score", *(f"jaccard_score_{size}" for size in ("5", "6", "10", "12", "5-6", "10-12")))


class Grouping(NamedTuple):
    """Accuracies within groups of samples: `acc_slide:3` beside `count_slide:3`, over all samples, and within the worst group."""

    name: str
    group: str
    worst: str
    same: str  # the metric that the accuracy over all samples is

    @property
    def average(self) -> str:
        """The name of the accuracy over all samples."""
        return f"{self.name}_avg"


GROUPINGS: dict[Family, tuple[Grouping, ...]] = {
    "camelyon17": (Grouping("acc", "slide", "acc_wg", "acc1"),),
    "geode": (Grouping("acc", "region", "acc_wg", "acc1"),),
    "dollar_street": (Grouping("acc_top5", "income_ds", "acc_top5_wg", "acc5"),),
    "fmow": (Grouping("acc", "year", "acc_worst_year", "acc1"), Grouping("acc", "region", "acc_worst_region", "acc1")),
}
_NAMES: dict[Family, tuple[str, ...]] = {
    "iwildcam": (*_SHARES, _RECALL, "acc_avg", "recall-macro_all", _F1),
    "retrieval": (*_RETRIEVAL, "mean_recall@1"),
    "winogavil": _JACCARD,
}


def problems(entry: Entry, suite: Suite) -> list[str]:
    """What in an entry's raw metrics cannot have come out of its suite, in words; empty when nothing is."""
    declared = {task.name: task for task in suite.tasks}
    found = []
    for run in entry.runs:
        names = [result.task for result in run.tasks]
        found += [f"{name} stands {names.count(name)} times in one run" for name in sorted(set(names)) if names.count(name) > 1]
        found += [f"{name} is no task of suite {suite.spec.name}" for name in sorted(set(names) - set(declared))]
        for result in run.tasks:
            if result.task in declared:
                found += [f"{result.task}: {problem}" for problem in of_task(result, declared[result.task])]
    return found


def of_task(result: TaskResult, task: Task) -> list[str]:
    """What cannot have come out of scoring this task's samples."""
    found = []
    if result.samples != task.samples or (task.pinned and result.data_sha256 != task.data.content_sha256):
        found.append("it was measured on other data")
    values = [(name, value) for name, value in result.metrics.items() if value is not None and not name.startswith("count_")]
    values += [(f"the standard error of {name}", error) for name, error in result.standard_errors.items()]
    found += [f"{name} is {value}" for name, value in values if not 0 <= value <= 1]
    if found:
        return found  # nothing is worth computing with
    found += [f"it has a metric {name!r}, which nobody measures" for name in sorted(result.metrics) if not _is_known(name, task)]
    found += [f"it has a standard error of {name!r}, which it does not have" for name in result.standard_errors if result.metrics.get(name) is None]
    if task.main_metric:
        found += [f"it has no {task.main_metric}"] * (result.metrics.get(task.main_metric) is None)
        found += [f"{task.main_metric} has no standard error"] * (task.main_metric not in result.standard_errors)
    if task.family == "retrieval":
        return [*found, *_retrieval(result)]
    if task.family == "winogavil":
        return [*found, *_jaccard(result)]
    if task.family == "faces":
        return found
    found += _classification(result, task)
    for grouping in GROUPINGS.get(task.family, ()):
        found += _groups(result, grouping)
    return found


def names(task: Task) -> tuple[str, ...]:
    """The metrics of a task; of groups, however many there are, those of the first."""
    groupings = GROUPINGS.get(task.family, ())
    grouped = (f"{part}:0" for grouping in groupings for part in (f"{grouping.name}_{grouping.group}", f"count_{grouping.group}"))
    over_all = (part for grouping in groupings for part in (grouping.average, grouping.worst))
    return (*_NAMES.get(task.family, (*_SHARES, _RECALL)), *over_all, *grouped)


def _is_known(name: str, task: Task) -> bool:
    return task.family == "faces" or re.sub(r":\d{1,4}$", ":0", name) in names(task)  # faces have many, and rank nothing


def _classification(result: TaskResult, task: Task) -> Iterator[str]:
    """Shares of all samples are whole numbers of them, their errors those of shares, and means over classes are near them."""
    acc1, acc5 = (result.metrics.get(name) for name in _SHARES)
    if acc1 is None:
        yield "it has no acc1"
        return
    if acc5 is None and task.classes is not None and task.classes >= 5:
        yield "it has no acc5"
    if acc5 is not None and acc5 < acc1:
        yield f"acc5 is {acc5:.6f}, which is less than acc1"
    for name, value in zip(_SHARES, (acc1, acc5), strict=True):
        if value is not None:
            yield from _share(result, name, value, task.samples)
    recall, low = result.metrics.get(_RECALL), acc1 / _most_unequal(task)
    high = 1 - (1 - acc1) / _most_unequal(task)
    if recall is None or not low - CLOSE <= recall <= high + CLOSE:
        yield f"{_RECALL} is {recall}; with this acc1 it is from {low:.6f} to {high:.6f}"
    if task.family == "iwildcam":
        yield from _iwildcam(result, acc1, task)


def _share(result: TaskResult, name: str, value: float, samples: int) -> Iterator[str]:
    if not _is_whole(value * samples):
        yield f"{name} is no whole number of {samples:,} samples"
    expected = math.sqrt(value * (1 - value) / samples)
    if not _is_close(result.standard_errors.get(name, -1.0), expected):
        yield f"the standard error of {name} must be {expected:.6f}"


def _most_unequal(task: Task) -> float:
    """By how much a sample of the rarest possible class can count more or less in a mean over classes than in one over samples.

    Of n samples in C classes, one of which has n - C + 1, a sample of that class adds 1 / (C (n - C + 1)) to the mean over classes and 1 / n
    to that over samples. C is not known where not all classes occur; the largest product is taken.
    """
    samples = task.samples
    classes = min(task.classes or samples, samples, (samples + 1) // 2)
    return classes * (samples - classes + 1) / samples


def _iwildcam(result: TaskResult, acc1: float, task: Task) -> Iterator[str]:
    """F1 of a class is 2 hits / (predicted + occurring), so that each hit adds 1 / n or more, and each miss takes 1 / 2n or more."""
    for name, same in (("acc_avg", "acc1"), ("recall-macro_all", _RECALL)):
        yield from _equal(result, name, result.metrics.get(same))
    classes = task.classes or task.samples
    value, low, high = result.metrics.get(_F1), acc1 / classes, 1 - (1 - acc1) / (2 * classes)
    if value is None or not low - CLOSE <= value <= high + CLOSE:
        yield f"{_F1} is {value}; with this acc1 it is from {low:.6f} to {high:.6f}"


def _groups(result: TaskResult, grouping: Grouping) -> Iterator[str]:
    """Groups hold all samples, each a whole number of right ones, which add up to the accuracy over all; the worst is the lowest."""
    average = result.metrics.get(grouping.same)
    yield from _equal(result, grouping.average, average)
    right, samples, shares = 0.0, 0.0, []
    for number in sorted({name.rpartition(":")[2] for name in result.metrics if f"_{grouping.group}:" in name}):
        of_group = f"{grouping.name}_{grouping.group}:{number}"
        share, count = result.metrics.get(of_group), result.metrics.get(f"count_{grouping.group}:{number}")
        if count is None or count < 0 or not count.is_integer() or (share is None) != (count == 0) or not _is_whole((share or 0.0) * count):
            yield f"{of_group} is {share} of {count} samples"
            return
        right, samples = right + (share or 0.0) * count, samples + count
        shares += [] if share is None else [share]
    if samples != result.samples or average is None or abs(right - average * samples) > _WHOLE:
        yield f"the groups by {grouping.group} do not add up to {grouping.average} of {result.samples:,} samples"
        return
    yield from _equal(result, grouping.worst, min(shares))


def _retrieval(result: TaskResult) -> Iterator[str]:
    """Recalls grow with k; pictures are the samples; how many captions there are, no record says."""
    found = {name: result.metrics.get(name) for name in _RETRIEVAL}
    known = {name: value for name, value in found.items() if value is not None}
    if missing := sorted(set(found) - set(known)):
        yield f"it has no {missing[0]}"
        return
    for side in ("image", "text"):
        for less, more in pairwise(f"{side}_retrieval_recall@{k}" for k in _KS):
            if known[less] > known[more]:
                yield f"{less} is higher than {more}"
    for k in _KS:
        yield from _share(result, name := f"text_retrieval_recall@{k}", known[name], result.samples)
    yield from _equal(result, "mean_recall@1", (known["text_retrieval_recall@1"] + known["image_retrieval_recall@1"]) / 2)


def _jaccard(result: TaskResult) -> Iterator[str]:
    """The mean over all riddles lies between the means over the small and the large ones."""
    average, parts = result.metrics.get(_JACCARD[0]), [value for name in _JACCARD[-2:] if (value := result.metrics.get(name)) is not None]
    if average is None or not parts or not min(parts) - CLOSE <= average <= max(parts) + CLOSE:
        yield f"{_JACCARD[0]} is {average}, which is no mean of {' and '.join(_JACCARD[-2:])}"


def _equal(result: TaskResult, name: str, expected: float | None) -> Iterator[str]:
    value = result.metrics.get(name)
    if expected is not None and (value is None or not _is_close(value, expected)):
        yield f"{name} is {value}, it must be {expected:.6f}"


def _is_whole(number: float) -> bool:
    return math.isclose(number, round(number), abs_tol=_WHOLE)


def _is_close(value: float, expected: float) -> bool:
    return math.isclose(value, expected, abs_tol=CLOSE)
