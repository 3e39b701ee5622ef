"""Classification whose samples come in groups, by place, time or income: WILDS (arXiv 2012.07421), Dollar Street and GeoDE.

Groups are numbered from 0 to the highest that occurs; one without samples is listed with the count 0 and is never the worst.
"""

from datacomp.errors import StageError
from datacomp.evaluate import classification, metrics, sets
from datacomp.evaluate.classification import Rows, Scored
from datacomp.evaluate.metrics import Flags, Labels, Measured
from datacomp.evaluate.model import Model

IWILDCAM = ("location", "sequence", "year", "month", "day", "hour", "minute", "second", "y")
CAMELYON17 = ("hospital", "slide", "y")
FMOW = ("region", "year", "y")
DOLLAR_STREET = ("income_ds", "income_meta", "region")
GEODE = ("region", "country")
_MAX_GROUPS = 10_000  # there are dozens


def iwildcam(model: Model, test_set: sets.TestSet) -> Measured:
    """Means over the classes that occur; the main one is of F1."""
    scored = classification.score(model, test_set, IWILDCAM)
    found = classification.measure(scored)
    for name, same in (("acc_avg", "acc1"), ("recall-macro_all", "mean_per_class_recall")):
        found.metrics[name], found.errors[name] = found.metrics[same], found.errors[same]
    found.metrics["F1-macro_all"], found.errors["F1-macro_all"] = metrics.macro_f1(scored.scores.argmax(axis=1), scored.labels)
    return found


def camelyon17(model: Model, test_set: sets.TestSet) -> Measured:
    """Accuracy by slide."""
    scored = classification.score(model, test_set, CAMELYON17)
    return _by_one(scored, column(scored.rows, CAMELYON17, "slide"), "slide")


def geode(model: Model, test_set: sets.TestSet) -> Measured:
    """Accuracy by region of the world."""
    scored = classification.score(model, test_set, GEODE)
    return _by_one(scored, column(scored.rows, GEODE, "region"), "region")


def dollar_street(model: Model, test_set: sets.TestSet) -> Measured:
    """Whether the truth is among the first five, by income."""
    scored = classification.score(model, test_set, DOLLAR_STREET)
    return _by_one(scored, column(scored.rows, DOLLAR_STREET, "income_ds"), "income_ds", top=5, name="acc_top5")


def fmow(model: Model, test_set: sets.TestSet) -> Measured:
    """Accuracy by year and by region; all regions that have samples count, as they do in the published evaluator."""
    scored = classification.score(model, test_set, FMOW)
    found = classification.measure(scored)
    first = metrics.correct_in_top(scored.scores, scored.labels, 1)
    for part in ("year", "region"):
        add_groups(found, first, column(scored.rows, FMOW, part), "acc", part, worst=f"acc_worst_{part}")
    return found


def column(rows: Rows, columns: tuple[str, ...], name: str) -> Labels:
    """A column of group numbers, shape (samples,). Raises StageError for numbers that number no groups."""
    found: Labels = rows[:, columns.index(name)]
    if found.min() < 0 or found.max() >= _MAX_GROUPS:
        raise StageError(f"{name} ranges from {found.min()} to {found.max()}", allowed=f"numbers of groups, from 0 to {_MAX_GROUPS - 1:,}", repair=sets.AGAIN)
    return found


def _by_one(scored: Scored, groups: Labels, group_name: str, *, top: int = 1, name: str = "acc") -> Measured:
    found = classification.measure(scored)
    add_groups(found, metrics.correct_in_top(scored.scores, scored.labels, top), groups, name, group_name, worst=f"{name}_wg")
    return found


def add_groups(found: Measured, correct: Flags, groups: Labels, name: str, group_name: str, *, worst: str) -> None:
    """Add the accuracy over all samples, within each group, and within the worst, and each group's size."""
    found.metrics[f"{name}_avg"], found.errors[f"{name}_avg"] = metrics.accuracy(correct)
    by_group = metrics.accuracy_by_group(correct, groups)
    for group in by_group:
        found.metrics[f"{name}_{group_name}:{group.group}"] = group.value
        found.metrics[f"count_{group_name}:{group.group}"] = float(group.samples)
    found.metrics[worst], found.errors[worst] = metrics.worst(by_group)
