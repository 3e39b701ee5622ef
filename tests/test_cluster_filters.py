"""Semantic deduplication and density-based pruning keep what they promise: the oracles of the paper's formulas, and properties."""

import numpy as np
import pytest
import qpsolvers
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from vectors import SCORE, blobs, kept, names, write_pool

from datacomp import digest, tables, uids
from datacomp.artifacts import clusters as made
from datacomp.cluster import dedup, density, embeddings, quota, run
from datacomp.errors import FilterError
from datacomp.filters import catalog
from datacomp.filters.apply import apply

SETTINGS = run.Settings(8, iterations=10, workers=1)
ROOM = np.array([20, 100, 100, 100])


def cluster(pool, out, settings=SETTINGS):
    return run.make(embeddings.of_pool(pool, "l14_img", out.parent), None, out, settings)


def divided(shares, sizes, count, lowest=1):
    sizes = np.asarray(sizes)
    exact = quota.exact(np.asarray(shares) * count, np.minimum(sizes, lowest), sizes, count)
    return exact, quota.whole(exact, sizes, count)


# --- quotas


def test_the_quotas_of_the_paper_s_problem():
    exact, whole = divided([0.4, 0.3, 0.2, 0.1], ROOM, 100)
    assert exact == pytest.approx([20, 36 + 2 / 3, 26 + 2 / 3, 16 + 2 / 3])
    assert whole.tolist() == [20, 37, 27, 16]


def test_equal_shares_divide_evenly():
    exact, whole = divided([0.25] * 4, [1000] * 4, 400)
    assert exact == pytest.approx([100] * 4)
    assert whole.tolist() == [100] * 4


def test_all_samples_together_are_everything():
    assert divided([0.7, 0.1, 0.1, 0.1], ROOM, 320)[1].tolist() == ROOM.tolist()


def test_a_huge_temperature_is_uniform_and_a_tiny_one_fills_the_most_complex_first():
    values = np.array([0.1, 0.5, 0.3])
    assert quota.shares(values, 1e9) == pytest.approx([1 / 3] * 3)
    assert quota.shares(values, 1e-4) == pytest.approx([0, 1, 0])
    whole = divided(quota.shares(values, 1e-4), [50, 50, 50], 70)[1]
    assert whole[1] == 50  # full; what it cannot take goes to the others in equal parts
    assert whole.tolist() == [10, 50, 10]


@pytest.mark.parametrize("count", [3, 321])
def test_a_count_without_room_is_refused_with_both_numbers(count):
    with pytest.raises(FilterError, match=f"{count} samples are to be kept of 4 clusters, which keep 4 at least and hold 320"):
        divided([0.25] * 4, ROOM, count)


def problem(numbers):
    k = int(numbers.integers(1, 13))
    sizes = numbers.integers(1, 400, k)
    shares = quota.shares(numbers.exponential(0.2, k), float(numbers.choice([0.02, 0.1, 0.5])))
    lowest = np.minimum(sizes, int(numbers.integers(0, 4)))
    return shares, sizes, lowest, int(numbers.integers(max(lowest.sum(), 1), sizes.sum() + 1))


def test_quotas_are_those_of_a_solver_for_a_thousand_problems():
    numbers = np.random.default_rng(0)
    for _ in range(1000):
        shares, sizes, lowest, count = problem(numbers)
        exact = quota.exact(shares * count, lowest, sizes, count)
        whole = quota.whole(exact, sizes, count)
        assert whole.sum() == count
        assert np.all((lowest <= whole) & (whole <= sizes))
        assert np.all(np.abs(whole - exact) < 1 + 1e-6)
        solved = qpsolvers.solve_qp(  # as shares of the count: the solver's tolerances are absolute
            scipy.sparse.identity(len(sizes), format="csc"),
            -shares,
            A=scipy.sparse.csc_matrix(np.ones((1, len(sizes)))),
            b=np.ones(1),
            lb=lowest / count,
            ub=sizes / count,
            solver="clarabel",
            tol_gap_abs=1e-14,
            tol_gap_rel=1e-14,
            tol_feas=1e-12,
        )
        assert solved is not None
        assert np.abs(exact / count - solved).max() <= 1e-6


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 1)), min_size=1, max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_whole_quotas_always_add_up_and_respect_their_bounds(clusters, share, balance):
    sizes = np.array([size for size, _ in clusters])
    shares = quota.shares(np.array([value for _, value in clusters]), 0.1)
    count = int(share * sizes.sum())
    lowest = quota.floors(sizes, count, balance)
    if not lowest.sum() <= count:
        return
    exact = quota.exact(shares * count, lowest, sizes, count)
    whole = quota.whole(exact, sizes, count)
    assert exact.sum() == pytest.approx(count)
    assert whole.sum() == count
    assert np.all((lowest <= whole) & (whole <= sizes))


