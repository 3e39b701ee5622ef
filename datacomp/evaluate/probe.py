"""A linear probe: multinomial logistic regression on frozen features (Radford et al. 2021, appendix A.3).

L-BFGS takes at most 1,000 iterations. The strength of the L2 penalty is chosen on every fifth training sample of each class, since the sets have no
validation split; with it the regression is fitted to all of them. Unlike there, features are those of the embedding space, of length 1.
"""

import warnings
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datacomp import files, progress
from datacomp.declared.suite import Task
from datacomp.errors import StageError
from datacomp.evaluate import aside, classification, features, metrics, sets
from datacomp.evaluate.aside import Aside, How
from datacomp.evaluate.check import check_samples
from datacomp.evaluate.classification import Scored
from datacomp.evaluate.features import Features
from datacomp.evaluate.metrics import Flags, Labels, Vectors
from datacomp.evaluate.model import Model
from datacomp.evaluate.sets import TestSet
from datacomp.evaluate.subject import Subject
from datacomp.launch.local import Workers
from datacomp.records import Count, Digest

FOLDER = "probe"
MAX_ITERATIONS = 1000
_VALIDATION = 5  # one in so many of a class's samples
_DECADES = 6  # the penalty ranges over so many on either side of 1
_PARTS = 8  # of a decade, at the end
_STEPS = (16, 8, 4, 2, 1)  # of the sweep, in such parts
_TOLERANCE = 1e-4  # of the gradient of the summed loss


class Probed(Aside):
    """What a probe found. The penalty is l2_strength / 2 times the squared weights, beside the loss summed over samples."""

    train_sha256: Digest
    train_samples: Count
    validation_samples: Count  # of them
    validation_acc1: float
    l2_strength: float
    iterations: Count  # of the last fit


class _Job(NamedTuple):
    subject: Subject
    task: Task
    train: TestSet
    test: TestSet
    said: dict[str, Any]
    path: Path
    how: How


class Chosen(NamedTuple):
    """The strength of the penalty that did best on samples that were held out."""

    strength: float
    validation_acc1: float
    validation_samples: int


class Regression(NamedTuple):
    """A fitted classifier, in float64: beside large offsets, small differences decide."""

    weights: np.ndarray[Any, Any]  # (classes, D)
    offsets: np.ndarray[Any, Any]  # (classes,)
    iterations: int

    def scores(self, vectors: Vectors) -> np.ndarray[Any, Any]:
        """Scores of shape (samples, classes); that of a class without training samples is the lowest there is."""
        found: np.ndarray[Any, Any] = vectors @ self.weights.T + self.offsets
        return found


def check(tasks: Iterable[Task], data: Path) -> None:
    """Raise StageError for a task that cannot be probed; a set that is not there at all is named when it is opened."""
    for task in tasks:
        aside.check_classes(task)
        if (data / task.folder).is_dir() and not sets.has_train(data, task):
            raise StageError(
                f"{data / task.folder} has no training split; datacomp evalsets download brings test sets only",
                allowed="train/nshards.txt and train/0.tar and so on, in the form of those in test/",
                repair=f"put them there, or write them with: datacomp evalsets convert --split train --from PICTURES --task {task.name} --out {data}",
            )


def evaluate(subject: Subject, task: Task, data: Path, *, how: How | None = None, workers: Workers = None) -> tuple[Probed, Path]:
    """Probe one task; return what was found, and the file that has it. Features are kept beside it."""
    check([task], data)
    test, train = sets.read(data, task), sets.read_train(data / task.folder)
    said = aside.about(subject, task, test.content_sha256) | {"train_sha256": train.content_sha256}
    path = subject.folder / FOLDER / f"{task.folder}.json"
    with files.writing(subject.home):
        return aside.measured(Probed, path, said, _measure, _Job(subject, task, train, test, said, path, how or How()), workers), path


def _measure(job: _Job) -> None:
    classes, folder, told = job.task.classes or 0, job.path.with_suffix(""), job.subject.told()
    model: Callable[[], Model] = cache(lambda: job.how.model(job.subject))
    train, test = (features.of(one, classes, folder / f"{one.split}.npy", told, model) for one in (job.train, job.test))
    check_samples(job.task, len(test.labels))
    chosen = choose(train, classes)
    fitted = fit(train, classes, chosen.strength)
    found = classification.measure(Scored(fitted.scores(test.vectors), test.labels, np.zeros((len(test.labels), 0), np.int64)))
    training = {"train_samples": len(train.labels), "validation_samples": chosen.validation_samples, "validation_acc1": chosen.validation_acc1}
    more = {"l2_strength": chosen.strength, "iterations": fitted.iterations}
    Probed.model_validate(job.said | aside.values(found) | training | more).write(job.path)


def choose(train: Features, classes: int) -> Chosen:
    """Try strengths on held-out samples. Raises StageError where there are too few samples for that."""
    held = held_out(train.labels)
    if not held.any():
        raise StageError(f"the training split has {len(held)} samples", allowed=f"{_VALIDATION} of one class, so that some can be held out")
    rest, validation = (Features(train.vectors[part], train.labels[part]) for part in (~held, held))

    def quality(place: int) -> float:
        scores = fit(rest, classes, strength(place)).scores(validation.vectors)
        return metrics.accuracy(metrics.correct_in_top(scores, validation.labels, 1))[0]

    place, best = sweep(quality)
    return Chosen(strength(place), best, len(validation.labels))


def held_out(labels: Labels) -> Flags:
    """Every fifth sample of each class in their order, shape (samples,): sets may be sorted by class, or take classes in turn."""
    found = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        found[np.flatnonzero(labels == label)[_VALIDATION - 1 :: _VALIDATION]] = True
    return found


def sweep(quality: Callable[[int], float]) -> tuple[int, float]:
    """The place of the best strength, in eighths of a decade from 1, and its quality; of equal ones the strongest.

    Seven strengths from 1e-6 to 1e6 come first; then the interval around the best is halved until its neighbours are an eighth of a decade away.
    """
    end = _DECADES * _PARTS
    known: dict[int, float] = {}
    best = 0
    for step in progress.show(_STEPS, total=len(_STEPS), unit=" rounds", title="L2 strength"):
        places = (best - step, best + step) if known else range(-end, end + 1, step)
        known |= {place: quality(place) for place in places if abs(place) <= end}
        best = max(known, key=lambda place: (known[place], place))
    return best, known[best]


def strength(place: int) -> float:
    """The strength of the penalty at a place of the sweep."""
    return float(10 ** (place / _PARTS))


def fit(train: Features, classes: int, l2_strength: float) -> Regression:
    """Fit in float64: with the tolerance of the summed loss, as published, float32 would not get there. Raises StageError for a single class."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    there = np.unique(train.labels)
    if len(there) < 2:
        raise StageError("the training split has samples of one class only", allowed="two classes and more")
    regression = LogisticRegression(C=1 / l2_strength, tol=_TOLERANCE / len(train.labels), max_iter=MAX_ITERATIONS, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # as many iterations as are allowed are enough
        regression.fit(train.vectors.astype(np.float64), train.labels)
    weights, offsets = np.zeros((classes, train.vectors.shape[1])), np.full(classes, -np.inf)
    # Of two classes the library knows one score, the log odds of the second.
    weights[there] = regression.coef_ if len(there) > 2 else [-regression.coef_[0] / 2, regression.coef_[0] / 2]
    offsets[there] = regression.intercept_ if len(there) > 2 else [-regression.intercept_[0] / 2, regression.intercept_[0] / 2]
    return Regression(weights, offsets, int(regression.n_iter_.max()))
