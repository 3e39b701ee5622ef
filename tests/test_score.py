"""Scores are those of the network itself, whoever computes them and how often they are interrupted; every sample is scored or dropped for a reason."""

import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub.constants
import numpy as np
import open_clip
import pytest
import torch
from folders import content
from networks import CONFIG, write_model
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from datacomp import cli, digest, tables, tars, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import scores as passes
from datacomp.declared import scale as scales
from datacomp.errors import DatacompError, FilterError, PoolError, StageError
from datacomp.filters.apply import apply
from datacomp.launch import local
from datacomp.network import choose
from datacomp.network.embed import Embedder, decode
from datacomp.score import catalog, classifier, run, tar
from datacomp.score.base import Judged, Method
from datacomp.score.run import Settings

TESTS = Path(__file__).parent
ONE = Settings(device="cpu", batch_samples=16, workers=1)


def picture(size):
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "PNG")
    return buffer.getvalue()


SPOILT = {  # what is made of some samples of the second tar, and why they get no score
    3: (lambda members: members.update(jpg=b"no picture"), "a picture that cannot be decoded"),
    5: (lambda members: members.update(jpg=members["jpg"][:200]), "a picture that cannot be decoded"),
    7: (lambda members: members.pop("jpg"), "no picture"),
    11: (lambda members: members.pop("txt"), "no caption"),
    13: (lambda members: members.pop("json"), "no uid"),
    17: (lambda members: members.update(png=picture((1, 2000)), jpg=None), "a picture more than 1,000 times as long as wide"),
}


