"""Clusters are a function of uids, vectors and a seed, and of nothing else; what cannot be clustered is named."""

import shutil

import numpy as np
import polars as pl
import pytest
import vectors
from vectors import blobs, names, write_pool

from datacomp import digest, tables, uids
from datacomp.artifacts import clusters as made
from datacomp.artifacts import subset as subsets
from datacomp.cluster import embeddings, nearest, run
from datacomp.errors import PoolError, StageError

SETTINGS = run.Settings(8, iterations=10, workers=1)


def cluster(pool, out, settings=SETTINGS, listed=None):
    return run.make(embeddings.of_pool(pool, "l14_img", out.parent), listed, out, settings)


def by_uid(found):
    """Each member's cluster and cosine by uid."""
    members = found.members()
    listed = np.empty(len(members), uids.UID)
    listed["f0"], listed["f1"] = members["f0"], members["f1"]
    return dict(zip(uids.text(listed), zip(members["cluster"].tolist(), members["cosine"].tolist(), strict=True), strict=True))


def same_sets(left, right):
    """Whether two clusterings bring the same samples together, whatever the numbers of their clusters are."""
    pairs = {(left[uid][0], right[uid][0]) for uid in left}
    return left.keys() == right.keys() and len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


def test_every_sample_is_in_the_cluster_of_its_nearest_centroid(tmp_path):
    stored = blobs(500).astype(np.float16)
    found = cluster(write_pool(tmp_path / "pool", stored), tmp_path / "clusters")
    record, members, centroids = found.record, by_uid(found), found.centroids()
    assert (record.samples, record.clustered_samples, record.dropped_samples) == (500, 500, {})
    assert np.allclose(np.linalg.norm(centroids, axis=1), 1, atol=1e-6)
    assert np.all(np.diff(found.members()["f0"].astype(object)) >= 0)
    unit = stored.astype(np.float64) / np.linalg.norm(stored.astype(np.float64), axis=1, keepdims=True)
    for name, vector in zip(names(500), unit, strict=True):
        number, cosine = members[name]
        assert cosine == pytest.approx(vector @ centroids[number], abs=1e-5)
    for number in range(record.clusters):  # centroids are those of the final members
        mean = unit[[members[name][0] == number for name in names(500)]].sum(axis=0)
        assert np.allclose(mean / np.linalg.norm(mean), centroids[number], atol=1e-5)
    found.check()


def test_spoilt_arrays_are_found(tmp_path):
    found = cluster(write_pool(tmp_path / "pool", blobs(200)), tmp_path / "clusters")
    path = found.path / made.CENTROIDS
    path.write_bytes(path.read_bytes()[:-1] + b"\x3f")
    with pytest.raises(StageError, match=r"centroids\.npy is not the array that clusters\.json names"):
        found.check()
    path.write_bytes(b"no array")
    with pytest.raises(StageError, match="cannot be read as an array"):
        found.centroids()


def test_neither_processes_nor_groups_nor_blocks_change_a_byte(tmp_path, monkeypatch):
    pool = write_pool(tmp_path / "pool", blobs(700), files=5)
    plain = cluster(pool, tmp_path / "plain")
    divided = cluster(pool, tmp_path / "divided", SETTINGS._replace(workers=2))
    monkeypatch.setattr(run, "GROUPS", 2)
    monkeypatch.setattr(embeddings, "BLOCK_ROWS", 37)
    blocks = cluster(pool, tmp_path / "blocks")
    assert plain.record == divided.record == blocks.record
    for name in (made.CENTROIDS, made.MEMBERS):
        assert (plain.path / name).read_bytes() == (divided.path / name).read_bytes() == (blocks.path / name).read_bytes()


def test_the_order_of_rows_and_files_changes_nothing(tmp_path):
    stored, named = blobs(400), names(400)
    order = np.random.default_rng(1).permutation(400)
    one = cluster(write_pool(tmp_path / "one", stored, named=named), tmp_path / "first")
    other = cluster(write_pool(tmp_path / "other", stored[order], named=[named[row] for row in order], files=4), tmp_path / "second")
    assert one.record.members_sha256 == other.record.members_sha256
    assert one.record.centroids_sha256 == other.record.centroids_sha256