def test_a_billion_samples_are_divided_exactly():
    numbers = np.random.default_rng(1)
    sizes = numbers.integers(1, 10**6, 20_000)
    count = int(sizes.sum() * 0.37)
    assert divided(quota.shares(numbers.random(20_000), 0.1), sizes, count)[1].sum() == count


def test_the_floor_is_one_sample_or_what_the_authors_code_sets():
    sizes = np.array([1, 5, 500])
    assert quota.floors(sizes, 60, 0.0).tolist() == [1, 1, 1]
    assert quota.floors(sizes, 60, 0.5).tolist() == [0, 4, 10]  # min(int(0.5 N / k), M - 1)


def test_presets_are_the_paper_s_and_the_code_s():
    assert quota.PRESETS == {"paper": (0.1, 20, 0.0), "authors_code_defaults": (0.5, 20, 0.5)}


def test_the_code_s_defaults_make_shares_nearly_uniform():
    values = np.random.default_rng(0).uniform(0.05, 0.35, 100)
    spread = {name: np.ptp(np.log(quota.shares(values, preset.temperature))) for name, preset in quota.PRESETS.items()}
    assert spread["paper"] == pytest.approx(5 * spread["authors_code_defaults"])


# --- complexity


def members_of(cluster_, cosine):
    members = np.zeros(len(cluster_), made.MEMBER)
    members["cluster"], members["cosine"] = cluster_, cosine
    return members


def test_complexity_is_the_product_of_both_distances():
    centroids = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    found = quota.complexity(members_of([0, 0, 1, 2], [1.0, 0.5, 0.25, 1.0]), centroids, 20)
    assert found.sizes.tolist() == [2, 1, 1]
    assert found.inter == pytest.approx([1.5, 1.0, 1.5])  # l is at most the number of the others
    assert found.intra == pytest.approx([0.25, 0.75, 0])
    assert found.values == pytest.approx([0.375, 0.75, 0])
    assert quota.complexity(members_of([0, 1, 2], [1, 1, 1]), centroids, 1).inter == pytest.approx([1, 1, 1])


def test_a_single_cluster_has_distance_one_to_the_others():
    assert quota.complexity(members_of([0], [0.5]), np.array([[1, 0]], np.float32), 20).inter.tolist() == [1.0]


def test_equal_centroids_are_neighbours_of_each_other():
    centroids = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert quota.complexity(members_of([0, 1, 2], [1, 1, 1]), centroids, 1).inter == pytest.approx([0, 0, 1])


def test_blocks_of_centroids_change_nothing(monkeypatch):
    centroids = np.random.default_rng(0).normal(size=(50, 8))
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    whole = quota._inter(centroids, 20)
    monkeypatch.setattr(quota, "_PRODUCTS", 150)
    assert quota._inter(centroids, 20) == pytest.approx(whole, abs=1e-12)


def test_a_cluster_of_tight_copies_loses_share(tmp_path):
    plain = blobs(400)
    centre = plain[0]
    copies = np.concatenate([plain, centre + 1e-3 * np.random.default_rng(5).normal(size=(200, 12))]).astype(np.float32)
    shares = []
    for name, stored in (("plain", plain), ("copies", copies)):
        found = cluster(write_pool(tmp_path / name, stored, named=names(600)[: len(stored)]), tmp_path / f"{name}-clusters", SETTINGS._replace(sample=400))
        members = found.members()
        upper = np.ascontiguousarray(members["f0"])
        own = members["cluster"][made.find(upper, members, uids.parse(names(600)[:1]))[0]]
        shares.append(density.quotas(found, 100, quota.PRESETS["paper"]).shares[own])
    assert shares[1] < shares[0]


