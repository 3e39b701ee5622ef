"""Test sets of every family are read in the published layout, and what is missing, broken or altered is named by file. Nothing in them runs."""

import io
import json
import os
import pickle
import re

import evaluation_sets
import numpy as np
import pytest
from typer.testing import CliRunner

from datacomp import tars
from datacomp.cli import app
from datacomp.declared import suite as suites
from datacomp.errors import RecordError, StageError, TarError
from datacomp.evaluate import sets
from datacomp.evaluate.check import check
from datacomp.evaluate.run import FAMILIES, evaluate_published

GEODE = "fairness/geode"
RIDDLES = "misc/winogavil"
AT_WORK = (
    "region ranges",
    r"sample 's00000': a picture cannot be decoded",
    "there are two pictures 'small cat'",
    "has no picture",
)  # what only an evaluation notices
CAPTIONS = "retrieval/flickr_1k_test_image_text_retrieval"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return evaluation_sets.make_network(tmp_path_factory.mktemp("network"))


@pytest.fixture
def made(tmp_path):
    """Make the set of one task of a kind; return its suite and its folder."""

    def make(name):
        suite = evaluation_sets.small(suites.load("datacomp"), {name: evaluation_sets.KINDS[name]})
        evaluation_sets.make(tmp_path / "data", suite)
        return suite, tmp_path / "data" / suite.tasks[0].folder

    return make


def evaluate(network, suite, folder):
    config, weights = network
    return evaluate_published(str(config), weights, suite, folder.parent, folder.parent.parent / "out", threads=1)


def change(folder, replaced, key="s00000"):
    """Write the first tar again with other members of one sample; None removes one."""
    path = folder / "test" / "0.tar"
    samples = [(sample.key, dict(data)) for sample, data in tars.read_all(path)]
    with tars.TarWriter(path) as writer:
        for name, data in samples:
            for extension, content in (data | replaced if name == key else data).items():
                if content is not None:
                    writer.add(f"{name}.{extension}", content)


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_all_40_tasks_are_evaluated_offline_from_a_bundle_of_stand_ins(network, tmp_path):
    whole = suites.load("datacomp")
    suite = evaluation_sets.small(whole, {task.name: (task.classes, 12) for task in whole.tasks})
    data = evaluation_sets.make(tmp_path / "data", suite)
    found = evaluate(network, suite, data / "any")
    assert [result.task for result in found.tasks] == list(whole.spec.tasks)
    assert {task.family for task in suite.tasks} == set(FAMILIES)
    for task, result in zip(suite.tasks, found.tasks, strict=True):
        assert result.samples == 12
        assert (task.main_metric in result.metrics) == task.counts


def test_a_published_set_gets_a_manifest_and_what_changes_later_is_named(made):
    suite, folder = made(GEODE)
    first = sets.read(folder.parent, suite.tasks[0])
    assert sets.Manifest.read(folder / sets.MANIFEST).content_sha256 == first.content_sha256
    assert sets.read(folder.parent, suite.tasks[0]) == first
    change(folder, {"cls": b"1"})
    with pytest.raises(StageError, match=r"wds_geode_test: test/0\.tar is missing or was changed"):
        sets.read(folder.parent, suite.tasks[0])


def test_a_pinned_set_of_other_bytes_is_refused(made):
    suite, folder = made(GEODE)
    sha256 = sets.read(folder.parent, suite.tasks[0]).content_sha256
    task = suite.tasks[0]
    pinned = [task.model_copy(update={"data": task.data.model_copy(update={"content_sha256": digest})}) for digest in (sha256, "0" * 64)]
    assert sets.read(folder.parent, pinned[0]).content_sha256 == sha256
    with pytest.raises(StageError, match="task fairness/geode is defined on 000000000000"):
        sets.read(folder.parent, pinned[1])


@pytest.mark.parametrize(("name", "missing"), [(GEODE, "classnames.txt"), (GEODE, "test/1.tar"), (RIDDLES, "examples.jsonl"), (CAPTIONS, "test/0.tar")])
def test_a_missing_file_is_named(made, network, name, missing):
    suite, folder = made(name)
    (folder / missing).unlink()
    with pytest.raises(StageError, match=f"test set {folder.name} lacks {missing}"):
        evaluate(network, suite, folder)


