"""Which metrics a task's evaluation can give: whatever the evaluation measures is possible, and what cannot come of it is named."""

import numpy as np
import pytest

from datacomp.artifacts.results import TaskResult
from datacomp.board import possible
from datacomp.declared import suite as suites
from datacomp.evaluate import classification, grouped, metrics, winogavil

SUITE = {task.name: task for task in suites.load("datacomp").tasks}
SAMPLES, CLASSES = 60, 7
SLIDES, IWILDCAM, FMOW, INCOME, FLICKR, WINOGAVIL = (
    *("wilds/camelyon17", "wilds/iwildcam", "wilds/fmow", "fairness/dollar_street"),
    *("retrieval/flickr_1k_test_image_text_retrieval", "misc/winogavil"),
)


def small(name, samples=SAMPLES):
    return SUITE[name].model_copy(update={"samples": samples, "classes": CLASSES})


def result(task, measured):
    return TaskResult(task=task.name, samples=measured.samples, data_sha256="0" * 64, metrics=measured.metrics, standard_errors=measured.errors)


def classified(random, accuracy=0.4):
    """Scores of a network that is right so often, on classes of very different sizes."""
    labels = np.minimum(random.geometric(0.4, SAMPLES) - 1, CLASSES - 1)
    scores = random.normal(size=(SAMPLES, CLASSES)).astype(np.float32)
    scores[np.arange(SAMPLES), labels] += np.where(random.random(SAMPLES) < accuracy, 9, 0)
    return classification.Scored(scores, labels, np.zeros((SAMPLES, 0), np.int64))


