"""Metrics agree with independent implementations, and results belong to one checkpoint under one suite."""

import shutil

import numpy as np
import pytest
import torch
from clip_benchmark.metrics import zeroshot_classification as theirs
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from datacomp import tars
from datacomp.artifacts import results as results_files
from datacomp.artifacts.run import Run
from datacomp.declared import suite as suites
from datacomp.errors import RecordError, StageError, TarError
from datacomp.evaluate import classification, metrics, sets
from datacomp.evaluate import run as evaluation
from datacomp.evaluate.model import Model
from datacomp.evaluate.run import evaluate
from datacomp.launch import local
from datacomp.network.build import Tokenizer
from datacomp.network.embed import Embedder
from datacomp.pipelines import miniature
from datacomp.pool import synthetic


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(5, 60))
@settings(max_examples=50)
def test_accuracies_are_scikit_learn_s(seed, classes, samples):
    random = np.random.default_rng(seed)
    scores = random.normal(size=(samples, classes)).astype(np.float32)
    labels = np.concatenate([np.arange(classes), random.integers(0, classes, samples)])[:samples]
    first = metrics.correct_in_top(scores, labels, 1)
    assert metrics.accuracy(first)[0] == pytest.approx((scores.argmax(1) == labels).mean())
    present = np.unique(labels)
    expected = balanced_accuracy_score(labels, scores.argmax(1)) if set(scores.argmax(1)) <= set(present) else None
    if expected is not None:
        assert metrics.mean_per_class_recall(first, labels)[0] == pytest.approx(expected)
    if classes > 3 and len(present) == classes:
        assert metrics.accuracy(metrics.correct_in_top(scores, labels, 3))[0] == pytest.approx(top_k_accuracy_score(labels, scores, k=3, labels=range(classes)))


def test_standard_errors_are_those_of_a_binomial():
    correct = np.array([True] * 30 + [False] * 70)
    assert metrics.accuracy(correct) == (0.3, pytest.approx((0.3 * 0.7 / 100) ** 0.5))
    value, error = metrics.mean_per_class_recall(correct, np.array([0] * 50 + [1] * 50))
    assert (value, error) == (pytest.approx(0.3), pytest.approx((0.6 * 0.4 / 50) ** 0.5 / 2))


def test_the_classifier_is_clip_benchmark_s(tiny_run, tiny_scale, small_suite):
    suite, data = small_suite
    network = Embedder(tiny_scale, tiny_run.weights())
    test_set = sets.read(data, suite.tasks[0])
    tokenizer = Tokenizer(tiny_scale.tokens, tiny_scale.model.text.context_length)
    weights = theirs.zero_shot_classifier(network.network, tokenizer, list(test_set.class_names), list(test_set.templates), "cpu", amp=False)
    assert pytest.approx(weights.numpy(), abs=1e-6) == Model(network).classifier(test_set.class_names, test_set.templates).T
    crops, labels = zip(*((network.crop(sample.picture), sets.label(sample)) for sample in sets.samples(test_set)), strict=True)
    logits = (100.0 * torch.from_numpy(network.images(np.stack(crops))) @ weights).numpy()  # (samples, classes)
    expected = [top_k_accuracy_score(labels, logits, k=k, labels=range(80)) for k in (1, 5)]  # their own accuracy fails on numpy 2.4
    found, _, samples = classification.evaluate(Model(network), test_set)
    assert samples == 160
    assert [found["acc1"], found["acc5"]] == pytest.approx(expected)


def test_acc5_does_not_exist_below_five_classes(tiny_run, tiny_scale, tmp_path):
    pictures = iter([(np.zeros((48, 48, 3), np.uint8), {"cls": b"0"}), (np.ones((48, 48, 3), np.uint8), {"cls": b"1"})])
    test_set = sets.write(tmp_path, {sets.CLASSES: ("black", "white"), sets.TEMPLATES: ("a {c} picture",)}, pictures, synthetic.encode)
    found, errors, _ = classification.evaluate(Model(Embedder(tiny_scale, tiny_run.weights())), test_set)
    assert found["acc5"] is None
    assert "acc5" not in errors


def test_the_same_checkpoint_gives_the_same_results(run_copy, tiny_run, tiny_scale, small_suite, tmp_path):
    suite, data = small_suite
    runs = (run_copy, Run(shutil.copytree(tiny_run.path, tmp_path / "again"), tiny_run.record, tiny_run.digest))
    for run in runs:
        evaluate(run, tiny_scale, suite, data)
    paths = [results_files.path_in(run.path, "nano") for run in runs]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_finished_tasks_are_not_computed_again(run_copy, tiny_scale, small_suite, monkeypatch):
    suite, data = small_suite
    first = evaluate(run_copy, tiny_scale, suite, data)
    results_files.path_in(run_copy.path, "nano").unlink()
    monkeypatch.setitem(evaluation.FAMILIES, "classification", lambda model, test_set: pytest.fail("a task was computed again"))
    assert evaluate(run_copy, tiny_scale, suite, data) == first


def test_tasks_are_spread_over_devices_and_give_the_same_results(run_copy, tiny_scale, small_suite, monkeypatch):
    suite, data = small_suite
    alone = evaluate(run_copy, tiny_scale, suite, data, threads=1)
    shutil.rmtree(run_copy.path / "evaluation")
    processes = []
    real = local.run_all
    monkeypatch.setattr(local, "devices", lambda wanted: ["cpu"] * 2)
    monkeypatch.setattr(local, "run_all", lambda function, tasks, **how: processes.append((len(tasks), how["workers"])) or real(function, tasks, **how))
    assert evaluate(run_copy, tiny_scale, suite, data, threads=1) == alone
    assert processes == [(2, 2)]