@pytest.fixture(scope="module")
def pool(small_pool, tmp_path_factory):
    """Somebody's download of the small pool: three tars hold 120 of its 600 rows, some of them spoilt."""
    folder = tmp_path_factory.mktemp("score") / "pool"
    shutil.copytree(small_pool.path / "metadata", folder / "metadata")
    samples = list(tars.read_all(small_pool.tars()[0]))
    (folder / "shards").mkdir()
    for number in range(3):
        with tars.TarWriter(folder / "shards" / f"{number:08d}.tar") as writer:
            for place, (sample, members) in enumerate(samples[number * 40 : number * 40 + 40]):
                if number == 1 and place in SPOILT:
                    SPOILT[place][0](members)
                for extension, data in members.items():
                    if data is not None:
                        writer.add(f"{sample.key}.{extension}", data)
    return pools.read(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def network(model):
    return choose.one(None, f"local-dir:{model}", None, "tiny")


@pytest.fixture(scope="module")
def scored(pool, network, tmp_path_factory):
    return run.score(pool, network, tmp_path_factory.mktemp("scored") / "scores", ONE)


def by_uid(done):
    return {uid: value for path in done.tables() for uid, value in tables.read_parquet(path).rows()}


def pairs(pool):
    """The sound pairs of a pool: uid, picture, caption."""
    for number, path in enumerate(pool.tars()):
        for place, (_, members) in enumerate(tars.read_all(path)):
            if number != 1 or place not in SPOILT:
                yield json.loads(members["json"])["uid"], members["jpg"], members["txt"].decode()


def test_scores_and_embeddings_are_open_clip_s_own(pool, scored, model):
    clip, _, prepare = open_clip.create_model_and_transforms(f"local-dir:{model}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{model}")
    listed = list(pairs(pool))
    with torch.inference_mode():
        images = clip.eval().encode_image(torch.stack([prepare(decode(one)) for _, one, _ in listed]), normalize=True).numpy()
        texts = clip.encode_text(tokenizer([caption for *_, caption in listed]), normalize=True).numpy()
    assert list(by_uid(scored)) == [uid for uid, *_ in listed]
    assert list(by_uid(scored).values()) == pytest.approx((images * texts).sum(axis=1), abs=1e-6)
    for key, expected in (("tiny_img", images), ("tiny_txt", texts)):
        stored = np.concatenate([tables.read_npz(scored.path / f"{number:08d}.npz", key) for number in range(3)])
        assert stored.dtype == np.float16
        assert np.allclose(stored, expected, atol=1e-3)


def test_every_sample_is_scored_or_dropped_for_a_reason(scored):
    reasons = [reason for _, reason in SPOILT.values()]
    assert scored.record.dropped_samples == {reason: reasons.count(reason) for reason in sorted(reasons)}
    assert (scored.record.samples, scored.record.scored_samples, scored.record.tars) == (120, 114, 3)


def test_the_record_says_which_network_scored_which_pool(pool, scored, network):
    inputs = scored.record.inputs
    assert (inputs.scorer.kind, inputs.scorer.name, inputs.scorer.weights_sha256) == ("config", "tiny", network.sha256)
    assert inputs.scorer.preprocessing.model_dump() == {"size": 32, "interpolation": "bilinear", "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
    assert inputs.pool_uids_sha256 == uids.digest_of(pools.all_uids(pool))
    assert str(pool.path.parent) not in (scored.path / passes.RECORD).read_text()


def test_a_record_that_does_not_add_up_is_none(scored):
    with pytest.raises(ValueError, match="119 samples came, 114 were scored"):
        passes.ScoresRecord.model_validate(scored.record.model_dump() | {"samples": 119})


def test_the_generated_pool_s_scores_are_those_of_its_metadata(small_pool, tmp_path):
    reference = choose.choose(["b32=none"])[0]
    done = run.score(small_pool, reference, tmp_path / "scores", Settings("cpu", 256, 1))
    metadata = tables.read_parquet(small_pool.metadata("00000000"))
    assert list(by_uid(done)) == metadata["uid"].to_list()
    assert list(by_uid(done).values()) == pytest.approx(metadata["clip_l14_similarity_score"].to_list(), abs=1e-6)
    assert np.allclose(tables.read_npz(done.path / "00000000.npz", "l14_txt"), tables.read_npz(small_pool.features("00000000"), "l14_txt"), atol=1e-3)
    clip_score = apply("clip_score", {"fraction": 0.3}, small_pool, tmp_path / "clip_score.npy")
    assert np.array_equal(best(small_pool, done, tmp_path, fraction=0.3).uids, clip_score.uids)


def test_a_run_of_one_s_own_scores(pool, tiny_run, tiny_scale, tmp_path, monkeypatch):
    monkeypatch.setattr(scales, "load", lambda _: tiny_scale)
    done = run.score(pool, choose.one(tiny_run.path, "", None), tmp_path / "scores", ONE)
    ours, listed = Embedder(tiny_scale, tiny_run.weights()), list(pairs(pool))
    expected = (ours.images(np.stack([ours.crop(one) for _, one, _ in listed])) * ours.texts([caption for *_, caption in listed])).sum(axis=1)
    assert list(by_uid(done).values()) == pytest.approx(expected, abs=1e-5)
    assert done.record.inputs.scorer.weights_sha256 == tiny_run.record.checkpoints[-1].sha256
    assert not list(done.path.glob("*.npz"))


# The same bytes


def test_neither_processes_nor_threads_change_a_byte(pool, network, scored, tmp_path):
    several = run.score(pool, network, tmp_path / "processes", ONE._replace(workers=2))
    assert content(several.path) == content(scored.path)
    (tmp_path / "threads").mkdir()
    for path in pool.tars():
        tar.score(tar.Task(path, tmp_path / "threads", network, "cpu", 16, pool.tombstones(), threads=3))
    assert content(tmp_path / "threads").items() <= content(scored.path).items()


def test_a_pass_interrupted_before_any_file_goes_on_to_the_same_bytes(pool, network, scored, tmp_path, stopped):
    """A tar has three files, and the pass two of its own."""
    for publishes in range(11):
        with stopped(publishes):
            run.score(pool, network, tmp_path / str(publishes), ONE)
        assert not (tmp_path / str(publishes) / passes.RECORD).exists()
        assert content(run.score(pool, network, tmp_path / str(publishes), ONE).path) == content(scored.path)


def test_finished_tars_are_not_scored_again(pool, network, scored, tmp_path, stopped, monkeypatch):
    with stopped(5):
        run.score(pool, network, tmp_path / "scores", ONE)
    opened, real = [], tars.opened
    monkeypatch.setattr(tars, "opened", lambda path: opened.append(path.name) or real(path))
    run.score(pool, network, tmp_path / "scores", ONE)
    assert opened == ["00000001.tar", "00000002.tar"]
    run.score(pool, network, tmp_path / "scores", ONE)
    assert len(opened) == 2


def test_a_tar_s_scores_do_not_depend_on_other_tars_and_hardly_on_the_batch(pool, network, scored, tmp_path):
    shutil.copytree(pool.path, tmp_path / "pool")
    (tmp_path / "pool" / "shards" / "00000000.tar").unlink()
    fewer = run.score(pools.read(tmp_path / "pool"), network, tmp_path / "scores", ONE)
    for path in fewer.tables():
        assert path.read_bytes() == (scored.path / path.name).read_bytes()
    other = by_uid(run.score(pool, network, tmp_path / "batch", ONE._replace(batch_samples=100)))
    assert other == pytest.approx(by_uid(scored), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_pass_killed_wherever_a_file_appears_ends_with_the_same_bytes(pool, model, scored, tmp_path, moment):
    arguments = ["score", "--pool", pool.path, "--model", f"local-dir:{model}", "--embeddings", "tiny", "--batch", "16", "--workers", "1"]
    command = [sys.executable, TESTS / "killed.py", moment, "4", *arguments, "--device", "cpu", "--out", tmp_path / "scores"]
    kills = 0
    while (done := subprocess.run(list(map(str, command)), capture_output=True, check=False)).returncode:
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1
        assert kills < 10
    assert kills >= 2
    assert content(tmp_path / "scores") == content(scored.path)


# What a pool may be


def test_what_was_taken_down_gets_no_score(pool, network, scored, tmp_path):
    shutil.copytree(pool.path, tmp_path / "pool")
    gone = list(by_uid(scored))[:2]
    (tmp_path / "pool" / pools.TOMBSTONES).write_text("\n".join(gone))
    done = run.score(pools.read(tmp_path / "pool"), network, tmp_path / "scores", ONE)
    assert done.record.dropped_samples == scored.record.dropped_samples | {"tombstoned": 2}
    assert by_uid(scored).keys() - by_uid(done).keys() == set(gone)


def test_a_tar_that_is_cut_off_is_scored_up_to_there(pool, network, tmp_path):
    shutil.copytree(pool.path, tmp_path / "pool")
    path = tmp_path / "pool" / "shards" / "00000000.tar"
    os.truncate(path, tars.index(path)[20].end + 512)
    done = run.score(pools.read(tmp_path / "pool"), network, tmp_path / "scores", ONE)
    assert done.record.broken_tars == ("00000000.tar",)
    assert done.record.dropped_samples["cut off"] == 1
    assert len(tables.read_parquet(done.tables()[0])) == 20


def test_an_empty_tar_gives_an_empty_table(pool, network, tmp_path):
    shutil.copytree(pool.path, tmp_path / "pool")
    with tars.TarWriter(tmp_path / "pool" / "shards" / "00000001.tar"):
        pass
    done = run.score(pools.read(tmp_path / "pool"), network, tmp_path / "scores", ONE)
    assert (done.record.samples, done.record.scored_samples) == (80, 80)
    assert len(tables.read_parquet(done.tables()[1], ["uid", "score"])) == 0
    assert tables.read_npz(done.path / "00000001.npz", "tiny_img").shape == (0, 8)


def test_a_uid_that_stands_twice_is_an_error(pool, network, tmp_path):
    shutil.copytree(pool.path, tmp_path / "pool")
    _, members = next(tars.read_all(pool.tars()[0]))
    with tars.TarWriter(tmp_path / "pool" / "shards" / "00000000.tar") as writer:
        for key in ("a", "b"):
            for extension, data in members.items():
                writer.add(f"{key}.{extension}", data)
    with pytest.raises(PoolError, match="stands twice in"):
        run.score(pools.read(tmp_path / "pool"), network, tmp_path / "scores", ONE)


def test_a_pool_without_a_tar_or_a_sound_pair_is_refused(pool, network, tmp_path):
    shutil.copytree(pool.path / "metadata", tmp_path / "pool" / "metadata")
    with pytest.raises(PoolError, match="holds no tar"):
        run.score(pools.read(tmp_path / "pool"), network, tmp_path / "scores", ONE)
    (tmp_path / "pool" / "shards").mkdir()
    with tars.TarWriter(tmp_path / "pool" / "shards" / "0.tar") as writer:
        writer.add("a.txt", b"alone")
    with pytest.raises(PoolError, match=r"no sample of .* can be scored: \{\'no uid\': 1\}"):
        run.score(pools.read(tmp_path / "pool"), network, tmp_path / "scores", ONE)


# What a network may be


def test_every_way_to_name_a_network_leads_to_it(model, network, tmp_path, monkeypatch):
    weights = model / "open_clip_model.safetensors"
    snapshot = tmp_path / "models--somebody--tiny" / "snapshots" / ("0" * 40)
    shutil.copytree(model, snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    shutil.copy(model / "open_clip_config.json", tmp_path / "tiny-to-score.json")
    (tmp_path / "tiny-to-list.json").write_text(json.dumps(CONFIG["model_cfg"]))
    open_clip.add_model_config(tmp_path / "tiny-to-list.json")
    by_config, by_hub = choose.one(None, str(tmp_path / "tiny-to-score.json"), weights), choose.one(None, "hf-hub:somebody/tiny", None)
    by_list = choose.one(None, "tiny-to-list", weights)
    assert {found.sha256 for found in (by_config, by_hub, by_list)} == {network.sha256}
    assert choose.load(by_config, "cpu").config == choose.load(by_hub, "cpu").config == choose.load(network, "cpu").config
    assert choose.load(by_list, "cpu").pixels.mean == open_clip.OPENAI_DATASET_MEAN


@pytest.mark.parametrize(
    ("model_name", "weights", "said"),
    [
        ("ViT-B-32", None, "came without weights; nothing is downloaded"),
        ("ViT-B-32", "no.safetensors", "there are no weights at"),
        ("ViT-B-32", "evil.pt", r"evil\.pt is no safetensors file.*can run code"),
        ("ViT-Q-3", "tiny.safetensors", "is no architecture of open_clip"),
        ("config.json", "tiny.safetensors", "there is no config at config.json"),
        ("broken.json", "tiny.safetensors", "declares no CLIP that can be built"),
        ("list.json", "tiny.safetensors", "declares no CLIP that can be built: it holds no model_cfg"),
        ("remote.json", "tiny.safetensors", "would have to be downloaded"),
        ("local-dir:nowhere", None, "there is no config at nowhere"),
        ("local-dir:pickled", None, r"open_clip_pytorch_model\.bin is no safetensors file"),
        ("local-dir:pickled", "tiny.safetensors", "has its own weights"),
        ("hf-hub:apple/DFN-public", None, "is not on this machine.*0.6 GB.*hf download apple/DFN-public open_clip_config.json"),
        ("hf-hub:../../etc", None, "is no repository of the Hub"),
        ("hf-hub:../etc", None, "is no repository of the Hub"),
        ("", None, "one network is needed"),
    ],
)
def test_a_network_that_cannot_be_used_is_refused_at_once(tmp_path, monkeypatch, model_name, weights, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("evil.pt", "tiny.safetensors", "pickled/open_clip_pytorch_model.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "remote.json").write_text(json.dumps({"vision_cfg": {"timm_model_name": "hf-hub:somebody/else"}, "text_cfg": {}}))
    (tmp_path / "pickled" / "open_clip_config.json").write_text(json.dumps(CONFIG))
    with pytest.raises(DatacompError, match=said):
        choose.one(None, model_name, Path(weights) if weights else None)


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "open_clip_model.safetensors").write_bytes(pickle.dumps(Evil(folder / "ran"))), "is not a safetensors file"),
        (lambda folder: (folder / "open_clip_model.safetensors").write_bytes(b""), "is not a safetensors file"),
        (lambda folder: change_config(folder, embed_dim=4), "does not fit the model"),
        (lambda folder: change_config(folder, text_cfg={"vocab_size": 49408, "width": 16, "heads": 1, "layers": 2}), "does not fit the model"),
        (lambda folder: change_config(folder, surprise=1), "declares no CLIP that can be built"),
    ],
    ids=["poisoned", "empty", "other width", "other depth", "other keys"],
)
def test_weights_that_are_none_or_another_s_are_refused_before_anything_is_written(pool, tmp_path, change, said):
    folder = write_model(tmp_path / "tiny")
    change(folder)
    with pytest.raises(StageError, match=said):
        run.score(pool, choose.one(None, f"local-dir:{folder}", None), tmp_path / "scores", ONE)
    assert not (folder / "ran").exists()
    assert not (tmp_path / "scores").exists()


def change_config(folder, **changes):
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG | {"model_cfg": CONFIG["model_cfg"] | changes}))


