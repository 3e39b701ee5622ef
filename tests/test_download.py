"""Getting a pool's pictures: nothing is lost, nothing hangs, everything is counted. img2dataset itself is in test_download_slow.py."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from datacomp import files, hub, tables, tars, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.errors import BusyError, PoolError, StageError
from datacomp.filters.apply import apply
from datacomp.pool import audit, disk, download, images, metadata, reasons, settings
from datacomp.pool.metadata import Wanted
from datacomp.reshard.run import Form, reshard

FAKE = (sys.executable, str(Path(__file__).with_name("fake_downloader.py")))
KINDS = {"ok": "success", "gone": "http 404", "slow": "timeout", "lost": "no answer", "away": "dns"}


def own_tables(folder, kinds, rows_a_file=50, **columns):
    """Write url tables whose row i has a url of the given kind."""
    folder.mkdir(parents=True)
    urls = [f"http://web/{kind}/{i}.jpg" for i, kind in enumerate(kinds)]
    frame = pl.DataFrame({"url": urls, "text": [f"a caption {i}" for i in range(len(kinds))]} | columns)
    for number, start in enumerate(range(0, len(frame), rows_a_file)):
        frame[start : start + rows_a_file].write_parquet(folder / f"{number}.parquet")
    return folder


def work(**changed):
    return download.Work(**{"command": FAKE, "processes": 1, "shard_samples": 20, "url_limit_s": 1, "stall_s": 61} | changed)


def fetched(tmp_path, kinds, **changed):
    wanted = Wanted(out=tmp_path / "pool", spec=None, folder=own_tables(tmp_path / "urls", kinds))
    return download.download(wanted, work(**changed))


def ledger(pool):
    frame = pl.concat([tables.read_parquet(path) for path in sorted((pool / "ledger").glob("*.parquet"))])
    table = pl.concat([tables.read_parquet(path) for path in sorted((pool / "metadata").glob("*.parquet"))])
    return frame.join(table, on="uid", how="left", maintain_order="left").with_columns(kind=pl.col("url").str.split("/").list.get(3))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(images, "_POLL_S", 0.02)
    monkeypatch.setattr(disk, "free", lambda folder: 1 << 60)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A finished pool of 130 rows of every kind in three files and eight shards."""
    folder = tmp_path_factory.mktemp("mixed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "_POLL_S", 0.02)
        fetched(folder, (["ok", "ok", "gone", "slow", "ok", "lost", "ok", "ok", "away", "ok"] * 13))
    return pools.read(folder / "pool")


def test_the_audit_s_counts_add_up_to_the_rows(mixed):
    found = audit.Audit.read(mixed.path / "audit.json")
    assert found.reasons == {"success": 78, "http 404": 13, "timeout": 13, "no answer": 13, "dns": 13}
    assert (sum(found.reasons.values()), found.samples) == (130, 130)


def test_the_ledger_says_of_each_row_what_came_of_it(mixed):
    rows = ledger(mixed.path)
    assert len(rows) == 130
    assert set(rows.select("kind", "reason", "tries").unique().iter_rows()) == {
        ("ok", "success", 1),
        ("gone", "http 404", 1),  # what is gone is asked for once
        ("slow", "timeout", 2),
        ("away", "dns", 2),
        ("lost", "no answer", 4),
    }


def test_the_effective_pool_is_the_one_that_resharding_finds(mixed, tmp_path):
    everything = subsets.write(tmp_path / "list.npy", [pools.all_uids(mixed)])
    done = reshard(mixed, everything, tmp_path / "shards", Form(50), allow_missing=0.5)
    assert done.record.effective_pool == mixed.record.pictures.effective_pool
    assert done.record.missing_samples == {"not downloaded": 52}


def test_a_downloaded_pool_can_be_filtered(mixed, tmp_path):
    read = pools.read(mixed.path)
    assert len(apply("no_filter", {}, read, tmp_path / "list.npy").uids) == 130
    assert (read.record.name, read.record.partial, read.record.samples) == ("urls", False, 130)
    assert read.record.uids_sha256 == uids.digest_of(pools.all_uids(read))


def test_shards_and_keys_have_numbers_of_their_own(mixed):
    keys = [sample.key for path in mixed.tars() for sample in tars.index(path)]
    assert len(set(keys)) == len(keys) == 78
    assert not (mixed.path / "work").exists()


def test_a_finished_pool_is_returned_as_it_is(mixed):
    before = {path: path.stat().st_mtime_ns for path in mixed.path.rglob("*") if path.is_file() and path.name != ".lock"}
    wanted = Wanted(out=mixed.path, spec=None, folder=mixed.path.parent / "urls")
    assert download.download(wanted, work(command=("/nowhere",))) == mixed.record
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_other_settings_are_refused(mixed):
    wanted = Wanted(out=mixed.path, spec=None, folder=mixed.path.parent / "urls")
    with pytest.raises(PoolError, match="fetched with other settings: encode_quality"):
        download.download(wanted, work(options=("encode_quality=90",)))


def test_a_later_call_may_ask_once_more(tmp_path):
    assert audit_of(tmp_path, fetched(tmp_path, ["ok", "slow"] * 5, passes=1)).reasons == {"success": 5, "timeout": 5}
    assert set(ledger(tmp_path / "pool").filter(pl.col("kind") == "slow")["tries"]) == {1}
    download.download(Wanted(out=tmp_path / "pool", spec=None, folder=tmp_path / "urls"), work(passes=3))
    assert set(ledger(tmp_path / "pool").filter(pl.col("kind") == "slow")["tries"]) == {3}


def wait_for(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("it never happened")


def audit_of(tmp_path, record):
    assert record is not None
    return audit.Audit.read(tmp_path / "pool" / "audit.json")


@pytest.mark.slow  # the limit must be longer than a process takes to start on a busy machine
def test_a_stall_ends_at_its_limit_and_costs_no_other_row(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(download, "_SLACK_S", 0)
    started = time.monotonic()
    record = fetched(tmp_path, ["ok"] * 30 + ["stall"] + ["ok"] * 9, stall_s=5)
    assert time.monotonic() - started < 300  # a downloader that hangs sleeps for ten minutes
    found = audit_of(tmp_path, record)
    assert found.reasons["success"] >= 39 - 8  # rows are asked in another order at each try: half of those behind it come each time
    assert sum(found.reasons.values()) == 40
    assert "wrote nothing for 5 s" in capfd.readouterr().err


def test_a_downloader_that_dies_is_started_again_and_what_it_had_is_kept(tmp_path):
    record = fetched(tmp_path, ["ok"] * 30 + ["die"] + ["ok"] * 9)
    rows = ledger(tmp_path / "pool")
    assert rows.filter(pl.col("kind") == "die")["reason"].to_list() == ["no answer"]
    assert audit_of(tmp_path, record).reasons["success"] >= 31


def test_a_downloader_that_cannot_begin_is_an_error_with_its_last_words(tmp_path):
    with pytest.raises(StageError, match="it said: no such luck"):
        fetched(tmp_path, ["ok"], command=(sys.executable, "-c", "import sys; sys.exit('no such luck')"))


RUN = """
import sys
from pathlib import Path
from datacomp.pool import download, images
from datacomp.pool.metadata import Wanted
images._POLL_S = 0.02
work = download.Work(command=tuple(sys.argv[3:]), processes=1, shard_samples=20, url_limit_s=1, stall_s=61)
download.download(Wanted(out=Path(sys.argv[1]), spec=None, folder=Path(sys.argv[2])), work)
"""


def test_killed_in_the_middle_and_started_again_it_loses_nothing(tmp_path, monkeypatch):
    urls = own_tables(tmp_path / "urls", (["ok"] * 27 + ["stall"] + ["ok"] * 12), rows_a_file=20)
    process = subprocess.Popen([sys.executable, "-c", RUN, tmp_path / "pool", urls, *FAKE], stderr=subprocess.DEVNULL)
    begun = tmp_path / "pool" / "work" / "1-of-1" / "out" / "00000001.tar"
    wait_for(lambda: begun.is_file() and begun.stat().st_size > 0)
    process.kill()
    process.wait()
    with pytest.raises(PoolError, match="not finished"):
        pools.read(tmp_path / "pool")
    monkeypatch.setenv("HEALTHY", "1")
    record = download.download(Wanted(out=tmp_path / "pool", spec=None, folder=urls), work())
    assert audit_of(tmp_path, record).reasons == {"success": 40}
    first = tmp_path / "pool" / "shards" / "00000001_stats.json"
    assert json.loads(first.read_text())["successes"] == 7  # what stood whole in the cut tar was saved


def test_parts_are_fetched_apart_and_joined(tmp_path):
    urls = own_tables(tmp_path / "urls", ["ok", "gone"] * 50)
    wanted = Wanted(out=tmp_path / "pool", spec=None, folder=urls)
    for part in (1, 2, 3):
        assert download.download(wanted, work(part=part, parts=3)) is None
        with pytest.raises(PoolError, match="not finished"):
            pools.read(tmp_path / "pool")
    record = download.download(wanted, work(command=("/nowhere",)))  # there is nothing left to fetch
    assert audit_of(tmp_path, record).reasons == {"success": 50, "http 404": 50}


def test_another_division_of_the_same_work_is_not_begun_while_one_goes_on(tmp_path):
    urls = own_tables(tmp_path / "urls", ["ok"] * 40)
    wanted = Wanted(out=tmp_path / "pool", spec=None, folder=urls)
    download.download(wanted, work(part=1, parts=2))
    with files.writing(tmp_path / "pool" / "work" / "1-of-2"), pytest.raises(BusyError, match="1-of-2 is being written"):
        download.download(wanted, work())


def test_without_network_nothing_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "_NO_NETWORK_SAMPLES", 10)
    monkeypatch.setattr(hub, "answers", lambda: False)
    with pytest.raises(PoolError, match=r"none of the 20 addresses of a shard answers \(20 dns\), nor does the Hub"):
        fetched(tmp_path, ["away"] * 20)
    assert list((tmp_path / "pool").glob("shards/*")) == []
    monkeypatch.setattr(hub, "answers", lambda: True)
    record = download.download(Wanted(out=tmp_path / "pool", spec=None, folder=tmp_path / "urls"), work())
    assert audit_of(tmp_path, record).reasons == {"dns": 20}


def test_later_tries_that_all_fail_are_not_taken_for_a_missing_network(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "_NO_NETWORK_SAMPLES", 5)
    monkeypatch.setattr(hub, "answers", lambda: False)
    assert audit_of(tmp_path, fetched(tmp_path, ["ok", "away"] * 10)).reasons == {"success": 10, "dns": 10}


def test_a_finished_pool_needs_no_more_room(mixed, monkeypatch):
    monkeypatch.setattr(disk, "free", lambda folder: 0)
    wanted = Wanted(out=mixed.path, spec=None, folder=mixed.path.parent / "urls")
    assert download.download(wanted, work()) == mixed.record


def test_a_disk_that_fills_stops_the_work_before_it_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "_RESERVE_BYTES", 1 << 61)
    with pytest.raises(PoolError, match="make room, then start the same command again"):
        fetched(tmp_path, ["stall"])


def test_what_was_taken_down_is_not_asked_for(tmp_path):
    urls = own_tables(tmp_path / "urls", ["ok"] * 10)
    taken = metadata.with_uids(tables.read_parquet(urls / "0.parquet"))["uid"][3]
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "tombstones.txt").write_text(f"{taken}\n")
    record = download.download(Wanted(out=tmp_path / "pool", spec=None, folder=urls), work())
    assert audit_of(tmp_path, record).reasons == {"success": 9, "tombstoned": 1}
    assert record.pictures.effective_pool.samples == 9
    (tmp_path / "pool" / "tombstones.txt").unlink()  # whoever changes the list gets a new audit
    record = download.download(Wanted(out=tmp_path / "pool", spec=None, folder=urls), work())
    assert audit_of(tmp_path, record).reasons == {"success": 10}