# --- density-based pruning


@pytest.fixture(scope="module")
def clustered(tmp_path_factory):
    """A pool of 600 vectors in eight clusters."""
    folder = tmp_path_factory.mktemp("clustered")
    pool = write_pool(folder / "pool", blobs(600), scores=np.random.default_rng(4).random(600))
    return pool, cluster(pool, folder / "clusters")


def by_cluster(found, listed):
    """For each cluster its members' cosines, and whether each is in a list."""
    members = found.members()
    named = np.empty(len(members), uids.UID)
    named["f0"], named["f1"] = members["f0"], members["f1"]
    inside = uids.count(named, listed) > 0
    for number in range(found.record.clusters):
        own = members["cluster"] == number
        yield members["cosine"][own], inside[own]


@pytest.mark.parametrize("keep", ["hard", "easy"])
def test_exactly_the_farthest_or_nearest_of_each_cluster_are_kept(clustered, tmp_path, keep):
    pool, found = clustered
    subset = apply("density", {"clusters": str(found.path), "count": 250, "keep": keep}, pool, tmp_path / "list.npy")
    assert len(subset.uids) == 250
    quotas = density.quotas(found, 250, quota.PRESETS["paper"]).whole
    for number, (cosine, inside) in enumerate(by_cluster(found, subset.uids)):
        assert inside.sum() == quotas[number]
        if 0 < inside.sum() < len(inside):
            assert (cosine[inside].max() <= cosine[~inside].min()) if keep == "hard" else (cosine[inside].min() >= cosine[~inside].max())


def test_a_uniform_quota_is_the_same_share_of_each_cluster(clustered, tmp_path):
    pool, found = clustered
    subset = apply("density", {"clusters": str(found.path), "count": 250, "quota": "uniform"}, pool, tmp_path / "list.npy")
    assert len(subset.uids) == 250
    for cosine, inside in by_cluster(found, subset.uids):
        assert abs(inside.sum() - len(inside) * 250 / 600) < 1
        assert cosine[inside].max() <= cosine[~inside].min()
    by_density = density.quotas(found, 250, quota.PRESETS["paper"]).whole
    assert by_density.tolist() != [int(inside.sum()) for _, inside in by_cluster(found, subset.uids)]


def test_density_keeps_by_score_or_at_random_with_the_same_quotas(clustered, tmp_path):
    pool, found = clustered
    options = {"clusters": str(found.path), "fraction": 0.4}
    lists = {
        name: apply("density", options | more, pool, tmp_path / f"{name}.npy")
        for name, more in {
            "score": {"keep": "score", "score": "l14"},
            "random": {"keep": "random", "seed": 1},
            "again": {"keep": "random", "seed": 1},
            "other": {"keep": "random", "seed": 2},
        }.items()
    }
    counts = {name: [int(inside.sum()) for _, inside in by_cluster(found, subset.uids)] for name, subset in lists.items()}
    assert counts["score"] == counts["random"] == counts["other"]
    assert sum(counts["score"]) == 240
    assert kept(lists["random"]) == kept(lists["again"]) != kept(lists["other"])
    scores = dict(zip(names(600), np.random.default_rng(4).random(600), strict=True))
    named = dict(zip(names(600), range(600), strict=True))
    members = found.members()
    listed = np.empty(600, uids.UID)
    listed["f0"], listed["f1"] = members["f0"], members["f1"]
    chosen = set(kept(lists["score"]))
    own = {uid: int(number) for uid, number in zip(uids.text(listed), members["cluster"], strict=True)}
    assert set(own) == set(named)
    for number in range(found.record.clusters):
        inside = [scores[uid] for uid in own if own[uid] == number and uid in chosen]
        outside = [scores[uid] for uid in own if own[uid] == number and uid not in chosen]
        assert min(inside, default=1) >= max(outside, default=0)


