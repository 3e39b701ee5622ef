"""Sampling with replacement, and centroids and targets of one's own for the image-based filter."""

import numpy as np
import polars as pl
import pytest
from vectors import blobs, kept, names, write_pool

from datacomp import draws, tables, uids
from datacomp.artifacts import pool as pools
from datacomp.cluster import centroids, embeddings, kmeans, run
from datacomp.cluster.centroids import CentroidsRecord
from datacomp.declared import asset
from datacomp.errors import FilterError, StageError
from datacomp.filters.apply import apply
from datacomp.pipelines import centroids as pipeline

AXES = np.eye(4, dtype=np.float32)


@pytest.fixture
def use_small_language_model(monkeypatch):
    """The default model needs a download; the small one is at hand."""
    real = asset.load
    monkeypatch.setattr(asset, "load", lambda name: real("lid.176.ftz" if name == "lid.176.bin" else name))


@pytest.fixture
def uneven(tmp_path):
    """Four concepts, of 100, 40, 10 and 2 samples, a cluster each."""
    stored = np.repeat(AXES, [100, 40, 10, 2], axis=0) + 0.01 * np.random.default_rng(0).normal(size=(152, 4)).astype(np.float32)
    pool = write_pool(tmp_path / "pool", stored)
    found = run.make(
        embeddings.of_pool(pool, "l14_img", tmp_path), None, tmp_path / "clusters", run.Settings(4, iterations=20, seed=1, workers=1)
    )  # which finds all four
    assert found.record.clusters == 4
    return pool, str(found.path)


def drawn(subset, starts=(0, 100, 140, 150)):
    """How many draws fell on each concept."""
    own = {name: int(np.searchsorted(starts, row, side="right")) - 1 for row, name in enumerate(names(152))}
    return np.bincount([own[name] for name in kept(subset)], minlength=len(starts))


def test_draws_follow_their_weights_and_no_item_comes_too_often():
    found = draws.repeats([1.0, 0.0, 3.0], 4000, 10_000, 0, "test")
    assert found.sum() == 4000
    assert found[1] == 0
    assert found[2] / found[0] == pytest.approx(3, rel=0.1)
    assert draws.repeats([1.0, 0.0, 1000.0], 150, 100, 0, "test").tolist() == [50, 0, 100]
    assert draws.repeats([1.0, 0.0, 1000.0], 200, 100, 0, "test").tolist() == [100, 0, 100]
    with pytest.raises(ValueError, match="201 draws of 2 items up to 100 times each"):
        draws.repeats([1.0, 0.0, 1000.0], 201, 100, 0, "test")


def test_alpha_0_balances_clusters_and_alpha_1_draws_all_samples_alike(uneven, tmp_path):
    pool, clusters = uneven
    options = {"clusters": clusters, "count": 400}
    assert drawn(apply("cluster_sample", options, pool, tmp_path / "a.npy")) == pytest.approx([100] * 4, abs=35)
    alike = drawn(apply("cluster_sample", options | {"alpha": 1.0}, pool, tmp_path / "b.npy"))
    assert alike == pytest.approx(np.array([100, 40, 10, 2]) * 400 / 152, abs=30)


def test_targets_decide_which_clusters_are_drawn(uneven, tmp_path):
    pool, clusters = uneven
    np.save(tmp_path / "targets.npy", 7 * AXES[[1, 1, 1, 2]])
    options = {"clusters": clusters, "targets": str(tmp_path / "targets.npy"), "count": 400}
    found = apply("cluster_sample", options | {"alpha": 1.0}, pool, tmp_path / "a.npy")
    assert drawn(found) == pytest.approx([0, 300, 100, 0], abs=30)
    assert "targets.npy" in found.record.assets
    assert drawn(apply("cluster_sample", options, pool, tmp_path / "b.npy")) == pytest.approx([0, 200, 200, 0], abs=40)


def test_a_sample_is_drawn_a_hundred_times_at_most(uneven, tmp_path):
    pool, clusters = uneven
    found = apply("cluster_sample", {"clusters": clusters, "count": 2000}, pool, tmp_path / "a.npy")
    assert np.unique(found.uids, return_counts=True)[1].max() == 100
    assert found.record.samples == 2000
    with pytest.raises(FilterError, match="16,000 draws were asked for of 152 samples up to 100 times"):
        apply("cluster_sample", {"clusters": clusters, "count": 16_000}, pool, tmp_path / "b.npy")


