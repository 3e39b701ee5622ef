"""The whole recipe of density-based pruning, the commands around it, and the report."""

import csv
import shutil
import sys

import numpy as np
import pytest
from vectors import blobs, kept, names, write_pool

from datacomp import cli, uids
from datacomp.artifacts import clusters as made
from datacomp.artifacts import subset as subsets
from datacomp.cluster import density, embeddings, report, run
from datacomp.errors import FilterError, StageError
from datacomp.filters.apply import apply
from datacomp.pipelines import dbp
from datacomp.pipelines.dbp import Recipe

RECIPE = Recipe(epsilon=0.002, prefilter_fraction=0.5, count=100, fraction=None, dedup_clusters=3, clusters=6)


def command(monkeypatch, *words):
    """What a command prints, and its exit code."""
    monkeypatch.setattr(sys, "argv", ["datacomp", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


@pytest.fixture(scope="module")
def doubled(tmp_path_factory):
    """Three hundred vectors and a near copy of each, which has the lower score."""
    stored = blobs(300)
    scores = np.random.default_rng(1).permutation(300) / 300
    everything = np.concatenate([stored, stored * np.float32(1.001)])
    return write_pool(tmp_path_factory.mktemp("doubled") / "pool", everything, named=names(600), scores=np.concatenate([scores, scores - 1]))


def test_the_recipe_deduplicates_filters_clusters_and_prunes(doubled, tmp_path):
    found = dbp.run(doubled, RECIPE, tmp_path / "list.npy", workers=1)
    folder = tmp_path / "list"
    deduplicated, prefiltered = (subsets.read(folder / f"{name}.npy") for name in ("deduplicated", "prefiltered"))
    assert len(deduplicated.uids) <= 300
    assert len(prefiltered.uids) == len(deduplicated.uids) // 2
    assert np.all(uids.count(prefiltered.uids, deduplicated.uids) == 1)
    score = dict(
        zip(names(600), np.concatenate([np.random.default_rng(1).permutation(300) / 300, np.random.default_rng(1).permutation(300) / 300 - 1]), strict=True)
    )
    dropped = sorted(set(kept(deduplicated)) - set(kept(prefiltered)))
    assert min(score[name] for name in kept(prefiltered)) >= max(score[name] for name in dropped)
    clusters = made.read(folder / "clusters")
    assert clusters.record.inputs.subset_sha256 == prefiltered.record.uids_sha256
    expected = apply("density", {"clusters": str(clusters.path), "count": 100, "seed": 1234}, doubled, tmp_path / "expected.npy")
    assert kept(found) == kept(expected)
    assert len(found.uids) == 100
    assert found.record.filter == "dbp"
    assert found.record.options["prefilter_fraction"] == 0.5
    assert (folder / "report.html").is_file()


def test_a_recipe_that_was_stopped_goes_on_to_the_same_list(doubled, tmp_path, stopped):
    expected = dbp.run(doubled, RECIPE, tmp_path / "undisturbed.npy", workers=1)
    for publishes in (2, 9, 9, 5):
        with stopped(publishes):
            dbp.run(doubled, RECIPE, tmp_path / "list.npy", workers=1)
    assert dbp.run(doubled, RECIPE, tmp_path / "list.npy", workers=1).record.uids_sha256 == expected.record.uids_sha256


def test_steps_of_another_recipe_are_not_gone_on_with(doubled, tmp_path, stopped):
    with stopped(9):
        dbp.run(doubled, RECIPE, tmp_path / "list.npy", workers=1)
    other = Recipe(epsilon=0.01, prefilter_fraction=0.5, count=100, fraction=None, dedup_clusters=3, clusters=6)
    with pytest.raises(StageError, match="holds the steps of another recipe"):
        dbp.run(doubled, other, tmp_path / "list.npy", workers=1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epsilon": 0.0}, "epsilon above 0"),
        ({"prefilter_fraction": 0.0}, "prefilter-fraction above 0"),
        ({"count": None}, "a count or a fraction"),
        ({"preset": "mine"}, "Allowed: paper"),
        ({"keep": "best"}, "hard, easy, random, score"),
    ],
)
def test_an_impossible_recipe_is_refused_before_anything_is_written(doubled, tmp_path, changed, message):
    options = {"epsilon": 0.01, "prefilter_fraction": 0.5, "count": 10, "fraction": None} | changed
    with pytest.raises(FilterError, match=message):
        dbp.run(doubled, Recipe(**options), tmp_path / "list.npy")
    assert list(tmp_path.iterdir()) == []


def test_every_step_has_its_command(doubled, tmp_path, monkeypatch, capsys):
    pool, clusters = doubled.path, tmp_path / "clusters"
    steps = [
        ("cluster", "make", "--pool", pool, "--k", "5", "--iterations", "5", "--workers", "1", "--out", clusters),
        ("filter", "semdedup", "--pool", pool, "--clusters", clusters, "--epsilon", "0.002", "--workers", "1", "--out", tmp_path / "once.npy"),
        ("filter", "density", "--pool", pool, "--clusters", clusters, "--count", "120", "--out", tmp_path / "pruned.npy"),
        ("filter", "cluster_sample", "--pool", pool, "--clusters", clusters, "--count", "90", "--alpha", "0.5", "--out", tmp_path / "drawn.npy"),
        ("cluster", "report", clusters, "--subset", tmp_path / "pruned.npy", "--out", tmp_path / "page.html"),
        ("cluster", "features", "--pool", pool, "--out", tmp_path / "features.npy"),
        ("cluster", "centroids", "--pool", pool, "--k", "5", "--all-captions", "--out", tmp_path / "centroids.npy"),
        ("filter", "density & clip_score(l14, 0.5)", "--pool", pool, "--clusters", clusters, "--fraction", "0.3", "--out", tmp_path / "both.npy"),
    ]
    for words in steps:
        assert command(monkeypatch, *words) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "600 of 600 samples in 5 clusters" in said
    assert "120 uids in" in said
    rows = list(csv.DictReader((tmp_path / "page.csv").read_text().splitlines()))
    assert sum(int(row["quota"]) for row in rows) == sum(int(row["kept"]) for row in rows) == 120


def test_dbp_says_what_it_lacks(doubled, tmp_path, monkeypatch, capsys):
    words = ("filter", "dbp", "--pool", doubled.path, "--count", "50", "--out", tmp_path / "list.npy")
    assert command(monkeypatch, *words) == 1
    assert "dbp needs --epsilon: the paper does not say it" in capsys.readouterr().err
    assert command(monkeypatch, *words, "--epsilon", "0.01") == 1
    assert "dbp needs --prefilter-fraction" in capsys.readouterr().err
    assert command(monkeypatch, *words, "--clusters", "x") == 1
    assert "dbp has no option 'clusters'. Allowed: epsilon, prefilter-fraction" in capsys.readouterr().err
    assert command(monkeypatch, *words, "--epsilon", "0.01", "--prefilter-fraction", "1", "--dry-run") == 0
    assert "dbp with epsilon 0.01, prefilter_fraction 1.0, count 50" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_dbp_is_a_command(doubled, tmp_path, monkeypatch, capsys):
    options = ("--epsilon", "0.002", "--prefilter-fraction", "0.8", "--fraction", "0.5", "--k", "4", "--dedup-k", "2", "--workers", "1")
    assert command(monkeypatch, "filter", "dbp", "--pool", doubled.path, *options, "--out", tmp_path / "list.npy") == 0, capsys.readouterr().err
    record = subsets.read(tmp_path / "list.npy").record
    assert record.options["clusters"] == 4
    assert record.samples == made.read(tmp_path / "list" / "clusters").record.clustered_samples // 2


def test_a_list_needs_a_name_that_its_folder_can_share(doubled, tmp_path):
    with pytest.raises(FilterError, match=r"ends in \.npy"):
        dbp.run(doubled, RECIPE, tmp_path / "list")
    assert list(tmp_path.iterdir()) == []


def test_one_source_is_needed(tmp_path, monkeypatch, capsys):
    assert command(monkeypatch, "cluster", "make", "--k", "5", "--out", tmp_path / "clusters") == 1
    assert "one source of embeddings is needed" in capsys.readouterr().err


def test_the_report_shows_each_cluster_and_its_pictures(small_pool, tmp_path):
    pool = shutil.copytree(small_pool.path, tmp_path / "pool")
    from datacomp.artifacts import pool as pools

    opened = pools.read(pool)
    found = run.make(embeddings.of_pool(opened, "l14_img", tmp_path), None, tmp_path / "clusters", run.Settings(6, iterations=5, workers=1))
    kept_ = apply("density", {"clusters": str(found.path), "fraction": 0.5}, opened, tmp_path / "list.npy")
    quotas = density.make(clusters=str(found.path), fraction=0.5).quotas()
    report.write(found, kept_, quotas, opened, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 6 * 2 * report.PICTURES
    assert 'class="kept"' in page
    assert "script" not in page
    rows = list(csv.DictReader((tmp_path / "page.csv").read_text().splitlines()))
    assert [int(row["cluster"]) for row in rows] == list(range(6))
    assert sum(int(row["size"]) for row in rows) == 600
    assert [int(row["kept"]) for row in rows] == quotas.whole.tolist()
    assert found.record.inputs.network  # the reference that made the features
    report.write(found, None, None, None, tmp_path / "bare.html")
    assert "data:image" not in (tmp_path / "bare.html").read_text()
    with pytest.raises(StageError, match=r"ends in \.html"):
        report.write(found, None, None, None, tmp_path / "page.txt")