def test_a_network_that_gives_no_numbers_is_refused(pool, tmp_path):
    folder = write_model(tmp_path / "tiny")
    tensors = load_file(folder / "open_clip_model.safetensors")
    tensors["visual.proj"].fill_(float("nan"))
    save_file(tensors, folder / "open_clip_model.safetensors")
    with pytest.raises(StageError, match="no number for a score"):
        run.score(pool, choose.one(None, f"local-dir:{folder}", None), tmp_path / "scores", ONE)


def test_a_folder_takes_one_network_only(pool, network, scored, tmp_path, stopped):
    other = choose.one(None, f"local-dir:{write_model(tmp_path / 'other', seed=1)}", None, "tiny")
    with pytest.raises(StageError, match="holds scores with another scorer"):
        run.score(pool, other, scored.path, ONE)
    with pytest.raises(StageError, match="holds scores with another batch_samples"):
        run.score(pool, network, scored.path, ONE._replace(batch_samples=17))
    with stopped(6):
        run.score(pool, network, tmp_path / "half", ONE)
    with pytest.raises(StageError, match="holds scores with another scorer"):
        run.score(pool, other, tmp_path / "half", ONE)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").touch()
    with pytest.raises(StageError, match=r"already holds thesis\.tex"):
        run.score(pool, network, tmp_path / "taken", ONE)


