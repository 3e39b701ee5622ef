"""What is evaluated: checkpoints of a run and networks of others, all tasks or some; results belong to one of them alone."""

import json
import shutil

import evaluation_sets
import numpy as np
import pytest
import safetensors.numpy
import torch
from typer.testing import CliRunner

from datacomp import digest
from datacomp.artifacts import results as results_files
from datacomp.artifacts import run as runs
from datacomp.artifacts.results import Results
from datacomp.artifacts.run import Run
from datacomp.board import averages
from datacomp.cli import app
from datacomp.declared import suite as suites
from datacomp.errors import DatacompError, EntryError, StageError
from datacomp.evaluate import run as evaluation
from datacomp.evaluate.model import Model
from datacomp.evaluate.run import evaluate, evaluate_published
from datacomp.network import choose
from datacomp.network.embed import Embedder
from datacomp.network.published import OpenClip, configured
from datacomp.pipelines import miniature
from datacomp.train.export import export

SHIFTS = ("imagenet1k", "imagenetv2", "imagenet_sketch")  # the same class names and templates


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Three tasks of suite datacomp, the folder of their sets, and somebody's network."""
    folder = tmp_path_factory.mktemp("others")
    suite = evaluation_sets.small(suites.load("datacomp"), dict.fromkeys(SHIFTS, (6, 20)))
    return suite, evaluation_sets.make(folder / "data", suite), evaluation_sets.make_network(folder / "network")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Two tasks of suite nano with few samples, and the folder of their sets."""
    data = tmp_path_factory.mktemp("drawn")
    suite = evaluation_sets.small(suites.load("nano"), {"nano/objects": (80, 60), "nano/colour": (8, 40)})
    tasks = []
    for task in suite.tasks:
        made = miniature.make_test_set(task, data)
        tasks.append(task.model_copy(update={"data": task.data.model_copy(update={"content_sha256": made.content_sha256})}))
    return suites.Suite(spec=suite.spec, tasks=tuple(tasks)), data


def published(others, out, **options):
    suite, data, (config, weights) = others
    return evaluate_published(str(config), weights, suite, data, out, threads=1, **options)


def lines(path):
    return [json.loads(line)["key"] for line in path.read_text().splitlines()]


# Some tasks


def test_some_tasks_give_lines_for_those_and_no_average(others, tmp_path):
    found = published(others, tmp_path, tasks=("imagenetv2",))
    assert [result.task for result in found.tasks] == ["imagenetv2"]
    assert lines(tmp_path / evaluation.PUBLISHED) == ["imagenetv2"]
    assert not (tmp_path / evaluation.RESULTS).exists()
    with pytest.raises(EntryError, match="evaluate the whole suite"):
        averages.aggregates(others[0], [found.tasks])


def test_tasks_add_up_to_the_whole_suite(others, tmp_path, monkeypatch):
    parts = [published(others, tmp_path / "parts", tasks=(name,)) for name in reversed(SHIFTS[1:])]
    assert lines(tmp_path / "parts" / evaluation.PUBLISHED) == list(SHIFTS[1:])
    whole = published(others, tmp_path / "parts")
    assert whole == published(others, tmp_path / "whole") == Results.read(tmp_path / "parts" / evaluation.RESULTS)
    assert [part.tasks[0] for part in reversed(parts)] == list(whole.tasks[1:])
    monkeypatch.setattr(choose, "load", lambda *_: pytest.fail("a network was loaded again"))
    assert published(others, tmp_path / "parts", tasks=("imagenetv2",)) == parts[1]


def test_some_tasks_of_a_run_leave_its_results_alone(run_copy, tiny_scale, drawn):
    suite, data = drawn
    some = evaluate(run_copy, tiny_scale, suite, data, tasks=("nano/colour",))
    path = results_files.path_in(run_copy.path, "nano")
    assert not path.exists()
    assert evaluate(run_copy, tiny_scale, suite, data).tasks[1:] == some.tasks
    assert lines(path.parent / "nano" / evaluation.PUBLISHED) == ["nano/objects", "nano/colour"]


def test_an_evaluation_that_is_killed_goes_on_with_the_next_task(others, tmp_path, stopped, monkeypatch):
    with stopped(publishes=2):
        published(others, tmp_path / "out")
    kept = sorted(path.name for path in (tmp_path / "out").glob("wds_*.json"))
    assert len(kept) == 2
    computed = []
    real = evaluation.FAMILIES["classification"]
    monkeypatch.setitem(evaluation.FAMILIES, "classification", lambda model, test_set: (computed.append(test_set.path.name), real(model, test_set))[1])
    assert published(others, tmp_path / "out") == published(others, tmp_path / "undisturbed")
    assert computed == ["wds_imagenet_sketch_test", *(task.folder for task in others[0].tasks)]


# Checkpoints and networks


def test_every_checkpoint_of_a_run_has_results_of_its_own(run_copy, tiny_scale, drawn):
    suite, data = drawn
    found = [evaluate(run_copy, tiny_scale, suite, data, checkpoint=one) for one in runs.checkpoints(run_copy, "all")]
    assert [one.weights_sha256 for one in found] == [one.sha256 for one in run_copy.record.checkpoints]
    assert found[0].tasks != found[-1].tasks
    last = run_copy.record.checkpoints[-1]
    assert Results.read(results_files.path_in(run_copy.path, "nano")) == found[-1]
    assert Results.read(results_files.path_in(run_copy.path, "nano", step=run_copy.record.checkpoints[0].step)) == found[0]
    assert not results_files.path_in(run_copy.path, "nano", step=last.step).exists()


@pytest.mark.parametrize("wish", ["first", "7", "", "-1"])
def test_a_checkpoint_that_is_not_there_is_refused(tiny_run, wish):
    with pytest.raises(StageError, match=r"has no checkpoint .*last, all, or a number of steps: 2, 4, 6"):
        runs.checkpoints(tiny_run, wish)


def test_a_checkpoint_of_other_weights_is_refused(run_copy, tiny_scale, drawn):
    first, second, _ = run_copy.record.checkpoints
    shutil.copy(runs.weights_path(run_copy.path, second.step), runs.weights_path(run_copy.path, first.step))
    with pytest.raises(StageError, match="is not the checkpoint that the run's record names"):
        evaluate(run_copy, tiny_scale, *drawn, checkpoint=first)


def test_an_exported_run_is_evaluated_like_the_run_itself(tiny_run, tiny_scale, drawn, tmp_path):
    suite, data = drawn
    export(tiny_run, tiny_scale, tmp_path / "export")
    config, weights = tmp_path / "export" / "open_clip_config.json", tmp_path / "export" / "open_clip_model.safetensors"
    found = evaluate_published(str(config), weights, suite, data, tmp_path / "out")
    run = Run(shutil.copytree(tiny_run.path, tmp_path / "run"), tiny_run.record, tiny_run.digest)
    assert found.tasks == evaluate(run, tiny_scale, suite, data).tasks
    assert found.network.name == "open_clip_config.json"


def test_another_network_never_gets_an_earlier_one_s_results(others, tmp_path):
    """The same weights under another config are another network, and so are other weights."""
    suite, data, (config, weights) = others
    first = published(others, tmp_path / "out")
    quick, other = tmp_path / "quick.json", tmp_path / "other.safetensors"
    quick.write_text(json.dumps(json.loads(config.read_text()) | {"quick_gelu": True}))
    tensors = safetensors.numpy.load_file(weights)
    safetensors.numpy.save_file(tensors | {"visual.proj": -tensors["visual.proj"]}, other)
    for model, file in ((quick, weights), (config, other)):
        found = evaluate_published(str(model), file, suite, data, tmp_path / "out", threads=1)
        assert found.tasks != first.tasks
        assert Results.read(tmp_path / "out" / evaluation.RESULTS) == found
    assert published(others, tmp_path / "out") == first


def test_weights_that_are_not_finite_are_refused(others, tmp_path):
    suite, data, (config, weights) = others
    tensors = safetensors.numpy.load_file(weights)
    safetensors.numpy.save_file(tensors | {"visual.proj": tensors["visual.proj"] * np.nan}, tmp_path / "nan.safetensors")
    with pytest.raises(StageError, match="not finite"):
        evaluate_published(str(config), tmp_path / "nan.safetensors", suite, data, tmp_path / "out", threads=1)


def test_pickled_weights_and_what_would_have_to_be_downloaded_are_refused(others, tmp_path):
    """tests/test_score.py has what else is refused."""
    suite, data, (config, _) = others
    torch.save({}, tmp_path / "weights.pt")
    told = ((str(config), "weights.pt", "is no safetensors file"), (str(config), "gone.safetensors", "no weights"), ("hf-hub:x/y", "", "not on this machine"))
    for model, weights, problem in told:
        with pytest.raises(StageError, match=problem):
            evaluate_published(model, tmp_path / weights if weights else None, suite, data, tmp_path / "out")


# Work that is done once


def test_the_network_is_loaded_once_and_tasks_share_a_classifier(others, tmp_path, monkeypatch):
    loaded, asked = [], []

    class Counting(OpenClip):
        def __init__(self, *arguments, **options):
            loaded.append(1)
            super().__init__(*arguments, **options)

        def texts(self, captions):
            asked.append(len(captions))
            return super().texts(captions)

    choose.load.cache_clear()
    monkeypatch.setattr(choose, "OpenClip", Counting)
    published(others, tmp_path)
    assert (loaded, asked) == ([1], [6 * 3])


def test_other_prompts_make_another_classifier(others):
    _, _, (config, weights) = others
    model = Model(OpenClip(configured(config), weights))
    first = model.classifier(("cat", "dog"), ("a {c}",))
    assert model.classifier(("cat", "dog"), ("a {c}",)) is first
    assert not np.allclose(model.classifier(("cat", "dog"), ("the {c}",)), first)
    assert not np.allclose(model.classifier(("cat", "bird"), ("a {c}",)), first)


def test_batches_and_threads_change_nothing(tiny_run, tiny_scale, drawn):
    suite, data = drawn
    samples = list(evaluation.sets.samples(evaluation.sets.read(data, suite.tasks[0])))
    found = [Model(Embedder(tiny_scale, tiny_run.weights(), batch_samples=size), workers=workers).images(samples) for size, workers in ((7, 3), (100, 1))]
    assert len(found[0]) == len(samples)
    assert np.allclose(*found, atol=1e-6)


# The command


def datacomp(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


@pytest.fixture
def suite_of_others(others, monkeypatch):
    monkeypatch.setattr(suites, "load", lambda name: others[0])
    return others


def test_the_command_evaluates_somebody_s_network(suite_of_others, tmp_path):
    _, data, (config, weights) = suite_of_others
    arguments = ("--model", config, "--weights", weights, "--suite", "datacomp", "--data", data, "--out", tmp_path, "--threads", 1)
    some = datacomp(*arguments, "--tasks", "imagenetv2")
    assert some.exit_code == 0, some.output
    assert "1 of 3 tasks: no average" in some.output
    assert "average" in datacomp(*arguments).output
    assert Results.read(tmp_path / evaluation.RESULTS).network.name == config.name


def test_the_command_evaluates_several_networks_each_into_its_own_folder(suite_of_others, tmp_path):
    """Two of one architecture and one that brings its weights along: the files go to those that need one, in their order."""
    _, data, (config, weights) = suite_of_others
    other, folder = tmp_path / "other.safetensors", tmp_path / "mine"
    tensors = safetensors.numpy.load_file(weights)
    safetensors.numpy.save_file(tensors | {"visual.proj": -tensors["visual.proj"]}, other)
    folder.mkdir()
    shutil.copy(config, folder / "open_clip_config.json")
    shutil.copy(weights, folder / "open_clip_model.safetensors")
    models = ("--model", config, "--model", f"local-dir:{folder}", "--model", config)
    shared = ("--suite", "datacomp", "--data", data, "--threads", 1)
    done = datacomp(*models, "--weights", weights, "--weights", other, "--out", tmp_path / "several", *shared)
    assert done.exit_code == 0, done.exception
    assert datacomp("--model", config, "--weights", other, "--out", tmp_path / "alone", *shared).exit_code == 0
    digests = [digest.of_file(path) for path in (weights, weights, other)]
    names = [f"{name}-{sha256[:8]}" for name, sha256 in zip((config.stem, "mine", config.stem), digests, strict=True)]
    assert {path.name for path in (tmp_path / "several").iterdir()} == set(names)
    found = [Results.read(tmp_path / "several" / name / evaluation.RESULTS) for name in names]
    assert [one.weights_sha256 for one in found] == digests
    assert found[0].tasks == found[1].tasks != found[2].tasks
    assert found[2] == Results.read(tmp_path / "alone" / evaluation.RESULTS)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_weights_that_are_not_one_for_each_network_are_refused_before_anything_is_measured(suite_of_others, tmp_path, count):
    _, data, (config, weights) = suite_of_others
    done = datacomp("--model", config, "--model", config, *["--weights", weights] * count, "--data", data, "--out", tmp_path / "out")
    assert f"2 models need weights, {count} files came" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_no_network_is_measured_before_all_are_found(suite_of_others, tmp_path):
    _, data, (config, weights) = suite_of_others
    done = datacomp(
        "--model", config, "--weights", weights, "--model", config, "--weights", tmp_path / "gone.safetensors", "--data", data, "--out", tmp_path / "out"
    )
    assert "there are no weights at" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_the_command_evaluates_all_checkpoints(run_copy, tiny_scale, drawn, monkeypatch):
    suite, data = drawn
    monkeypatch.setattr(suites, "load", lambda name: suite)
    monkeypatch.setattr(runs.Inputs, "recipe", lambda self: tiny_scale)
    done = datacomp("--run", run_copy.path, "--checkpoint", "all", "--data", data)
    assert done.exit_code == 0, done.exception
    assert done.output.count("samples seen") == 3


@pytest.mark.parametrize(
    "arguments", [(), ("--model", "ViT-B-32"), ("--weights", "x"), ("--run", "x", "--out", "y"), ("--model", "a", "--weights", "b", "--out", "c", "--run", "d")]
)
def test_a_command_that_names_no_network_or_two_is_refused(arguments):
    done = datacomp(*arguments)
    assert isinstance(done.exception, DatacompError)
    assert "it is not clear what to evaluate" in str(done.exception)


def test_a_task_that_is_none_is_refused_before_anything_is_read(tmp_path):
    done = datacomp("--run", tmp_path, "--tasks", "nano/shape,mnist")
    assert "suite nano has no task mnist" in str(done.exception)
