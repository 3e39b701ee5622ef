"""A pool's metadata come from the Hub whole, checked and resumable: the real client against a small Hub on this machine."""

import io
import shutil

import huggingface_hub
import numpy as np
import polars as pl
import pytest
import web

from datacomp import hub, rooms, tables, uids
from datacomp.artifacts import pool as pools
from datacomp.declared import pool as declared
from datacomp.errors import AssetError, PoolError, RecordError
from datacomp.pool import disk, download, metadata, pin
from datacomp.pool.metadata import Wanted

ROWS = (30, 20, 10)
FEATURES = ("b32_img", "b32_txt", "l14_img", "l14_txt")


def parquet(start, rows):
    buffer = io.BytesIO()
    ids = [f"{i:032x}" for i in range(start, start + rows)]
    frame = pl.DataFrame({"uid": ids, "url": [f"http://web/{i}" for i in ids], "text": ids, "sha256": ["a" * 64] * rows})
    frame.write_parquet(buffer)
    return buffer.getvalue()


def npz(start, rows):
    buffer = io.BytesIO()
    np.savez(buffer, **{key: np.arange(start, start + rows, dtype=np.float16).reshape(-1, 1).repeat(4, 1) for key in FEATURES})
    return buffer.getvalue()


def repository_files(folder="", kind=parquet, suffix="parquet"):
    starts = np.cumsum((0, *ROWS))[:-1]
    return {f"{folder}{stem}.{suffix}": kind(int(start), rows) for stem, start, rows in zip(("aa", "bb", "cc"), starts, ROWS, strict=True)}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(hub, "_PAUSE_S", 0)
    monkeypatch.setattr(disk, "free", lambda folder: 1 << 60)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)


@pytest.fixture
def small_hub(monkeypatch):
    """A Hub that holds CommonPool small with 60 rows in three tables with features."""
    files = {"README.md": b"hello"} | repository_files() | repository_files(kind=npz, suffix="npz")
    with web.hub(files) as server:
        web.point_at(server.address, monkeypatch)
        yield server


def small(tmp_path, **changed):
    return Wanted(out=tmp_path / "pool", spec=declared.load("commonpool_small"), **changed)


def test_metadata_arrive_whole_and_the_folder_is_a_pool(small_hub, tmp_path):
    record = download.download(small(tmp_path), None)
    pool = pools.read(tmp_path / "pool")
    assert pool.stems == ("aa", "bb", "cc")
    assert (tmp_path / "pool" / "metadata" / "bb.parquet").read_bytes() == small_hub.files["bb.parquet"]
    assert (record.name, record.samples, record.partial, record.pictures) == ("commonpool_small", 60, False, None)
    assert (record.origin.revision, record.origin.pinned) == (small_hub.commit, False)
    assert record.uids_sha256 == uids.digest_of(uids.parse([f"{i:032x}" for i in range(60)]))
    assert not (tmp_path / "pool" / "work").exists()


def test_features_come_when_asked_for_also_later(small_hub, tmp_path):
    download.download(small(tmp_path), None)
    assert not (tmp_path / "pool" / "metadata" / "aa.npz").exists()
    download.download(small(tmp_path, npz=True), None)
    block = list(pools.blocks(pools.read(tmp_path / "pool"), ()))[1]
    assert block.feature("l14_img")[:, 0].tolist() == list(range(30, 50))


@pytest.mark.parametrize(("samples", "files"), [(10, ["aa"]), (30, ["aa"]), (45, ["aa", "bb"])])
def test_a_partial_pool_is_the_first_rows_and_fetches_no_more_files(small_hub, tmp_path, samples, files):
    record = download.download(small(tmp_path, samples=samples, npz=True), None)
    pool = pools.read(tmp_path / "pool")
    assert uids.text(pools.all_uids(pool)) == [f"{i:032x}" for i in range(samples)]
    assert (record.partial, record.samples, pool.stems) == (True, samples, tuple(files))
    features = np.concatenate([block.feature("b32_txt")[:, 0] for block in pools.blocks(pool, ())])
    assert features.tolist() == list(range(samples))
    assert not [line for line in small_hub.asked if "cc." in line]


