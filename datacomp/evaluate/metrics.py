"""Metrics as pure functions on arrays, with their standard errors from the test sample."""

from typing import Any, NamedTuple

import numpy as np

Scores = np.ndarray[Any, np.dtype[np.float32]]  # (samples, classes)
Labels = np.ndarray[Any, np.dtype[np.int64]]  # (samples,)
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Vectors = np.ndarray[Any, np.dtype[np.float32]]  # (N, D), of length 1
Shares = np.ndarray[Any, np.dtype[np.float64]]

_BLOCK_PAIRS = 1 << 24  # of a query and an item, compared at once


class Measured(NamedTuple):
    """The metrics of one task under the published evaluator's names, standard errors of some of them, and how many samples there were."""

    metrics: dict[str, float | None]
    errors: dict[str, float]
    samples: int


def correct_in_top(scores: Scores, labels: Labels, k: int) -> Flags:
    """Whether each sample's label is among its k highest scores, shape (samples,); of equal scores the lower class comes first."""
    own = np.take_along_axis(scores, labels[:, None], axis=1)  # (samples, 1)
    before = np.arange(scores.shape[1]) < labels[:, None]
    ahead = (scores > own).sum(axis=1) + ((scores == own) & before).sum(axis=1)
    found: Flags = ahead < k
    return found


def accuracy(correct: Flags) -> tuple[float, float]:
    """The share of correct samples and its standard error, sqrt(p (1 - p) / n)."""
    share = float(correct.mean())
    return share, float(np.sqrt(share * (1 - share) / len(correct)))


def mean_per_class_recall(correct: Flags, labels: Labels) -> tuple[float, float]:
    """The mean of the accuracies within each class that occurs, and its standard error."""
    recalls, variances = [], []
    for label in np.unique(labels):
        recall, error = accuracy(correct[labels == label])
        recalls.append(recall)
        variances.append(error**2)
    return float(np.mean(recalls)), float(np.sqrt(np.sum(variances)) / len(variances))


def macro_f1(predicted: Labels, labels: Labels) -> tuple[float, float]:
    """The mean over the classes that occur among the labels of F1 = 2 true positives / (predicted + occurring), and its standard error.

    The error is that of the linear part: each sample moves the F1 of its own class and that of the class it was taken for.
    """
    size = int(max(predicted.max(), labels.max())) + 1
    occurring, taken = np.bincount(labels, minlength=size), np.bincount(predicted, minlength=size)  # (classes,)
    hits = np.bincount(labels[predicted == labels], minlength=size)
    f1 = 2 * hits / np.maximum(occurring + taken, 1)
    counts = occurring > 0
    slope = np.where(counts, 1 / np.maximum(occurring + taken, 1), 0.0)
    own = slope[labels] * (2 * (predicted == labels) - f1[labels])  # (samples,): through truth, then through prediction
    other = -slope[predicted] * f1[predicted]
    return float(f1[counts].mean()), float(np.sqrt(((own + other) ** 2).sum()) / counts.sum())


class GroupAccuracy(NamedTuple):
    """The accuracy within one group; None where it has no samples."""

    group: int
    value: float | None
    error: float
    samples: int


def accuracy_by_group(correct: Flags, groups: Labels) -> tuple[GroupAccuracy, ...]:
    """The accuracy within each group from 0 to the highest that occurs; `groups` has shape (samples,)."""
    found = []
    for group in range(int(groups.max()) + 1):
        inside = correct[groups == group]
        value, error = accuracy(inside) if len(inside) else (None, 0.0)
        found.append(GroupAccuracy(group, value, error, len(inside)))
    return tuple(found)


def worst(found: tuple[GroupAccuracy, ...]) -> tuple[float, float]:
    """The lowest accuracy of the groups that have samples, and its standard error as if that group had been named beforehand."""
    return min((one.value, one.error) for one in found if one.value is not None)


def best_ranks(queries: Vectors, items: Vectors, query_keys: Labels, item_keys: Labels) -> Labels:
    """For each query the rank, from 0, of the nearest item that has its key, shape (queries,); of equal items the earlier comes first.

    Items are compared in blocks of queries, so that memory does not grow with their product. A query without an item has as rank the number of items.
    """
    found = np.full(len(queries), len(items), np.int64)
    rows = max(1, _BLOCK_PAIRS // len(items))
    for start in range(0, len(queries), rows):
        part = slice(start, start + rows)
        scores = queries[part] @ items.T  # (block, items)
        own = query_keys[part, None] == item_keys
        place = np.where(own, scores, -np.inf).argmax(axis=1)  # the first of the nearest
        best = np.take_along_axis(scores, place[:, None], axis=1)
        ahead = (scores > best).sum(axis=1) + ((scores == best) & (np.arange(len(items)) < place[:, None])).sum(axis=1)
        found[part] = np.where(own.any(axis=1), ahead, len(items))
    return found


def retrieval(images: Vectors, captions: Vectors, image_of: Labels, ks: tuple[int, ...]) -> Measured:
    """Recall at each k, and the mean of the two at 1: a caption finds its image, an image finds any of its captions.

    `images` has shape (images, D), `captions` (captions, D), `image_of` (captions,) names each caption's image. Captions of one image are no
    independent samples: errors are those of the images.
    """
    places = np.arange(len(images))
    by_caption = best_ranks(captions, images, image_of, places)
    by_image = best_ranks(images, captions, places, image_of)
    metrics: dict[str, float | None] = {}
    errors: dict[str, float] = {}
    parts: dict[str, Shares] = {}  # what each image adds to a metric, less the mean: (images,)
    for k in ks:
        for name, hits, owner in (("image", by_caption < k, image_of), ("text", by_image < k, places)):
            key = f"{name}_retrieval_recall@{k}"
            share = float(hits.mean())
            parts[key] = np.bincount(owner, hits - share, minlength=len(images)) / len(hits)
            metrics[key], errors[key] = share, _norm(parts[key])
    both = ("text_retrieval_recall@1", "image_retrieval_recall@1")
    metrics["mean_recall@1"] = sum(metrics[key] or 0.0 for key in both) / 2
    errors["mean_recall@1"] = _norm((parts[both[0]] + parts[both[1]]) / 2)
    return Measured(metrics, errors, len(images))


def _norm(parts: Shares) -> float:
    return float(np.sqrt((parts**2).sum()))


def jaccard(chosen: Flags, true: Flags) -> float:
    """How many of all candidates that were chosen or are true are both; 0 where there are none. Both have shape (candidates,)."""
    union = int((chosen | true).sum())
    return int((chosen & true).sum()) / union if union else 0.0


def nearest(similarities: np.ndarray[Any, np.dtype[np.float32]], k: int) -> Flags:
    """Which k candidates are most similar, shape (candidates,); of equal ones the earlier come first."""
    chosen = np.zeros(len(similarities), np.bool_)
    chosen[np.argsort(-similarities, kind="stable")[:k]] = True
    return chosen


def mean(values: Shares) -> tuple[float, float] | None:
    """The mean and its standard error; None of no values."""
    return (float(values.mean()), float(values.std() / np.sqrt(len(values)))) if len(values) else None
