"""A resharding that copies nothing trains on the same batches; pictures with faces need a copy."""

import io
import shutil

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from datacomp import tables, tars
from datacomp.artifacts import pool as pools
from datacomp.artifacts import shards as shard_sets
from datacomp.errors import StageError
from datacomp.filters.apply import apply
from datacomp.network.embed import decode
from datacomp.reshard.faces import blurred
from datacomp.reshard.run import Form, reshard
from datacomp.train import budget, data

SHARD_SAMPLES = 50


@pytest.fixture
def listed(small_pool, tmp_path):
    return apply("random", {"fraction": 0.5}, small_pool, tmp_path / "list.npy")


def batches(scale, shards):
    source = data.Drawable(shards.places, tuple(shard.pairs for shard in shards.record.shards), 1.0)
    return data.Batches(data.Stream((source,), scale.sampling, 0), scale, 0, rank=0, rank_batch_samples=budget.rank_batch_samples(scale.budget, 1))


def test_virtual_shards_give_the_same_batches(small_pool, listed, tiny_scale, tmp_path):
    copied = reshard(small_pool, listed, tmp_path / "copied", Form(SHARD_SAMPLES))
    virtual = reshard(small_pool, listed, tmp_path / "virtual", Form(SHARD_SAMPLES, virtual=True))
    assert not list(virtual.path.glob("*.tar"))
    assert [shard.uids_sha256 for shard in virtual.record.shards] == [shard.uids_sha256 for shard in copied.record.shards]
    ours, theirs = batches(tiny_scale, copied), batches(tiny_scale, virtual)
    for step in range(tiny_scale.budget.steps):
        one, other = ours[step], theirs[step]
        assert torch.equal(one.pixels, other.pixels)
        assert torch.equal(one.tokens, other.tokens)


def test_virtual_shards_of_tars_that_changed_are_refused(small_pool, listed, tmp_path):
    shutil.copytree(small_pool.path, tmp_path / "pool")
    pool = pools.read(tmp_path / "pool")
    reshard(pool, listed, tmp_path / "virtual", Form(SHARD_SAMPLES, virtual=True))
    (tmp_path / "pool" / "shards" / "00000001.tar").write_bytes(pool.tars()[0].read_bytes())
    with pytest.raises(StageError, match="not as they were"):
        shard_sets.read(tmp_path / "virtual")


def with_faces(pool, folder, boxes):
    """The pool with the same boxes in every row, and a list of it."""
    shutil.copytree(pool.path, folder)
    for path in sorted((folder / "metadata").glob("*.parquet")):
        frame = tables.read_parquet(path)
        faces = pl.Series("face_bboxes", [boxes] * len(frame), pl.List(pl.List(pl.Float64)))
        tables.write_parquet(path, frame.with_columns(faces))
    return pools.read(folder)


def test_pictures_with_faces_are_not_trained_on_as_they_are(small_pool, listed, tmp_path):
    pool = with_faces(small_pool, tmp_path / "pool", [[0.1, 0.1, 0.5, 0.5]])
    with pytest.raises(StageError, match="cannot blur faces"):
        reshard(pool, listed, tmp_path / "virtual", Form(SHARD_SAMPLES, virtual=True))


def test_faces_are_blurred_and_nothing_else(small_pool, listed, tmp_path):
    pool = with_faces(small_pool, tmp_path / "pool", [[0.0, 0.0, 0.4, 0.4]])
    sharp = reshard(small_pool, listed, tmp_path / "sharp", Form(SHARD_SAMPLES))
    done = reshard(pool, listed, tmp_path / "blurred", Form(SHARD_SAMPLES, blur=True))
    assert done.record.blurred
    assert not {"faces.npy", "faces-index.npy"} & {path.name for path in done.path.iterdir()}
    pairs = zip((one for path in sharp.tars() for one in tars.read_all(path)), (one for path in done.tars() for one in tars.read_all(path)), strict=True)
    inside, outside = [], []
    for (sample, before), (same, after) in pairs:
        assert sample.key == same.key
        assert set(after) == {"webp", "txt", "json"}
        old, new = (np.asarray(decode(picture).convert("RGB"), float) for picture in (before["jpg"], after["webp"]))
        assert old.shape == new.shape
        height, width = old.shape[:2]
        inside.append(np.abs(old - new)[: height // 3, : width // 3].mean())
        outside.append(np.abs(old - new)[height * 3 // 4 :, width * 3 // 4 :].mean())
    assert np.mean(inside) > 3 * np.mean(outside)
    assert np.mean(outside) < 3  # of 255: webp's own losses


def test_blurring_needs_boxes(small_pool, listed, tmp_path):
    shutil.copytree(small_pool.path, tmp_path / "pool")
    for path in sorted((tmp_path / "pool" / "metadata").glob("*.parquet")):
        tables.write_parquet(path, tables.read_parquet(path).drop("face_bboxes"))
    with pytest.raises(StageError, match="no column face_bboxes"):
        reshard(pools.read(tmp_path / "pool"), listed, tmp_path / "out", Form(SHARD_SAMPLES, blur=True))


def test_a_grey_picture_stays_grey():
    buffer = np.tile(np.array([0, 255], np.uint8), (40, 20))
    png = io.BytesIO()
    Image.fromarray(buffer).save(png, "PNG")
    after = np.asarray(decode(blurred(png.getvalue(), np.array([[0.0, 0.0, 1.0, 1.0]]))).convert("L"), float)
    assert after[15:25, 15:25].std() < 20 < buffer[15:25, 15:25].astype(float).std()