def measured(name, random, accuracy=0.4):
    """What the evaluation says of random answers on a task of some family."""
    if name == FLICKR:
        vectors = random.normal(size=(40 + 200, 16)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return metrics.retrieval(vectors[:40], vectors[40:], np.arange(200) // 5, (1, 5, 10))
    if name == WINOGAVIL:
        return winogavil.measure(random.random(SAMPLES), random.choice(winogavil.SIZES, SAMPLES))
    scored = classified(random, accuracy)
    found = classification.measure(scored)
    first, fifth = (metrics.correct_in_top(scored.scores, scored.labels, k) for k in (1, 5))
    groups = random.choice([0, 1, 3], SAMPLES)  # group 2 has no samples
    if name == SLIDES:
        grouped.add_groups(found, first, groups, "acc", "slide", worst="acc_wg")
    if name == INCOME:
        grouped.add_groups(found, fifth, groups, "acc_top5", "income_ds", worst="acc_top5_wg")
    if name == FMOW:
        for part in ("year", "region"):
            grouped.add_groups(found, first, groups, "acc", part, worst=f"acc_worst_{part}")
    if name == IWILDCAM:
        for other, same in (("acc_avg", "acc1"), ("recall-macro_all", "mean_per_class_recall")):
            found.metrics[other], found.errors[other] = found.metrics[same], found.errors[same]
        found.metrics["F1-macro_all"], found.errors["F1-macro_all"] = metrics.macro_f1(scored.scores.argmax(axis=1), scored.labels)
    return found


FAMILIES = ("imagenet1k", SLIDES, IWILDCAM, FMOW, INCOME, FLICKR, WINOGAVIL)


@pytest.mark.parametrize("accuracy", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("name", FAMILIES)
def test_what_the_evaluation_measures_is_possible(name, accuracy):
    for seed in range(20):
        found = measured(name, np.random.default_rng(seed), accuracy)
        task = small(name, found.samples)
        assert possible.of_task(result(task, found), task) == []


@pytest.mark.parametrize(("name", "changed", "problem"), [
    ("imagenet1k", {"acc1": 0.123}, "acc1 is no whole number of 60 samples"),
    ("imagenet1k", {"acc5": None}, "it has no acc5"),
    ("imagenet1k", {"acc5": 0.0}, "acc5 is 0.000000, which is less than acc1"),
    ("imagenet1k", {"mean_per_class_recall": 0.99999}, "mean_per_class_recall is 0.99999; with this acc1 it is from"),
    ("imagenet1k", {"mean_per_class_recall": 0.0}, "mean_per_class_recall is 0.0; with this acc1 it is from"),
    ("imagenet1k", {"mean_per_class_recall": None}, "it has a standard error of 'mean_per_class_recall', which it does not have"),
    ("imagenet1k", {"acc2": 0.5}, "it has a metric 'acc2', which nobody measures"),
    (IWILDCAM, {"F1-macro_all": 1.0}, "F1-macro_all is 1.0; with this acc1 it is from"),
    (IWILDCAM, {"F1-macro_all": None}, "it has no F1-macro_all"),
    (IWILDCAM, {"acc_avg": 0.0}, "acc_avg is 0.0, it must be"),
    (IWILDCAM, {"recall-macro_all": 1.0}, "recall-macro_all is 1.0, it must be"),
    (SLIDES, {"acc_wg": 1.0}, "acc_wg is 1.0, it must be"),
    (SLIDES, {"acc_avg": 1.0}, "acc_avg is 1.0, it must be"),
    (SLIDES, {"acc_slide:0": 0.777}, "acc_slide:0 is 0.777 of"),
    (SLIDES, {"acc_slide:2": 0.0}, "acc_slide:2 is 0.0 of 0.0 samples"),
    (SLIDES, {"acc_slide:9": 1.0}, "acc_slide:9 is 1.0 of None samples"),
    (SLIDES, {"count_slide:0": -1.0}, "of -1.0 samples"),
    (SLIDES, {"count_slide:2": 1e6, "acc_slide:2": 0.0}, "the groups by slide do not add up to acc_avg of 60 samples"),
    (FMOW, {"acc_worst_region": 1.0}, "acc_worst_region is 1.0, it must be"),
    (INCOME, {"acc_top5_wg": 0.0}, "acc_top5_wg is 0.0, it must be"),
    (FLICKR, {"mean_recall@1": 0.9}, "mean_recall@1 is 0.9, it must be"),
    (FLICKR, {"text_retrieval_recall@1": 0.51}, "text_retrieval_recall@1 is no whole number of 40 samples"),
    (FLICKR, {"image_retrieval_recall@10": 0.0}, "image_retrieval_recall@5 is higher than image_retrieval_recall@10"),
    (FLICKR, {"image_retrieval_recall@10": None}, "it has no image_retrieval_recall@10"),
    (WINOGAVIL, {"avg_jaccard_score": 1.0}, "avg_jaccard_score is 1.0, which is no mean of"),
    (WINOGAVIL, {"jaccard_score_10-12": 1.2}, "jaccard_score_10-12 is 1.2"),
])  # fmt: skip
def test_what_no_evaluation_gives_is_named(name, changed, problem):
    found = measured(name, np.random.default_rng(3))
    found.metrics.update(changed)
    task = small(name, found.samples)
    problems = possible.of_task(result(task, found), task)
    assert any(problem in one for one in problems), problems


@pytest.mark.parametrize(("name", "error"), [("imagenet1k", "acc1"), (IWILDCAM, "F1-macro_all"), (FLICKR, "mean_recall@1")])
def test_a_main_metric_has_a_standard_error(name, error):
    found = measured(name, np.random.default_rng(3))
    del found.errors[error]
    task = small(name, found.samples)
    assert f"{error} has no standard error" in possible.of_task(result(task, found), task)


def test_the_bound_of_a_mean_over_classes_is_reached():
    """All classes but one have a single sample, and one is right that is alone in its class, or one of the many."""
    task = small("imagenet1k")
    labels = np.minimum(np.arange(SAMPLES), CLASSES - 1)  # the last class has all the others
    for right in (0, SAMPLES - 1):
        correct = np.arange(SAMPLES) == right
        recall, error = metrics.mean_per_class_recall(correct, labels)
        acc1, acc1_error = metrics.accuracy(correct)
        found = TaskResult(
            task=task.name, samples=SAMPLES, data_sha256="0" * 64,
            metrics={"acc1": acc1, "acc5": acc1, "mean_per_class_recall": recall},
            standard_errors={"acc1": acc1_error, "acc5": acc1_error, "mean_per_class_recall": error},
        )  # fmt: skip
        assert possible.of_task(found, task) == []
    lower = found.model_copy(update={"metrics": found.metrics | {"mean_per_class_recall": 0.99 * recall}})
    assert possible.of_task(lower, task) != []