def test_a_device_that_is_not_here_and_a_prefix_that_is_none_are_refused(pool, network, model, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(StageError, match="--device cuda:1 came, and torch finds no GPU here"):
        run.score(pool, network, tmp_path / "scores", ONE._replace(device="cuda:1"))
    with pytest.raises(StageError, match="is no prefix of embeddings"):
        run.score(pool, choose.one(None, f"local-dir:{model}", None, "../l14"), tmp_path / "scores", ONE)
    assert list(tmp_path.iterdir()) == []


# The filter


def best(pool, scored, out, **options):
    return apply("score", {"scores": str(scored.path), **options}, pool, out / "list.npy")


def test_the_filter_keeps_the_best_of_what_was_scored_with_ties_by_uid(pool, scored, tmp_path):
    ranked = sorted(by_uid(scored), key=lambda uid: (-by_uid(scored)[uid], uid))
    found = best(pool, scored, tmp_path, fraction=0.15, exact_count=True)
    assert uids.text(found.uids) == sorted(ranked[: int(114 * 0.15)])
    assert found.record.external_resources == ("scores by config tiny",)
    assert found.record.assets["config tiny"] == scored.record.inputs.scorer.weights_sha256
    assert len(best(pool, scored, tmp_path, fraction=0.15).uids) == int(114 * 0.15) + 1  # as published
    assert len(best(pool, scored, tmp_path, fraction=1.0).uids) == 114


def tied(scored, folder):
    """The same pass if all scores were equal."""
    shutil.copytree(scored.path, folder)
    for path in sorted(folder.glob("*.parquet")):
        frame = tables.read_parquet(path)
        tables.write_parquet(path, frame.with_columns(score=frame["score"] * 0))
    digests = passes.tables_sha256((path.stem, digest.of_file(path)) for path in sorted(folder.glob("*.parquet")))
    scored.record.model_copy(update={"scores_sha256": digests}).write(folder / passes.RECORD)
    return passes.read(folder)


def test_of_equal_scores_the_smallest_uids_are_kept(pool, scored, tmp_path):
    found = best(pool, tied(scored, tmp_path / "tied"), tmp_path, fraction=0.5, exact_count=True)
    assert uids.text(found.uids) == sorted(by_uid(scored))[:57]


def test_scores_with_a_table_of_another_pass_are_refused(pool, scored, tmp_path):
    mixed = tied(scored, tmp_path / "mixed")
    shutil.copy(scored.path / "00000001.parquet", mixed.path / "00000001.parquet")
    with pytest.raises(StageError, match=r"are not those that scores\.json names"):
        best(pool, mixed, tmp_path, fraction=0.5)
    assert not (tmp_path / "list.npy").exists()


def test_scores_of_another_pool_or_unfinished_ones_are_refused(pool, scored, network, tmp_path, stopped):
    tables.write_parquet(tmp_path / "pool" / "metadata" / "a.parquet", tables.read_parquet(pool.metadata("00000000")).head(50))
    with pytest.raises(FilterError, match="has 114 scores, of which 47 are of rows of this pool"):
        best(pools.read(tmp_path / "pool"), scored, tmp_path, fraction=0.5)
    with stopped(6):
        run.score(pool, network, tmp_path / "half", ONE)
    with pytest.raises(StageError, match=r"holds no finished scores.*start the command that makes them again"):
        apply("score", {"scores": str(tmp_path / "half"), "fraction": 0.5}, pool, tmp_path / "list.npy")


# The command


def test_the_command_says_what_it_would_do_and_what_it_did(pool, model, scored, tmp_path):
    arguments = ["score", "--pool", pool.path, "--model", f"local-dir:{model}", "--embeddings", "tiny", "--batch", 16, "--workers", 1, "--device", "cpu"]
    command = [*map(str, arguments), "--out", str(tmp_path / "scores")]
    dry = CliRunner().invoke(cli.app, [*command, "--dry-run"])
    assert "3 tars, 0 of them done, by config tiny (" in dry.stdout
    assert list(tmp_path.iterdir()) == []
    done = CliRunner().invoke(cli.app, command)
    assert "2 dropped: a picture that cannot be decoded" in done.stdout
    assert "114 of 120 samples scored by config tiny (" in done.stdout
    assert content(tmp_path / "scores") == content(scored.path)


# Other scorers


def scores_of(pool, network, out, name="cosine", *options, **method):
    return run.score(pool, network, out, ONE._replace(method=Method(name, options, **method)))


def test_lengths_of_embeddings_have_no_say(pool, scored, tmp_path):
    folder = write_model(tmp_path / "tiny")
    tensors = load_file(folder / "open_clip_model.safetensors")
    tensors["visual.proj"] *= 1000
    tensors["text_projection"] *= 0.001
    save_file(tensors, folder / "open_clip_model.safetensors")
    longer = run.score(pool, choose.one(None, f"local-dir:{folder}", None), tmp_path / "scores", ONE)
    assert by_uid(longer) == pytest.approx(by_uid(scored), abs=1e-6)


def test_bfloat16_ranks_nearly_as_float32_and_says_so(small_pool, tmp_path):
    reference = choose.choose(["b32=none"])[0]
    exact = by_uid(run.score(small_pool, reference, tmp_path / "exact", ONE))
    rough = scores_of(small_pool, reference, tmp_path / "rough", precision="amp_bfloat16")
    assert rough.record.inputs.scorer.precision == "amp_bfloat16"
    assert by_uid(rough) == pytest.approx(exact, abs=0.02)
    assert by_uid(rough) != exact
    kept = [set(sorted(found, key=lambda uid: (-found[uid], uid))[:90]) for found in (exact, by_uid(rough))]  # the best 15 %
    assert len(kept[0] & kept[1]) >= 86
    with pytest.raises(StageError, match="--precision float16 came"):
        scores_of(small_pool, reference, tmp_path / "other", precision="float16")


def test_a_mirrored_pool_has_the_flipped_scores_of_the_pool(pool, network, tmp_path):
    flipped = scores_of(pool, network, tmp_path / "flipped", "flip")
    encoder = choose.load(network, "cpu", 16)
    for uid, data, caption in list(pairs(pool))[:5]:
        mirrored = encoder.crop_decoded(decode(data))[:, ::-1]
        assert by_uid(flipped)[uid] == pytest.approx(float(encoder.images(mirrored[None].copy())[0] @ encoder.texts([caption])[0]), abs=1e-6)
    assert flipped.record.used().external_resources == ("scores by config tiny, flip",)
    with pytest.raises(StageError, match="holds scores with another scorer"):
        scores_of(pool, network, flipped.path)


def test_several_gpus_share_the_tars_and_give_the_same_bytes(pool, network, scored, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_is_here_on_gpus", lambda settings: True)
    monkeypatch.setattr(local, "devices", lambda wanted: ["cpu", "cpu"])
    shares = run._shares(run._tasks(pool, network, tmp_path / "scores", ONE), ["cuda:0", "cuda:1"])
    assert [[(task.tar.stem, task.device) for task in share] for share in shares] == [
        [("00000000", "cuda:0"), ("00000002", "cuda:0")],
        [("00000001", "cuda:1")],
    ]
    assert content(run.score(pool, network, tmp_path / "scores", ONE).path) == content(scored.path)


def caption_lengths(given, per_character="1"):
    """A scorer of somebody else's package: how long captions are."""
    factor = float(per_character)
    return SimpleNamespace(
        shape=(1,),
        assets={"lengths": "a" * 64},
        external_resources=("the alphabet",),
        prepare=lambda picture: np.zeros(1, np.uint8),
        judge=lambda pictures, captions: Judged(np.array([len(caption) * factor for caption in captions])),
    )


@pytest.fixture
def installed(monkeypatch):
    point = metadata.EntryPoint("lengths", f"{__name__}:caption_lengths", "datacomp.scorers")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [point] if group == "datacomp.scorers" else [])
    monkeypatch.setitem(sys.modules, __name__, sys.modules[caption_lengths.__module__])


def test_a_plug_in_scores_without_a_network_and_is_recorded(pool, installed, tmp_path):
    done = scores_of(pool, None, tmp_path / "scores", "lengths", ("per_character", "2"))
    assert by_uid(done) == {uid: 2 * len(caption) for uid, _, caption in pairs(pool)}
    said = done.record.inputs.scorer
    assert (said.kind, said.name, said.options, said.preprocessing) == ("plug-in", "lengths", {"per_character": "2"}, None)
    listed = best(pool, done, tmp_path, fraction=0.5).record
    assert listed.external_resources == ("scores by plug-in lengths", "the alphabet")
    assert listed.assets["lengths"] == "a" * 64


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("lengthz", (), "'lengthz' is no scorer.*classifier, cosine, flip, lengths.*datacomp.scorers"),
        ("lengths", (("colour", "red"),), "scorer lengths has no option 'colour'.*per_character"),
        ("flip", (), "scorer flip needs a network"),
        ("classifier", (), "scorer classifier cannot be made.*head"),
    ],
)
def test_a_scorer_that_cannot_be_made_is_refused_before_anything_is_written(pool, installed, tmp_path, name, options, said):
    with pytest.raises(StageError, match=said):
        scores_of(pool, None, tmp_path / "scores", name, *options)
    assert list(tmp_path.iterdir()) == []


