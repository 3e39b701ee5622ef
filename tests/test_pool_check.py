"""`datacomp pool check` finds what is broken in a pool, whoever made it, and calls a sound one sound."""

import json
import shutil

import numpy as np
import polars as pl
import pytest

from datacomp import tables, tars, uids
from datacomp.artifacts import pool as pools
from datacomp.errors import PoolError
from datacomp.pool import check

STEM = "00000000"


@pytest.fixture
def pool(small_pool, tmp_path):
    """A copy of the small pool as the published downloader leaves it: without a record."""
    shutil.copytree(small_pool.path, tmp_path / "pool", ignore=shutil.ignore_patterns("plan.json", "pool.json", "truth"))
    return tmp_path / "pool"


def rewrite(pool, **changed):
    path = pool / "metadata" / f"{STEM}.parquet"
    tables.write_parquet(path, tables.read_parquet(path).with_columns(**changed))


def test_a_sound_pool_is_sound(small_pool):
    found = check.check(small_pool.path)
    assert found.broken == []
    assert found.notes == ["600 rows in 1 files", "600 samples in 1 tars"]


def test_a_sound_pool_of_somebody_else_s_can_be_adopted(pool, small_pool):
    found = check.check(pool)
    assert found.broken == []
    assert not (pool / "pool.json").exists()  # only where it is asked for
    assert "pool pool" in check.adopt(pool, found)
    record = pools.read(pool).record
    assert (record.name, record.samples, record.uids_sha256) == ("pool", 600, small_pool.record.uids_sha256)
    assert check.adopt(pool, found) == "nothing, there is a pool.json"
    assert check.check(pool).broken == []


def test_a_cut_tar_is_found_also_quickly(pool):
    tar = pool / "shards" / f"{STEM}.tar"
    tar.write_bytes(tar.read_bytes()[:200_000])
    for quick in (True, False):
        assert any("cut off" in line or "claims" in line for line in check.check(pool, quick=quick).broken)


def test_a_tar_with_other_samples_is_found(pool):
    for name, uid in (("00000001", "f" * 32), ("00000002", uids.text(pools.all_uids(pools.read(pool)))[0])):
        with tars.TarWriter(pool / "shards" / f"{name}.tar") as writer:
            writer.add("a.json", json.dumps({"uid": uid}).encode())
    found = check.check(pool)
    assert "1 samples in the tars have a uid that the metadata do not name" in found.broken
    assert "1 samples in the tars repeat the uid of another" in found.broken
    assert sum("1 samples have no picture" in line for line in found.broken) == 2
    assert "2 tars have no _stats.json" in found.notes


def test_stats_that_do_not_add_up_are_found(pool):
    path = pool / "shards" / f"{STEM}_stats.json"
    path.write_text(path.read_text().replace('"successes": 600', '"successes": 599'))
    assert ["_stats.json: 599 + 0 of 600, and 600 samples in the tar" in line for line in check.check(pool).broken] == [True]
    path.write_text("{")
    assert ["cannot be read" in line for line in check.check(pool, quick=True).broken] == [True]


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"uid": pl.lit("XYZ")}, "which is no uid"),
        ({"original_width": pl.lit("wide")}, "column original_width is String"),
        ({"face_bboxes": pl.lit(0.5)}, "column face_bboxes is Float64"),
    ],
)
def test_columns_of_another_kind_are_found(pool, changed, line):
    rewrite(pool, **changed)
    assert any(line in found for found in check.check(pool, quick=True).broken)


def test_a_missing_caption_column_is_broken_and_a_missing_score_is_said(pool):
    path = pool / "metadata" / f"{STEM}.parquet"
    tables.write_parquet(path, tables.read_parquet(path).drop("text", "clip_l14_similarity_score"))
    found = check.check(pool, quick=True)
    assert found.broken == ["no column text in the metadata"]
    assert "some metadata have no column clip_l14_similarity_score" in found.notes


def test_repeated_uids_are_counted(pool):
    frame = tables.read_parquet(pool / "metadata" / f"{STEM}.parquet")
    rewrite(pool, uid=pl.Series([frame["uid"][0], *frame["uid"][:-1]]))
    assert "1 rows repeat the uid of another" in check.check(pool, quick=True).notes


def test_features_of_another_length_are_found(pool):
    npz = pool / "metadata" / f"{STEM}.npz"
    tables.write_npz(npz, {"l14_img": np.zeros((599, 4), np.float16), "b32_img": np.zeros((600, 4), np.float16)})
    assert check.check(pool, quick=True).broken == [f"{npz}: l14_img has 599 rows, the table 600"]
    npz.write_bytes(b"PK nothing")
    assert "cannot be read as npz" in check.check(pool, quick=True).broken[0]


def test_one_missing_npz_among_several_is_found(pool):
    shutil.copy(pool / "metadata" / f"{STEM}.parquet", pool / "metadata" / "b.parquet")
    assert "1 tables have no npz beside them, b.parquet the first" in check.check(pool, quick=True).broken


def test_tars_one_folder_too_deep_are_found(pool):
    (pool / "shards" / "small").mkdir()
    (pool / "shards" / f"{STEM}.tar").rename(pool / "shards" / "small" / f"{STEM}.tar")
    found = check.check(pool)
    assert "move them to" in found.broken[0]
    assert "there are no pictures" in found.notes


def test_a_record_of_other_metadata_is_found(small_pool, tmp_path):
    shutil.copytree(small_pool.path, tmp_path / "pool")
    frame = tables.read_parquet(tmp_path / "pool" / "metadata" / f"{STEM}.parquet")
    tables.write_parquet(tmp_path / "pool" / "metadata" / f"{STEM}.parquet", frame.head(599))
    assert "pool.json does not describe these metadata" in check.check(tmp_path / "pool", quick=True).broken


def test_what_was_taken_down_is_counted(pool):
    (pool / "tombstones.txt").write_text("\n".join(uids.text(pools.all_uids(pools.read(pool)))[:4]))
    assert "4 rows were taken down; 4 of them still lie in the tars, and every stage drops them" in check.check(pool).notes


def test_a_folder_that_is_no_pool_is_one_line(tmp_path):
    with pytest.raises(PoolError, match="is no pool"):
        check.check(tmp_path)