def test_a_repeated_uid_is_asked_for_once(tmp_path):
    urls = own_tables(tmp_path / "urls", ["ok"] * 30, rows_a_file=15, uid=[f"{i % 25:032x}" for i in range(30)])
    record = download.download(Wanted(out=tmp_path / "pool", spec=None, folder=urls), work())
    assert audit_of(tmp_path, record).reasons == {"success": 25, "repeated uid": 5}


def test_changed_pictures_are_counted(tmp_path):
    urls = own_tables(tmp_path / "urls", ["ok"] * 4, sha256=["a" * 64] * 4)
    record = download.download(Wanted(out=tmp_path / "pool", spec=None, folder=urls), work())
    shard = tmp_path / "pool" / "shards" / "00000000.parquet"
    hashes = ["a" * 64, "a" * 64, "b" * 64, None]
    tables.read_parquet(shard).with_columns(sha256=pl.Series(hashes)).write_parquet(shard)
    assert record is not None
    assert audit.audit(tmp_path / "pool", 2).changed_samples == 1


@pytest.mark.parametrize(
    ("status", "message", "reason", "again"),
    [
        ("success", None, "success", False),
        ("failed_to_download", "HTTP Error 404: Not Found", "http 404", False),
        ("failed_to_download", "HTTP Error 503: Slow Down", "http 503", True),
        ("failed_to_download", "HTTP Error 429: Too Many Requests", "http 429", True),
        ("failed_to_download", "<urlopen error [Errno -3] Temporary failure in name resolution>", "dns", True),
        ("failed_to_download", "<urlopen error [Errno 111] Connection refused>", "connection", True),
        ("failed_to_download", "<urlopen error timed out>", "timeout", True),
        ("failed_to_download", "<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed>", "tls", False),
        ("failed_to_download", "Use of image disallowed by X-Robots-Tag directive", "opted out", False),
        ("failed_to_download", "too large: 300000000 bytes", "too large", False),
        ("failed_to_download", "unknown url type: 'ftp'", "bad url", False),
        ("failed_to_download", "something never seen", "other", True),
        ("failed_to_resize", "Image decoding error", "no image", False),
        ("failed_to_resize", "image too small", "too small", False),
    ],
)
def test_reasons_have_names_and_say_whether_to_ask_again(status, message, reason, again):
    assert reasons.name(status, message) == reason
    assert reasons.again(reason) == again