def test_a_rotation_and_other_lengths_change_no_cluster(tmp_path):
    stored = blobs(400)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(12, 12)))[0].astype(np.float32)
    lengths = np.random.default_rng(3).uniform(0.1, 50, size=(400, 1)).astype(np.float32)
    plain = by_uid(cluster(write_pool(tmp_path / "a", stored), tmp_path / "plain"))
    assert same_sets(plain, by_uid(cluster(write_pool(tmp_path / "b", stored @ turn), tmp_path / "turned")))
    assert same_sets(plain, by_uid(cluster(write_pool(tmp_path / "c", stored * lengths), tmp_path / "longer")))


def test_a_sample_is_the_seed_s_and_is_recorded(tmp_path):
    pool = write_pool(tmp_path / "pool", blobs(400))
    records = [cluster(pool, tmp_path / name, SETTINGS._replace(sample=100, seed=seed)).record for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    assert records[0].sample_samples == 100
    assert records[0].sample_uids_sha256 == records[1].sample_uids_sha256 != records[2].sample_uids_sha256


def test_a_list_alone_is_clustered_and_the_rest_is_counted(tmp_path):
    pool, listed = write_pool(tmp_path / "pool", blobs(300)), sorted(names(300)[:120])
    subset = subsets.write(tmp_path / "list.npy", iter([uids.parse(listed)]))
    found = cluster(pool, tmp_path / "clusters", listed=subset)
    assert sorted(by_uid(found)) == listed
    assert found.record.dropped_samples == {"not in the list": 180}


def test_embeddings_of_a_pass_are_a_source_too(tmp_path, monkeypatch):
    from datacomp.artifacts import scores

    pool = write_pool(tmp_path / "pool", blobs(300))
    folder = shutil.copytree(pool.tables, tmp_path / "scores")
    scorer = {"kind": "timm", "name": "tiny", "config_sha256": "a" * 64, "weights_sha256": "b" * 64}
    seen = scores.Preprocessing(size=8, interpolation="bicubic", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    inputs = scores.Inputs(
        scorer=scores.Scorer(**scorer, preprocessing=seen),
        pool="",
        pool_uids_sha256="c" * 64,
        tombstones_sha256="",
        device="cpu",
        batch_samples=1,
        embeddings="l14",
    )
    digests = {"scores_sha256": "d" * 64, "embeddings_sha256": "e" * 64}
    record = scores.ScoresRecord(inputs=inputs, samples=300, scored_samples=300, dropped_samples={}, tars=3, broken_tars=(), by_metadata_file=True, **digests)
    record.write(folder / scores.RECORD)
    found = run.make(embeddings.of_scores(folder), None, tmp_path / "of-scores", SETTINGS)
    assert found.record.members_sha256 == cluster(pool, tmp_path / "of-pool").record.members_sha256
    assert found.record.inputs.network == "timm tiny bbbbbbbbbbbb"


def test_clusters_that_nothing_falls_into_are_dropped_and_counted(tmp_path, capsys):
    few = np.repeat(np.eye(3, dtype=np.float32), 20, axis=0)
    found = cluster(write_pool(tmp_path / "pool", few), tmp_path / "clusters", SETTINGS._replace(clusters=6))
    left, empty = found.record.clusters, found.record.empty_clusters
    assert left + empty == 6
    assert left <= 3
    assert sorted(set(found.members()["cluster"].tolist())) == list(range(left))
    assert f"{empty} of 6 clusters are empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (SETTINGS._replace(clusters=51), "51 clusters were asked for of 50 samples. Allowed: 1 to 50"),
        (SETTINGS._replace(clusters=9, sample=8), "9 centroids were to be made of a sample of 8"),
    ],
)
def test_more_clusters_than_samples_are_refused(tmp_path, settings, message):
    with pytest.raises(StageError, match=message):
        cluster(write_pool(tmp_path / "pool", blobs(50)), tmp_path / "clusters", settings)
    assert not (tmp_path / "clusters" / made.ASKED).exists()


@pytest.mark.parametrize(("number", "message"), [(np.nan, "not finite"), (np.inf, "not finite"), (0.0, "no direction")])
def test_a_vector_without_a_direction_is_refused_by_its_uid(tmp_path, number, message):
    stored = blobs(60).astype(np.float16)
    stored[41] = number
    with pytest.raises(StageError, match=rf"uid {names(60)[41]} in .*00000002\.npz has .*{message}.*--subset"):
        cluster(write_pool(tmp_path / "pool", stored), tmp_path / "clusters")
    assert not (tmp_path / "clusters" / made.RECORD).exists()


