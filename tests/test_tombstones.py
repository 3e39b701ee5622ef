"""What was taken down is dropped by every stage and counted; it is nobody's fault."""

import shutil

import numpy as np
import pytest

from datacomp import rooms, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import shards as shard_sets
from datacomp.artifacts import subset as subsets
from datacomp.errors import PoolError, StageError
from datacomp.filters.apply import apply
from datacomp.reshard.run import Form, reshard


@pytest.fixture
def pool(small_pool, tmp_path):
    """A copy of the small pool from which three samples were taken down."""
    shutil.copytree(small_pool.path, tmp_path / "pool")
    copied = pools.read(tmp_path / "pool")
    taken = uids.text(pools.all_uids(copied)[[5, 100, 7]])
    (tmp_path / "pool" / "tombstones.txt").write_text(f"# of May\n{taken[0]}  # asked for by its owner\n\n{taken[1]}\n{taken[2]}\n{taken[0]}\n")
    return copied


def everything(pool, path):
    return subsets.write(path, [pools.all_uids(pool)])


def test_a_list_is_sorted_and_names_each_uid_once(pool):
    assert np.array_equal(pool.tombstones(), pools.all_uids(pool)[[5, 7, 100]])
    assert pool.tombstones_sha256() == uids.digest_of(pool.tombstones())


def test_the_official_list_counts_for_every_pool(small_pool, tmp_path, monkeypatch):
    assert len(small_pool.tombstones()) == 0
    assert small_pool.tombstones_sha256() == ""
    monkeypatch.setattr(rooms, "tracks", lambda: tmp_path)
    (tmp_path / "tombstones.txt").write_text(f"{'f' * 32}\n")
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "tombstones.txt").write_text(f"{'0' * 32}\n")
    assert uids.text(pools.tombstones(tmp_path / "pool")) == ["0" * 32, "f" * 32]


def test_a_line_that_is_no_uid_is_named(pool):
    (pool.path / "tombstones.txt").write_text("everything of example.org\n")
    with pytest.raises(PoolError, match=r"tombstones\.txt holds 'everything of example\.org', which is no uid"):
        pool.tombstones()


def test_resharding_drops_them_counts_them_and_asks_for_no_leave(pool, tmp_path):
    done = reshard(pool, everything(pool, tmp_path / "list.npy"), tmp_path / "shards", Form(100))
    assert done.record.missing_samples == {"tombstoned": 3}
    assert (done.record.asked_samples, done.record.found_samples) == (600, 597)
    assert done.record.tombstones_sha256 == pool.tombstones_sha256()
    left = np.delete(pools.all_uids(pool), [5, 7, 100])
    assert done.record.effective_pool == shard_sets.Reachable(samples=597, uids_sha256=uids.digest_of(left))


def test_shards_from_before_a_takedown_are_not_returned(small_pool, pool, tmp_path):
    listed = everything(pool, tmp_path / "list.npy")
    reshard(small_pool, listed, tmp_path / "shards", Form(100))
    with pytest.raises(StageError, match="before the list of taken-down samples changed"):
        reshard(pool, listed, tmp_path / "shards", Form(100))


def test_a_list_of_nothing_else_is_refused(pool, tmp_path):
    with pytest.raises(StageError, match="3 tombstoned"):
        reshard(pool, subsets.write(tmp_path / "list.npy", [pool.tombstones()]), tmp_path / "shards", Form(100))


def test_a_filter_drops_what_was_taken_down_and_counts_it(small_pool, tmp_path):
    folder = tmp_path / "pool"
    shutil.copytree(small_pool.path / "metadata", folder / "metadata")
    before = apply("clip_score", {"fraction": 0.3}, pools.read(folder), tmp_path / "before.npy")
    gone = [*uids.text(before.uids[:3]), "0" * 32]
    (folder / "tombstones.txt").write_text("".join(f"{uid}\n" for uid in gone))
    after = apply("clip_score", {"fraction": 0.3}, pools.read(folder), tmp_path / "after.npy")
    assert uids.text(after.uids) == uids.text(before.uids[3:])
    assert after.record.tombstoned_samples == 3
    assert after.record.pool_uids_sha256 == before.record.pool_uids_sha256
    assert "tombstoned_samples" not in before.record.plain()
