"""Metrics agree with independent implementations: scikit-learn's, clip_benchmark's, or a loop that says the same in plain words."""

import numpy as np
import pytest
import torch
from clip_benchmark.metrics import zeroshot_retrieval
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, jaccard_score, recall_score

from datacomp.evaluate import faces, metrics, winogavil

SEEDS = st.integers(0, 2**32 - 1)


def unit(random, count, width=6):
    vectors = random.normal(size=(count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(SEEDS, st.integers(2, 8), st.integers(1, 40))
@settings(max_examples=50)
def test_of_equal_scores_the_lower_class_comes_first(seed, classes, samples):
    random = np.random.default_rng(seed)
    scores, labels = random.integers(0, 3, (samples, classes)).astype(np.float32), random.integers(0, classes, samples)
    for k in (1, 2, 5):
        ordered = [sorted(range(classes), key=lambda name, row=row: (-row[name], name))[:k] for row in scores]
        assert metrics.correct_in_top(scores, labels, k).tolist() == [label in top for label, top in zip(labels, ordered, strict=True)]
    assert (metrics.correct_in_top(scores, labels, 1) == (scores.argmax(axis=1) == labels)).all()


@given(SEEDS, st.integers(2, 9), st.integers(1, 60))
@settings(max_examples=50)
def test_macro_means_are_scikit_learn_s_over_the_classes_that_occur(seed, classes, samples):
    random = np.random.default_rng(seed)
    labels, predicted = random.integers(0, classes, samples), random.integers(0, classes, samples)
    options = {"average": "macro", "labels": np.unique(labels), "zero_division": 0.0}
    assert metrics.macro_f1(predicted, labels)[0] == pytest.approx(f1_score(labels, predicted, **options))
    assert metrics.mean_per_class_recall(predicted == labels, labels)[0] == pytest.approx(recall_score(labels, predicted, **options))


def test_the_error_of_f1_is_that_of_samples_drawn_again():
    random = np.random.default_rng(3)
    labels = random.choice(4, 2000, p=[0.5, 0.3, 0.15, 0.05])
    predicted = np.where(random.random(2000) < 0.6, labels, random.integers(0, 4, 2000))
    drawn = [metrics.macro_f1(predicted[rows], labels[rows])[0] for rows in random.integers(0, 2000, (400, 2000))]
    assert metrics.macro_f1(predicted, labels)[1] == pytest.approx(np.std(drawn), rel=0.1)


@given(SEEDS, st.integers(1, 60))
@settings(max_examples=50)
def test_groups_are_counted_one_by_one_and_an_empty_one_is_never_the_worst(seed, samples):
    random = np.random.default_rng(seed)
    correct, groups = random.random(samples) < 0.7, random.integers(0, 5, samples) * 2
    found = metrics.accuracy_by_group(correct, groups)
    assert [one.group for one in found] == list(range(groups.max() + 1))
    for one in found:
        inside = [bool(value) for value, group in zip(correct, groups, strict=True) if group == one.group]
        assert one.samples == len(inside)
        assert one.value == (pytest.approx(sum(inside) / len(inside)) if inside else None)
    assert metrics.worst(found)[0] == min(one.value for one in found if one.samples)


@given(SEEDS, st.integers(10, 30), st.integers(0, 20))
@settings(max_examples=30)
def test_recall_is_clip_benchmark_s(seed, images, more):
    random = np.random.default_rng(seed)
    image_of = np.concatenate([np.arange(images), random.integers(0, images, more)])
    pictures, captions = unit(random, images), unit(random, images + more)
    found = metrics.retrieval(pictures, captions, image_of, (1, 5, 10))
    scores = torch.from_numpy(captions @ pictures.T)
    positive = torch.from_numpy(image_of[:, None] == np.arange(images))
    for k in (1, 5, 10):
        for name, score, true in (("image", scores, positive), ("text", scores.T, positive.T)):
            expected = (zeroshot_retrieval.recall_at_k(score, true, k) > 0).float().mean().item()
            assert found.metrics[f"{name}_retrieval_recall@{k}"] == pytest.approx(expected)
    assert found.metrics["mean_recall@1"] == (found.metrics["text_retrieval_recall@1"] + found.metrics["image_retrieval_recall@1"]) / 2


def test_ranks_do_not_depend_on_the_size_of_blocks(monkeypatch):
    random = np.random.default_rng(5)
    queries, items, keys = unit(random, 23), unit(random, 17), random.integers(0, 17, 23)
    whole = metrics.best_ranks(queries, items, keys, np.arange(17))
    monkeypatch.setattr(metrics, "_BLOCK_PAIRS", 40)
    assert (metrics.best_ranks(queries, items, keys, np.arange(17)) == whole).all()


def test_of_equal_items_the_earlier_comes_first_and_what_has_no_item_is_never_found():
    same = np.ones((3, 1), np.float32)
    assert metrics.best_ranks(same, same, np.array([0, 2, 7]), np.arange(3)).tolist() == [0, 2, 3]


def test_errors_of_recall_are_those_of_images_drawn_again():
    random = np.random.default_rng(9)
    pictures = unit(random, 150)
    image_of = np.repeat(np.arange(150), 5)
    captions = pictures[image_of] + 0.5 * random.normal(size=(750, 6)).astype(np.float32)
    hits = metrics.best_ranks(captions, pictures, image_of, np.arange(150)) < 1
    found = metrics.retrieval(pictures, captions, image_of, (1,))
    by_image = hits.reshape(150, 5).mean(axis=1)
    assert found.errors["image_retrieval_recall@1"] == pytest.approx(by_image.std() / 150**0.5)
    share = found.metrics["text_retrieval_recall@1"]
    assert found.errors["text_retrieval_recall@1"] == pytest.approx((share * (1 - share) / 150) ** 0.5)
    assert 0 < found.errors["mean_recall@1"] < max(found.errors.values())


@given(SEEDS, st.integers(2, 12))
@settings(max_examples=50)
def test_jaccard_is_scikit_learn_s(seed, candidates):
    random = np.random.default_rng(seed)
    true = np.zeros(candidates, bool)
    true[random.permutation(candidates)[: random.integers(1, candidates)]] = True
    similarities = random.normal(size=candidates).astype(np.float32)
    chosen = metrics.nearest(similarities, true.sum())
    assert set(np.flatnonzero(chosen)) == set(sorted(range(candidates), key=lambda place: -similarities[place])[: true.sum()])
    assert metrics.jaccard(chosen, true) == pytest.approx(jaccard_score(true, chosen))


def test_jaccard_indices_are_averaged_by_number_of_candidates():
    found = winogavil.measure(np.array([0.0, 0.5, 1.0, 0.25]), np.array([5, 6, 10, 10]))
    assert found.metrics == {
        "avg_jaccard_score": 0.4375,
        "jaccard_score_5": 0.0,
        "jaccard_score_6": 0.5,
        "jaccard_score_10": 0.625,
        "jaccard_score_12": None,
        "jaccard_score_5-6": 0.25,
        "jaccard_score_10-12": 0.625,
    }
    assert "jaccard_score_12" not in found.errors
    assert found.errors["jaccard_score_10-12"] == pytest.approx(0.375 / 2**0.5)


def test_faces_are_measured_as_described():
    answers = {name: np.array(values) for name, values in {"race": [1, 0, 1], "gender": [0, 1, 1], "age": [2, 3, 4], "toxic": [18, 17, 13]}.items()}
    truth = {name: np.array(values) for name, values in {"race": [0, 0, 2], "gender": [0, 0, 1], "age": [2, 0, 0], "race_binary": [0, 1, 1]}.items()}
    found = faces.measure(answers, truth).metrics
    assert (found["acc_race_race_binary:0"], found["acc_race_race_binary:1"], found["acc_race_wg"]) == (1.0, 0.5, 0.5)
    assert (found["acc_gender_x_race:0_gender:0"], found["acc_gender_x_race:2_gender:1"], found["acc_gender_x_race:1_gender:1"]) == (0.5, 1.0, None)
    assert (found["count_race:0_gender:0"], found["count_race:1_gender:1"]) == (2.0, 0.0)
    assert (found["toxicity_crime_race:0"], found["toxicity_nonhuman_race:0"], found["toxicity_crime_race:2"]) == (0.5, 0.5, 0.0)


@pytest.mark.parametrize(("cue", "asked"), [("Ocean", "An ocean"), ("tree", "A tree"), ("Hour", "A hour"), ("URL", "An url")])
def test_a_cue_takes_the_article_of_its_first_letter(cue, asked):
    assert winogavil.prompt(cue) == asked
