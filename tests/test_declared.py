"""Every declared record is whole and agrees with what it stands for."""

import json
from pathlib import Path

import open_clip
import pytest
import torch
from open_clip.model import CLIPTextCfg, CLIPVisionCfg

from datacomp import digest, rooms
from datacomp.declared import asset, baseline, pool, scale, suite, track
from datacomp.declared.scale import Budget, TimmTower
from datacomp.errors import RecordError, StageError
from datacomp.filters import catalog
from datacomp.network import build
from datacomp.records import read_toml
from datacomp.train import budget

SAMPLES_AND_CLASSES = (732_026, 5_630)  # of the tasks of the published list
DATACOMP = ("small", "medium", "large", "xlarge")
PUBLISHED = {  # arXiv 2304.14108, Table 1 and appendix: samples, batch, learning rate, warm-up, beta2, model
    "small": (12_800_000, 4096, 5e-4, 500, 0.98, "ViT-B-32"),
    "medium": (128_000_000, 4096, 5e-4, 500, 0.98, "ViT-B-32"),
    "large": (1_280_000_000, 8192, 5e-4, 500, 0.98, "ViT-B-16"),
    "xlarge": (12_800_000_000, 90_112, 1e-3, 10_000, 0.95, "ViT-L-14"),
}


def test_there_are_seven_scales_and_two_tracks():
    assert set(scale.names()) == {*DATACOMP, "smoke", "nano", "micro"}
    assert set(track.names()) == {"byod", "filtering"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_scale_has_the_published_numbers(name):
    samples, batch, rate, warmup, beta2, model = PUBLISHED[name]
    found = scale.load(name)
    assert 0 <= found.budget.samples_seen - samples < batch  # xlarge is rounded up to whole steps
    assert (found.budget.global_batch_samples, found.optimizer.learning_rate) == (batch, rate)
    assert (found.optimizer.warmup_steps, found.optimizer.beta2, found.model.open_clip_name) == (warmup, beta2, model)


@pytest.mark.parametrize("name", DATACOMP)
def test_a_scale_s_model_is_open_clip_s(name):
    declared = scale.load(name)
    ours = build.open_clip_config(declared.model, image_size=declared.pixels.size)
    theirs = open_clip.get_model_config(declared.model.open_clip_name)
    assert (ours["embed_dim"], ours["quick_gelu"]) == (theirs["embed_dim"], theirs.get("quick_gelu", False))
    assert CLIPVisionCfg(**ours["vision_cfg"]) == CLIPVisionCfg(**theirs["vision_cfg"])
    assert CLIPTextCfg(**ours["text_cfg"]) == CLIPTextCfg(**theirs["text_cfg"])
    assert (declared.pixels.mean, declared.pixels.std) == (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)


@pytest.mark.parametrize(
    ("name", "parameters", "shapes"),
    [
        ("small", 151_277_313, "6b44dd27c2dd0466"),
        ("large", 149_620_737, "65be31c0f5b1aad7"),
        ("xlarge", 427_616_513, "25028e0889e4ffa0"),
    ],
)
def test_a_frozen_model_has_these_parameters_whatever_the_library_s_defaults(name, parameters, shapes):
    declared = scale.load(name)
    with torch.device("meta"):
        network = build.model(declared.model, image_size=declared.pixels.size, logit_scale_start=declared.loss.logit_scale_start)
    named = dict(network.named_parameters())
    assert sum(parameter.numel() for parameter in named.values()) == parameters
    assert digest.of_content({name: list(parameter.shape) for name, parameter in named.items()}).startswith(shapes)


@pytest.mark.parametrize("name", scale.names())
def test_a_scale_fits_together(name):
    found = scale.load(name)
    assert pool.load(found.pool).samples <= found.budget.samples_seen
    assert build.vocabulary_size(found.tokens) == found.model.text.vocabulary_size
    assert found.optimizer.warmup_steps < found.budget.steps
    steps = budget.checkpoint_steps(found.budget)
    assert len(set(steps)) == found.budget.checkpoints
    assert steps[-1] == found.budget.steps


@pytest.mark.parametrize("name", ["smoke", "nano", "micro"])
def test_a_model_of_ours_can_be_built(name):
    found = scale.load(name)
    network = build.model(found.model, image_size=found.pixels.size, logit_scale_start=found.loss.logit_scale_start)
    assert sum(parameter.numel() for parameter in network.parameters()) < 1_000_000


def test_a_model_with_batch_statistics_is_refused():
    found = scale.load("nano")
    with_batch_norm = found.model.model_copy(
        update={"image": TimmTower(kind="timm", timm_model="resnet18", pool="avg", projection="linear", drop=0.0, drop_path=0.0)}
    )
    with pytest.raises(StageError, match="batch statistics"):
        build.model(with_batch_norm, image_size=32, logit_scale_start=14.0)


def test_a_budget_that_does_not_add_up_is_refused():
    with pytest.raises(ValueError, match="steps x global_batch_samples"):
        Budget(steps=10, global_batch_samples=10, samples_seen=101, checkpoints=1)


@pytest.mark.parametrize("name", pool.names())
def test_a_pool_s_references_are_the_ones_it_names(name):
    origin = pool.load(name).origin
    for network in getattr(origin, "references", ()):
        assert pool.reference_weights(network).is_file()


def test_another_reference_network_is_refused():
    origin = pool.load("nano").origin
    with pytest.raises(RecordError, match="not the reference network"):
        pool.reference_weights(origin.references[0].model_copy(update={"sha256": "0" * 64}))


@pytest.mark.parametrize("name", baseline.names())
def test_a_baseline_s_filter_takes_its_options(name, monkeypatch):
    declared = baseline.load(name)
    monkeypatch.setattr(asset, "locate", lambda found: asset._embedded(asset.load("lid.176.ftz")))
    assert catalog.make(declared.filter, dict(declared.options)).name.split("[")[0] == declared.filter


@pytest.mark.parametrize("name", suite.names())
def test_a_suite_s_tasks_are_whole(name):
    found = suite.load(name)
    grouped = [task for group in found.spec.groups for task in group.tasks]
    assert sorted(grouped) == sorted(set(grouped)), "a task stands in two groups"
    assert len({task.folder for task in found.tasks}) == len(found.tasks)
    for task in found.tasks:
        assert task.licence
        assert task.citation
        assert task.chance is None or 0 < task.chance < 1
        if task.main_metric in ("acc1", "mean_per_class_recall", "acc_worst_region", "acc_wg"):
            assert task.chance == pytest.approx(1 / task.classes)


def test_suite_datacomp_is_what_was_published():
    """The published task list has these sums; tests/test_published_averages.py holds the groups against published means."""
    found = suite.load("datacomp")
    assert (len(found.tasks), len(found.counting)) == (40, 38)
    assert [task.name for task in found.tasks if not task.counts] == ["fairness/fairface", "fairness/utkface"]
    assert all("no" in task.reason and task.main_metric is None for task in found.tasks if not task.counts)
    assert (sum(task.samples for task in found.tasks), sum(task.classes or 0 for task in found.tasks)) == SAMPLES_AND_CLASSES
    assert {group.name: len(group.tasks) for group in (*found.spec.groups, *found.spec.subsets)} == {
        "imagenet": 1,
        "shifts": 6,
        "vtab": 13,
        "retrieval": 3,
        "clean": 33,
    }
    others = {task.name: task.main_metric for task in found.tasks if task.main_metric not in ("acc1", None)}
    assert others == {
        **dict.fromkeys(("vtab/caltech101", "fgvc_aircraft", "vtab/flowers", "vtab/pets"), "mean_per_class_recall"),
        **dict.fromkeys((name for name in found.spec.tasks if name.startswith("retrieval/")), "mean_recall@1"),
        "misc/winogavil": "jaccard_score_10-12",
        "wilds/iwildcam": "F1-macro_all",
        "wilds/fmow": "acc_worst_region",
        "fairness/dollar_street": "acc_top5_wg",
        "fairness/geode": "acc_wg",
    }


def test_every_task_of_suite_datacomp_says_where_its_data_and_its_chance_come_from():
    for task in suite.load("datacomp").tasks:
        assert task.data.address.startswith("https://huggingface.co/datasets/")
        assert (task.chance is None) == (not task.counts)
        assert bool(task.chance_source) == task.counts
        assert task.status == "draft" or task.pinned


@pytest.mark.parametrize(
    ("change", "problem"),
    [({"main_metric": None}, "a task that counts has a main metric"), ({"counts": False}, "a task that does not count has a reason")],
)
def test_a_task_that_contradicts_itself_is_refused(change, problem):
    task = suite.load("nano").tasks[0]
    with pytest.raises(RecordError, match=problem):
        suite.Task.parse(json.dumps(task.plain() | change), "a task")


def test_a_task_that_the_suite_does_not_have_is_refused():
    with pytest.raises(RecordError, match=r"suite nano has no task nano/shapes\. Allowed: nano/objects"):
        suite.load("nano").chosen(("nano/shapes",))


@pytest.mark.parametrize("name", read_toml(rooms.tracks() / "assets.toml"))
def test_an_asset_names_an_address_and_a_digest(name):
    found = asset.load(name)
    assert found.url.startswith("https://") or (found.source and asset.locate(found).is_file())
    assert len(found.sha256) == 64


def test_data_rooms_hold_no_python():
    for room in (rooms.tracks(), rooms.eval_suite(), rooms.leaderboard()):
        assert list(Path(room).rglob("*.py")) == []


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(RecordError, match="large, medium, micro, nano, small, smoke, xlarge"):
        scale.load("tiny")


def test_an_unknown_key_in_a_record_is_refused():
    content = json.dumps(scale.load("nano").plain() | {"learning_rate_multiplier": 2.0})
    with pytest.raises(RecordError, match="learning_rate_multiplier"):
        scale.Scale.parse(content, "a record")
