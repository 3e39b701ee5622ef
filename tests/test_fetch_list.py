"""Published lists arrive whole, checked, with their origin: the real client against a small Hub on this machine."""

import io

import huggingface_hub
import numpy as np
import pytest
import web
from commands_page import unknown_words
from typer.testing import CliRunner

from datacomp import cli, hub, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.board import commands
from datacomp.declared import pool as declared_pools
from datacomp.declared import published_list
from datacomp.errors import AssetError, DatacompError, RecordError, SubsetError
from datacomp.reshard.run import Form, reshard
from datacomp.subset import fetch as fetching


def npy(array, **how):
    buffer = io.BytesIO()
    np.save(buffer, array, **how)
    return buffer.getvalue()


@pytest.fixture
def listed(small_pool):
    """A third of the small pool, one uid of it twice, as DFN's authors store a list."""
    chosen = pools.all_uids(small_pool)[::3]
    return np.sort(np.concatenate([chosen, chosen[:1]]), order=["f0", "f1"])


@pytest.fixture
def lists(listed, monkeypatch):
    """A Hub that holds the medium list."""
    monkeypatch.setattr(hub, "_PAUSE_S", 0)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    dfn = published_list.load("dfn-medium")
    with web.hub({dfn.file: npy(listed)}, dfn.repository) as server:
        web.point_at(server.address, monkeypatch)
        yield server


def fetch(tmp_path, *, changed=None, **how):
    declared = published_list.load("dfn-medium").model_copy(update=changed or {})
    return fetching.fetch(declared, tmp_path / "list.npy", **how)


@pytest.mark.parametrize("name", published_list.names())
def test_every_list_is_of_a_pool_of_ours(name):
    assert published_list.load(name).pool in declared_pools.names()


def test_a_list_arrives_checked_with_its_origin_and_can_be_resharded(lists, listed, small_pool, tmp_path):
    found = fetch(tmp_path, pool=small_pool)
    assert np.array_equal(found.uids, listed)
    record = found.record
    assert (record.filter, record.samples, record.distinct_samples) == ("dfn-medium", 201, 200)
    assert record.options == {"repository": "apf1/datafilteringnetworks_2b", "file": "datacomp_medium_dfn_20m_inds.npy", "revision": lists.commit}
    assert record.pool_uids_sha256 == small_pool.record.uids_sha256
    assert "private pairs" in record.external_resources[0]
    assert reshard(small_pool, found, tmp_path / "shards", Form(50)).record.found_samples == 201
    assert sorted(path.name for path in tmp_path.iterdir()) == ["list.json", "list.npy", "shards"]


def test_a_list_that_is_there_is_not_asked_for_again(lists, tmp_path):
    fetch(tmp_path)
    lists.asked.clear()
    fetch(tmp_path)
    assert lists.asked == []
    with pytest.raises(SubsetError, match="is another list than dfn-medium at cafe"):
        fetch(tmp_path, revision="cafe")
    with pytest.raises(SubsetError, match="is another list than dfn-large"):
        fetch(tmp_path, changed={"name": "dfn-large"})


def test_an_interrupted_fetch_goes_on_to_the_same_list(lists, tmp_path, stopped):
    for publishes in range(3):
        (tmp_path / str(publishes)).mkdir()
        with stopped(publishes):
            fetch(tmp_path / str(publishes))
        assert not (tmp_path / str(publishes) / "list.npy").exists()
        assert fetch(tmp_path / str(publishes)).record.samples == 201
    assert sum(asked.startswith("GET /datasets/") for asked in lists.asked) == 3  # what has arrived is not asked for again


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lambda listed: npy(listed[::-1]), "is not sorted"),
        (lambda listed: npy(listed["f0"]), "has dtype uint64"),
        (lambda listed: npy(np.array([{}]), allow_pickle=True), "holds pickled objects"),
        (lambda listed: npy(listed)[:-8], "cut off or broken"),
        (lambda listed: npy(listed[:0]), "lists no uid"),
    ],
    ids=["unsorted", "halves", "pickled", "cut off", "empty"],
)
def test_what_is_no_sorted_list_is_refused_and_leaves_nothing(lists, listed, tmp_path, data, said):
    lists.files = {name: data(listed) for name in lists.files}
    with pytest.raises(SubsetError, match=said):
        fetch(tmp_path)
    assert not (tmp_path / "list.npy").exists()
    assert not (tmp_path / "list.json").exists()
    lists.files = {name: npy(listed) for name in lists.files}
    assert fetch(tmp_path).record.samples == 201


def test_a_list_that_is_not_what_was_promised_is_refused(lists, listed, small_pool, tmp_path):
    for changed, said in (
        ({"samples": 200}, "has samples 201, the record of dfn-medium says 200"),
        ({"uids_sha256": "a" * 64}, "has uids_sha256"),
        ({"file": "other.npy"}, "has no file other.npy"),
    ):
        with pytest.raises(SubsetError, match=said):
            fetch(tmp_path, changed=changed)
    assert fetch(tmp_path, changed={"samples": 201, "uids_sha256": uids.digest_of(listed), "revision": lists.commit}).record.samples == 201


def test_a_list_of_another_pool_or_a_file_with_another_digest_is_refused(lists, small_pool, tmp_path):
    lists.files = {name: npy(uids.parse(["0" * 32])) for name in lists.files}
    with pytest.raises(SubsetError, match=r"1 of the 1 uids of .* are not in the pool"):
        fetch(tmp_path, pool=small_pool)
    lists.stated = dict.fromkeys(lists.files, "a" * 64)
    with pytest.raises(AssetError, match="arrived with another digest"):
        fetch(tmp_path)


def test_the_command_fetches_and_names_the_lists_that_there_are(lists, tmp_path):
    done = CliRunner().invoke(cli.app, ["subset", "fetch", "dfn-medium", "--out", str(tmp_path / "list.npy")])
    assert f"201 uids in {tmp_path / 'list.npy'}, from apf1/datafilteringnetworks_2b at {lists.commit[:12]}" in done.stdout, done
    assert subsets.read(tmp_path / "list.npy").record.pool_uids_sha256 == ""
    wrong = CliRunner().invoke(cli.app, ["subset", "fetch", "dfn-tiny", "--out", str(tmp_path / "other.npy")]).exception
    assert isinstance(wrong, RecordError)
    assert isinstance(wrong, DatacompError)
    assert "dfn-large, dfn-medium, dfn-xlarge" in str(wrong)


def test_the_command_that_brings_a_list_again_is_told(lists, tmp_path):
    told = commands.of_list(fetch(tmp_path).record)
    assert told == f"datacomp subset fetch dfn-medium --revision {lists.commit} --out LIST.npy"
    assert unknown_words(told) == []