def test_lengths_beyond_what_float32_can_square_are_no_obstacle():
    long = np.array([[3e30, 4e30], [3e-30, 4e-30]], np.float32)
    assert np.allclose(embeddings.unit(long, uids.parse(names(2)), "here"), [[0.6, 0.8], [0.6, 0.8]])


def test_every_number_of_float16_is_itself_in_float32_or_too_large_where_it_is_not_finite():
    given = np.arange(2**16).astype(np.uint16).view(np.float16).reshape(64, -1)
    found, finite = embeddings.float32(given), np.isfinite(given)
    assert np.array_equal(found[finite], given[finite].astype(np.float32))
    assert np.abs(found[~finite]).min() >= 2**16


def test_a_uid_that_comes_twice_is_refused(tmp_path):
    named = names(60)
    named[50] = named[3]
    with pytest.raises(StageError, match=f"uid {named[3]} has more than one embedding"):
        cluster(write_pool(tmp_path / "pool", blobs(60), named=named), tmp_path / "clusters")


def test_features_of_another_number_of_rows_are_refused(tmp_path):
    pool = write_pool(tmp_path / "pool", blobs(60))
    tables.write_npz(pool.features("00000001"), {"l14_img": blobs(19)})
    with pytest.raises(Exception, match="l14_img has 19 rows, the table 20"):
        cluster(pool, tmp_path / "clusters")


def test_clusters_of_other_inputs_are_not_overwritten(tmp_path):
    pool = write_pool(tmp_path / "pool", blobs(60))
    first = cluster(pool, tmp_path / "clusters")
    assert cluster(pool, tmp_path / "clusters").record == first.record
    with pytest.raises(StageError, match="holds clusters with another seed"):
        cluster(pool, tmp_path / "clusters", SETTINGS._replace(seed=5))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    with pytest.raises(StageError, match=r"already holds notes\.txt"):
        cluster(pool, tmp_path / "full")


@pytest.mark.parametrize("publishes", range(10))
def test_a_clustering_that_was_stopped_goes_on_to_the_same_bytes(publishes, tmp_path, stopped):
    pool = write_pool(tmp_path / "pool", blobs(120), files=2)
    expected = cluster(pool, tmp_path / "undisturbed")
    with stopped(publishes):
        cluster(pool, tmp_path / "clusters")
    with pytest.raises(StageError, match="holds no finished clusters"):
        made.read(tmp_path / "clusters")
    assert cluster(pool, tmp_path / "clusters").record == expected.record
    held = {path.name for path in (tmp_path / "clusters").iterdir()}
    assert held == {made.ASKED, made.RECORD, made.CENTROIDS, made.MEMBERS, ".lock"}
    assert digest.of_file(tmp_path / "clusters" / made.MEMBERS) == expected.record.members_sha256


def test_embeddings_that_changed_on_the_way_are_noticed(tmp_path, stopped):
    pool = write_pool(tmp_path / "pool", blobs(120))
    with stopped(3):
        cluster(pool, tmp_path / "clusters")
    tables.write_npz(pool.features("00000000"), {"l14_img": blobs(40, seed=9)})
    with pytest.raises(StageError, match="the embeddings changed"):
        cluster(pool, tmp_path / "clusters")


def test_the_nearest_centroid_is_the_exact_one_and_of_equal_ones_the_first():
    numbers = np.random.default_rng(0)
    unit = numbers.normal(size=(300, 24)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    centroids = np.concatenate([unit[:40], unit[:40], np.nextafter(unit[:10], 1)])  # twice, and again a breath beside
    found = nearest.Nearest(centroids, 1)(unit)
    products = unit.astype(np.float64) @ centroids.astype(np.float64).T
    best = products[np.arange(300), found]
    assert np.all(products.max(axis=1) - best < 1e-12)
    assert np.array_equal(found[40:], products[40:].argmax(axis=1))
    assert np.array_equal(found, np.concatenate([nearest.Nearest(centroids, 2)(unit[start : start + 7]) for start in range(0, 300, 7)]))


def test_one_cluster_holds_everything(tmp_path):
    found = cluster(write_pool(tmp_path / "pool", blobs(40)), tmp_path / "clusters", SETTINGS._replace(clusters=1))
    assert set(found.members()["cluster"].tolist()) == {0}


def test_a_uid_is_found_beside_others_of_the_same_upper_half():
    listed = uids.parse([*(f"{5:016x}{lower:016x}" for lower in (1, 4, 9)), f"{7:016x}{0:016x}"])
    members = np.zeros(4, made.MEMBER)
    members["f0"], members["f1"] = listed["f0"], listed["f1"]
    wanted = uids.parse([f"{5:016x}{9:016x}", f"{5:016x}{5:016x}", f"{7:016x}{0:016x}", f"{8:016x}{0:016x}", f"{5:016x}{1:016x}"])
    assert made.find(np.ascontiguousarray(members["f0"]), members, wanted).tolist() == [2, -1, 3, -1, 0]


def test_an_array_is_read_by_blocks(tmp_path):
    array = np.arange(70, dtype=np.float32).reshape(10, 7)
    tables.write_npz(tmp_path / "x.npz", {"a": array})
    assert [len(block) for block in tables.read_npz_blocks(tmp_path / "x.npz", "a", 4)] == [4, 4, 2]
    assert np.array_equal(np.concatenate(list(tables.read_npz_blocks(tmp_path / "x.npz", "a", 3, of_rows=10))), array)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed, lambda path, **arrays: tables.write_npz(path, arrays)])