def test_options_are_datacomp_s_and_what_is_given():
    options = settings.read_options(["min_image_size=32", "--user_agent_token=me", "disallowed_header_directives=[]"], download._COMMONPOOL)
    assert options == settings.DATACOMP | {"min_image_size": 32, "user_agent_token": "me", "disallowed_header_directives": ()}
    assert settings.arguments(options)["disallowed_header_directives"] == []
    assert list(settings.columns_of(options)) == ["uid", "face_bboxes", "caption", "url"]


def test_without_known_faces_nothing_is_blurred_and_that_is_recorded():
    assert settings.read_options([], ["uid", "url", "text"])["bbox_col"] is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("url_list=x", "set by datacomp"),
        ("imagesize=1", "no option of img2dataset"),
        ("image_size", "no option of img2dataset"),
        ('save_additional_columns=["licence"]', "no column 'licence'"),
    ],
)
def test_options_that_cannot_be_are_refused(given, message):
    with pytest.raises(PoolError, match=message):
        settings.read_options([given], download._COMMONPOOL)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"part": 3, "parts": 2}, "part 3 of 2"),
        ({"part": 0, "parts": 0}, "part 0 of 0"),
        ({"stall_s": 30}, "too short"),
        ({"passes": 0}, "0 passes"),
    ],
)
def test_impossible_work_is_refused_before_it_begins(tmp_path, changed, message):
    with pytest.raises(PoolError, match=message):
        fetched(tmp_path, ["ok"], **changed)
    assert not (tmp_path / "pool").exists()