def test_parts_have_about_as_many_samples(monkeypatch):
    suite = suites.load("datacomp")
    share = evaluation._Share(None, {}, suite.tasks, None, None, None, 1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    parts = evaluation._cut(share, None)
    assert [part.device for part in parts] == ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]
    assert sorted(task.name for part in parts for task in part.tasks) == sorted(task.name for task in suite.tasks)
    sums = [sum(task.samples for task in part.tasks) for part in parts]
    assert max(sums) < 1.1 * min(sums)
    assert [part.device for part in evaluation._cut(share._replace(device="cuda:1"), None)] == ["cuda:1"]


def test_another_checkpoint_never_gets_an_earlier_one_s_results(run_copy, tiny_scale, small_suite):
    suite, data = small_suite
    first = evaluate(run_copy, tiny_scale, suite, data)
    earlier = run_copy.record.model_copy(update={"checkpoints": run_copy.record.checkpoints[:1]})
    second = evaluate(Run(run_copy.path, earlier, "0" * 64), tiny_scale, suite, data)
    assert second.weights_sha256 != first.weights_sha256
    assert second.tasks != first.tasks


def test_an_altered_test_set_is_named_by_file(run_copy, tiny_scale, small_suite, tmp_path):
    suite, data = small_suite
    shutil.copytree(data, tmp_path / "sets")
    names = tmp_path / "sets" / suite.tasks[1].folder / "classnames.txt"
    names.write_text(names.read_text().replace("star", "stars"))
    with pytest.raises(StageError, match=r"wds_nano-shape_test: classnames\.txt is missing or was changed"):
        evaluate(run_copy, tiny_scale, suite, tmp_path / "sets")


def test_a_test_set_of_another_content_is_refused(run_copy, tiny_scale, small_suite, tmp_path):
    suite, _ = small_suite
    for task in suite.tasks:
        miniature.make_test_set(task.model_copy(update={"data": task.data.model_copy(update={"seed": 5})}), tmp_path)
    with pytest.raises(StageError, match="is defined on"):
        evaluate(run_copy, tiny_scale, suite, tmp_path)


@pytest.mark.parametrize("content", ["{", "{}", '{"content_sha256": 1, "files": []}'])
def test_a_manifest_that_is_none_is_refused(run_copy, tiny_scale, small_suite, tmp_path, content):
    suite, data = small_suite
    shutil.copytree(data, tmp_path / "sets")
    (tmp_path / "sets" / suite.tasks[0].folder / sets.MANIFEST).write_text(content)
    with pytest.raises(RecordError, match="is no manifest record"):
        evaluate(run_copy, tiny_scale, suite, tmp_path / "sets")


def test_a_label_that_is_no_number_is_named(tmp_path):
    (tmp_path / "test").mkdir()
    with tars.TarWriter(tmp_path / "test" / "0.tar") as writer:
        writer.add("0.cls", b"cat")
        writer.add("0.jpg", b"picture")
    (tmp_path / "test" / "nshards.txt").write_text("1\n")
    with pytest.raises(TarError, match=r"0\.tar: sample '0' has the label b'cat'"):
        list(map(sets.label, sets.samples(sets.TestSet(tmp_path, (), (), ""))))


def test_a_missing_test_set_is_named(run_copy, tiny_scale, small_suite, tmp_path):
    with pytest.raises(StageError, match=r"there is no test set at .*wds_nano-objects_test"):
        evaluate(run_copy, tiny_scale, small_suite[0], tmp_path)


def test_the_content_digest_covers_texts_members_and_pixels(tmp_path):
    def made(name, pixel, members, template="{c}"):
        picture, texts = np.full((4, 4, 3), pixel, np.uint8), {sets.CLASSES: ("a", "b"), sets.TEMPLATES: (template,)}
        return sets.write(tmp_path / name, texts, iter([(picture, members)]), lambda pixels: pixels.tobytes()).content_sha256

    assert made("same", 1, {"cls": b"0"}) == made("as", 1, {"cls": b"0"})
    others = [made("b", 2, {"cls": b"0"}), made("c", 1, {"cls": b"1"}), made("d", 1, {"txt": b"0"}), made("e", 1, {"cls": b"0"}, "a {c}")]
    assert len({made("a", 1, {"cls": b"0"}), *others}) == 5


def test_members_of_a_test_set_that_would_run_code_are_not_touched(small_suite, tmp_path):
    path = tmp_path / "a.tar"
    with tars.TarWriter(path) as writer:
        writer.add("0.pyd", b"\x80\x04.")
        writer.add("0.cls", b"1")
        writer.add("0.jpg", b"picture")
    (tmp_path / "test").mkdir()
    path.rename(tmp_path / "test" / "0.tar")
    (tmp_path / "test" / "nshards.txt").write_text("1\n")
    assert [(sample.picture, sets.label(sample)) for sample in sets.samples(sets.TestSet(tmp_path, (), (), ""))] == [(b"picture", 1)]


def test_a_run_of_another_recipe_is_refused(run_copy, tiny_scale, small_suite):
    with pytest.raises(StageError, match="another recipe"):
        evaluate(run_copy, tiny_scale.model_copy(update={"summary": "changed"}), *small_suite)
