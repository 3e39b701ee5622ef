"""The ground holds: whole files, locks that die with their owner, records that take nothing on trust, work that ends with its parent."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datacomp import digest, files
from datacomp.artifacts import tar_index
from datacomp.artifacts.subset import SubsetRecord
from datacomp.declared import asset
from datacomp.errors import AssetError, BusyError, DatacompError, RecordError, TarError
from datacomp.launch import local
from datacomp.records import MAX_RECORD_BYTES, Record

ROOT = Path(__file__).parent.parent
SHA = "a" * 64


class Small(Record):
    number: int
    added_later: str = ""


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(TypeError), files.whole(tmp_path / "file") as temporary, temporary.open("wb") as file:
        file.writelines([b"half", None])
    assert list(tmp_path.iterdir()) == []
    files.write_text(tmp_path / "file", "whole")
    assert (tmp_path / "file").read_text() == "whole"


def test_what_a_killed_writer_left_is_swept_away(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / ".part-file").write_text("half")
    (tmp_path / "deep" / "file").write_text("whole")
    (tmp_path / ".part-scratch" / "deep").mkdir(parents=True)
    (tmp_path / ".part-scratch" / "deep" / ".part-file").write_text("half")
    with files.writing(tmp_path):
        assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]
        assert not (tmp_path / ".part-scratch").exists()


def test_a_lock_is_free_when_its_owner_was_killed(tmp_path):
    script = "import sys, time; from pathlib import Path; from datacomp import files\n"
    script += "with files.writing(Path(sys.argv[1])):\n    print('mine', flush=True); time.sleep(60)"
    owner = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert owner.stdout.readline() == "mine\n"
    with pytest.raises(BusyError, match=f"process {owner.pid} on "), files.writing(tmp_path):
        pass
    owner.kill()
    owner.wait()
    owner.stdout.close()
    with files.writing(tmp_path):
        pass


def test_a_record_s_digest_is_that_of_its_file(tmp_path):
    record = Small(number=1)
    record.write(tmp_path / "record.json")
    assert digest.of_file(tmp_path / "record.json") == record.digest()
    assert Small.read(tmp_path / "record.json") == record


def test_a_field_that_was_never_set_changes_no_digest():
    assert Small(number=1).plain() == {"number": 1}
    assert Small(number=1).digest() != Small(number=1, added_later="x").digest()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"number": "1"}', "number: Input should be a valid integer"),
        ('{"number": 1, "extra": 2}', "extra: Extra inputs are not permitted"),
        ('{"number": 1', "Invalid JSON"),
        ("{}", "number: Field required"),
        ('{"number": NaN}', "Invalid JSON|valid integer"),
        ("[" * 100_000, "Invalid JSON"),
        ('{"number": 1' + "0" * 5000 + "}", "Invalid JSON|integer|number"),
    ],
)
def test_a_wrong_record_is_refused_with_its_first_problem(tmp_path, text, message):
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(RecordError, match=message):
        Small.read(tmp_path / "record.json")


def test_a_huge_file_is_not_read_as_a_record(tmp_path):
    with (tmp_path / "record.json").open("wb") as file:
        file.truncate(MAX_RECORD_BYTES + 1)
    with pytest.raises(RecordError, match="records of up to"):
        Small.read(tmp_path / "record.json")


def test_texts_in_records_hold_no_control_characters():
    content = {"uids_sha256": SHA, "samples": 1, "distinct_samples": 1}
    assert SubsetRecord.parse(json.dumps(content), "x").samples == 1
    for bad in ({"filter": "\x1b[31m"}, {"filter": "x" * 201}, {"samples": -1}, {"uids_sha256": "zz"}):
        with pytest.raises(RecordError):
            SubsetRecord.parse(json.dumps(content | bad), "x")


def test_an_error_is_one_line():
    error = DatacompError("this\ncame.", allowed="that", repair="do it")
    assert str(error) == "this came. Allowed: that. Repair: do it."


def test_work_is_done_by_processes_in_order():
    assert list(local.run_all(abs, [-3, -2, -1], workers=2)) == [3, 2, 1]
    assert list(local.run_all(abs, [-3, -2], workers=1)) == [3, 2]


def test_the_first_failure_ends_the_work():
    with pytest.raises(TypeError):
        list(local.run_all(abs, [-1, "x", -2], workers=2))


def test_an_error_of_ours_comes_through_a_process_whole(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"no tar" * 200)
    with pytest.raises(TarError, match=r"a is no tar, or broken at byte 0: .*\. Repair: make or download this file again\.$"):
        list(local.run_all(tar_index.read, [tmp_path / "a", tmp_path / "b"], workers=2))


def test_workers_end_with_a_killed_parent():
    script = "import time; from datacomp.launch import local\nif __name__ == '__main__':\n"
    script += "    print('on', flush=True); list(local.run_all(time.sleep, [50, 50], workers=2))"
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True)
    parent.stdout.readline()
    for _ in range(100):
        if len(group := _members(parent.pid)) >= 3:
            break
        time.sleep(0.1)
    assert len(group) >= 3
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    for _ in range(100):
        if not _members(parent.pid):
            return
        time.sleep(0.1)
    pytest.fail("workers outlived their parent")


def _members(session):
    """The living processes of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(folder.name))
    return found


def test_an_asset_is_downloaded_checked_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("DATACOMP_CACHE", str(tmp_path / "cache"))
    (tmp_path / "file").write_bytes(b"content")
    wanted = asset.Asset(name="thing", url=(tmp_path / "file").as_uri(), sha256=digest.of_bytes(b"content"), licence="none")
    path = asset.locate(wanted)
    assert path.read_bytes() == b"content"
    (tmp_path / "file").unlink()
    assert asset.locate(wanted) == path
    with pytest.raises(AssetError, match=r"cannot be downloaded.*put the file from"):
        asset.locate(wanted.model_copy(update={"name": "other"}))


def test_a_download_with_another_digest_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("DATACOMP_CACHE", str(tmp_path / "cache"))
    (tmp_path / "file").write_bytes(b"tampered")
    with pytest.raises(AssetError, match="must have aaaaaaaaaaaa"):
        asset.locate(asset.Asset(name="thing", url=(tmp_path / "file").as_uri(), sha256=SHA, licence="none"))
    assert [path.name for path in (tmp_path / "cache" / "assets").iterdir()] == [".lock"]
