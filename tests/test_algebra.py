"""Arithmetic on uid lists is that of multisets, whatever the size of a block."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacomp import uids
from datacomp.artifacts import subset as subsets
from datacomp.errors import DatacompError, SubsetError
from datacomp.subset import algebra, convert

NAMES = [f"{number:032x}" for number in (0, 1, 2, 3, 1 << 64, (1 << 64) + 1, (1 << 128) - 1)]
LISTS = st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=12), min_size=2, max_size=3)


def write(path, names, **about):
    array = uids.parse(sorted(names))
    return subsets.write(path, [array], about)


def expected(operation, counters):
    if operation == "union":
        return Counter({name: max(counter[name] for counter in counters) for name in NAMES})
    if operation == "intersect":
        return Counter({name: min(counter[name] for counter in counters) for name in NAMES})
    if operation == "sum":
        return sum(counters, Counter())
    return Counter({name: max(counters[0][name] - sum(counter[name] for counter in counters[1:]), 0) for name in NAMES})


@pytest.mark.parametrize("operation", algebra.OPERATIONS)
@given(lists=LISTS)
def test_operations_are_those_of_multisets(tmp_path_factory, operation, lists):
    folder = tmp_path_factory.mktemp("lists")
    written = [write(folder / f"{place}.npy", names) for place, names in enumerate(lists)]
    counters = [Counter(names) for names in lists]
    wanted = sorted(expected(operation, counters).elements())
    if not wanted:
        with pytest.raises(SubsetError, match="would be empty"):
            algebra.combine(operation, written, folder / "out.npy")
        assert not (folder / "out.npy").exists()
        return
    made = algebra.combine(operation, written, folder / "out.npy")
    assert uids.text(made.uids) == wanted
    assert subsets.read(folder / "out.npy").record == made.record


@given(lists=LISTS, block=st.integers(1, 5))
def test_ranges_count_the_same_whatever_the_size_of_a_block(lists, block):
    arrays = [uids.parse(sorted(names)) for names in lists]
    found = list(algebra.ranges(arrays, block))
    names = uids.text(np.concatenate([part for part, _ in found]))
    times = np.concatenate([part for _, part in found], axis=1)
    assert names == sorted({name for listed in lists for name in listed})
    assert [[listed.count(name) for name in names] for listed in lists] == times.tolist()


def test_overlap_counts_samples_and_different_uids(tmp_path):
    first = write(tmp_path / "a.npy", [NAMES[0], NAMES[0], NAMES[1], NAMES[2]])
    second = write(tmp_path / "b.npy", [NAMES[0], NAMES[2], NAMES[2], NAMES[3]])
    found = algebra.overlap(first, second)
    assert (found.shared_samples, found.shared_distinct, found.first_samples, found.second_distinct) == (2, 2, 4, 3)
    assert found.jaccard == 0.5


def test_a_sample_has_exactly_the_count_and_depends_on_its_seed_alone(tmp_path, monkeypatch):
    listed = write(tmp_path / "list.npy", [f"{number:032x}" for number in range(1000)] * 2)
    made = [algebra.sample(listed, 300, seed, tmp_path / f"{name}.npy") for name, seed in (("a", 0), ("b", 1))]
    assert [len(found.uids) for found in made] == [300, 300]
    assert made[0].record.uids_sha256 != made[1].record.uids_sha256
    monkeypatch.setattr(uids, "BLOCK_UIDS", 7)
    assert algebra.sample(listed, 300, 0, tmp_path / "c.npy").record.uids_sha256 == made[0].record.uids_sha256
    assert algebra.sample(listed, 2000, 0, tmp_path / "d.npy").record.uids_sha256 == listed.record.uids_sha256


@pytest.mark.parametrize("samples", [0, 5])
def test_a_sample_of_an_impossible_size_is_refused(tmp_path, samples):
    with pytest.raises(SubsetError, match="Allowed: 1 to 4"):
        algebra.sample(write(tmp_path / "list.npy", NAMES[:4]), samples, 0, tmp_path / "out.npy")


def test_what_one_list_owes_the_combined_list_owes(tmp_path):
    plain = write(tmp_path / "a.npy", NAMES[:3], filter="clip_score", pool_uids_sha256="a" * 64, external_resources=("a ruler",))
    oracle = write(tmp_path / "b.npy", NAMES[:2], filter="oracle", pool_uids_sha256="a" * 64, ineligible="made from the truth")
    record = algebra.combine("intersect", [plain, oracle], tmp_path / "c.npy").record
    assert record.filter == "intersect(clip_score, oracle)"
    assert (record.ineligible, record.external_resources, record.pool_uids_sha256) == ("made from the truth", ("a ruler",), "a" * 64)
    stranger = write(tmp_path / "d.npy", NAMES[:2])
    assert algebra.combine("union", [plain, stranger], tmp_path / "e.npy").record.pool_uids_sha256 == ""


@pytest.mark.parametrize("suffix", [".txt", ".parquet", ".raw", ".npy"])
@pytest.mark.parametrize("block", [3, 1000])
def test_a_list_survives_the_way_through_another_form(tmp_path, monkeypatch, suffix, block):
    monkeypatch.setattr(uids, "BLOCK_UIDS", block)
    listed = write(tmp_path / "list.npy", [*NAMES, *NAMES[2:4]])
    other = tmp_path / f"other{suffix}"
    if suffix == ".npy":
        np.save(other, listed.uids[::-1])
    else:
        convert.from_list(listed, other)
    found = convert.to_list(other, tmp_path / "back.npy")
    assert (found.subset.record, found.dropped_samples) == (subsets.describe(listed.uids), 0)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".part")) == []


def test_text_may_be_unsorted_quoted_and_have_a_heading(tmp_path):
    (tmp_path / "list.csv").write_text(f'uid\n"{NAMES[3]}"\n\n{NAMES[0]}\n{NAMES[3]}\n')
    assert uids.text(convert.to_list(tmp_path / "list.csv", tmp_path / "list.npy").subset.uids) == [NAMES[0], NAMES[3], NAMES[3]]


def test_repair_drops_and_counts_what_a_pool_lacks(tmp_path):
    np.save(tmp_path / "list.npy", uids.parse([NAMES[3], NAMES[0], NAMES[3], NAMES[1]]))
    found = convert.to_list(tmp_path / "list.npy", tmp_path / "mended.npy", uids.parse([NAMES[0], NAMES[3]]))
    assert (uids.text(found.subset.uids), found.dropped_samples) == ([NAMES[0], NAMES[3], NAMES[3]], 1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.txt", b"not a uid\n", "is no uid"),
        ("list.txt", b"\n", "would be empty"),
        ("list.parquet", b"PAR1", "cannot be read as parquet"),
        ("list.doc", b"", "of no known kind"),
        ("missing.txt", None, "there is no list"),
        ("missing.parquet", None, "there is no table"),
    ],
)
def test_what_holds_no_list_is_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DatacompError, match=message):
        convert.to_list(tmp_path / name, tmp_path / "out.npy")
    assert not (tmp_path / "out.npy").exists()
    assert not (tmp_path / "out.json").exists()