def test_sub_folders_are_flattened(monkeypatch, tmp_path):
    files = {f"{stem[:1]}/{stem}.parquet": data for stem, data in zip(("aa", "bb", "cc"), repository_files().values(), strict=True)}
    with web.hub(files, "mlfoundations/datacomp_xlarge") as server:
        web.point_at(server.address, monkeypatch)
        download.download(Wanted(out=tmp_path / "pool", spec=declared.load("commonpool_xlarge")), None)
    assert pools.read(tmp_path / "pool").stems == ("aa", "bb", "cc")


def test_a_broken_connection_is_tried_again(small_hub, tmp_path):
    small_hub.failing = 1
    assert download.download(small(tmp_path), None).samples == 60


def test_a_stopped_download_goes_on_and_brings_no_file_twice(small_hub, tmp_path, stopped):
    with stopped(3):
        download.download(small(tmp_path), None)
    there = [path.name for path in (tmp_path / "pool" / "metadata").iterdir()]
    assert 0 < len(there) < 3
    small_hub.asked.clear()
    assert download.download(small(tmp_path), None).samples == 60
    assert not [line for line in small_hub.asked if any(line.startswith("GET") and line.endswith(f"/{name}") for name in there)]


def test_a_file_with_another_digest_than_stated_is_refused(small_hub, tmp_path):
    small_hub.stated["bb.parquet"] = "0" * 64
    with pytest.raises(AssetError, match=r"bb\.parquet arrived with another digest"):
        download.download(small(tmp_path), None)
    assert not (tmp_path / "pool" / "pool.json").exists()


def test_small_files_are_held_against_git_s_digest(small_hub, tmp_path):
    small_hub.large = False
    assert download.download(small(tmp_path), None).samples == 60


def test_a_repository_that_is_not_shown_says_how_to_log_in(monkeypatch, tmp_path):
    with web.hub({}, "somebody/else") as server:
        web.point_at(server.address, monkeypatch)
        with pytest.raises(AssetError, match=r"the Hub does not show mlfoundations/datacomp_small to you.*hf auth login"):
            download.download(small(tmp_path), None)


def test_no_network_is_one_line(monkeypatch, tmp_path):
    web.point_at("http://127.0.0.1:9", monkeypatch)
    with pytest.raises(AssetError, match=r"the Hub cannot be reached: .*it goes on where it stopped"):
        download.download(small(tmp_path), None)
    assert not hub.answers()


def test_an_unpinned_pool_stays_at_the_commit_that_was_chosen_first(small_hub, tmp_path, stopped):
    with stopped(3):
        download.download(small(tmp_path), None)
    first, small_hub.commit = small_hub.commit, "f" * 40  # the repository changes meanwhile
    with pytest.raises(AssetError):  # this Hub knows only its newest commit
        download.download(small(tmp_path), None)
    assert metadata.Plan.read(tmp_path / "pool" / "plan.json").origin.revision == first


@pytest.mark.parametrize("changed", [{"samples": 10}, {"spec": declared.load("commonpool_medium")}], ids=["samples", "pool"])
def test_a_folder_of_something_else_is_refused(small_hub, tmp_path, changed):
    download.download(small(tmp_path), None)
    with pytest.raises(PoolError, match=r"is for pool commonpool_small, revision .*something else is asked for|no revision|does not show"):
        download.download(Wanted(**{"out": tmp_path / "pool", "spec": declared.load("commonpool_small")} | changed), None)


def test_a_generated_pool_s_folder_is_refused(small_hub, small_pool, tmp_path):
    shutil.copytree(small_pool.path, tmp_path / "pool")
    with pytest.raises(PoolError, match="made in another way"):
        download.download(small(tmp_path), None)
    (tmp_path / "pool" / "plan.json").unlink()
    with pytest.raises(PoolError, match="datacomp pool check"):
        download.download(small(tmp_path), None)


