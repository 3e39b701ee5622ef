"""External sorting and selection give what sorting in memory gives."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacomp import sorting, uids

SMALL = st.integers(0, 6)  # so that copies and equal upper halves are common
RUNS = st.lists(st.lists(st.tuples(SMALL, SMALL), max_size=30), min_size=1, max_size=7)


def array(pairs):
    return np.array(pairs, uids.UID)


@given(RUNS, st.integers(1, 40))
def test_merged_runs_are_all_uids_in_order(runs, block_uids):
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / str(number) for number in range(len(runs))]
        for path, run in zip(paths, runs, strict=True):
            sorting.write_run(path, array(run))
        merged = [block.tolist() for block in sorting.merge(paths, block_uids)]
        assert [pair for block in merged for pair in block] == sorted(pair for run in runs for pair in run)
        assert max(map(len, merged), default=0) <= max(block_uids, len(runs))
        assert list(Path(folder).iterdir()) == []


def test_more_runs_than_are_read_side_by_side(tmp_path, monkeypatch):
    monkeypatch.setattr(sorting, "FAN_IN", 3)
    paths = [tmp_path / str(number) for number in range(11)]
    for number, path in enumerate(paths):
        sorting.write_run(path, array([(number * 7 % 11, 0), (number * 5 % 11, 1)]))
    assert [pair for block in sorting.merge(paths) for pair in block.tolist()] == [(number, half) for number in range(11) for half in (0, 1)]
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3), max_size=20), min_size=1, max_size=4), st.data())
def test_the_k_th_smallest_of_a_stream(blocks, data):
    everything = sorted(number for block in blocks for number in block)
    if not everything:
        return
    index = data.draw(st.integers(0, len(everything) - 1))
    assert sorting.smallest(lambda: (np.array(block, np.uint64) for block in blocks), index) == everything[index]


@pytest.mark.parametrize("pairs", [[(3, 1), (1, 2), (2, 0)], [(1, 5), (1, 2), (0, 9), (1, 5)], []])
def test_order_is_by_both_halves(pairs):
    assert array(pairs)[uids.order(array(pairs))].tolist() == sorted(pairs)