def test_a_rotation_changes_no_list(tmp_path):
    stored = blobs(400)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(12, 12)))[0].astype(np.float32)
    lists = []
    for name, vectors in (("plain", stored), ("turned", stored @ turn), ("longer", stored * 4)):
        pool = write_pool(tmp_path / name, vectors)
        found = cluster(pool, tmp_path / f"{name}-clusters")
        for filter_, options in (("density", {"count": 150}), ("semdedup", {"epsilon": 0.03})):
            lists.append(kept(apply(filter_, {"clusters": str(found.path), **options}, pool, tmp_path / f"{name}-{filter_}.npy")))
    assert lists[0::2] == [lists[0]] * 3
    assert lists[1::2] == [lists[1]] * 3
    assert len(lists[1]) < 400


def test_the_record_names_the_clusters(clustered, tmp_path):
    pool, found = clustered
    record = apply("density", {"clusters": str(found.path), "count": 100}, pool, tmp_path / "list.npy").record
    assert record.assets == {"clusters clusters": found.record.members_sha256}
    assert record.external_resources == ("8 clusters of l14_img",)


def test_clusters_of_another_pool_are_refused(clustered, tmp_path):
    other = write_pool(tmp_path / "other", blobs(600), named=names(600, seed=8))
    with pytest.raises(FilterError, match="has 600 samples, of which 0 are rows of this pool"):
        apply("density", {"clusters": str(clustered[1].path), "count": 100}, other, tmp_path / "list.npy")
    assert not (tmp_path / "list.npy").exists()


def test_rows_in_no_cluster_are_not_kept_and_that_is_said(tmp_path, capsys):
    whole = write_pool(tmp_path / "whole", blobs(300))
    part = write_pool(tmp_path / "part", blobs(300)[:200], named=names(300)[:200])
    found = cluster(part, tmp_path / "clusters")
    subset = apply("density", {"clusters": str(found.path), "fraction": 1.0}, whole, tmp_path / "list.npy")
    assert kept(subset) == sorted(names(300)[:200])
    assert "100 rows of the pool are in no cluster" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("density", {"count": 10}, "density needs clusters.*datacomp cluster make"),
        ("density", {"clusters": "c"}, "neither came"),
        ("density", {"clusters": "c", "count": 1, "fraction": 0.1}, "both came"),
        ("density", {"clusters": "c", "fraction": 0.0}, "above 0 and up to 1"),
        ("density", {"clusters": "c", "count": 0}, "1 or more"),
        ("density", {"clusters": "c", "count": 5, "preset": "mine"}, "Allowed: paper, authors_code_defaults"),
        ("density", {"clusters": "c", "count": 5, "temperature": 0.0}, "a temperature above 0"),
        ("density", {"clusters": "c", "count": 5, "quota": "even"}, "Allowed: density, uniform"),
        ("density", {"clusters": "c", "count": 5, "quota": "uniform", "balance": 0.5}, "leave out --preset"),
        ("density", {"clusters": "c", "count": 5, "keep": "best"}, "Allowed: hard, easy, random, score"),
        ("density", {"clusters": "c", "count": 5, "keep": "score"}, "without a --score"),
        ("semdedup", {"clusters": "c"}, "add --epsilon"),
        ("semdedup", {"clusters": "c", "epsilon": 0.0}, "above 0 and below 2"),
        ("semdedup", {"clusters": "c", "epsilon": 0.1, "chains": "loose"}, "Allowed: published, kept"),
        ("cluster_sample", {"clusters": "c"}, "add --count"),
        ("cluster_sample", {"clusters": "c", "count": 5, "alpha": -1.0}, "0 to 5"),
    ],
)
def test_impossible_options_are_refused(name, options, message):
    with pytest.raises(FilterError, match=message):
        catalog.make(name, options)


# --- semantic deduplication