def test_a_set_that_is_not_there_is_named_with_its_address(network, tmp_path):
    suite = evaluation_sets.small(suites.load("datacomp"), {GEODE: (3, 80)})
    with pytest.raises(StageError, match=r"no test set at .*wds_geode_test.*huggingface\.co/datasets/djghosh/wds_geode_test"):
        evaluate(network, suite, tmp_path / "data" / "any")


def test_a_manifest_that_is_not_of_its_files_is_refused(made):
    suite, folder = made(GEODE)
    sets.read(folder.parent, suite.tasks[0])
    path = folder / sets.MANIFEST
    content = json.loads(path.read_text())
    fewer = {name: sha256 for name, sha256 in content["files"].items() if name != "test/1.tar"}
    for forged in ({"content_sha256": "0" * 64}, {"files": fewer}, {"files": {}}):
        path.write_text(json.dumps(content | forged))
        with pytest.raises(StageError, match="is not the manifest of the files beside it"):
            sets.read(folder.parent, suite.tasks[0])


def test_a_set_without_templates_is_refused(made, network):
    suite, folder = made(GEODE)
    (folder / sets.TEMPLATES).write_text("")
    with pytest.raises(StageError, match="has no class names, or no templates"):
        evaluate(network, suite, folder)


@pytest.mark.parametrize("said", ["", "two", "0", "-1", "1e3", "999999999999"])
def test_a_number_of_tars_that_is_none_is_refused(made, network, said):
    suite, folder = made(GEODE)
    (folder / "test" / "nshards.txt").write_text(said)
    with pytest.raises(StageError, match=r"test/nshards\.txt says"):
        evaluate(network, suite, folder)


def test_a_tar_that_is_cut_off_is_named(made, network):
    suite, folder = made(GEODE)
    path = folder / "test" / "1.tar"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(TarError, match=r"1\.tar"):
        evaluate(network, suite, folder)


@pytest.mark.parametrize(
    ("name", "replaced", "problem"),
    [
        (GEODE, {"cls": None}, r"0\.tar: sample 's00000' lacks its \.cls"),
        (GEODE, {"cls": b"-1"}, r"has the label b'-1'"),
        (GEODE, {"cls": b"3"}, "labels outside its 3 classes"),
        (GEODE, {"cls": b"9" * 5000}, "has the label b'9999"),
        (GEODE, {"npy": None}, r"sample 's00000' lacks its \.npy"),
        (GEODE, {"npy": b"no array"}, "has no row of metadata"),
        (GEODE, {"npy": npy(np.array([1.0, 2.0]))}, "one each for region, country"),
        (GEODE, {"npy": npy(np.array([1]))}, "has no row of metadata"),
        (GEODE, {"npy": npy(np.array([[1, 2]]))}, "has no row of metadata"),
        (GEODE, {"npy": npy(np.array([-1, 2]))}, "region ranges from -1 to"),
        (GEODE, {"npy": npy(np.array([1 << 40, 2]))}, "region ranges from 0 to 1099511627776"),
        (GEODE, {"npy": npy(np.array([2**64 - 1, 2], np.uint64))}, "region ranges from -1 to"),
        (GEODE, {"npy": npy(np.zeros(1000, np.int64))}, "has no row of metadata"),
        (GEODE, {"png": b"no picture", "webp": None}, r"sample 's00000': a picture cannot be decoded"),
        (GEODE, {"png": None, "webp": None}, "lacks its picture"),
        (CAPTIONS, {"txt": None}, r"lacks its \.txt"),
        (CAPTIONS, {"txt": b""}, "has no captions"),
        (CAPTIONS, {"txt": b"\xff\xfe"}, "has no captions"),
        (RIDDLES, {"txt": b"small cat"}, "there are two pictures 'small cat'"),
        (RIDDLES, {"txt": b"nobody"}, "has no picture"),
    ],
)
def test_a_broken_sample_is_named(made, network, name, replaced, problem):
    suite, folder = made(name)
    change(folder, replaced)
    with pytest.raises((TarError, StageError), match=problem):
        evaluate(network, suite, folder)
    if not problem.startswith(AT_WORK):
        with pytest.raises((TarError, StageError), match=problem.replace("labels outside its", "label outside the")):
            check(folder.parent, suite.tasks[0])
    assert not (folder.parent.parent / "out" / "results.json").exists()