def test_a_scorer_without_embeddings_keeps_none(pool, network, installed, tmp_path):
    with pytest.raises(StageError, match="scorer lengths has no embeddings to keep"):
        scores_of(pool, network, tmp_path / "scores", "lengths")


def test_a_classifier_tells_good_pictures_from_a_pool_s(pool, network, scored, model, tmp_path):
    images = np.concatenate([tables.read_npz(scored.path / f"{number:08d}.npz", "tiny_img") for number in range(3)]).astype(np.float32)
    direction = images[:, 0] > np.median(images[:, 0])
    said = {"network": network.title(), "network_sha256": network.sha256, "resources": ("good pictures",)}
    record = classifier.train(images[direction], images[~direction], tmp_path / "head", **said)
    assert record.accuracy > 0.9
    plain = choose.one(None, f"local-dir:{model}", None)
    done = scores_of(pool, plain, tmp_path / "scores", "classifier", ("head", str(tmp_path / "head")))
    odds = by_uid(done)
    assert np.mean([(odds[uid] > 0) == good for uid, good in zip(by_uid(scored), direction, strict=True)]) > 0.9
    assert done.record.used().external_resources == ("scores by config tiny, classifier", "good pictures")
    assert done.record.inputs.scorer.options == {"head": "head"}
    other = choose.one(None, f"local-dir:{write_model(tmp_path / 'other', seed=1)}", None)
    with pytest.raises(StageError, match="was made with another network than config other"):
        scores_of(pool, other, tmp_path / "scores", "classifier", ("head", str(tmp_path / "head")))
    (tmp_path / "head" / classifier.WEIGHTS).write_bytes(b"")
    choose.load.cache_clear()
    catalog.load.cache_clear()
    with pytest.raises(StageError, match=r"is not the file that classifier\.json names"):
        scores_of(pool, plain, tmp_path / "again", "classifier", ("head", str(tmp_path / "head")))


