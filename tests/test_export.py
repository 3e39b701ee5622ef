"""An export gives, wherever open_clip loads it, the embeddings that we measure; and nothing else is ever written or read."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import open_clip
import outside
import pytest
import torch
import web
from folders import content
from typer.testing import CliRunner

from datacomp import digest
from datacomp.artifacts import run as runs
from datacomp.board import verify
from datacomp.cli import app
from datacomp.declared import scale as scales
from datacomp.declared.scale import VisionTransformer
from datacomp.errors import DatacompError, EntryError, StageError
from datacomp.evaluate.run import evaluate
from datacomp.network import build
from datacomp.network.embed import Embedder
from datacomp.train.export import CARD, CONFIG, WEIGHTS, card, export
from datacomp.train.hardware import Hardware
from datacomp.train.run import train

REPOSITORY = "somebody/tiny"


@pytest.fixture(scope="session")
def vit_scale(tiny_scale):
    """The tiny scale with the towers, tokenizer and captions of DataComp's scales, made small, and with preprocessing that is no default."""
    small = scales.load("small")
    tower = VisionTransformer(kind="vision_transformer", layers=2, width=64, head_width=32, mlp_ratio=2.0, patch_size=16)
    text = small.model.text.model_copy(update={"width": 64, "heads": 2, "layers": 2})
    pixels = {"size": 48, "interpolation": "bilinear", "mean": (0.5, 0.45, 0.4), "std": (0.3, 0.25, 0.2)}
    return tiny_scale.model_copy(
        update={
            "model": small.model.model_copy(update={"embed_dim": 32, "quick_gelu": True, "image": tower, "text": text}),
            "pixels": tiny_scale.pixels.model_copy(update=pixels),
            "tokens": small.tokens,
        }
    )


@pytest.fixture(scope="session", params=["timm tower, few merges", "ViT, all merges"])
def exported(request, tiny_scale, vit_scale, tiny_run, small_shards, tmp_path_factory):
    """A run, its scale, and its export."""
    folder = tmp_path_factory.mktemp("exports")
    scale, run = tiny_scale, tiny_run
    if request.param.startswith("ViT"):
        scale, run = vit_scale, train(vit_scale, (small_shards,), folder / "run", hardware=Hardware(threads=1, workers=0))
    export(run, scale, folder / "export")
    return run, scale, folder / "export"


def ours(run, scale, step=None):
    network = Embedder(scale, runs.weights_path(run.path, step) if step else run.weights())
    return network.images(np.stack([network.crop(picture) for picture in outside.pictures()])), network.texts(outside.CAPTIONS)


def assert_equal(found, expected):
    (pictures, captions), (our_pictures, our_captions) = found, expected
    assert np.array_equal(pictures, our_pictures), np.abs(pictures - our_pictures).max()
    np.testing.assert_allclose(captions, our_captions, rtol=0, atol=3e-7)  # they read captions with all that follows their end


def test_open_clip_gives_our_embeddings_from_a_folder(exported):
    run, scale, folder = exported
    assert_equal(outside.embed(*outside.by_card((folder / CARD).read_text(), "local-dir:FOLDER", str(folder))), ours(run, scale))


def test_clip_benchmark_gives_our_embeddings_from_a_folder(exported, monkeypatch):
    run, scale, folder = exported
    monkeypatch.chdir(folder)  # where the merges are found, if there are any
    assert_equal(outside.embed(*outside.by_clip_benchmark(f"local-dir:{folder}")), ours(run, scale))