@pytest.mark.parametrize(("samples", "npz", "text"), [(12_800_000, False, "453.0 GB"), (128_000_000, True, "5.3 TB"), (100_000, False, "3.5 GB")])
def test_the_disk_needed_is_the_published_one(samples, npz, text):
    assert disk.need(samples, npz=npz, pictures=True).text().startswith(text)


def test_too_little_disk_is_said_before_anything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "free", lambda folder: 10**9)
    wanted = Wanted(out=tmp_path / "pool", spec=download.spec_of("small"))
    with pytest.raises(PoolError, match=r"needs about 453\.0 GB .* and 1\.0 GB are free\. Repair: make room.* --ignore-disk"):
        download.download(wanted, work())
    assert not (tmp_path / "pool").exists()


def test_what_is_there_already_needs_no_room(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"x" * 900)
    monkeypatch.setattr(disk, "free", lambda folder: 100)
    disk.check(tmp_path, disk.Need(1000, 0, 0))
    with pytest.raises(PoolError, match="still to come"):
        disk.check(tmp_path, disk.Need(1001, 0, 0))


def test_children_end_with_a_killed_parent(tmp_path):
    """The driver's own half of this is in test_download_slow.py; here: its standard input ends."""
    child = "import sys; open(sys.argv[1] + '.begun', 'w'); sys.stdin.buffer.read(); open(sys.argv[1] + '.end', 'w')"
    urls = own_tables(tmp_path / "urls", ["ok"])
    process = subprocess.Popen([sys.executable, "-c", RUN, tmp_path / "pool", urls, sys.executable, "-c", child], stderr=subprocess.DEVNULL)
    job = tmp_path / "pool" / "work" / "1-of-1" / "job.json"
    wait_for(job.with_name("job.json.begun").exists)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(job.with_name("job.json.end").exists)
