"""uids keep all their 128 bits, and lists of them are checked before they are believed."""

import json
import pickle

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacomp import uids
from datacomp.artifacts import subset as subsets
from datacomp.errors import PoolError, SubsetError
from datacomp.subset import check

UIDS = st.lists(st.text("0123456789abcdef", min_size=32, max_size=32), min_size=1, max_size=50)
ZEROS, ONE, ALL = "0" * 32, "0" * 31 + "1", "f" * 32


def array(*texts: str):
    return uids.parse(list(texts))


@given(UIDS)
def test_uids_survive_the_way_in_and_out(texts):
    assert uids.text(uids.parse(texts)) == texts


@given(UIDS)
def test_uids_are_ordered_as_their_texts(texts):
    parsed = uids.parse(texts)
    assert uids.text(parsed[uids.order(parsed)]) == sorted(texts)
    assert (uids.first_unsorted(parsed) is None) == (texts == sorted(texts))


@given(UIDS, UIDS)
def test_uids_are_counted(needles, haystack):
    parsed = uids.parse(haystack)
    found = uids.count(uids.parse(needles), parsed[uids.order(parsed)])
    assert found.tolist() == [haystack.count(needle) for needle in needles]


def test_the_two_halves_are_upper_and_lower():
    assert array(ONE)[0].item() == (0, 1)
    assert array("1" + "0" * 31)[0].item() == (1 << 60, 0)
    assert np.dtype("u8,u8") == uids.UID


@pytest.mark.parametrize("text", ["", "0" * 31, "0" * 33, "g" * 32, "A" * 32, "é" * 16])
def test_what_is_no_uid_is_named(text):
    with pytest.raises(PoolError, match="which is no uid"):
        uids.parse([ZEROS, text])


def test_a_missing_uid_is_refused():
    with pytest.raises(PoolError, match="no uid"):
        uids.parse(pl.Series([ZEROS, None]))


def save(path, content):
    with path.open("wb") as file:
        np.save(file, content, allow_pickle=True)
    return path


def test_a_list_from_elsewhere_is_accepted_and_gets_a_record(tmp_path):
    path = save(tmp_path / "list.npy", array(ZEROS, ONE, ONE, ALL))
    found = check.check(path)
    assert (found.record.samples, found.record.distinct_samples) == (4, 3)
    assert json.loads(path.with_suffix(".json").read_text())["samples"] == 4


def test_a_raw_memmap_is_accepted(tmp_path):
    path = tmp_path / "list.npy"
    array(ONE, ALL).tofile(path)
    assert uids.text(subsets.read(path).uids) == [ONE, ALL]


WRONG = {
    "unsorted": (lambda path: save(path, array(ALL, ONE)), "is not sorted: uid 1 .* datacomp subset repair"),
    "pickled": (lambda path: save(path, np.array([ONE], object)), "pickled objects, which are never loaded"),
    "a pickle": (lambda path: path.write_bytes(pickle.dumps([ONE])), "no uid list|cut off or broken|not sorted"),
    "another type": (lambda path: save(path, np.arange(4)), "has dtype int64"),
    "two dimensions": (lambda path: save(path, array(ONE, ALL).reshape(1, 2)), r"shape \(1, 2\)"),
    "empty": (lambda path: save(path, np.empty(0, uids.UID)), "lists no uid"),
    "an empty file": (lambda path: path.write_bytes(b""), "lists no uid"),
    "truncated": (lambda path: (save(path, array(ONE, ALL)), path.write_bytes(path.read_bytes()[:-5])), "cut off or broken"),
    "no list": (lambda path: path.write_bytes(b"uid\n0123\n"), "no uid list"),
    "missing": (lambda path: None, "there is no uid list"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_list_is_refused_by_name(tmp_path, kind):
    spoil, message = WRONG[kind]
    path = tmp_path / "list.npy"
    spoil(path)
    with pytest.raises(SubsetError, match=message):
        check.check(path)
    assert not path.with_suffix(".json").exists()


def test_a_pickled_list_runs_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "run"), "w"))

    save(tmp_path / "list.npy", np.array([Evil()], object))
    with pytest.raises(SubsetError):
        subsets.read(tmp_path / "list.npy")
    assert not (tmp_path / "run").exists()


def test_a_list_that_its_record_does_not_describe_is_refused(tmp_path):
    path = save(tmp_path / "list.npy", array(ZEROS, ONE))
    check.check(path)
    save(path, array(ZEROS, ALL))
    with pytest.raises(SubsetError, match="not the list that"):
        subsets.read(path)


def test_a_killed_writer_leaves_no_list_without_its_record(tmp_path, stopped):
    listed = array(ZEROS, ONE)
    subsets.write(tmp_path / "list.npy", [array(ALL)])
    with stopped(1):
        subsets.write(tmp_path / "list.npy", [listed])
    with pytest.raises(SubsetError, match="there is no uid list"):
        subsets.read(tmp_path / "list.npy")


def test_a_list_in_a_place_that_cannot_be_written_to_is_still_checked(tmp_path, monkeypatch):
    path = save(tmp_path / "list.npy", array(ZEROS, ONE))
    monkeypatch.setattr(subsets.SubsetRecord, "write", lambda record, place: (_ for _ in ()).throw(PermissionError(place)))
    assert check.check(path).record.samples == 2