def test_the_hub_gives_our_embeddings_to_open_clip_and_clip_benchmark(exported, tmp_path):
    run, scale, folder = exported
    with web.hub({path.name: path.read_bytes() for path in folder.iterdir()}, REPOSITORY) as server:
        environment = os.environ | {"HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "hub")}
        arguments = [folder / CARD, REPOSITORY, torch.get_num_threads(), tmp_path / "out.npz"]
        subprocess.run([sys.executable, outside.__file__, *map(str, arguments)], cwd=folder, env=environment, check=True, timeout=120)
    assert {line.split("/")[-1] for line in server.asked if line.startswith(f"GET /{REPOSITORY}")} == {path.name for path in folder.iterdir()} - {CARD}
    found, expected = np.load(tmp_path / "out.npz"), ours(run, scale)
    for loader in ("open_clip", "clip_benchmark"):
        assert_equal([found[f"{loader}_images"], found[f"{loader}_texts"]], expected)


def test_another_network_s_embeddings_are_found_to_differ(exported):
    run, scale, folder = exported
    theirs = outside.embed(*outside.by_card((folder / CARD).read_text(), "local-dir:FOLDER", str(folder)))
    with pytest.raises(AssertionError):
        assert_equal(theirs, ours(run, scale, step=run.record.checkpoints[0].step))


def test_open_clip_s_tokenizer_is_ours_or_an_error(exported, monkeypatch, tmp_path):
    _, scale, folder = exported
    monkeypatch.chdir(tmp_path)
    if build.has_all_merges(scale.tokens):
        theirs = open_clip.get_tokenizer(f"local-dir:{folder}")
        assert torch.equal(theirs(outside.CAPTIONS), build.Tokenizer(scale.tokens, scale.model.text.context_length)(outside.CAPTIONS))
    else:
        with pytest.raises(FileNotFoundError, match="bpe_3582_merges"):
            open_clip.get_tokenizer(f"local-dir:{folder}")


def test_the_weights_are_the_checkpoint_and_the_card_says_of_what(exported):
    run, scale, folder = exported
    assert (folder / WEIGHTS).read_bytes() == run.weights().read_bytes()
    text = (folder / CARD).read_text()
    facts = (scale.digest(), run.digest, run.record.checkpoints[-1].sha256, run.record.inputs.sources[0].subset.uids_sha256, "192 samples seen", "seed 0")
    assert [fact for fact in facts if fact not in text] == []


def test_names_in_the_card_are_no_markup(tiny_run, tiny_scale):
    source = tiny_run.record.inputs.sources[0].model_copy(update={"name": "`<script>` [a](http://b)"})
    inputs = tiny_run.record.inputs.model_copy(update={"sources": (source,)})
    run = runs.Run(tiny_run.path, tiny_run.record.model_copy(update={"inputs": inputs}), tiny_run.digest)
    assert "`?<script>? [a](http://b)`" in card(run, tiny_scale, run.record.checkpoints[-1])


def test_another_checkpoint_is_exported_by_its_step(tiny_run, tiny_scale, tmp_path):
    assert export(tiny_run, tiny_scale, tmp_path / "export", step=2) == tiny_run.record.checkpoints[0]
    found = outside.embed(*outside.by_card((tmp_path / "export" / CARD).read_text(), "local-dir:FOLDER", str(tmp_path / "export")))
    assert_equal(found, ours(tiny_run, tiny_scale, step=2))
    with pytest.raises(StageError, match=r"no checkpoint after step 3\. Allowed: 2, 4, 6"):
        export(tiny_run, tiny_scale, tmp_path / "other", step=3)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("publishes", range(4))
def test_a_stopped_export_does_not_look_complete_and_goes_on_to_the_same_bytes(tiny_run, tiny_scale, tmp_path, stopped, publishes):
    export(tiny_run, tiny_scale, tmp_path / "whole")
    with stopped(publishes):
        export(tiny_run, tiny_scale, tmp_path / "stopped")
    assert not (tmp_path / "stopped" / CONFIG).exists()
    assert len(content(tmp_path / "stopped")) == publishes
    (tmp_path / "stopped" / f".part-{WEIGHTS}").write_bytes(b"left by a kill")
    export(tiny_run, tiny_scale, tmp_path / "stopped")
    assert {path.name for path in (tmp_path / "stopped").iterdir()} == {CARD, CONFIG, WEIGHTS, "bpe_3582_merges.txt.gz"}
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")
    export(tiny_run, tiny_scale, tmp_path / "stopped")  # nothing is left to do


@pytest.mark.parametrize("held", ["notes.txt", CARD, CONFIG, "open_clip_pytorch_model.bin", "folder/file"])
def test_a_folder_with_something_else_is_refused_and_left_as_it_is(tiny_run, tiny_scale, tmp_path, held):
    path = tmp_path / "export" / held
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(StageError, match=rf"holds {held.split('/')[0]}, which is no part of this export.*another --out"):
        export(tiny_run, tiny_scale, tmp_path / "export")
    assert [found for found in (tmp_path / "export").rglob("*") if found.is_file()] == [path]


def test_an_export_of_another_checkpoint_is_something_else(tiny_run, tiny_scale, tmp_path):
    export(tiny_run, tiny_scale, tmp_path / "export", step=2)
    before = content(tmp_path / "export")
    with pytest.raises(StageError, match="no part of this export"):
        export(tiny_run, tiny_scale, tmp_path / "export")
    assert content(tmp_path / "export") == before


def test_a_run_of_another_recipe_is_not_exported(tiny_run, tiny_scale, tmp_path):
    with pytest.raises(StageError, match="another recipe than today's smoke"):
        export(tiny_run, tiny_scale.model_copy(update={"summary": "changed"}), tmp_path / "export")


@pytest.mark.parametrize("step", [2, 6])
def test_weights_that_the_record_does_not_name_are_not_exported(run_copy, tiny_scale, tmp_path, step):
    path = runs.weights_path(run_copy.path, step)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(StageError, match=r"is not the checkpoint that run\.json names"):
        export(run_copy, tiny_scale, tmp_path / "export", step=step)
    assert not (tmp_path / "export").exists()


def test_the_command_exports_and_says_where(tiny_run, tiny_scale, tmp_path, monkeypatch):
    monkeypatch.setattr(scales, "load", lambda name: tiny_scale)
    done = CliRunner().invoke(app, ["export", "--run", str(tiny_run.path), "--out", str(tmp_path / "export"), "--step", "4"])
    assert done.output == f"weights after step 4 in {tmp_path / 'export'}; {tmp_path / 'export' / CARD} says how to load them\n"
    assert json.loads((tmp_path / "export" / CONFIG).read_text())["preprocess_cfg"]["size"] == 32


def test_an_unfinished_run_is_not_exported(tiny_run, run_copy, tmp_path):
    (run_copy.path / runs.RECORD).unlink()
    done = CliRunner().invoke(app, ["export", "--run", str(run_copy.path), "--out", str(tmp_path / "export")])
    assert "holds no finished run" in str(done.exception)
    assert not (tmp_path / "export").exists()


@pytest.fixture
def stages(run_copy, tiny_scale, small_shards, make_entry, tmp_path, stopped, small_suite):
    """Everything that reads a checkpoint, by name; each first hands the folder of its run to a function."""

    def go_on(change):
        with stopped(5):  # the first checkpoint is there
            train(tiny_scale, (small_shards,), tmp_path / "unfinished", hardware=Hardware(threads=1, workers=0))
        change(tmp_path / "unfinished")
        train(tiny_scale, (small_shards,), tmp_path / "unfinished", hardware=Hardware(threads=1, workers=0))

    def measure(change):
        change(run_copy.path)
        evaluate(runs.read(run_copy.path), tiny_scale, *small_suite)

    def hand_out(change):
        change(run_copy.path)
        export(runs.read(run_copy.path), tiny_scale, tmp_path / "export")

    def check(change):
        change(run_copy.path)
        make_entry().write(tmp_path / "entry.json")
        if problem := verify.verify(tmp_path / "entry.json", verify.Beside(runs=(run_copy.path,)))[1][-1].problem:
            raise EntryError(problem)

    return {"train": go_on, "evaluate": measure, "export": hand_out, "verify": check}


def poison(run, evil, by):
    """Put a pickle in the place of every checkpoint of a run, and make the run's record fit."""
    weights = [*run.rglob(runs.WEIGHTS), *run.rglob("resume/*.safetensors")]
    assert weights
    for path in weights:
        path.write_bytes(pickle.dumps(evil)) if by is pickle else torch.save({"x": evil}, path)
    if (run / runs.RECORD).is_file():
        record = runs.RunRecord.read(run / runs.RECORD)
        sha256 = {"sha256": digest.of_file(weights[0])}
        record.model_copy(update={"checkpoints": tuple(one.model_copy(update=sha256) for one in record.checkpoints)}).write(run / runs.RECORD)


@pytest.mark.parametrize("stage", ["train", "evaluate", "export", "verify"])
@pytest.mark.parametrize("by", [pickle, torch], ids=["pickle", "torch.save"])
def test_a_poisoned_checkpoint_is_refused(stages, tmp_path, stage, by):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    with pytest.raises(DatacompError, match=r"\.safetensors is not a safetensors file.*pickled checkpoints can run code") as refused:
        stages[stage](lambda run: poison(run, Evil(), by))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "export").exists()


def test_a_sound_checkpoint_is_refused_by_none(stages, tmp_path):
    for stage in ("train", "evaluate", "export"):
        stages[stage](lambda run: None)
    assert (tmp_path / "export" / CONFIG).is_file()
    with pytest.raises(EntryError, match="results under another version of suite nano"):  # the entry is of another run
        stages["verify"](lambda run: None)
