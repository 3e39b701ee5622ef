"""The downloader itself, in its own environment, against a small web that does what the large one does. Makes that environment once."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import web
from PIL import Image, ImageStat

from datacomp import tables, tars
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.errors import AssetError
from datacomp.pool import audit, check, download, isolated
from datacomp.pool.metadata import Wanted
from datacomp.reshard.run import Form, reshard

pytestmark = pytest.mark.slow
EACH, PLAIN = 4, 150
COMMAND = "from datacomp import cli; cli.main()"


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory):
    """The environment of the user's cache if it is there, else one that vanishes with the tests."""
    with pytest.MonkeyPatch.context() as patch:
        if not (isolated.folder() / "complete").is_file():
            patch.setenv("DATACOMP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield isolated.python()


def url_tables(folder, address, kinds):
    folder.mkdir()
    urls = [f"{address}/{kind}/{i}.jpg" for i, kind in enumerate(kinds)]
    faces = pl.Series([[[0.1, 0.1, 0.5, 0.5]] if i % 2 else [] for i in range(len(kinds))], dtype=pl.List(pl.List(pl.Float64)))
    pl.DataFrame({"url": urls, "text": [f"caption {i}" for i in range(len(kinds))], "face_bboxes": faces}).write_parquet(folder / "urls.parquet")
    return folder


@pytest.fixture(scope="module")
def fetched(tmp_path_factory):
    """A pool of every kind of url, and how long it took."""
    folder = tmp_path_factory.mktemp("fetched")
    with web.pictures() as server:
        urls = url_tables(folder / "urls", server.address, [*web.KINDS] * EACH + ["picture"] * PLAIN)
        work = download.Work(options=("timeout=3",), processes=2, threads=32, url_limit_s=8, stall_s=70, shard_samples=50)
        started = time.monotonic()
        download.download(Wanted(out=folder / "pool", spec=None, folder=urls), work)
        return pools.read(folder / "pool"), time.monotonic() - started


def test_each_kind_of_url_ends_as_what_it_is(fetched):
    pool, _ = fetched
    ledger = pl.concat([tables.read_parquet(path) for path in (pool.path / "ledger").glob("*.parquet")])
    table = tables.read_parquet(pool.path / "metadata" / "urls.parquet")
    rows = ledger.join(table, on="uid").with_columns(kind=pl.col("url").str.split("/").list.get(3))
    assert {(kind, reason): count for kind, reason, count in rows.group_by("kind", "reason").len().iter_rows()} == {
        (kind, reason): EACH + PLAIN * (kind == "picture") for kind, reason in web.KINDS.items()
    }
    tries = dict(rows.select("kind", "tries").unique().iter_rows())
    assert {kind for kind, times in tries.items() if times == 2} == {"once", "broken", "hang", "drip", "endless", "slowheaders", "cut"}


def test_it_never_hangs(fetched):
    _, seconds = fetched
    assert seconds < 180  # two passes in which every url takes 8 s at most, however the other side behaves


def test_the_counts_add_up_and_the_pool_is_sound(fetched, tmp_path):
    pool, _ = fetched
    found = audit.Audit.read(pool.path / "audit.json")
    assert sum(found.reasons.values()) == found.samples == EACH * len(web.KINDS) + PLAIN
    assert check.check(pool.path).broken == []
    everything = subsets.write(tmp_path / "list.npy", [pools.all_uids(pools.read(pool.path))])
    done = reshard(pools.read(pool.path), everything, tmp_path / "shards", Form(50), allow_missing=0.9)
    assert done.record.effective_pool == found.effective_pool


def test_faces_are_blurred_by_their_boxes(tmp_path):
    sharpness = {}
    with web.pictures() as server:
        urls = url_tables(tmp_path / "urls", server.address, ["picture"] * 2)
        tables.write_parquet(urls / "urls.parquet", tables.read_parquet(urls / "urls.parquet").with_columns(url=pl.lit(f"{server.address}/picture/1.jpg")))
        download.download(Wanted(out=tmp_path / "pool", spec=None, folder=urls), download.Work(processes=1, threads=4))
    samples = tars.index(tmp_path / "pool" / "shards" / "00000000.tar")
    with tars.TarReader(tmp_path / "pool" / "shards" / "00000000.tar") as reader:
        for sample in samples:
            about = json.loads(reader.read(sample.members["json"]))
            picture = Image.open(io.BytesIO(reader.read(sample.image()))).convert("L")
            face = picture.crop((picture.width // 5, picture.height // 5, picture.width // 3, picture.height // 3))
            sharpness[bool(about["face_bboxes"])] = ImageStat.Stat(face).stddev[0]
    assert sharpness[True] < sharpness[False]


def test_killed_and_started_again_it_loses_nothing_and_leaves_no_process(tmp_path):
    with web.pictures() as server:
        urls = url_tables(tmp_path / "urls", server.address, (["picture"] * 299 + ["hang"]) * 2)
        arguments = ["pool", "download", "--metadata", urls, "--out", tmp_path / "pool", "--processes", 2, "--threads", 8, "--url-limit", 30, "--stall", 100]
        command = [sys.executable, "-c", COMMAND, *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        tar = tmp_path / "pool" / "work" / "1-of-1" / "out" / "00000000.tar"
        _wait(lambda: tar.is_file() and tar.stat().st_size > 200_000)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        _wait(lambda: not _processes_with(str(tmp_path)))
        done = subprocess.run([*command, "--option", "timeout=2"], capture_output=True, text=True, check=False)
        assert "other settings: timeout" in done.stderr
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert audit.Audit.read(tmp_path / "pool" / "audit.json").reasons == {"success": 598, "timeout": 2}
    assert check.check(tmp_path / "pool").broken == []
    assert len(list((tmp_path / "pool" / "shards").glob("*.tar"))) == 3  # what was saved, the rest, the second pass


def test_without_network_the_environment_says_how_to_make_it_by_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("DATACOMP_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONFIG_FILE"):
        monkeypatch.setenv(name, os.devnull if name == "PIP_CONFIG_FILE" else "")
    with pytest.raises(AssetError, match=r"cannot be made: ERROR: .*by hand: .* -m venv .*--require-hashes.*touch"):
        isolated.python()
    assert not (isolated.folder() / "complete").exists()


def _wait(condition):
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it never happened")


def _processes_with(text):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found += [path] if text.encode() in path.read_bytes() else []
    return found
