"""Zero-shot classification (Radford et al. 2021, section 3.1): the class whose prompts are nearest to the picture."""

from typing import Any

import numpy as np

from datacomp.errors import StageError
from datacomp.evaluate import metrics, sets
from datacomp.network.embed import Embedder

LOGIT_SCALE = np.float32(100.0)


def classifier(network: Embedder, test_set: sets.TestSet) -> np.ndarray[Any, np.dtype[np.float32]]:
    """One unit vector a class, shape (classes, D): the mean of its prompts' unit vectors, made a unit vector again."""
    prompts = [template.replace("{c}", name) for name in test_set.class_names for template in test_set.templates]
    embedded = network.texts(prompts).reshape(len(test_set.class_names), len(test_set.templates), -1)
    means = embedded.mean(axis=1)
    unit: np.ndarray[Any, np.dtype[np.float32]] = means / np.linalg.norm(means, axis=1, keepdims=True)
    return unit


def evaluate(network: Embedder, test_set: sets.TestSet) -> tuple[dict[str, float | None], dict[str, float], int]:
    """Metrics, their standard errors and the number of samples, under the names of the published evaluator."""
    crops, labels = [], []
    for picture, label in sets.samples(test_set):
        crops.append(network.crop(picture))
        labels.append(label)
    if not 0 <= min(labels) <= max(labels) < len(test_set.class_names):
        raise StageError(f"test set {test_set.path.name} has labels outside its {len(test_set.class_names)} classes", repair="make or download the set again")
    truth = np.array(labels)
    scores = LOGIT_SCALE * network.images(np.stack(crops)) @ classifier(network, test_set).T  # (samples, classes)
    first = metrics.correct_in_top(scores, truth, 1)
    found: dict[str, float | None] = {"acc5": None}
    errors: dict[str, float] = {}
    found["acc1"], errors["acc1"] = metrics.accuracy(first)
    found["mean_per_class_recall"], errors["mean_per_class_recall"] = metrics.mean_per_class_recall(first, truth)
    if len(test_set.class_names) >= 5:
        found["acc5"], errors["acc5"] = metrics.accuracy(metrics.correct_in_top(scores, truth, 5))
    return found, errors, len(truth)