def test_a_pickled_row_is_refused_and_does_not_run(made, network, tmp_path):
    suite, folder = made(GEODE)
    for number, row in enumerate((npy(np.array([Evil(tmp_path / "ran")], object), allow_pickle=True), pickle.dumps(Evil(tmp_path / "ran")))):
        change(folder, {"npy": row})
        (folder / sets.MANIFEST).unlink(missing_ok=True)
        with pytest.raises(TarError, match="has no row of metadata"):
            evaluate(network, suite, folder)
        assert not (tmp_path / "ran").exists(), number


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", r"examples\.jsonl line 1 is no example record"),
        (json.dumps({"cue": "", "candidates": ["a"], "associations": ["a"]}), "cue"),
        (json.dumps({"cue": "sea", "candidates": ["small cat"], "associations": []}), "associations"),
        (
            json.dumps({"cue": "sea", "candidates": ["small cat"], "associations": ["small dog"]}),
            "line 1 is no example record.*names no candidate among its associations",
        ),
    ],
)
def test_a_broken_riddle_is_named(made, network, line, problem):
    suite, folder = made(RIDDLES)
    (folder / sets.EXAMPLES).write_text(line + "\n")
    with pytest.raises(RecordError, match=problem):
        evaluate(network, suite, folder)


@pytest.mark.parametrize("name", [GEODE, CAPTIONS, RIDDLES])
def test_another_number_of_samples_than_the_suite_s_is_refused(made, network, name):
    suite, folder = made(name)
    task = suite.tasks[0]
    other = suites.Suite(spec=suite.spec, tasks=(task.model_copy(update={"samples": task.samples + 1}),))
    with pytest.raises(StageError, match=f"has {task.samples} samples, task {name} has {task.samples + 1}"):
        evaluate(network, other, folder)


def test_another_number_of_classes_than_the_suite_s_is_refused(made, network):
    suite, folder = made(GEODE)
    (folder / sets.CLASSES).write_text("a\n\nb\nc\n")  # an empty line is a class, as it is to the published evaluator
    with pytest.raises(StageError, match="has 4 classes, task fairness/geode has 3"):
        evaluate(network, suite, folder)


def test_faces_without_prompts_about_something_are_refused(made, network):
    suite, folder = made("fairness/utkface")
    path = folder / sets.TEMPLATES
    path.write_text(path.read_text().replace("toxic:", "kind:"))
    with pytest.raises(StageError, match="wds_utkface_test has no prompts about toxic"):
        evaluate(network, suite, folder)


@pytest.mark.parametrize("name", evaluation_sets.KINDS)
def test_a_set_that_holds_passes_the_check(made, name):
    suite, folder = made(name)
    assert check(folder.parent, suite.tasks[0]) == sets.read(folder.parent, suite.tasks[0])


def test_the_command_says_which_sets_hold_and_which_do_not(made, monkeypatch):
    suite, folder = made(GEODE)
    whole = suites.Suite(spec=suite.spec, tasks=(*suite.tasks, suite.tasks[0].model_copy(update={"name": "cifar10", "samples": 5})))
    monkeypatch.setattr(suites, "load", lambda name: whole)
    done = CliRunner().invoke(app, ["evalsets", "check", "--data", str(folder.parent)])
    assert "fairness/geode: 80 samples" in done.output
    assert "cifar10: there is no test set at" in done.output
    assert "1 of 2 test sets do not hold" in str(done.exception)
    shown = CliRunner().invoke(app, ["evalsets", "list", "--data", str(folder.parent)]).output.splitlines()
    assert re.search(r"fairness/geode .* 80 +5\.9 +no +0\.\d\d", "\n".join(shown))
    assert re.search(r"cifar10 .* missing", "\n".join(shown))