def test_mapped_blocks_are_those_that_are_read(tmp_path, save):
    arrays = {"b": np.zeros(3), "a": np.arange(70, dtype=np.float16).reshape(10, 7), "none": np.zeros((0, 7))}
    save(tmp_path / "x.npz", **arrays)
    for key, array in arrays.items():
        blocks = [np.empty((0, *array.shape[1:])), *tables.read_npz_blocks(tmp_path / "x.npz", key, 4, mapped=True)]
        assert np.array_equal(np.concatenate(blocks), array), key


def test_a_mapped_array_that_was_cut_off_is_refused(tmp_path):
    tables.write_npz(tmp_path / "x.npz", {"a": np.ones((1000, 4))})
    path = tmp_path / "x.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + whole[20_200:])  # the directory at the end is still there
    with pytest.raises(PoolError, match="cannot be read as npz"):
        list(tables.read_npz_blocks(path, "a", 4, mapped=True))


def test_damage_is_found_though_only_one_pass_compares_checksums(tmp_path):
    pool = write_pool(tmp_path / "pool", blobs(200).astype(np.float32))
    path = pool.features("00000000")
    stored = bytearray(path.read_bytes())
    stored[400] ^= 1  # the last bits of a number
    path.write_bytes(stored)
    with pytest.raises(PoolError, match="Bad CRC"):
        cluster(pool, tmp_path / "clusters")


@pytest.mark.parametrize("magnitude", [1e-3, 1.0])  # small numbers are added in float32, large ones in float64
def test_sums_have_no_order(magnitude):
    numbers = np.random.default_rng(0)
    given = (magnitude * numbers.uniform(-1, 1, (4096, 3))).astype(np.float32)
    cluster = numbers.integers(0, 2, 4096)
    whole = np.zeros((2, 3))
    run._add(whole, cluster, given.copy())
    parts = np.zeros((2, 3))
    for rows in np.array_split(numbers.permutation(4096), 7):
        run._add(parts, cluster[rows], given[rows])
    assert np.array_equal(whole, parts)
    exact = np.stack([given[cluster == number].astype(float).sum(axis=0) for number in (0, 1)])
    assert np.abs(whole - exact).max() < 4096 * run._STEP / 2
    assert np.abs(whole).max() > 1000 * run._STEP


def test_a_file_without_rows_changes_nothing(tmp_path):
    pool = write_pool(tmp_path / "pool", blobs(100))
    whole = cluster(pool, tmp_path / "whole")
    tables.write_parquet(pool.metadata("99999999"), pl.DataFrame({"uid": []}, schema={"uid": pl.String}))
    tables.write_npz(pool.features("99999999"), {"l14_img": np.empty((0, blobs(1).shape[1]), np.float32)})
    assert by_uid(cluster(vectors.pools.read(pool.path), tmp_path / "more")) == by_uid(whole)


def test_pool_files_without_features_are_named(tmp_path):
    tables.write_parquet(tmp_path / "pool" / "metadata" / "0.parquet", pl.DataFrame({"uid": names(3)}))
    pool = vectors.pools.read(tmp_path / "pool")
    with pytest.raises(Exception, match="there are no features at"):
        cluster(pool, tmp_path / "clusters", SETTINGS._replace(clusters=2))