def row_by_row(vectors, epsilon, chains):
    """The definition, one pair after the other, in float64."""
    exact = vectors.astype(np.float64)
    dropped = []
    for row, vector in enumerate(exact):
        earlier = [place for place in range(row) if chains == "published" or not dropped[place]]
        dropped.append(any(float(vector @ exact[place]) > 1 - epsilon for place in earlier))
    return dropped


def at_angles(*degrees):
    return np.array([[np.cos(np.radians(angle)), np.sin(np.radians(angle))] for angle in degrees], np.float32)


def duplicates(vectors, epsilon, chains="published"):
    return dedup.duplicates(lambda first, last: vectors[first:last], len(vectors), epsilon, chains).tolist()


def test_of_a_chain_only_the_first_is_left_as_published():
    chain = at_angles(0, 10, 20)  # neighbours are near, the ends are not
    assert duplicates(chain, 0.02) == [False, True, True]
    assert duplicates(chain, 0.02, "kept") == [False, True, False]


@pytest.mark.parametrize("chains", ["published", "kept"])
@pytest.mark.parametrize("rows", [1, 2, 40, 41, 130])
def test_blocks_find_what_pairs_find(rows, chains, monkeypatch):
    monkeypatch.setattr(dedup, "BLOCK_ROWS", 40)
    monkeypatch.setattr(dedup, "STRIP_ROWS", 11)
    stored = blobs(rows, kinds=6, dimensions=5, spread=0.15)
    stored[rows // 2 :] = stored[: rows - rows // 2]  # exact copies
    unit = embeddings.unit(stored, uids.parse(names(rows)), "here")
    for epsilon in (1e-6, 0.001, 0.02, 0.5):
        assert duplicates(unit, epsilon, chains) == row_by_row(unit, epsilon, chains)


@pytest.mark.parametrize("chains", ["published", "kept"])
def test_what_lies_at_the_edge_does_not_depend_on_blocks(chains, monkeypatch):
    lattice = np.array([[a, b, c, 3] for a in range(4) for b in range(4) for c in range(4)], np.float32)  # many equal cosines
    unit = lattice / np.linalg.norm(lattice, axis=1, keepdims=True)
    epsilon = 1 - float(unit[5].astype(np.float64) @ unit[6].astype(np.float64))
    expected = row_by_row(unit, epsilon, chains)
    for size, strip in ((1, 1), (7, 3), (64, 64), (64, 5), (2048, 256)):
        monkeypatch.setattr(dedup, "BLOCK_ROWS", size)
        monkeypatch.setattr(dedup, "STRIP_ROWS", strip)
        assert duplicates(unit, epsilon, chains) == expected


@pytest.mark.parametrize("chains", ["published", "kept"])
@pytest.mark.parametrize("epsilon", [1e-6, 1e-3, 0.05, 0.7])
def test_what_is_not_multiplied_was_no_duplicate(chains, epsilon, monkeypatch):
    monkeypatch.setattr(dedup, "STRIP_ROWS", 10)
    found = []
    for seed in range(4):
        numbers = np.random.default_rng(seed)
        stored = numbers.standard_normal((400, 6)) * np.repeat([0.02, 0.2, 1, 3], 100)[:, None] + 1.0  # dense here and sparse there
        stored[::3] = stored[numbers.integers(0, 400, 134)] + numbers.choice([0, 1e-4, 0.05], (134, 1)) * numbers.standard_normal((134, 6))
        unit = embeddings.unit(stored, uids.parse(names(400)), "here")
        ranked = unit[np.argsort(unit @ dedup._middle(unit))]
        found.append(duplicates(ranked, epsilon, chains))
        assert found[-1] == row_by_row(ranked, epsilon, chains)
    assert 0 < np.mean(found) < 1


def test_rows_out_of_reach_are_not_multiplied():
    angles = np.radians(np.arange(80.0))
    assert dedup._reach(angles, np.radians([85.0, 88.0]), np.cos(np.radians(7))) == slice(78, 80)
    assert dedup._reach(angles, np.radians([40.0]), np.cos(np.radians(3.9))) == slice(36, 45)  # with room for what rounding may do
    assert dedup._reach(angles, np.radians([85.0]), 1 - 1e-6) == slice(0)


def test_memory_does_not_grow_with_a_cluster(monkeypatch):
    monkeypatch.setattr(dedup, "BLOCK_ROWS", 16)
    asked = []

    def read(first, last):
        asked.append(last - first)
        return at_angles(*(5 * np.arange(first, min(last, 200))))

    dedup.duplicates(read, 200, 0.001)
    assert set(asked) == {16}


@pytest.mark.parametrize("keep", ["hard", "easy"])
def test_of_copies_the_one_to_keep_is_kept(clustered, tmp_path, keep):
    pool, found = clustered
    subset = apply("semdedup", {"clusters": str(found.path), "epsilon": 1.9, "keep": keep}, pool, tmp_path / "list.npy")
    for cosine, inside in by_cluster(found, subset.uids):
        assert inside.sum() == 1
        assert cosine[inside] == (cosine.min() if keep == "hard" else cosine.max())


def test_the_best_scored_of_near_duplicates_is_kept(tmp_path):
    stored = np.repeat(blobs(5, kinds=5), 4, axis=0)
    pool = write_pool(tmp_path / "pool", stored, scores=np.tile([0.1, np.nan, 0.9, 0.4], 5))
    found = cluster(pool, tmp_path / "clusters", SETTINGS._replace(clusters=2))
    subset = apply("semdedup", {"clusters": str(found.path), "epsilon": 1e-4, "keep": "score", "score": SCORE}, pool, tmp_path / "list.npy")
    assert kept(subset) == sorted(names(20)[2::4])


def test_neither_workers_nor_blocks_change_a_deduplicated_list(clustered, tmp_path, monkeypatch):
    from datacomp.launch import local

    pool, found = clustered
    options = {"clusters": str(found.path), "epsilon": 0.02}
    expected = kept(apply("semdedup", options, pool, tmp_path / "plain.npy"))
    monkeypatch.setattr(dedup, "BLOCK_ROWS", 9)
    monkeypatch.setattr(dedup, "STRIP_ROWS", 4)
    real = local.run_all
    shares = []
    monkeypatch.setattr(local, "run_all", lambda function, tasks, **how: shares.append(len(tasks)) or real(function, tasks, **(how | {"workers": 1})))
    assert kept(apply("semdedup", options, pool, tmp_path / "cut.npy")) == expected
    assert max(shares) == found.record.clusters
    assert 0 < len(expected) < 600
    assert {path.name for path in found.path.iterdir()} == {"asked.json", "clusters.json", "centroids.npy", "members.npy", ".lock"}


def test_vectors_may_be_stored_in_several_precisions(clustered, tmp_path):
    pool, found = clustered
    options = {"clusters": str(found.path), "epsilon": 0.02}
    expected = kept(apply("semdedup", options, pool, tmp_path / "plain.npy"))
    mixed = write_pool(tmp_path / "mixed", blobs(600))
    for stem, dtype in zip(mixed.stems, (np.float16, np.float64, np.float32), strict=False):
        stored = tables.read_npz(pool.features(stem), "l14_img").astype(dtype)
        tables.write_npz(mixed.features(stem), {"l14_img": stored})
    assert kept(apply("semdedup", options, mixed, tmp_path / "mixed.npy")) == expected


def test_vectors_that_were_not_clustered_are_refused(clustered, tmp_path):
    _, found = clustered
    other = write_pool(tmp_path / "other", blobs(600, seed=3))
    with pytest.raises(FilterError, match=r"not the vectors of which .* was made"):
        apply("semdedup", {"clusters": str(found.path), "epsilon": 0.1}, other, tmp_path / "list.npy")


def test_broken_features_are_no_list(clustered, tmp_path):
    pool, found = clustered
    broken = write_pool(tmp_path / "broken", blobs(600))
    path = broken.features("00000001")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(Exception, match="cannot be read as npz"):
        apply("semdedup", {"clusters": str(found.path), "epsilon": 0.1}, broken, tmp_path / "list.npy")
    assert digest.of_file(found.path / made.MEMBERS) == found.record.members_sha256
    assert tables.count_rows(pool.metadata("00000001"), "uid") == 200