def test_draws_are_the_seed_s(uneven, tmp_path):
    pool, clusters = uneven
    lists = [kept(apply("cluster_sample", {"clusters": clusters, "count": 50, "seed": seed}, pool, tmp_path / f"{seed}.npy")) for seed in (1, 1, 2)]
    assert lists[0] == lists[1] != lists[2]


@pytest.mark.parametrize(("spoilt", "message"), [(np.zeros((2, 4)), "no direction"), (np.ones((2, 5)), "vectors of 5 numbers, the clusters of 4")])
def test_targets_that_cannot_be_compared_are_refused(uneven, tmp_path, spoilt, message):
    np.save(tmp_path / "targets.npy", spoilt)
    with pytest.raises(FilterError, match=message):
        apply("cluster_sample", {"clusters": uneven[1], "targets": str(tmp_path / "targets.npy"), "count": 4}, uneven[0], tmp_path / "list.npy")


CAPTIONS = ["a photo of a dog"] * 90 + ["a photo of a teapot"] * 10 + ["we said hello to them"] * 20 + ["ein Bild von einem Hund"] * 20


def text_pool(folder, order=None):
    order = range(len(CAPTIONS)) if order is None else order
    named = names(len(CAPTIONS))
    frame = pl.DataFrame({"uid": [named[row] for row in order], "text": [CAPTIONS[row] for row in order]})
    for stem, part in (("a", frame.head(50)), ("b", frame.slice(50))):
        tables.write_parquet(folder / "metadata" / f"{stem}.parquet", part)
    return pools.read(folder)


@pytest.mark.usefixtures("use_small_language_model")
@pytest.mark.parametrize("average", ["mean", "max"])
def test_rare_concepts_are_drawn_as_often_as_frequent_ones(tmp_path, average):
    pool = text_pool(tmp_path / "pool")
    found = apply("text_sample", {"count": 300, "average": average}, pool, tmp_path / "list.npy")
    times = dict(zip(*np.unique(kept(found), return_counts=True), strict=True))
    dogs, teapots = (sum(int(times.get(name, 0)) for name, caption in zip(names(140), CAPTIONS, strict=True) if word in caption) for word in ("dog", "teapot"))
    assert dogs + teapots == 300  # nothing without a concept, and nothing that is not English
    shared = 0.5 if average == "max" else None  # what both name, such as a photo, counts in the mean as well
    assert teapots > 100 or shared is None
    assert teapots > 45  # by their frequency it would be 30
    assert found.record.filter == "text_sample"


@pytest.mark.usefixtures("use_small_language_model")
def test_the_order_of_rows_changes_no_draw(tmp_path):
    order = np.random.default_rng(0).permutation(len(CAPTIONS)).tolist()
    one = apply("text_sample", {"count": 100}, text_pool(tmp_path / "one"), tmp_path / "one.npy")
    other = apply("text_sample", {"count": 100}, text_pool(tmp_path / "other", order), tmp_path / "other.npy")
    assert one.record.uids_sha256 == other.record.uids_sha256


@pytest.mark.usefixtures("use_small_language_model")
@pytest.mark.parametrize(
    ("options", "message"),
    [({}, "add --count"), ({"count": 5, "average": "median"}, "Allowed: mean, max"), ({"count": 10_001}, "10,001 draws were asked for of 100 samples")],
)
def test_impossible_draws_are_refused(tmp_path, options, message):
    with pytest.raises(FilterError, match=message):
        apply("text_sample", options, text_pool(tmp_path / "pool"), tmp_path / "list.npy")


