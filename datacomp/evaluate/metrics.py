"""Metrics as pure functions on arrays, with their standard errors from the test sample."""

from typing import Any

import numpy as np

Scores = np.ndarray[Any, np.dtype[np.float32]]  # (samples, classes)
Labels = np.ndarray[Any, np.dtype[np.int64]]  # (samples,)


def correct_in_top(scores: Scores, labels: Labels, k: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether each sample's label is among its k highest scores, shape (samples,); of equal scores the lower class comes first."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]  # (samples, k)
    found: np.ndarray[Any, np.dtype[np.bool_]] = (best == labels[:, None]).any(axis=1)
    return found


def accuracy(correct: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[float, float]:
    """The share of correct samples and its standard error, sqrt(p (1 - p) / n)."""
    share = float(correct.mean())
    return share, float(np.sqrt(share * (1 - share) / len(correct)))


def mean_per_class_recall(correct: np.ndarray[Any, np.dtype[np.bool_]], labels: Labels) -> tuple[float, float]:
    """The mean of the accuracies within each class that occurs, and its standard error."""
    recalls, variances = [], []
    for label in np.unique(labels):
        recall, error = accuracy(correct[labels == label])
        recalls.append(recall)
        variances.append(error**2)
    return float(np.mean(recalls)), float(np.sqrt(np.sum(variances)) / len(variances))
