"""Resharding loses nothing, says what it did not find, and goes on where it was stopped."""

import io
import itertools
import json
import shutil
import tarfile

import numpy as np
import pytest

from datacomp import tables, tars, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import shards as shard_sets
from datacomp.artifacts import subset as subsets
from datacomp.artifacts import tar_index
from datacomp.errors import PoolError, StageError, TarError
from datacomp.filters.apply import apply
from datacomp.reshard import copy
from datacomp.reshard.run import Form, reshard


def write_list(path, array):
    array = array[uids.order(array)]
    return subsets.write(path, [array])


def members(paths):
    """Every member of some tars, by name."""
    found = {}
    for path in paths:
        with tarfile.open(path) as tar:
            for info in tar:
                assert info.name not in found
                found[info.name] = tar.extractfile(info).read()
    return found


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".lock"}


def by_uid(pool):
    """What the pool holds for each uid: picture and caption."""
    found = members(pool.tars())
    keys = {name.split(".")[0] for name in found}
    return {json.loads(found[f"{key}.json"])["uid"]: (found[f"{key}.jpg"], found[f"{key}.txt"]) for key in keys}


def test_every_listed_sample_arrives_as_often_as_it_is_listed(small_pool, tmp_path):
    everything = pools.all_uids(small_pool)
    times = np.array([0, 1, 2, 5])[np.arange(600) % 4]
    subset = write_list(tmp_path / "list.npy", np.repeat(everything, times))
    done = reshard(small_pool, subset, tmp_path / "shards", Form(100))
    source, found = by_uid(small_pool), members(done.tars())
    expected = {}
    for uid, n in zip(uids.text(everything), times, strict=True):
        for number in range(n):
            expected |= {f"{uid}-{number}.jpg": source[uid][0], f"{uid}-{number}.txt": source[uid][1]}
    assert {name: data for name, data in found.items() if not name.endswith(".json")} == expected
    assert done.record.found_samples == done.record.asked_samples == len(subset.uids)
    assert [shard.samples for shard in done.record.shards] == [100] * (len(subset.uids) // 100) + [len(subset.uids) % 100] * (len(subset.uids) % 100 > 0)


def test_copies_of_one_sample_do_not_stand_side_by_side(small_pool, tmp_path):
    subset = write_list(tmp_path / "list.npy", np.repeat(pools.all_uids(small_pool)[:100], 5))
    done = reshard(small_pool, subset, tmp_path / "shards", Form(100))
    order = [name.split("-")[0] for name in members(done.tars()) if name.endswith(".txt")]
    assert sum(a == b for a, b in itertools.pairwise(order)) < 15  # 80 % of neighbours without a shuffle
    assert order != sorted(order)


def test_the_same_list_gives_the_same_bytes(small_pool, tmp_path):
    subset = apply("random", {"fraction": 0.3}, small_pool, tmp_path / "list.npy")
    for name in ("a", "b"):
        reshard(small_pool, subset, tmp_path / name, Form(50))
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


@pytest.mark.parametrize("publishes", [0, 1, 2, 3, 5, 6, 7, 8])
def test_a_stopped_resharding_goes_on_to_the_same_bytes(small_pool, tmp_path, stopped, publishes):
    subset = apply("random", {"fraction": 0.3}, small_pool, tmp_path / "list.npy")
    reshard(small_pool, subset, tmp_path / "whole", Form(50))
    with stopped(publishes):
        reshard(small_pool, subset, tmp_path / "stopped", Form(50))
    with pytest.raises(StageError, match="no finished shards"):
        shard_sets.read(tmp_path / "stopped")
    reshard(small_pool, subset, tmp_path / "stopped", Form(50))
    assert bytes_of(tmp_path / "stopped") == bytes_of(tmp_path / "whole")


def test_foreign_uids_are_an_error_unless_allowed_and_are_counted(small_pool, tmp_path):
    foreign = np.zeros(3, uids.UID)
    foreign["f0"] = [1, 2, 3]
    subset = write_list(tmp_path / "list.npy", np.concatenate([foreign, pools.all_uids(small_pool)[:97]]))
    with pytest.raises(StageError, match="3 of the 100 listed samples cannot be found: 3 not in the pool"):
        reshard(small_pool, subset, tmp_path / "shards", Form(50))
    assert not list((tmp_path / "shards").glob("*.tar"))
    done = reshard(small_pool, subset, tmp_path / "shards", Form(50), allow_missing=0.03)
    assert done.record.missing_samples == {"not in the pool": 3}
    assert done.record.asked_samples == done.record.found_samples + 3


@pytest.fixture
def pool_with_lost_samples(small_pool, tmp_path):
    """The small pool with one picture's sample missing from its tar."""
    shutil.copytree(small_pool.path, tmp_path / "pool")
    tar = tmp_path / "pool" / "shards" / "00000000.tar"
    kept = {name: data for name, data in members([tar]).items() if not name.startswith("000000000005")}
    with tarfile.open(tar, "w") as writer:
        for name, data in kept.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            writer.addfile(info, io.BytesIO(data))
    return pools.read(tmp_path / "pool")


def test_what_was_never_downloaded_is_counted_apart(pool_with_lost_samples, tmp_path):
    subset = apply("no_filter", {}, pool_with_lost_samples, tmp_path / "list.npy")
    with pytest.raises(StageError, match="1 not downloaded"):
        reshard(pool_with_lost_samples, subset, tmp_path / "shards", Form(300))
    done = reshard(pool_with_lost_samples, subset, tmp_path / "shards", Form(300), allow_missing=0.01)
    assert done.record.missing_samples == {"not downloaded": 1}
    with pytest.raises(StageError, match="1 not downloaded"):  # also when it was allowed before
        reshard(pool_with_lost_samples, subset, tmp_path / "shards", Form(300))
    assert done.record.effective_pool.samples == 599
    assert done.record.effective_pool.uids_sha256 != done.record.pool_uids_sha256


def test_a_truncated_tar_of_the_pool_is_an_error(pool_with_lost_samples, tmp_path):
    subset = apply("no_filter", {}, pool_with_lost_samples, tmp_path / "list.npy")
    tar = pool_with_lost_samples.tars()[0]
    tar.write_bytes(tar.read_bytes()[:100_000])
    with pytest.raises(StageError, match=r"1 corrupt, \d+ not downloaded; 1 of the pool's tars are cut off or broken, 00000000\.tar the first"):
        reshard(pool_with_lost_samples, subset, tmp_path / "shards", Form(300))
    assert list((tmp_path / "shards").glob("*.tar")) == []
    done = reshard(pool_with_lost_samples, subset, tmp_path / "shards", Form(300), allow_missing=1)
    assert done.record.broken_tars == ("00000000.tar",)
    assert done.record.found_samples == len(subset.uids) - sum(done.record.missing_samples.values()) == len(members(done.tars())) / 3


def test_a_tar_that_is_none_is_an_error(pool_with_lost_samples, tmp_path):
    subset = apply("no_filter", {}, pool_with_lost_samples, tmp_path / "list.npy")
    pool_with_lost_samples.tars()[0].write_bytes(b"no tar at all" * 100)
    with pytest.raises(TarError, match=r"00000000\.tar is no tar"):
        reshard(pool_with_lost_samples, subset, tmp_path / "shards", Form(300))


def test_a_uid_that_stands_twice_in_the_pool_is_an_error(pool_with_lost_samples, tmp_path):
    subset = apply("no_filter", {}, pool_with_lost_samples, tmp_path / "list.npy")
    tar = pool_with_lost_samples.tars()[0]
    shutil.copy(tar, tar.with_name("00000001.tar"))
    with pytest.raises(PoolError, match="stands twice"):
        reshard(pool_with_lost_samples, subset, tmp_path / "shards", Form(300))


def test_another_list_does_not_go_into_the_same_folder(small_pool, small_shards, tmp_path):
    other = apply("random", {"fraction": 0.1}, small_pool, tmp_path / "list.npy")
    with pytest.raises(StageError, match="another list, pool or form"):
        reshard(small_pool, other, small_shards.path, Form(50))


def test_overwrite_really_empties(small_pool, tmp_path):
    lists = [apply("random", {"fraction": fraction}, small_pool, tmp_path / f"{fraction}.npy") for fraction in (0.5, 0.1)]
    reshard(small_pool, lists[0], tmp_path / "shards", Form(50))
    done = reshard(small_pool, lists[1], tmp_path / "shards", Form(50), overwrite=True)
    assert sorted(path.name for path in (tmp_path / "shards").glob("*.tar")) == [tar.name for tar in done.tars()]


def test_somebody_s_tars_are_not_taken_for_ours(small_pool, tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "00000000.tar").write_bytes(b"precious")
    subset = apply("random", {"fraction": 0.1}, small_pool, tmp_path / "list.npy")
    with pytest.raises(StageError, match=r"already holds 00000000\.tar"):
        reshard(small_pool, subset, tmp_path / "shards", Form(50))
    assert (tmp_path / "shards" / "00000000.tar").read_bytes() == b"precious"


def test_shards_that_lack_a_tar_are_refused(small_shards, tmp_path):
    shutil.copytree(small_shards.path, tmp_path / "shards")
    (tmp_path / "shards" / "00000001.tar").unlink()
    with pytest.raises(StageError, match=r"lacks 00000001\.tar"):
        shard_sets.read(tmp_path / "shards")


def test_neither_workers_nor_the_pool_s_cut_change_the_shards(small_pool, tmp_path):
    subset = apply("random", {"fraction": 0.5}, small_pool, tmp_path / "list.npy")
    recut(small_pool, tmp_path / "recut", 70)
    done = [
        reshard(pool, subset, tmp_path / f"{name}-{workers}", Form(50), workers=workers)
        for name, pool in (("whole", small_pool), ("recut", pools.read(tmp_path / "recut")))
        for workers in (1, 2, 5)
    ]
    assert all(bytes_of(one.path) == bytes_of(done[0].path) for one in done)


def recut(pool, folder, tar_samples):
    """The same pool in smaller tars."""
    shutil.copytree(pool.path, folder, ignore=shutil.ignore_patterns("shards"))
    (folder / "shards").mkdir()
    samples = [(sample, data) for path in pool.tars() for sample, data in tars.read_all(path)]
    for number, start in enumerate(range(0, len(samples), tar_samples)):
        with tars.TarWriter(folder / "shards" / f"{number:08d}.tar") as writer:
            for sample, data in samples[start : start + tar_samples]:
                for extension, content in data.items():
                    writer.add(f"{sample.key}.{extension}", content)


def test_without_a_shuffle_the_pool_s_order_is_kept(small_pool, tmp_path):
    everything = pools.all_uids(small_pool)
    subset = write_list(tmp_path / "list.npy", np.repeat(everything, np.array([1, 2])[np.arange(600) % 2]))
    done = reshard(small_pool, subset, tmp_path / "shards", Form(100, shuffled=False))
    times = dict(zip(uids.text(everything), ([1, 2] * 300), strict=True))
    in_pool = [json.loads(data["json"])["uid"] for path in small_pool.tars() for _, data in tars.read_all(path)]
    expected = [f"{uid}-{copy}" for uid in in_pool for copy in range(times[uid])]
    assert [sample.key for path in done.tars() for sample in tars.index(path)] == expected


def test_a_sample_that_is_named_in_a_tar_that_is_cut_off_counts_as_corrupt(small_pool, tmp_path):
    shutil.copytree(small_pool.path, tmp_path / "pool")
    tar = tmp_path / "pool" / "shards" / "00000000.tar"
    third = tars.index(tar)[2]
    tar.write_bytes(tar.read_bytes()[: third.end - 512])
    subset = apply("no_filter", {}, small_pool, tmp_path / "list.npy")
    done = reshard(pools.read(tmp_path / "pool"), subset, tmp_path / "shards", Form(100), allow_missing=1)
    assert done.record.missing_samples == {"corrupt": 1, "not downloaded": 597}
    assert done.record.found_samples == 2


def test_the_published_trainer_s_files_are_there(small_shards):
    assert json.loads((small_shards.path / "meta.json").read_text())["output_shard_count"] == len(small_shards.tars())
    assert np.array_equal(np.load(small_shards.path / "sample_ids.npy"), subsets.map_file(small_shards.path.parent / "list.npy"))


def test_a_shard_s_record_holds(small_shards):
    for shard, path in zip(small_shards.record.shards, small_shards.tars(), strict=True):
        samples = tars.index(path)
        ids = uids.parse([sample.key.split("-")[0] for sample in samples])
        assert (len(samples), uids.digest_of(ids), copy.content_sha256(path)) == (shard.samples, shard.uids_sha256, shard.content_sha256)


def test_an_index_is_used_again_and_made_again_when_the_tar_changes(small_pool, tmp_path, monkeypatch):
    path = tmp_path / "a.tar"
    shutil.copy(small_pool.tars()[0], path)
    made = []
    real = tar_index._make
    monkeypatch.setattr(tar_index, "_make", lambda tar: made.append(tar) or real(tar))
    first = tar_index.read(path)
    assert np.array_equal(tar_index.read(path).rows, first.rows)
    assert len(made) == 1
    tar_index.sidecar(path).write_bytes(b"nonsense")
    assert np.array_equal(tar_index.read(path).rows, first.rows)
    with tars.TarWriter(path) as writer:
        writer.add("a.jpg", b"1")
    assert len(tar_index.read(path).rows) == 1
    assert len(made) == 3


def test_a_pool_that_cannot_be_written_is_resharded(small_pool, tmp_path, monkeypatch):
    shutil.copytree(small_pool.path, tmp_path / "pool", ignore=shutil.ignore_patterns("*.index.npz"))
    monkeypatch.setattr(tables, "write_npz", lambda *_: (_ for _ in ()).throw(PermissionError("read-only")))
    subset = apply("random", {"fraction": 0.1}, small_pool, tmp_path / "list.npy")
    assert reshard(pools.read(tmp_path / "pool"), subset, tmp_path / "shards", Form(50)).record.found_samples == 60
    assert not list((tmp_path / "pool" / "shards").glob("*.npz"))


def test_a_list_can_be_mended_before_anything_is_written(small_pool, tmp_path):
    foreign = np.zeros(1, uids.UID)
    subset = write_list(tmp_path / "list.npy", np.concatenate([foreign, pools.all_uids(small_pool)[:9]]))
    with pytest.raises(StageError, match="1 not in the pool"):
        reshard(small_pool, subset, tmp_path / "shards", Form(50))
    mended = write_list(tmp_path / "mended.npy", pools.all_uids(small_pool)[:9])
    assert reshard(small_pool, mended, tmp_path / "shards", Form(50)).record.found_samples == 9


def test_what_a_kill_left_beside_finished_shards_goes(small_pool, tmp_path):
    subset = apply("random", {"fraction": 0.3}, small_pool, tmp_path / "list.npy")
    reshard(small_pool, subset, tmp_path / "shards", Form(50))
    expected = bytes_of(tmp_path / "shards")
    for name in ("asked.json", "found.json", "samples.npy"):  # the record was written, and then came the kill
        (tmp_path / "shards" / name).write_bytes(b"left")
    reshard(small_pool, subset, tmp_path / "shards", Form(50))
    assert bytes_of(tmp_path / "shards") == expected