def test_centroids_are_those_of_plain_k_means(tmp_path):
    stored = blobs(300, spread=0.05)
    pool = write_pool(tmp_path / "pool", stored)
    record = pipeline.make(pool, tmp_path / "c.npy", key="l14_img", clusters=8, sample_ratio=0.0, seed=0, language_model="")
    made = np.load(tmp_path / "c.npy", allow_pickle=False)
    assert made.shape == (8, 12)
    distances = ((stored[:, None] - made[None]) ** 2).sum(axis=2)
    own = distances.argmin(axis=1)
    for number in range(8):  # a fixed point of L2 k-means on what is stored, which is not of length one
        assert np.allclose(stored[own == number].mean(axis=0), made[number], atol=1e-4)
    assert record == CentroidsRecord.read(tmp_path / "c.json")
    assert (record.sample_samples, record.iterations, record.captions) == (300, 20, "")


@pytest.mark.usefixtures("use_small_language_model")
def test_rows_for_centroids_are_drawn_with_replacement_of_english_captions(tmp_path):
    pool = write_pool(tmp_path / "pool", blobs(300), files=1)
    record = pipeline.make(pool, tmp_path / "c.npy", key="l14_img", clusters=8, sample_ratio=0.3, seed=0, language_model="bin")
    assert (record.sample_samples, record.captions) == (90, "image_based_captions")
    again = pipeline.make(pool, tmp_path / "d.npy", key="l14_img", clusters=8, sample_ratio=0.3, seed=0, language_model="bin")
    assert again.centroids_sha256 == record.centroids_sha256
    assert {path.name for path in tmp_path.iterdir()} == {"pool", "c.npy", "c.json", "d.npy", "d.json"}


def test_centroids_that_cannot_be_made_leave_nothing(tmp_path):
    stored = blobs(30)
    stored[7, 3] = np.nan
    with pytest.raises(StageError, match=f"uid {names(30)[7]} .* not finite"):
        pipeline.make(write_pool(tmp_path / "a", stored), tmp_path / "c.npy", key="l14_img", clusters=2, sample_ratio=0.0, seed=0, language_model="")
    with pytest.raises(StageError, match="40 clusters were asked for of 30 samples"):
        pipeline.make(write_pool(tmp_path / "b", blobs(30)), tmp_path / "c.npy", key="l14_img", clusters=40, sample_ratio=0.0, seed=0, language_model="")
    with pytest.raises(StageError, match="up to 1"):
        pipeline.make(write_pool(tmp_path / "d", blobs(30)), tmp_path / "c.npy", key="l14_img", clusters=4, sample_ratio=1.5, seed=0, language_model="")
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "d"}


@pytest.mark.usefixtures("use_small_language_model")
def test_one_s_own_centroids_and_targets_are_what_the_filter_takes(tmp_path):
    stored = np.repeat(AXES, 30, axis=0).astype(np.float16)
    pool = write_pool(tmp_path / "pool", stored)
    pipeline.make(pool, tmp_path / "c.npy", key="l14_img", clusters=4, sample_ratio=0.0, seed=0, language_model="")
    wanted = write_pool(tmp_path / "wanted", AXES[[1, 3]].astype(np.float16), files=1)
    shape = centroids.write_features(embeddings.of_pool(wanted, "l14_img", tmp_path), tmp_path / "t.npy")
    assert shape == (2, 4)
    options = {"centroids": str(tmp_path / "c.npy"), "targets": str(tmp_path / "t.npy"), "embedding_key": "l14_img"}
    assert kept(apply("image_based", options, pool, tmp_path / "list.npy")) == sorted(names(120)[30:60] + names(120)[90:])
    with pytest.raises(Exception, match="has no array 'other_img'"):
        apply("image_based", options | {"embedding_key": "other_img"}, pool, tmp_path / "none.npy")


def test_a_split_of_seeds_gives_other_centroids():
    stored = blobs(200)
    one, again, other = (kmeans.train(stored, 5, iterations=2, seed=seed, threads=1) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert np.allclose(np.linalg.norm(one, axis=1), 1, atol=1e-6)


def test_features_keep_their_type_and_order(tmp_path):
    stored = blobs(50).astype(np.float16)
    pool = write_pool(tmp_path / "pool", stored)
    centroids.write_features(embeddings.of_pool(pool, "l14_img", tmp_path), tmp_path / "f.npy")
    assert np.array_equal(np.load(tmp_path / "f.npy"), stored)
    assert uids.text(np.concatenate([embeddings.read_uids(part) for part in embeddings.of_pool(pool, "l14_img", tmp_path).parts])) == names(50)
