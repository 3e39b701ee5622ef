"""Zero-shot classification (Radford et al. 2021, section 3.1): the class whose prompts are nearest to the picture."""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from datacomp.errors import StageError
from datacomp.evaluate import metrics, sets
from datacomp.evaluate.metrics import Labels, Measured, Scores, Vectors
from datacomp.evaluate.model import Model

LOGIT_SCALE = np.float32(100.0)


Rows: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]  # (samples, columns)


class Embedded(NamedTuple):
    """Every sample's vector, its label, and its row of metadata where there is one."""

    images: Vectors  # (samples, D)
    labels: Labels  # (samples,)
    rows: Rows


class Scored(NamedTuple):
    """Every sample's scores, its label, and its row of metadata where there is one."""

    scores: Scores  # (samples, classes)
    labels: Labels  # (samples,)
    rows: Rows


def evaluate(model: Model, test_set: sets.TestSet) -> Measured:
    """Metrics under the names of the published evaluator."""
    return measure(score(model, test_set))


def score(model: Model, test_set: sets.TestSet, columns: tuple[str, ...] = ()) -> Scored:
    """Score every sample against every class."""
    found = embed(model, test_set, len(test_set.class_names), columns)
    scores = (LOGIT_SCALE * found.images @ model.classifier(test_set.class_names, test_set.templates).T).astype(np.float32, copy=False)
    return Scored(scores, found.labels, found.rows)


def embed(model: Model, test_set: sets.TestSet, classes: int, columns: tuple[str, ...] = ()) -> Embedded:
    """Embed every sample. Raises StageError for a label that is none of so many classes."""
    labels, rows = [], []

    def noted() -> Iterator[sets.Sample]:
        for sample in sets.samples(test_set):
            labels.append(sets.label(sample))
            rows.append(sets.row(sample, columns) if columns else np.zeros(0, np.int64))
            yield sample

    images = model.images(noted())
    if not max(labels) < classes:
        raise StageError(f"test set {test_set.path.name} has labels outside its {classes} classes", repair=sets.AGAIN)
    return Embedded(images, np.array(labels), np.stack(rows))


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
