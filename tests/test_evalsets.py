"""Published test sets come from the Hub whole, checked and resumable, and are pinned or converted: the real client against a small Hub here."""

import os
import re
import shutil

import evaluation_sets
import huggingface_hub
import numpy as np
import polars as pl
import pytest
import web
from typer.testing import CliRunner

from datacomp import files, hub, rooms
from datacomp.cli import app
from datacomp.declared import suite as suites
from datacomp.errors import AssetError, DatacompError, RecordError, StageError
from datacomp.evaluate import download, pin, sets
from datacomp.evaluate.check import check
from datacomp.evaluate.convert import convert
from datacomp.pipelines import test_sets

TASKS = ("cifar10", "fairness/geode")
CAPTIONS = "retrieval/flickr_1k_test_image_text_retrieval"
EVIL = {"wds_x.py": b"raise SystemExit", "test/evil.pkl": b"x", "README.md": b"hello", "test/../../evil.tar": b"x"}


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "_PAUSE_S", 0)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setenv("DATACOMP_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A suite of two tasks of the published kind, and a folder of their sets."""
    suite = evaluation_sets.small(suites.load("datacomp"), {name: evaluation_sets.KINDS[name] for name in TASKS})
    return suite, evaluation_sets.make(tmp_path_factory.mktemp("published"), suite)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def served(made, monkeypatch):
    """A Hub with the sets of the suite, and whatever else a repository may hold; the suite's records are those of every command."""
    suite, published = made
    with web.hub({}, others={f"djghosh/{task.folder}": contents(published / task.folder) | EVIL for task in suite.tasks}) as server:
        web.point_at(server.address, monkeypatch)
        monkeypatch.setattr(suites, "load", lambda name: suite)
        yield server


def bring(suite, data, revision=""):
    download.download(download.find(suite.tasks, data, revision), data)


def pinned_to(suite, **changed):
    return suites.Suite(spec=suite.spec, tasks=tuple(task.model_copy(update={"data": task.data.model_copy(update=changed)}) for task in suite.tasks))


def datacomp(*arguments):
    done = CliRunner().invoke(app, [*map(str, arguments)])
    return done.output + str(done.exception or "")


def test_sets_arrive_whole_with_a_manifest_and_nothing_else_comes(made, served, tmp_path):
    suite, published = made
    bring(suite, tmp_path)
    for task in suite.tasks:
        found = contents(tmp_path / task.folder)
        assert sets.Manifest.read(tmp_path / task.folder / sets.MANIFEST).revision == served.commit
        del found[sets.MANIFEST]
        assert found == contents(published / task.folder)
        check(tmp_path, task)
    assert not [line for line in served.asked if any(name in line for name in ("evil", ".py", "README"))]


def test_what_is_there_is_not_asked_for_again(made, served, tmp_path):
    suite, _ = made
    bring(suite, tmp_path)
    served.asked.clear()
    assert download.find(suite.tasks, tmp_path) == ()
    assert served.asked == []


def test_a_stopped_download_goes_on_brings_no_file_twice_and_is_no_set_before(made, served, tmp_path, stopped):
    suite, _ = made
    with stopped(4):
        bring(suite, tmp_path)
    there = [path for path in (tmp_path / suite.tasks[0].folder).rglob("*") if path.is_file() and download.WORK not in path.parts]
    assert there
    assert not (tmp_path / suite.tasks[0].folder / sets.MANIFEST).exists()
    assert download.missing(suite.tasks, tmp_path) == suite.tasks
    served.asked.clear()
    bring(suite, tmp_path)
    assert not [
        line
        for line in served.asked
        if line.startswith("GET") and any(f"{path.parent.parent.name}/resolve" in line and line.endswith(path.name) for path in there)
    ]
    assert download.missing(suite.tasks, tmp_path) == ()


def test_an_unfinished_set_stays_at_the_commit_that_was_chosen_first(made, served, tmp_path, stopped):
    suite, _ = made
    with stopped(4):
        bring(suite, tmp_path)
    served.commit = "f" * 40  # the repository changes meanwhile; this Hub knows only its newest commit
    with pytest.raises(AssetError, match=r"no revision|does not show"):
        bring(suite, tmp_path)


def test_a_broken_connection_is_tried_again(made, served, tmp_path):
    served.failing = 2
    bring(made[0], tmp_path)
    assert download.missing(made[0].tasks, tmp_path) == ()


def test_a_file_with_another_digest_than_stated_is_refused(made, served, tmp_path):
    served.stated["test/1.tar"] = "0" * 64
    with pytest.raises(AssetError, match=r"test/1\.tar arrived with another digest"):
        bring(made[0], tmp_path)
    assert not (tmp_path / made[0].tasks[0].folder / sets.MANIFEST).exists()
    served.stated.clear()
    bring(made[0], tmp_path)
    assert download.missing(made[0].tasks, tmp_path) == ()


def test_sets_that_were_brought_by_the_published_program_are_taken_as_they_are(made, served, tmp_path):
    suite, published = made
    shutil.copytree(published, tmp_path / "data")
    bring(suite, tmp_path / "data")
    assert not [line for line in served.asked if line.startswith("GET /datasets/")]
    assert sets.Manifest.read(tmp_path / "data" / suite.tasks[0].folder / sets.MANIFEST).revision == served.commit


def test_a_folder_with_other_files_is_refused(made, served, tmp_path):
    suite, published = made
    shutil.copytree(published, tmp_path / "data")
    (tmp_path / "data" / suite.tasks[1].folder / "test" / "0.tar").write_bytes(b"other")
    with pytest.raises(StageError, match=r"wds_geode_test/test/0\.tar does not come from djghosh/wds_geode_test"):
        bring(suite, tmp_path / "data")


def test_a_file_that_was_lost_is_brought_again(made, served, tmp_path):
    suite, _ = made
    bring(suite, tmp_path)
    (tmp_path / suite.tasks[0].folder / "test" / "1.tar").unlink()
    bring(suite, tmp_path)
    assert check(tmp_path, suite.tasks[0])


def test_a_pinned_task_takes_its_own_revision_and_content_only(made, served, tmp_path):
    suite, _ = made
    bring(suite, tmp_path / "first")
    held = sets.Manifest.read(tmp_path / "first" / suite.tasks[0].folder / sets.MANIFEST)
    one = suites.Suite(spec=suite.spec, tasks=suite.tasks[:1])
    bring(pinned_to(one, revision=served.commit, content_sha256=held.content_sha256), tmp_path / "same")
    with pytest.raises(StageError, match="is defined on 000000000000"):
        bring(pinned_to(one, revision=served.commit, content_sha256="0" * 64), tmp_path / "other")
    assert not (tmp_path / "other" / suite.tasks[0].folder / sets.MANIFEST).exists()
    with pytest.raises(StageError, match=r"is of revision .*, eeeeeeeeeeee is asked for"):
        bring(pinned_to(one, revision="e" * 40), tmp_path / "first")
    with pytest.raises(StageError, match="pinned to revision eeeeeeeeeeee, main is asked for"):
        bring(pinned_to(one, revision="e" * 40), tmp_path / "new", revision="main")


def test_a_disk_that_is_too_small_is_refused_before_anything_is_fetched(made, served, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 0, 10))
    with pytest.raises(StageError, match=r"GB more in .* 0\.0 GB are free"):
        bring(made[0], tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_generated_sets_are_not_downloaded(tmp_path):
    with pytest.raises(StageError, match=r"does not lie on the Hub.*datacomp evalsets make"):
        download.find(suites.load("nano").tasks, tmp_path)


def test_the_command_tells_sizes_and_a_dry_run_writes_nothing(served, tmp_path):
    told = datacomp("evalsets", "download", "--data", tmp_path / "data", "--dry-run")
    assert re.search(r"2 test sets, \d+\.\d{3} GB to fetch into .*, 0 are there", told)
    assert re.search(rf"cifar10 +{served.commit[:12]} +5 +0\.000", told)
    assert not (tmp_path / "data").exists()
    assert "1 test sets" in datacomp("evalsets", "download", "--data", tmp_path / "data", "--tasks", "cifar10")
    assert [path.name for path in (tmp_path / "data").iterdir() if path.is_dir()] == ["wds_cifar10_test"]
    assert "1 test sets" in (told := datacomp("evalsets", "download", "--data", tmp_path / "data"))
    assert "1 are there" in told


def test_what_is_not_published_in_the_layout_is_named_and_the_rest_comes(made, served, tmp_path):
    suite, _ = made
    served.others[f"djghosh/{suite.tasks[0].folder}"] = {"test.py": b"raise SystemExit", "pictures.zip": b"x"}
    assert "1 test sets are not published as they are read here: cifar10 (djghosh/wds_cifar10_test lacks tars in the published layout)" in datacomp(
        "evalsets", "download", "--data", tmp_path
    )
    assert download.missing(suite.tasks, tmp_path) == suite.tasks[:1]


# Evaluating without --data


def test_missing_sets_are_fetched_into_the_cache_after_their_size_was_told(made, served, tmp_path, capsys):
    suite, _ = made
    folder = test_sets.locate(suite, None, ("cifar10",))
    assert re.search(r"1 test sets, \d\.\d{3} GB, from the Hub into ", capsys.readouterr().err)
    assert folder == tmp_path / "cache" / "evalsets" / suite.spec.name
    assert download.missing(suite.tasks, folder) == suite.tasks[1:]
    served.asked.clear()
    assert test_sets.locate(suite, None, ("cifar10",), offline=True) == folder
    assert served.asked == []


def test_offline_names_the_sets_and_the_command(made, served):
    with pytest.raises(
        StageError, match=r"2 test sets are not in .*--offline.*: cifar10,fairness/geode.*evalsets download --suite datacomp --tasks cifar10,fai"
    ):
        test_sets.locate(made[0], None, offline=True)
    assert served.asked == []


def test_a_set_that_nobody_can_fetch_stops_an_evaluation_before_anything_is_fetched(made, served):
    suite, _ = made
    served.others[f"djghosh/{suite.tasks[0].folder}"] = {}
    with pytest.raises(StageError, match="not published as they are read here"):
        test_sets.locate(suite, None)
    assert not [line for line in served.asked if "/resolve/" in line]


def test_a_folder_that_is_given_is_taken_as_it_is(made, tmp_path):
    assert test_sets.locate(made[0], tmp_path) == tmp_path


def test_the_command_evaluates_what_it_fetched(made, served, tmp_path):
    config, weights = evaluation_sets.make_network(tmp_path / "network")
    done = ("evaluate", "--model", config, "--weights", weights, "--suite", "datacomp", "--out", tmp_path / "out", "--threads", 1)
    assert "--offline forbids" in datacomp(*done, "--offline")
    assert "1 of 2 tasks: no average" in datacomp(*done, "--tasks", "cifar10")
    assert "1 of 2 tasks: no average" in datacomp(*done, "--tasks", "cifar10", "--offline")


def test_a_mistake_about_the_network_is_told_before_anything_is_fetched(served, tmp_path):
    weights = ("--weights", tmp_path / "none.safetensors")
    assert "there are no weights" in datacomp("evaluate", "--model", "ViT-B-32", *weights, "--suite", "datacomp", "--out", tmp_path / "out")
    assert served.asked == []


# Pinning


@pytest.fixture
def rooms_copied(monkeypatch, tmp_path):
    """Rooms of an installed package: without a pyproject.toml beside them."""
    for name in ("tracks", "eval_suite"):
        shutil.copytree(rooms.eval_suite().parent / name, tmp_path / "rooms" / name)
    monkeypatch.setattr(rooms, "_base", lambda: tmp_path / "rooms")
    return tmp_path / "rooms"


def test_pinning_prints_the_lines_where_records_are_read_only(made, served, rooms_copied, tmp_path):
    suite, _ = made
    bring(suite, tmp_path / "data")
    before = contents(rooms_copied)
    pinned = pin.pin(suite.tasks, tmp_path / "data")
    held = sets.Manifest.read(tmp_path / "data" / suite.tasks[0].folder / sets.MANIFEST)
    assert pinned[0].lines == (f'revision = "{served.commit}"', f'content_sha256 = "{held.content_sha256}"')
    assert [one.written for one in pinned] == [False, False]
    assert contents(rooms_copied) == before
    assert "put these lines at the end of" in datacomp("evalsets", "pin", "--data", tmp_path / "data")


def test_pinning_writes_the_records_of_a_checkout_once_and_never_to_something_else(made, served, rooms_copied, tmp_path):
    (rooms_copied / "pyproject.toml").touch()
    suite, _ = made
    bring(suite, tmp_path / "data")
    assert all(one.written for one in pin.pin(suite.tasks, tmp_path / "data"))
    held = sets.Manifest.read(tmp_path / "data" / suite.tasks[0].folder / sets.MANIFEST)
    record = suites.Task.read(rooms_copied / "eval_suite" / "tasks" / "cifar10.toml")
    assert (record.data.revision, record.data.content_sha256, record.pinned) == (served.commit, held.content_sha256, True)
    text = contents(rooms_copied)
    pin.pin(pinned_to(suite, revision=served.commit).tasks, tmp_path / "data")  # the same once more
    assert contents(rooms_copied) == text
    with pytest.raises(RecordError, match="pinned to another revision"):
        pin.pin(pinned_to(suite, revision="e" * 40).tasks, tmp_path / "data")


def test_every_record_of_the_suite_can_be_pinned(rooms_copied):
    (rooms_copied / "pyproject.toml").touch()
    values = {"revision": "e" * 40, "content_sha256": "0" * 64}
    for task in suites.load("datacomp").tasks:
        path = rooms_copied / "eval_suite" / "tasks" / f"{task.name.replace('/', '-')}.toml"
        assert pin.pinning.pin(path, dict.fromkeys(values, ""), values).written
    assert all(task.pinned and task.data.revision == "e" * 40 for task in suites.load("datacomp").tasks)


def test_only_downloaded_sets_that_hold_are_pinned(made, served, rooms_copied, tmp_path):
    (rooms_copied / "pyproject.toml").touch()
    suite, published = made
    shutil.copytree(published, tmp_path / "copied")
    check(tmp_path / "copied", suite.tasks[0])
    with pytest.raises(StageError, match="holds no downloaded test sets"):
        pin.pin(suite.tasks, tmp_path / "copied")
    bring(suite, tmp_path / "data")
    before = contents(rooms_copied)
    path = tmp_path / "data" / suite.tasks[1].folder / "test" / "0.tar"
    os.truncate(path, 5000)
    with pytest.raises(StageError, match=r"test/0\.tar is missing or was changed"):
        pin.pin(suite.tasks, tmp_path / "data")
    assert contents(rooms_copied) == before


# Converting


@pytest.fixture
def unpacked(made, tmp_path):
    """The pictures of a published set, in a folder for each class, and the two texts."""
    suite, published = made
    folder = tmp_path / "pictures"
    names = [f"{number:02d}" for number in range(suite.tasks[0].classes)]
    for name in names:
        (folder / name).mkdir(parents=True)
    for number, sample in enumerate(sets.samples(sets.read(published, suite.tasks[0]))):
        (folder / names[sets.label(sample)] / f"{number:03d}.png").write_bytes(sample.picture)
    for name in (sets.CLASSES, sets.TEMPLATES):
        shutil.copy(published / suite.tasks[0].folder / name, folder)
    return folder


def pictures(data, task):
    test_set = sets.read(data, task)
    return test_set.class_names, test_set.templates, sorted((sets.label(sample), sample.picture) for sample in sets.samples(test_set))


def test_folders_of_pictures_become_the_set_they_were(made, served, unpacked, tmp_path):
    suite, published = made
    told = datacomp("evalsets", "convert", "--from", unpacked, "--task", "cifar10", "--out", tmp_path / "out")
    assert "cifar10: 90 samples in" in told
    assert pictures(tmp_path / "out", suite.tasks[0]) == pictures(published, suite.tasks[0])
    assert [path.name for path in files.held(tmp_path / "out")] == [suite.tasks[0].folder]
    with pytest.raises(StageError, match="holds something"):
        convert(unpacked, suite.tasks[0], tmp_path / "out")


def test_classes_are_called_as_their_folders_where_nothing_else_is_said(made, unpacked, tmp_path):
    (unpacked / sets.CLASSES).unlink()
    assert convert(unpacked, made[0].tasks[0], tmp_path / "out").class_names == tuple(f"{number:02d}" for number in range(10))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / sets.TEMPLATES).unlink(), "lacks zeroshot_classification_templates.txt"),
        (lambda folder: (folder / sets.CLASSES).write_text("one\n"), "has another number of lines than there are folders, 10"),
        (lambda folder: (folder / "00" / "x.png").write_bytes(b"GIF89a"), r"x\.png is no picture\. Allowed: JPEG, PNG, WEBP"),
        (lambda folder: shutil.copy(next((folder / "00").iterdir()), folder / "00" / "more.png"), "has 91 samples, task cifar10 has 90"),
        (shutil.rmtree, "holds no folders of pictures"),
    ],
    ids=["templates", "classes", "no picture", "one more", "nothing"],
)
def test_a_folder_that_is_no_such_set_leaves_nothing(made, unpacked, tmp_path, spoil, message):
    spoil(unpacked)
    with pytest.raises(DatacompError, match=message):
        convert(unpacked, made[0].tasks[0], tmp_path / "out")
    assert files.held(tmp_path / "out") == []


