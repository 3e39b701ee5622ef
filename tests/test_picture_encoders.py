"""Networks of pictures alone: timm's own vectors, kept for clusters, and never taken for scores."""

import json

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.data import create_transform, resolve_data_config

from datacomp import tables, tars
from datacomp.artifacts import pool as pools
from datacomp.cluster import embeddings
from datacomp.cluster import run as clustering
from datacomp.errors import PoolError, StageError
from datacomp.filters.apply import apply
from datacomp.network import choose
from datacomp.network.embed import decode
from datacomp.score import run
from datacomp.score.run import Settings

ONE = Settings(device="cpu", batch_samples=8, workers=1)


@pytest.fixture(scope="module")
def pool(small_pool, tmp_path_factory):
    """Twenty pictures of the small pool with its metadata; one has no caption."""
    folder = tmp_path_factory.mktemp("pictures") / "pool"
    tables.write_parquet(folder / "metadata" / "00000000.parquet", tables.read_parquet(small_pool.metadata("00000000"), rows=20))
    (folder / "shards").mkdir()
    with tars.TarWriter(folder / "shards" / "00000000.tar") as writer:
        for place, (sample, members) in enumerate(list(tars.read_all(small_pool.tars()[0]))[:20]):
            for extension, data in members.items():
                if (place, extension) != (4, "txt"):
                    writer.add(f"{sample.key}.{extension}", data)
    return pools.read(folder)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A network as its publisher trained it: with a classifier."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    save_file(timm.create_model("test_vit", pretrained=False, num_classes=7).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def scored(pool, weights, tmp_path_factory):
    return run.score(pool, choose.one(None, "timm:test_vit", weights, "dino"), tmp_path_factory.mktemp("scored") / "scores", ONE)


def test_embeddings_are_timm_s_own_of_every_picture(pool, weights, scored):
    network = timm.create_model("test_vit", pretrained=False, num_classes=7)
    network.load_state_dict(load_file(weights))
    network.reset_classifier(0)
    prepare = create_transform(**(resolve_data_config({}, model=network) | {"crop_pct": 1.0}))
    listed = [(json.loads(members["json"])["uid"], decode(members["jpg"]).convert("RGB")) for _, members in tars.read_all(pool.tars()[0])]
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(network.eval()(torch.stack([prepare(picture) for _, picture in listed])), dim=-1).numpy()
    assert tables.read_parquet(scored.tables()[0])["uid"].to_list() == [uid for uid, _ in listed]
    assert np.allclose(tables.read_npz(scored.path / "00000000.npz", "dino_img"), expected, atol=2e-3)
    assert scored.record.dropped_samples == {}
    assert scored.record.inputs.scorer.kind == "timm"


def test_there_is_no_score_and_no_embedding_of_captions(pool, scored, tmp_path):
    assert list(tables.columns(scored.tables()[0])) == ["uid"]
    assert list(tables.npz_rows(scored.path / "00000000.npz")) == ["dino_img"]
    with pytest.raises(PoolError, match="has no column score"):
        apply("score", {"scores": str(scored.path), "fraction": 0.5}, pool, tmp_path / "list.npy")


def test_they_are_clustered_and_deduplicated(pool, scored, tmp_path):
    found = clustering.make(embeddings.of_scores(scored.path), None, tmp_path / "clusters", clustering.Settings(3, iterations=5, workers=1))
    assert found.record.clustered_samples == 20
    assert found.record.inputs.network.startswith("timm test_vit ")
    options = {"clusters": str(found.path), "epsilon": 0.5, "embeddings": str(scored.path)}
    assert 3 <= apply("semdedup", options, pool, tmp_path / "list.npy").record.samples <= 20


def test_a_pass_without_embeddings_cannot_be_clustered(tmp_path, scored):
    record = scored.record.model_copy(update={"inputs": scored.record.inputs.model_copy(update={"embeddings": ""})})
    record.write(tmp_path / "scores.json")
    with pytest.raises(StageError, match="holds scores without embeddings"):
        embeddings.of_scores(tmp_path)


@pytest.mark.parametrize(
    ("model", "prefix", "message"),
    [
        ("timm:test_vit", "", "embeds pictures alone and gives no score"),
        ("timm:no_such_network", "dino", "'no_such_network' is no architecture of timm"),
    ],
)
def test_networks_that_cannot_be_are_refused(weights, model, prefix, message):
    with pytest.raises(StageError, match=message):
        choose.one(None, model, weights, prefix)


def test_weights_of_another_network_are_refused(pool, weights, tmp_path):
    with pytest.raises(StageError, match="does not fit the model"):
        run.score(pool, choose.one(None, "timm:test_convnext", weights, "dino"), tmp_path / "scores", ONE)