@pytest.fixture
def rooms_copied(monkeypatch, tmp_path):
    shutil.copytree(rooms.tracks(), tmp_path / "rooms" / "tracks")
    monkeypatch.setattr(rooms, "_base", lambda: tmp_path / "rooms")
    return tmp_path / "rooms"


def test_pinning_prints_the_lines_where_records_are_read_only(small_hub, rooms_copied, tmp_path):
    record = download.download(small(tmp_path), None)
    before = (rooms_copied / "tracks" / "pools" / "commonpool_small.toml").read_bytes()
    pinned = pin.pin(tmp_path / "pool")
    assert pinned.lines == (f'revision = "{small_hub.commit}"', f'uids_sha256 = "{record.uids_sha256}"')
    assert not pinned.written
    assert pinned.path.read_bytes() == before


def test_pinning_writes_the_record_of_a_checkout_and_the_pinned_pool_goes_on(small_hub, rooms_copied, tmp_path):
    (rooms_copied / "pyproject.toml").touch()
    record = download.download(small(tmp_path), None)
    assert pin.pin(tmp_path / "pool").written
    spec = declared.load("commonpool_small")
    assert (spec.origin.revision, spec.uids_sha256, spec.samples) == (small_hub.commit, record.uids_sha256, 12_800_000)
    assert pin.pin(tmp_path / "pool").written  # the same once more
    again = download.download(Wanted(out=tmp_path / "pool", spec=spec), None)
    assert again == record
    fresh = download.download(Wanted(out=tmp_path / "fresh", spec=spec), None)
    assert fresh.origin.pinned


def test_a_pinned_record_is_not_pinned_to_something_else(small_hub, rooms_copied, tmp_path):
    (rooms_copied / "pyproject.toml").touch()
    path = rooms_copied / "tracks" / "pools" / "commonpool_small.toml"
    download.download(small(tmp_path), None)
    path.write_text(path.read_text().replace('"unpinned"', f'"{"e" * 40}"'))
    with pytest.raises(RecordError, match="pinned to another revision"):
        pin.pin(tmp_path / "pool")


def test_a_partial_pool_pins_its_revision_only(small_hub, rooms_copied, tmp_path):
    download.download(small(tmp_path, samples=10), None)
    assert [line.split()[0] for line in pin.pin(tmp_path / "pool").lines] == ["revision"]


def test_only_a_checked_download_of_a_known_pool_is_pinned(tmp_path):
    with pytest.raises(PoolError, match="holds no checked metadata"):
        pin.pin(tmp_path)
    pl.DataFrame({"url": ["a"], "text": ["b"]}).write_parquet(tmp_path / "a.parquet")
    download.download(Wanted(out=tmp_path / "pool", spec=None, folder=tmp_path), None)
    with pytest.raises(PoolError, match=r"is no pool of tracks/pools/"):
        pin.pin(tmp_path / "pool")


def test_one_s_own_tables_get_uids_that_are_the_same_everywhere(tmp_path):
    pl.DataFrame({"url": ["http://a/1.jpg", "http://a/2.jpg"], "text": ["one", None]}).write_parquet(tmp_path / "a.parquet")
    download.download(Wanted(out=tmp_path / "pool", spec=None, folder=tmp_path), None)
    found = tables.read_parquet(tmp_path / "pool" / "metadata" / "a.parquet")["uid"].to_list()
    assert found == ["41e6ae647ba571c338bbac8a86254cfb", "b5202f959df9278d609e265c81e5e2dc"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"url": ["a"]}, "has no column text"),
        ({"text": ["a"], "uid": ["0" * 32]}, "has no column url"),
        ({"url": ["a"], "text": ["b"], "uid": ["1"]}, "holds '1', which is no uid"),
    ],
)
def test_tables_that_are_none_are_refused(tmp_path, columns, message):
    pl.DataFrame(columns).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(PoolError, match=message):
        download.download(Wanted(out=tmp_path / "pool", spec=None, folder=tmp_path), None)


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(PoolError, match=r"holds no \*\.parquet"):
        download.download(Wanted(out=tmp_path / "pool", spec=None, folder=tmp_path), None)