def test_the_classifier_is_the_logistic_regression_by_hand():
    """Two points at 1 and -1 and no penalty to speak of: with both kinds at both places, three to one, the odds are 3."""
    good, pool = np.array([[1.0], [1.0], [1.0], [-1.0]]), np.array([[-1.0], [-1.0], [-1.0], [1.0]])
    weights, offset = classifier.fit(good, pool, 0.0)
    assert (float(weights[0]), offset) == pytest.approx((np.log(3), 0), abs=1e-6)
    fewer, offset = classifier.fit(good, np.concatenate([pool, pool]), 0.0)
    assert (float(fewer[0]), offset) == pytest.approx((np.log(3), 0), abs=1e-6)
    with pytest.raises(StageError, match="some of good pictures and some of a pool's"):
        classifier.fit(good, np.zeros((0, 1)), 0.0)


def test_the_command_takes_a_scorer_and_its_options(pool, installed, tmp_path):
    arguments = ["score", "--pool", str(pool.path), "--scorer", "lengths", "--workers", "1", "--device", "cpu", "--out", str(tmp_path / "scores")]
    done = CliRunner().invoke(cli.app, [*arguments, "--option", "per_character=3"])
    assert "114 of 120 samples scored by plug-in lengths" in done.stdout
    assert isinstance(CliRunner().invoke(cli.app, [*arguments, "--option", "per_character"]).exception, StageError)
