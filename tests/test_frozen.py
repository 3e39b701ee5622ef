"""What was promised does not change: every frozen record is locked, every lock holds, and a changed record is refused."""

import shutil

import pytest

from datacomp import rooms
from datacomp.declared import lock, scale, suite, track
from datacomp.declared.baseline import Baseline
from datacomp.declared.filter_recipe import FilterRecipe
from datacomp.declared.pool import PoolSpec
from datacomp.declared.published_list import PublishedList
from datacomp.declared.scale import Scale
from datacomp.declared.suite import SuiteSpec, Task
from datacomp.declared.track import Track
from datacomp.errors import LockError

TRACKS = {"baselines": Baseline, "dfn": FilterRecipe, "lists": PublishedList, "pools": PoolSpec, "rules": Track, "scales": Scale}
SUITE = {"suites": SuiteSpec, "tasks": Task}
RECORDS = [(room, folder, kind) for room, folders in ((rooms.tracks, TRACKS), (rooms.eval_suite, SUITE)) for folder, kind in folders.items()]

# Frozen once and for all. A digest here never changes; a new record gets a new line.
FROZEN = {
    "dfn/miniature": "211b59b1ae938c2f",
    "pools/micro": "4d62bd75c0037b32",
    "pools/nano": "0cd47dd45ca11522",
    "rules/byod": "29e203c7f304676c",
    "rules/filtering": "2aa975a140f80bb9",
    "scales/large": "5dff27119c551e58",
    "scales/medium": "a4684e5235e84cd7",
    "scales/micro": "aa51b02b3095f14b",
    "scales/nano": "03cbff14ed2a8f33",
    "scales/small": "9880836132ee5750",
    "scales/xlarge": "eea15c7389fd44ef",
    "suites/nano": "2e230b96b8217f27",
    "tasks/nano-background": "a17c61ba78e35e13",
    "tasks/nano-colour": "d631c93feea39207",
    "tasks/nano-count": "1018d50480b16583",
    "tasks/nano-light": "d75c2b294bef31ca",
    "tasks/nano-noise": "438739aab4495748",
    "tasks/nano-objects": "cf88abe9f5c8eb55",
    "tasks/nano-pairs": "70d138e33fbb47ce",
    "tasks/nano-position": "a8ac95cebf6d21c7",
    "tasks/nano-shape": "ff50037e78bc508c",
    "tasks/nano-sketch": "df20d272f6697569",
    "tasks/nano-texture": "c7d5a3d746be1a68",
}


@pytest.fixture
def copied_tracks(tmp_path):
    shutil.copytree(rooms.tracks(), tmp_path / "tracks")
    return tmp_path / "tracks"


@pytest.mark.parametrize(("room", "folder", "kind"), RECORDS, ids=lambda value: getattr(value, "__name__", value))
def test_every_record_of_a_folder_is_held_against_the_lock(room, folder, kind):
    for name in lock.available(room(), folder):
        record = kind.read(room() / folder / f"{name}.toml")
        lock.check(record, room(), f"{folder}/{name}")


def test_a_lock_names_only_records_that_are_there():
    for room in (rooms.tracks(), rooms.eval_suite()):
        assert [key for key in lock.locks(room) if not any((room / f"{key}.{kind}").is_file() for kind in ("toml", "json"))] == []


@pytest.mark.parametrize("name", suite.names())
def test_every_earlier_version_of_a_suite_is_kept(name):
    for version in range(1, suite.load(name).spec.version):
        assert suite.load(name, version).spec.version == version


def test_what_was_frozen_still_has_its_first_digest():
    locked = lock.locks(rooms.tracks()) | lock.locks(rooms.eval_suite())
    assert {key: locked.get(key, "")[:16] for key in FROZEN} == FROZEN


def test_a_changed_recipe_is_refused(copied_tracks):
    path = copied_tracks / "scales" / "small.toml"
    path.write_text(path.read_text().replace("learning_rate = 5e-4", "learning_rate = 6e-4"))
    with pytest.raises(LockError, match=r"small\.toml was changed"):
        lock.read(Scale, copied_tracks, "scales", "small")


def test_a_comment_changes_no_digest(copied_tracks):
    path = copied_tracks / "scales" / "small.toml"
    path.write_text("# a remark\n" + path.read_text())
    assert lock.read(Scale, copied_tracks, "scales", "small") == scale.load("small")


def test_a_frozen_record_without_a_lock_is_refused(copied_tracks):
    path = copied_tracks / "rules" / "filtering.toml"
    path.with_name("looser.toml").write_text(path.read_text().replace('name = "filtering"', 'name = "looser"'))
    with pytest.raises(LockError, match=r"not in tracks/LOCK\.toml"):
        lock.read(Track, copied_tracks, "rules", "looser")


def test_a_locked_record_cannot_become_a_draft_again(copied_tracks):
    path = copied_tracks / "rules" / "filtering.toml"
    path.write_text(path.read_text().replace('status = "frozen"', 'status = "draft"'))
    with pytest.raises(LockError, match="stays frozen"):
        lock.read(Track, copied_tracks, "rules", "filtering")


def test_drafts_are_what_they_say():
    drafts = {name for name in scale.names() if scale.load(name).status == "draft"}
    assert drafts == {"smoke"}
    assert all(track.load(name).status == "frozen" for name in track.names())
