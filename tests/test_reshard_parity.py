"""Resharding gives the very members that the published resharder gives, on tars with everything that a webdataset may hold."""

import hashlib
import json
import tarfile
from pathlib import Path

import nasty_tars
import numpy as np
import polars as pl
import pytest

from datacomp import tables, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.artifacts import tar_index
from datacomp.reshard.run import Form, reshard
from datacomp.tars import TarReader

GOLDEN = json.loads((Path(__file__).parent / "golden" / "reshard.json").read_text())


def pool_of(folder, seed):
    """A nasty pool with the metadata that ours wants."""
    listed = nasty_tars.make(folder / "shards", seed)
    ids = uids.text(np.unique(np.load(listed)))
    tables.write_parquet(folder / "metadata" / "00000000.parquet", pl.DataFrame({"uid": ids}))
    return pools.read(folder), subsets.read(listed)


def members(folder):
    found = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            found += [[info.name, hashlib.sha256(tar.extractfile(info).read()).hexdigest()] for info in tar]
    return sorted(found)


@pytest.mark.parametrize("seed", nasty_tars.SEEDS)
def test_the_members_are_the_published_ones(seed, tmp_path):
    pool, listed = pool_of(tmp_path / "pool", seed)
    done = reshard(pool, listed, tmp_path / "out", Form(10), allow_missing=1.0)
    assert members(done.path) == GOLDEN[str(seed)]


def test_the_goldens_try_something():
    names = [name for found in GOLDEN.values() for name, _ in found]
    assert len(GOLDEN) == len(nasty_tars.SEEDS)
    assert {name.split("-")[1].split(".")[0] for name in names} == {"0", "1", "2", "3", "4"}
    assert {name.partition(".")[2] for name in names} >= {"jpg", "txt", "json", "seg.txt", "a.b.c", "é", "x" * 70}


@pytest.mark.parametrize("seed", nasty_tars.SEEDS)
def test_both_ways_to_index_find_the_same(seed, tmp_path, monkeypatch):
    nasty_tars.make(tmp_path / "pool", seed)
    for path in sorted((tmp_path / "pool").glob("*.tar")):
        found = tar_index.read(path).rows
        tar_index.sidecar(path).unlink()
        with monkeypatch.context() as patch:
            patch.setattr(tar_index, "_usual_rows", lambda reader: None)
            assert np.array_equal(tar_index.read(path).rows, found)


def test_the_usual_tar_is_indexed_the_fast_way(small_pool):
    for path in small_pool.tars():
        with TarReader(path) as reader:
            assert len(tar_index._usual_rows(reader)) == 600
