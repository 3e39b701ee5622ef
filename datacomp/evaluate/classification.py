"""Zero-shot classification (Radford et al. 2021, section 3.1): the class whose prompts are nearest to the picture."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from datacomp.errors import StageError
from datacomp.evaluate import metrics, sets
from datacomp.evaluate.metrics import Labels, Measured, Scores
from datacomp.evaluate.model import Model

LOGIT_SCALE = np.float32(100.0)


class Scored(NamedTuple):
    """Every sample's scores, its label, and its row of metadata where there is one."""

    scores: Scores  # (samples, classes)
    labels: Labels  # (samples,)
    rows: np.ndarray[Any, np.dtype[np.int64]]  # (samples, columns)


def evaluate(model: Model, test_set: sets.TestSet) -> Measured:
    """Metrics under the names of the published evaluator."""
    return measure(score(model, test_set))


def score(model: Model, test_set: sets.TestSet, columns: tuple[str, ...] = ()) -> Scored:
    """Score every sample against every class."""
    labels, rows = [], []

    def noted() -> Iterator[sets.Sample]:
        for sample in sets.samples(test_set):
            labels.append(sets.label(sample))
            rows.append(sets.row(sample, columns) if columns else np.zeros(0, np.int64))
            yield sample

    images = model.images(noted())
    if not max(labels) < len(test_set.class_names):
        raise StageError(f"test set {test_set.path.name} has labels outside its {len(test_set.class_names)} classes", repair=sets.AGAIN)
    scores = (LOGIT_SCALE * images @ model.classifier(test_set.class_names, test_set.templates).T).astype(np.float32, copy=False)
    return Scored(scores, np.array(labels), np.stack(rows))


def measure(found: Scored) -> Measured:
    """acc1, acc5 (None where there are fewer than five classes) and mean_per_class_recall."""
    first = metrics.correct_in_top(found.scores, found.labels, 1)
    values: dict[str, float | None] = {"acc5": None}
    errors: dict[str, float] = {}
    values["acc1"], errors["acc1"] = metrics.accuracy(first)
    values["mean_per_class_recall"], errors["mean_per_class_recall"] = metrics.mean_per_class_recall(first, found.labels)
    if found.scores.shape[1] >= 5:
        values["acc5"], errors["acc5"] = metrics.accuracy(metrics.correct_in_top(found.scores, found.labels, 5))
    return Measured(values, errors, len(found.labels))
