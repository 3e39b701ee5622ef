"""Filter networks are trained by the recipe that is stated, averaged, held against test pictures, and say what they were made of, down to the entry."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from folders import content
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from datacomp import cli, digest, draws, tars
from datacomp.artifacts import filter_network, scores
from datacomp.artifacts import run as runs
from datacomp.board import enter
from datacomp.declared import filter_recipe
from datacomp.declared import pool as pools
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.declared.filter_recipe import FilterRecipe, Tuning
from datacomp.errors import DatacompError, EntryError, RecordError, StageError
from datacomp.evaluate import sets
from datacomp.filters.apply import apply
from datacomp.network import build, choose
from datacomp.network.embed import Embedder
from datacomp.pipelines import classify, compared, dfn, filter_networks, filter_report, filter_reproduced, labelled
from datacomp.pipelines.claims import Settings, Where
from datacomp.pipelines.compared import About, MainScore, Row
from datacomp.pipelines.dfn import Against, How, Sets
from datacomp.pipelines.filter_claims import BEHIND, TESTED, Measured
from datacomp.pipelines.filter_networks import Networks, OwnScores
from datacomp.pipelines.filter_study import ARMS, At, Study
from datacomp.pipelines.paired import Table
from datacomp.score import run as scoring
from datacomp.score.base import Method
from datacomp.train import webdataset
from datacomp.train.hardware import Hardware
from datacomp.train.run import train
from datacomp.train.webdataset import Weighted

FAST = How(hardware=Hardware("cpu", threads=1, workers=0))


@pytest.fixture
def recipe(tiny_scale, monkeypatch):
    """Three steps of the tiny scale, then two of tuning."""
    monkeypatch.setattr(scales, "load", lambda _: tiny_scale)
    tuning = Tuning(sets=("labels",), changes={"budget.steps": "2", "optimizer.learning_rate": "1e-4"}, tuned_share=0.25)
    changes = {"budget.steps": "3", "budget.checkpoints": "1", "optimizer.warmup_steps": "1"}
    return FilterRecipe(
        name="tiny", status="draft", summary="", source="", scale="tiny", initial="", sets=("pairs",), not_stated=(), changes=changes, tuning=tuning
    )


@pytest.fixture
def against(small_suite):
    return Against(*small_suite, allowed_share=1.0, workers=1)


@pytest.fixture(scope="module")
def labels(small_pool, tmp_path_factory):
    """A labelled set in the published layout: nine pictures of three classes in its training split."""
    folder = tmp_path_factory.mktemp("labels") / "things"
    (folder / "train").mkdir(parents=True)
    (folder / sets.CLASSES).write_text("star\nmoon\nsun\n")
    (folder / sets.TEMPLATES).write_text("a {c}\nthe {c} again, {c}\n")
    (folder / "train" / "nshards.txt").write_text("1\n")
    with tars.TarWriter(folder / "train" / "0.tar") as writer:
        for number, (_, members) in zip(range(9), tars.read_all(small_pool.tars()[0]), strict=False):
            writer.add(f"s{number}.cls", str(number % 3).encode())
            writer.add(f"s{number}.jpg", members["jpg"])
    return folder


def pairs_of(folder):
    return [(members["txt"].decode(), members["jpg"]) for path in sorted(folder.glob("*.tar")) for _, members in tars.read_all(path)]


# The records


@pytest.mark.parametrize("name", filter_recipe.names())
def test_every_recipe_is_one_that_the_trainer_can_follow(name):
    declared = filter_recipe.load(name)
    base = declared.base()
    tuned = scales.changed(scales.load(declared.scale), declared.tuning_changes())
    assert base.budget.steps >= tuned.budget.steps or declared.tuning is None
    assert declared.status == ("frozen" if name == "miniature" else "draft")  # by the others nobody has trained yet


def test_the_published_recipes_have_the_published_numbers():
    paper, public = (filter_recipe.load(name).base() for name in ("paper", "public"))
    assert (paper.budget.samples_seen, paper.budget.global_batch_samples, paper.optimizer.warmup_steps) == (5_120_000_000, 16_384, 2_000)
    assert public.budget.samples_seen == 1_280_000_000
    assert (paper.model.open_clip_name, paper.model.quick_gelu, public.model.quick_gelu) == ("ViT-B-32", True, False)


# The trainer


def test_augmentation_is_drawn_by_the_seed_and_absent_unless_it_is_asked_for(tiny_scale):
    picture = Image.fromarray(np.arange(48 * 48 * 3, dtype=np.uint32).reshape(48, 48, 3).astype(np.uint8))

    def crop(seed, **changed):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build.training_pixels(tiny_scale.pixels.model_copy(update=changed))(picture)

    grey = crop(0, grey_share=1.0)
    assert (grey[..., 0] == grey[..., 1]).all()
    assert not (crop(0)[..., 0] == crop(0)[..., 1]).all()
    jitter = {"colour_jitter": (0.4, 0.4, 0.4, 0.1), "colour_jitter_share": 1.0}
    assert np.array_equal(crop(1, **jitter), crop(1, **jitter))
    assert not np.array_equal(crop(1, **jitter), crop(1))


def test_a_recipe_s_augmentation_can_be_changed_and_does_not_touch_its_digest(tiny_scale):
    changed = scales.changed(tiny_scale, {"pixels.grey_share": "0.2"})
    assert changed.pixels.grey_share == 0.2
    assert "grey_share" not in digest.canonical(tiny_scale.plain())
    with pytest.raises(DatacompError, match=r"nothing to change at 'pixels\.grey'"):
        scales.changed(tiny_scale, {"pixels.grey": "0.2"})


def test_a_run_begins_with_the_weights_that_are_given_and_is_no_entry(tiny_scale, tiny_run, small_shards, small_suite, tmp_path):
    still = {"optimizer.learning_rate": "0.0", "optimizer.weight_decay": "0.0", "budget.steps": "2", "budget.checkpoints": "1"}
    done = train(tiny_scale, (small_shards,), tmp_path / "run", changes=still, hardware=FAST.hardware, initial=tiny_run.weights())
    assert content(done.weights().parent) == content(tiny_run.weights().parent)
    inputs = done.record.inputs
    assert (inputs.division, inputs.initial_sha256) == ("open", digest.of_file(tiny_run.weights()))
    with pytest.raises(EntryError, match="did not begin with fresh weights"):
        enter.seed_run(done, small_suite[0])
    with pytest.raises(StageError, match="holds a run with another"):
        train(tiny_scale, (small_shards,), tmp_path / "run", changes=still, hardware=FAST.hardware)
    with pytest.raises(StageError, match="there are no weights at"):
        train(tiny_scale, (small_shards,), tmp_path / "other", hardware=FAST.hardware, initial=tmp_path / "no.safetensors")


# Labelled sets


def test_labelled_pictures_get_captions_of_class_and_template(labels, tmp_path):
    record = labelled.write(labels, tmp_path / "pairs", 3, shard_samples=4)
    found = pairs_of(tmp_path / "pairs")
    chosen = draws.below(2, 3, "prompt template", np.arange(9))
    names = ["star", "moon", "sun"]
    assert [caption for caption, _ in found] == [("a {c}", "the {c} again, {c}")[chosen[row]].replace("{c}", names[row % 3]) for row in range(9)]
    assert set(chosen) == {0, 1}
    assert (record.source, record.samples) == ("things", 9)
    assert sorted(path.name for path in (tmp_path / "pairs").glob("*.tar")) == ["00000000.tar", "00000001.tar", "00000002.tar"]
    before = content(tmp_path / "pairs")
    assert labelled.write(labels, tmp_path / "pairs", 3, shard_samples=4) == record
    assert content(tmp_path / "pairs") == before
    assert webdataset.read(str(tmp_path / "pairs")).shards.record.found_samples == 9


def test_no_empty_shard_is_left(labels, tmp_path):
    labelled.write(labels, tmp_path / "pairs", 0, shard_samples=3)
    assert sorted(path.name for path in (tmp_path / "pairs").glob("*.tar")) == ["00000000.tar", "00000001.tar", "00000002.tar"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / sets.CLASSES).write_text("star\n"), "has label 1, there are 1 classes"),
        (lambda folder: (folder / sets.TEMPLATES).write_text("a thing\n"), "lacks class names or templates"),
        (lambda folder: (folder / sets.TEMPLATES).unlink(), "lacks class names or templates"),
        (lambda folder: shutil.rmtree(folder / "train"), "train/nshards.txt says 'nothing'"),
    ],
)
def test_a_labelled_set_that_is_none_is_refused(labels, tmp_path, spoil, said):
    shutil.copytree(labels, tmp_path / "things")
    spoil(tmp_path / "things")
    with pytest.raises(DatacompError, match=said):
        labelled.write(tmp_path / "things", tmp_path / "pairs", 0)


# The network


def test_the_average_is_that_of_every_tensor_by_hand(tmp_path):
    save_file({"a": torch.tensor([0.0, 4.0]), "logit_scale": torch.tensor(2.0)}, tmp_path / "base.safetensors")
    save_file({"a": torch.tensor([4.0, 8.0]), "logit_scale": torch.tensor(4.0)}, tmp_path / "tuned.safetensors")
    dfn.average(tmp_path / "base.safetensors", tmp_path / "tuned.safetensors", 0.25, tmp_path / "mean.safetensors")
    found = load_file(tmp_path / "mean.safetensors")
    assert found["a"].tolist() == [1.0, 5.0]
    assert float(found["logit_scale"]) == 2.5
    save_file({"a": torch.tensor([4.0])}, tmp_path / "other.safetensors")
    with pytest.raises(StageError, match="weights of different networks"):
        dfn.average(tmp_path / "base.safetensors", tmp_path / "other.safetensors", 0.5, tmp_path / "no.safetensors")


def test_a_filter_network_is_trained_tuned_averaged_and_scores_with_its_record(recipe, against, small_shards, small_pool, labels, tmp_path):
    sets_of = Sets((Weighted(small_shards, 1.0),), (Weighted(small_shards, 3.0),), ((labels, 1.0),))
    made = dfn.make(recipe, sets_of, None, against, tmp_path / "dfn", FAST)
    base, tuned = (runs.read(tmp_path / "dfn" / name) for name in ("base", "tuned"))
    assert (base.record.inputs.division, tuned.record.inputs.initial_sha256) == ("open", digest.of_file(base.weights()))
    assert [source.weight for source in tuned.record.inputs.sources] == [3.0, 1.0]
    first, second, mean = (load_file(path) for path in (base.weights(), tuned.weights(), tmp_path / "dfn" / "network" / "open_clip_model.safetensors"))
    assert all(torch.allclose(mean[name], 0.25 * second[name] + 0.75 * first[name]) for name in first)
    assert [(one.source, one.suite) for one in made.checked] == [("shards", "nano"), ("shards", "nano"), ("labelled-0", "nano")]
    assert any("tuned on things, labelled" in resource for resource in made.external_resources)
    before = content(tmp_path / "dfn" / "network")
    assert dfn.make(recipe, sets_of, None, against, tmp_path / "dfn", FAST) == made
    assert content(tmp_path / "dfn" / "network") == before
    network = choose.one(None, f"local-dir:{tmp_path / 'dfn' / 'network'}", None)
    picture, caption = next((members["jpg"], members["txt"].decode()) for _, members in tars.read_all(small_pool.tars()[0]))
    ours = Embedder(recipe.base(), tmp_path / "dfn" / "network" / "open_clip_model.safetensors")
    theirs = choose.load(network, "cpu", 16)
    assert np.allclose(ours.images(ours.crop(picture)[None].copy()), theirs.images(theirs.crop(picture)[None].copy()), atol=1e-6)
    assert np.allclose(ours.texts([caption]), theirs.texts([caption]), atol=1e-6)
    done = scoring.score(small_pool, network, tmp_path / "scores", scoring.Settings("cpu", 64, 1))
    assert done.record.inputs.scorer.external_resources[1:] == made.external_resources
    listed = apply("score", {"scores": str(done.path), "fraction": 0.15}, small_pool, tmp_path / "list.npy")
    assert set(made.external_resources) < set(listed.record.external_resources)


def test_a_network_beside_another_s_record_is_refused(recipe, against, small_shards, tmp_path):
    how = FAST._replace(tuned_share=0.0)
    dfn.make(recipe, Sets((Weighted(small_shards, 1.0),)), None, against, tmp_path / "dfn", how)
    folder = tmp_path / "dfn" / "network"
    assert filter_network.FilterNetwork.read(folder / filter_network.RECORD).tuned_share == 0.0
    tensors = load_file(folder / "open_clip_model.safetensors")
    tensors["logit_scale"] += 1
    save_file(tensors, folder / "open_clip_model.safetensors")
    with pytest.raises(StageError, match=r"is not the network that dfn\.json beside it tells of"):
        choose.one(None, f"local-dir:{folder}", None)


def test_what_does_not_fit_the_recipe_is_refused_before_training(recipe, against, small_shards, labels, tmp_path):
    pairs = (Weighted(small_shards, 1.0),)
    untuned = recipe.model_copy(update={"tuning": None})
    begun = recipe.model_copy(update={"initial": "OpenAI CLIP"})
    for declared, given, initial, how, said in (
        (recipe, Sets(pairs), None, FAST, "is tuned, and no set came for that"),
        (untuned, Sets(pairs, pairs), None, FAST, "is not tuned, and sets to tune on came"),
        (begun, Sets(pairs, pairs), None, FAST, "begins with OpenAI CLIP; no weights to begin with came"),
        (recipe, Sets(pairs, pairs), labels, FAST, "begins with fresh weights; weights to begin with came"),
        (recipe, Sets(pairs, pairs), None, FAST._replace(tuned_share=1.5), "1.5 of the tuned weights came"),
        (recipe, Sets(pairs), None, FAST._replace(tuned_share=0.5), "nothing to tune on"),
    ):
        with pytest.raises(StageError, match=said):
            dfn.make(declared, given, initial, against, tmp_path / "dfn", how)
    assert not (tmp_path / "dfn" / "base").exists()


def test_a_training_set_with_test_pictures_is_refused_with_and_without_uids(recipe, small_suite, tmp_path):
    suite, data = small_suite
    for name, about in (("named", b'{"uid": "%032x"}'), ("unnamed", None)):
        (tmp_path / name).mkdir()
        with tars.TarWriter(tmp_path / name / "0.tar") as writer:
            for number, sample in zip(range(40), sets.samples(sets.read(data, suite.tasks[0])), strict=False):
                writer.add(f"{number}.jpg", sample.picture)
                if about:
                    writer.add(f"{number}.json", about % number)
                writer.add(f"{number}.txt", b"stolen")
        given = Sets((webdataset.read(str(tmp_path / name)),))
        with pytest.raises(StageError, match=rf"40 of 40 pictures in .*{name} look like test pictures of suite nano.*--allow-copies"):
            dfn.make(recipe, given, None, Against(suite, data, workers=1), tmp_path / f"dfn-{name}", FAST._replace(tuned_share=0.0))
        assert not (tmp_path / f"dfn-{name}" / "base").exists()
    assert dfn.check([given.base[0].shards], Against(suite, data, allowed_share=1.0, workers=1), tmp_path / "work")[0].copies == 40


# The classifier, and the commands


def test_a_classifier_is_trained_on_shards_and_scores_a_pool(recipe, against, tiny_run, small_shards, small_pool, tmp_path):
    network = choose.one(tiny_run.path, "", None)
    kinds = classify.Kinds(small_shards, webdataset.read(str(small_pool.path / "shards")).shards)
    record = classify.make(network, kinds, tmp_path / "head", against=against, samples=150, device="cpu")
    assert (record.good_samples, record.pool_samples) == (150, 150)
    assert record.external_resources[0].startswith("features of run ")
    method = Method("classifier", (("head", str(tmp_path / "head")),))
    done = scoring.score(small_pool, network, tmp_path / "scores", scoring.Settings("cpu", 64, 1, method))
    assert done.record.scored_samples == 600
    assert set(record.external_resources) < set(scores.read(done.path).used().external_resources)
    with pytest.raises(StageError, match="look like test pictures"):
        classify.make(network, kinds, tmp_path / "no", against=against._replace(threshold=0.01, allowed_share=0.0), samples=10, device="cpu")


def test_the_command_trains_by_a_recipe(recipe, against, small_shards, labels, tmp_path, monkeypatch):
    monkeypatch.setattr(filter_recipe, "load", lambda name: recipe)
    monkeypatch.setattr("datacomp.declared.suite.load", lambda name, version=None: against.suite)
    arguments = ["dfn", "train", "--recipe", "tiny", "--shards", f"{small_shards.path}=2", "--tune-labels", f"{labels}=1", "--allow-copies", "1"]
    machine = ["--data", str(against.data), "--device", "cpu", "--threads", "1", "--set", "budget.steps=2", "--out", str(tmp_path / "dfn")]
    done = CliRunner().invoke(cli.app, [*arguments, *machine])
    assert f"score with: datacomp score --model local-dir:{tmp_path / 'dfn' / 'network'}" in done.stdout, done
    assert "used: filter network trained on shards" in done.stdout
    wrong = CliRunner().invoke(cli.app, [*arguments[:-2], "--tune-labels", "x=y", *machine])
    assert isinstance(wrong.exception, StageError)


# The comparison of filters

NANO, SUITE = scales.load("nano"), suites.load("nano")
INDUCED = {"no filter": 0.1, "random": 0.1, "CLIP score b32": 0.2, "CLIP score l14": 0.25, "DFN": 0.4}
INDUCED |= {"DFN, 5 % raw": 0.35, "DFN, 20 % raw": 0.3, "DFN, 50 % raw": 0.25, "DFN, 100 % raw": 0.2, "classifier on b32": 0.22, "classifier on l14": 0.21}
OWN = {"CLIP score b32": 0.4, "CLIP score l14": 0.5, "DFN": 0.4, "DFN, 5 % raw": 0.39, "DFN, 20 % raw": 0.38, "DFN, 50 % raw": 0.37}
OWN |= {"DFN, 100 % raw": 0.36, "classifier on b32": 0.4, "classifier on l14": 0.5}
ALIKE = {arm: 0.9 * INDUCED[arm] for arm in BEHIND}  # ordered as what is induced


def main_scores(level):
    tasks = [task for task in SUITE.tasks if task.counts]
    errors = [{task.main_metric: 0.005} for task in tasks]
    return tuple(
        MainScore(task=task.name, metrics={task.main_metric: level}, standard_errors=error, samples=task.samples)
        for task, error in zip(tasks, errors, strict=True)
    )


def run_row(arm, seed, level, scale=NANO):
    """A run that reaches so much in every task of suite nano."""
    about = About(
        recipe_sha256=scale.digest(), suite="nano", suite_version=SUITE.spec.version, suite_sha256=SUITE.digest(), pool="nano",
        pool_uids_sha256=pools.load("nano").uids_sha256, pool_content_sha256="b" * 64, list_sha256="c" * 64,
    )  # fmt: skip
    content = {"scale": scale.name, "arm": arm, "seed": seed, "about": about, "samples": 60, "distinct_samples": 60, "tasks": main_scores(level)}
    return Row.of(content | {"weights_sha256": "d" * 64, "code": {"version": "0", "sha256": "e" * 64}}, "a made-up row")


def network_row(arm, level, **changes):
    about = {"arm": arm, "weights_sha256": "d" * 64, "suite": "nano", "suite_version": SUITE.spec.version, "suite_sha256": SUITE.digest()}
    return OwnScores.of(about | {"tasks": main_scores(level)} | changes, "a made-up row")


def rows(induced, own, seeds=(0, 1)):
    """Runs whose seeds differ by a little, turned around at every other arm, and what the networks reach."""
    runs = [run_row(arm, seed, level + 0.002 * (-1) ** (place + seed)) for place, (arm, level) in enumerate(induced.items()) for seed in seeds]
    return [*runs, *(network_row(arm, level) for arm, level in own.items())]


def shown(induced, own, seeds=(0, 1)):
    return [claim.judge(rows(induced, own, seeds)).shows for claim in filter_reproduced.STUDY.claims]


def without(levels, *arms):
    return {arm: level for arm, level in levels.items() if arm not in arms}


@pytest.mark.slow
def test_a_study_takes_every_arm_the_whole_way_and_goes_on(recipe, against, tiny_scale, tmp_path):
    sizes = {"poison": (0.0, 1.0), "clean_samples": 120, "label_samples": 80, "how": FAST, "workers": 1}
    networks = Networks(tmp_path / "networks", tmp_path / "networks.json", against.suite, recipe, **sizes, data=against.data)
    asked = Study(tmp_path / "out", tmp_path / "runs.json", networks, (At(tiny_scale, (0,)),), 0.3, 200, at_once=1)
    names = ["no filter", "random", "CLIP score b32", "CLIP score l14", "DFN", "DFN, 100 % raw", "classifier on b32", "classifier on l14"]
    assert asked.told()[0].count("to do") == 6
    assert asked.told()[1].count("to do") == 8 + 1
    assert not (tmp_path / "networks").exists()
    asked.run()
    found = compared.read(asked.record)
    assert {key.arm: row.samples for key, row in found.items()} == {"no filter": 200} | dict.fromkeys(names[1:], 60)
    own = filter_networks.own(compared.read_all(networks.record, OwnScores), against.suite)
    assert set(own) == set(names[2:])
    assert own["classifier on b32"] == own["CLIP score b32"]  # whose features it has
    (table,) = asked.tables()
    made = filter_report.files([Measured(table, own)], networks, asked.fraction)
    assert "| CLIP score l14 | 60 | 1 | " in made[filter_report.PAGE]
    assert made["own-smoke.svg"].count("<circle") == 6
    assert "  to do" not in "".join(asked.told())
    before = asked.record.read_bytes(), networks.record.read_bytes(), (tmp_path / "out" / "smoke" / "log.jsonl").read_bytes()
    asked.run()
    assert (asked.record.read_bytes(), networks.record.read_bytes(), (tmp_path / "out" / "smoke" / "log.jsonl").read_bytes()) == before


def test_each_claim_can_show_and_can_fail_to():
    assert shown(INDUCED, OWN) == [True, True, True]
    levels = INDUCED | {"DFN": 0.2, "DFN, 100 % raw": 0.195}
    assert shown(levels, {arm: 0.9 * levels[arm] for arm in BEHIND}) == [False, False, False]


@pytest.mark.parametrize("changed", [{"CLIP score l14": 0.4}, {"CLIP score b32": 0.1}, {"no filter": 0.2}, {"no filter": 0.5}, {"DFN": 0.251}])
def test_the_clean_network_must_lie_above_each_score_and_all_above_no_filter(changed):
    assert shown(INDUCED | changed, OWN)[0] is False


def test_poison_must_cost_more_of_what_is_induced_than_of_the_network_s_own():
    assert shown(INDUCED | {"DFN, 100 % raw": 0.399}, OWN)[1] is False  # within noise
    assert shown(INDUCED | {"DFN, 100 % raw": 0.5}, OWN)[1] is False  # it rises
    assert shown(INDUCED, OWN | {"DFN, 100 % raw": 0.2})[1] is False  # both fall by half
    assert shown(INDUCED, OWN | {"DFN, 100 % raw": 0.5})[1] is True  # its own rises
    told = TESTED[1].judge(filter_reproduced.measured(rows(INDUCED, OWN))).told
    assert re.search(r"-5\.0 ± 0\.\d with DFN, 5 % raw, .*-20\.0 ± 0\.\d with DFN, 100 % raw against DFN", told), told
    assert re.search(r"loses 50\.0 ± \d\.\d % of the induced average and 10\.0 ± \d\.\d % of its own, \+40\.0 ± \d\.\d points more", told), told


def test_a_pair_is_turned_round_where_both_differences_are_above_noise():
    assert shown(INDUCED, ALIKE)[2] is False
    told = TESTED[2].judge(filter_reproduced.measured(rows(INDUCED, ALIKE | {"classifier on b32": 0.5}))).told
    assert re.search(r"DFN induces \+18\.0 ± 0\.\d more than classifier on b32, whose network reaches \+14\.0 ± 0\.\d more itself; 5 of 36 pairs", told), told
    assert shown(INDUCED, ALIKE | {"classifier on b32": 0.361})[2] is True  # against those below DFN
    near = ALIKE | {"classifier on b32": 0.9 * 0.25 + 0.001}  # above what induces as much or more, by less than noise
    assert shown(INDUCED, near)[2] is False
    assert "none of 36 pairs" in TESTED[2].judge(filter_reproduced.measured(rows(INDUCED, near))).told


def test_what_is_missing_is_not_measured():
    assert shown({"random": 0.1}, {}) == [None, None, None]
    assert shown(without(INDUCED, "CLIP score b32"), ALIKE)[0] is None
    assert shown(without(INDUCED, "DFN, 100 % raw"), OWN)[1] is None
    assert shown(INDUCED, without(OWN, "DFN, 100 % raw"))[1] is None
    assert shown(without(INDUCED, "classifier on b32"), ALIKE)[2] is None
    assert shown(without(INDUCED, "classifier on b32"), OWN)[2] is True  # one pair is enough
    assert shown(INDUCED, OWN, seeds=(0,)) == [None, None, None]  # nothing tells how seeds differ
    assert filter_reproduced.STUDY.claims[0].judge(rows({"random": 0.1}, {})).says == "not measured"


def test_a_network_that_reaches_nothing_has_nothing_to_lose():
    assert shown(INDUCED, OWN)[1] is True
    assert shown(INDUCED, OWN | {"DFN": 0.0})[1] is None


def test_the_page_has_tables_verdicts_and_pictures(tmp_path):
    networks = filter_reproduced.study(Where(tmp_path, tmp_path / "runs.json"), Settings()).networks
    micro = scales.changed(NANO, {"budget.steps": "900"})
    found = filter_reproduced.measured(rows(INDUCED, OWN))
    made = filter_report.files([found, Measured(Table([], micro, SUITE), found.own)], networks, 0.15)
    assert set(made) == {"dfn.md", "own-nano.svg", "poison-nano.svg"}
    page = made["dfn.md"]
    assert page.count("**it shows**") == 3
    assert page.count("## Scale ") == 1
    assert re.search(r"\| DFN \| 60 \| 2 \| 40\.0 ± 0\.\d \| \+30\.0 ± 0\.\d \| 40\.0 ± 0\.2 \|", page), page
    assert all(name in made for name in re.findall(r"\]\(([^)]+svg)\)", page))
    assert made["own-nano.svg"].count("<circle") == 9
    assert made["poison-nano.svg"].count("<circle") == 10
    assert "Not run at this scale" not in page
    fewer = filter_report.files([filter_reproduced.measured(rows(without(INDUCED, "DFN, 5 % raw"), OWN))], networks, 0.15)["dfn.md"]
    assert "Not run at this scale: DFN, 5 % raw." in fewer
    stale = [run_row("DFN", 0, 0.4, micro)]
    assert "1 recorded runs are of another recipe" in filter_report.files([Measured(Table(stale, NANO, SUITE), {})], networks, 0.15)["dfn.md"]


def test_the_networks_record_is_validated_and_stale_rows_are_left_out(tmp_path):
    path = tmp_path / filter_networks.FILE
    for each in (network_row("DFN", 0.4), network_row("classifier on b32", 0.3), network_row("CLIP score b32", 0.2, suite_sha256="a" * 64)):
        compared.add(path, each)
    compared.add(path, network_row("classifier on b32", 0.35))
    assert {arm: round(mean.value, 4) for arm, mean in filter_networks.own(filter_reproduced.read(tmp_path / "runs.json"), SUITE).items()} == {
        "DFN": 0.4,
        "classifier on b32": 0.35,
    }
    path.write_text(compared.text([network_row("DFN", 0.4)] * 2))
    with pytest.raises(RecordError, match="two rows of one arm"):
        compared.read_all(path, OwnScores)
    path.write_text('[{"arm": "DFN"}]')
    with pytest.raises(RecordError, match="row 1 is no ownscores record"):
        compared.read_all(path, OwnScores)


def test_what_the_records_lack_is_planned(tmp_path):
    shutil.copytree(Path(__file__).parents[1] / "docs" / "dfn", tmp_path / "dfn")
    where = Where(tmp_path / "out", tmp_path / "dfn" / "runs.json")
    study = filter_reproduced.study(where, Settings())
    where.record.write_text(compared.text([row for row in compared.read(where.record).values() if row.arm != "random"]))
    assert [line for line in study.told()[1].splitlines() if "to do  " in line] == [f"  to do     random, seed {seed}" for seed in range(3)]


def test_the_study_that_is_measured_again_names_its_arms_and_plans(tmp_path):
    asked = filter_reproduced.study(Where(tmp_path / "out", tmp_path / "runs.json"), Settings())
    assert tuple(arm.name for arm in asked.arms(tmp_path)) == ARMS == filter_reproduced.STUDY.arms
    assert all(set(claim.arms) <= set(ARMS) for claim in TESTED)
    (tmp_path / "runs.json").write_text(compared.text([run_row("DFN", 0, 0.4)]))
    (tmp_path / "networks.json").write_text(compared.text([network_row("DFN", 0.4)]))
    planned = "\n".join(filter_reproduced.plan(Where(tmp_path / "out", tmp_path / "runs.json"), Settings(), ("no filter", "DFN")))
    assert "networks, before the runs:\n  measured  DFN\nnano: 5 of 6 runs to do" in planned
    assert "  measured  DFN, seed 0\n" in planned
    assert not (tmp_path / "out").exists()
