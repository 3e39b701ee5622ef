"""A generated pool is CommonPool on disk, and its samples are functions of seed and index."""

import io
import json
import tarfile

import numpy as np
import polars as pl
import pytest
from folders import content
from PIL import Image

from datacomp import files, tables, uids
from datacomp.artifacts import pool as pools
from datacomp.declared import pool as declared
from datacomp.errors import BusyError, PoolError
from datacomp.pool import draw, questions, synthetic, world

COLUMNS = {
    "uid": pl.String,
    "url": pl.String,
    "text": pl.String,
    "original_width": pl.Int64,
    "original_height": pl.Int64,
    "clip_b32_similarity_score": pl.Float32,
    "clip_l14_similarity_score": pl.Float32,
    "face_bboxes": pl.List(pl.List(pl.Float64)),
    "sha256": pl.String,
}


def unscored(name="nano"):
    spec = declared.load(name)
    return spec.model_copy(update={"origin": spec.origin.model_copy(update={"references": ()})})


def test_the_metadata_has_commonpool_s_columns_and_features(small_pool):
    frame = tables.read_parquet(small_pool.metadata("00000000"))
    assert dict(frame.schema) == COLUMNS
    for key in ("b32_img", "b32_txt", "l14_img", "l14_txt"):
        array = tables.read_npz(small_pool.features("00000000"), key)
        assert (array.shape, array.dtype) == ((600, 64), np.float16)


def test_scores_are_the_cosines_of_the_features_row_for_row(small_pool):
    block = next(pools.blocks(small_pool, ("clip_b32_similarity_score", "clip_l14_similarity_score")))
    for prefix in ("b32", "l14"):
        image, text = (block.feature(f"{prefix}_{side}").astype(np.float64) for side in ("img", "txt"))
        assert np.linalg.norm(image, axis=1) == pytest.approx(1, abs=2e-3)
        assert (image * text).sum(axis=1) == pytest.approx(block.numbers(f"clip_{prefix}_similarity_score"), abs=2e-3)


def test_the_tar_has_picture_caption_and_uid_of_each_sample(small_pool):
    frame = tables.read_parquet(small_pool.metadata("00000000"))
    with tarfile.open(small_pool.tars()[0]) as tar:
        names = tar.getnames()
        assert names[:3] == ["000000000000.jpg", "000000000000.json", "000000000000.txt"]
        about = json.loads(tar.extractfile("000000000007.json").read())
        assert (about["uid"], about["caption"]) == (frame["uid"][7], frame["text"][7])
        assert tar.extractfile("000000000007.txt").read().decode() == frame["text"][7]
        assert Image.open(io.BytesIO(tar.extractfile("000000000007.jpg").read())).size == (draw.SIDE, draw.SIDE)
    stats = json.loads((small_pool.path / "shards" / "00000000_stats.json").read_text())
    assert (stats["count"], stats["successes"]) == (600, 600)


def test_truth_is_kept_out_of_the_metadata(small_pool):
    truth = tables.read_parquet(small_pool.path / "truth" / "00000000.parquet")
    assert {"uid", "caption_kind", "picture_kind", "shape"} <= set(truth.columns)
    assert not set(truth.columns) & (set(COLUMNS) - {"uid"})


def test_pixels_captions_and_uids_are_these_on_every_machine(tmp_path):
    made = synthetic.make(unscored(), tmp_path, samples=64, workers=1)
    assert made.record.uids_sha256 == "e9ed2887a4859854d923eefe2df68108c674d3cb0e0023fd833c5e7d4b9c6b0d"
    assert made.record.content_sha256 == "d60c00fd8f0ae634df67fb32f6d2b9afb453540dc45e2e4e475c631746b6a4de"


def test_a_smaller_pool_is_the_beginning_of_a_larger_one(small_pool, tmp_path):
    smaller = synthetic.make(unscored(), tmp_path, samples=50, workers=1)
    head = tables.read_parquet(small_pool.metadata("00000000")).head(50)
    frame = tables.read_parquet(smaller.metadata("00000000"))
    assert frame.equals(head.select(frame.columns))
    assert smaller.record.partial


def test_another_seed_gives_another_pool_under_another_name(tmp_path):
    pools_made = [synthetic.make(unscored(), tmp_path / str(seed), samples=20, seed=seed, workers=1) for seed in (0, 1)]
    assert pools_made[0].record.uids_sha256 != pools_made[1].record.uids_sha256
    assert [made.record.name for made in pools_made] == ["nano", "nano-seed1"]


def test_a_pool_that_was_stopped_goes_on_to_the_same_bytes(tmp_path, monkeypatch, stopped):
    monkeypatch.setattr(synthetic, "FILE_SAMPLES", 20)
    synthetic.make(unscored(), tmp_path / "whole", samples=60, workers=1)
    with stopped(6):
        synthetic.make(unscored(), tmp_path / "stopped", samples=60, workers=1)
    with pytest.raises(PoolError, match="a pool that is not finished"):  # and not a smaller pool of somebody else's
        pools.read(tmp_path / "stopped")
    synthetic.make(unscored(), tmp_path / "stopped", samples=60, workers=1)
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")