def captioned(tmp_path, task, **columns):
    """Tables of the Hub with the pictures of a made retrieval set."""
    evaluation_sets.make_set(tmp_path / "made" / task.folder, task, np.random.default_rng(3))
    found = list(sets.samples(sets.read(tmp_path / "made", task)))
    rows = {"image": [{"bytes": sample.picture, "path": "x"} for sample in found], "caption": [sets.captions(sample) for sample in found]}
    (tmp_path / "tables").mkdir()
    frame = pl.DataFrame(rows).with_columns(**columns)
    for number in range(2):
        frame[number * 20 : number * 20 + 20].write_parquet(tmp_path / "tables" / f"{number}.parquet")
    return found


def test_tables_of_the_hub_become_a_retrieval_set(tmp_path):
    task = evaluation_sets.kinds().chosen((CAPTIONS,))[0]
    found = captioned(tmp_path, task)
    convert(tmp_path / "tables", task, tmp_path / "out")
    assert [(sample.picture, sets.captions(sample)) for sample in sets.samples(sets.read(tmp_path / "out", task))] == [
        (sample.picture, sets.captions(sample)) for sample in found
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [({"caption": pl.lit([None], pl.List(pl.String))}, "has no captions"), ({"image": pl.lit("x")}, r"0\.parquet: row 0 is no picture")],
    ids=["captions", "pictures"],
)
def test_tables_that_lack_something_are_refused(tmp_path, columns, message):
    task = evaluation_sets.kinds().chosen((CAPTIONS,))[0]
    captioned(tmp_path, task, **columns)
    with pytest.raises(DatacompError, match=message):
        convert(tmp_path / "tables", task, tmp_path / "out")


def test_families_with_rows_of_their_own_are_not_converted(made, unpacked, tmp_path):
    with pytest.raises(StageError, match="family geode are not converted"):
        convert(unpacked, made[0].tasks[1], tmp_path / "out")