def test_a_pool_does_not_depend_on_the_number_of_processes(tmp_path, monkeypatch):
    for workers in (1, 2):
        monkeypatch.setattr(synthetic, "FILE_SAMPLES", 40)
        synthetic.make(declared.load("nano"), tmp_path / str(workers), samples=80, workers=workers)
    assert content(tmp_path / "1") == content(tmp_path / "2")


def test_a_folder_with_another_pool_is_refused(small_pool):
    with pytest.raises(PoolError, match="holds pool nano with 600 samples"):
        synthetic.make(declared.load("nano"), small_pool.path, samples=601)


def test_a_folder_with_the_scores_of_other_networks_is_refused(tmp_path):
    synthetic.make(declared.load("nano"), tmp_path, samples=20, workers=1)
    assert synthetic.make(declared.load("nano"), tmp_path, samples=20).record.samples == 20
    with pytest.raises(PoolError, match="with scores of other reference networks than today's"):
        synthetic.make(unscored(), tmp_path, samples=20)


def test_a_pool_of_the_web_cannot_be_drawn(tmp_path):
    with pytest.raises(PoolError, match="lies on the web"):
        synthetic.make(declared.load("commonpool_small"), tmp_path)


@pytest.mark.parametrize("samples", [0, -1, 200_000])
def test_a_pool_has_a_possible_number_of_samples(tmp_path, samples):
    with pytest.raises(PoolError, match="Allowed: 1 to 102,400"):
        synthetic.make(declared.load("nano"), tmp_path, samples=samples)


def test_two_writers_do_not_share_a_folder(tmp_path):
    with files.writing(tmp_path), pytest.raises(BusyError, match=r"is being written by process \d+"), files.writing(tmp_path):
        pass


def test_the_mixture_s_shares_are_kept():
    drawn = world.scenes(world.POOL, 0, np.arange(20_000))
    counts = dict(drawn["caption_kind"].value_counts().iter_rows())
    assert {kind: counts[kind] / 20_000 for kind in counts} == pytest.approx(world.POOL.captions, abs=0.015)


def test_a_faithful_caption_names_what_is_drawn():
    faithful = world.scenes(world.POOL, 0, np.arange(2000)).filter(pl.col("caption_kind").is_in(world.FAITHFUL))
    assert all(row["shape"] in row["caption"] and row["colour"] in row["caption"] for row in faithful.iter_rows(named=True))


def test_a_partly_wrong_caption_gets_exactly_one_word_wrong():
    wrong = world.scenes(world.POOL, 0, np.arange(4000)).filter(pl.col("caption_kind") == "partly wrong")
    named = [(row["shape"] in row["caption"]) + (row["colour"] in row["caption"]) for row in wrong.iter_rows(named=True)]
    assert set(named) == {1}


def test_pools_and_test_sets_share_no_scene():
    pool = synthetic.sample_uids(0, np.arange(1000))
    tests = questions.ask("objects", 1000, 80).scenes
    assert uids.distinct(pool[uids.order(pool)]) == 1000
    assert tests["scene"].min() > 1 << 47


@pytest.mark.parametrize("variant", ["count", "position"])
def test_a_question_about_structure_names_what_its_picture_shows(variant):
    asked = questions.ask(variant, 1000, 320)
    for scene, label in zip(asked.scenes.iter_rows(named=True), asked.labels, strict=True):
        shown = {"count": world.COUNTS[scene["count"] - 1], "position": world.PLACES[scene["position"]]}[variant]
        assert world.CONCEPTS[scene["concept"]] == (scene["shape"], scene["colour"])
        assert all(words in asked.classes[label] for words in (scene["shape"], scene["colour"], shown))
    assert {asked.labels.count(label) for label in range(len(asked.classes))} == {320 // len(asked.classes)}


def test_a_pool_without_metadata_is_refused(tmp_path):
    with pytest.raises(PoolError, match="is no pool"):
        pools.read(tmp_path)


def test_a_missing_table_is_refused_by_name(tmp_path):
    made = synthetic.make(unscored(), tmp_path, samples=20, workers=1)
    made.metadata("00000000").rename(tmp_path / "elsewhere")
    with pytest.raises(PoolError, match=r"lacks 00000000\.parquet"):
        pools.read(tmp_path)


def test_a_broken_table_is_refused_by_name(tmp_path):
    made = synthetic.make(unscored(), tmp_path, samples=20, workers=1)
    made.metadata("00000000").write_bytes(b"PAR1 nothing")
    with pytest.raises(PoolError, match="cannot be read as parquet"):
        pools.all_uids(pools.read(tmp_path))


def test_pickled_features_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", l14_img=np.array([{}], object))
    with pytest.raises(PoolError, match="cannot be read as npz"):
        tables.read_npz(tmp_path / "a.npz", "l14_img")
