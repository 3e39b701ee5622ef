"""The retrieval sets and WinoGAViL are made of what lies on the Hub, tables and an archive of pictures, and of parquet tables; no script there is run."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import evaluation_sets
import polars as pl
import pytest
import web
from PIL import Image
from test_evalsets import bring, contents, datacomp, quick  # noqa: F401 - a fixture

from datacomp.declared import suite as suites
from datacomp.errors import AssetError, DatacompError, StageError
from datacomp.evaluate import download, sets, sources, winogavil
from datacomp.evaluate.check import check
from datacomp.evaluate.convert import convert
from datacomp.evaluate.run import evaluate_published
from datacomp.network import embed
from datacomp.pipelines import test_sets

CAPTIONS, RIDDLES = TASKS = ("retrieval/flickr_1k_test_image_text_retrieval", "misc/winogavil")


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A suite of the two tasks with fewer samples, and a folder of sets in the layout that evaluations read."""
    suite = evaluation_sets.small(suites.load("datacomp"), {name: evaluation_sets.KINDS[name] for name in TASKS})
    return suite, evaluation_sets.make(tmp_path_factory.mktemp("published"), suite)


def text_table(columns, rows):
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["", *columns, "ID"])
    for number, row in enumerate(rows):
        writer.writerow([number, *(json.dumps(value) if isinstance(value, list) else value for value in row), number])
    return buffer.getvalue().encode()


def archive(folder, pictures):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, picture in pictures.items():
            file.writestr(f"__MACOSX/{folder}/{name}", b"junk")
            file.writestr(f"{folder}/{name}", picture)
    return buffer.getvalue()


def on_the_hub(published, task):
    """The files of a set's repository: what it is made of, and a script."""
    test_set = sets.read(published, task)
    found = list(sets.samples(test_set))
    if task.family == "retrieval":
        pictures = {f"{number}.jpg": sample.picture for number, sample in enumerate(found)}
        table = text_table(["raw", "filename"], [(sets.captions(sample), name) for name, sample in zip(pictures, found, strict=True)])
    else:
        pictures = {f"{sets.captions(sample)[0]}.jpg": sample.picture for sample in found}
        rows = [(list(example.associations), example.cue, list(example.candidates)) for example in winogavil.examples(test_set)]
        table = text_table(["associations", "cue", "candidates"], rows)
    names = task.data.files
    return {names[0]: table, names[1]: archive(names[1].removesuffix(".zip"), pictures), "script.py": b"raise SystemExit", "README.md": b"hello"}


@pytest.fixture
def served(made, monkeypatch):
    """A Hub with what the sets are made of."""
    suite, published = made
    with web.hub({}, others={task.data.address.split("datasets/")[1]: on_the_hub(published, task) for task in suite.tasks}) as server:
        web.point_at(server.address, monkeypatch)
        monkeypatch.setattr(suites, "load", lambda name: suite)
        yield server


def samples(data, task):
    """What a set holds, whatever the order and the format that its names say."""
    test_set = sets.read(data, task)
    riddles = winogavil.examples(test_set) if task.family == "winogavil" else []
    return sorted((sample.picture, tuple(sets.captions(sample))) for sample in sets.samples(test_set)), riddles


def replace(served, name, content):
    """Put another file of that name on the Hub."""
    for there in served.others.values():
        if name in there:
            there[name] = content


# Downloading


def test_the_sets_are_those_that_were_published_with_a_manifest_and_nothing_else_stays(made, served, tmp_path):
    suite, published = made
    bring(suite, tmp_path)
    for task in suite.tasks:
        assert samples(tmp_path, task) == samples(published, task)
        check(tmp_path, task)
        assert sets.Manifest.read(tmp_path / task.folder / sets.MANIFEST).revision == served.commit
        names = {sets.MANIFEST, *sets.file_names(task.family, 1)}
        assert set(contents(tmp_path / task.folder)) == names
    assert not [line for line in served.asked if "script" in line or "README" in line]
    served.asked.clear()
    assert download.find(suite.tasks, tmp_path) == ()
    assert served.asked == []


def test_the_same_files_give_the_same_bytes(made, served, tmp_path):
    suite, _ = made
    bring(suite, tmp_path / "first")
    bring(suite, tmp_path / "second")
    for task in suite.tasks:
        assert contents(tmp_path / "first" / task.folder) == contents(tmp_path / "second" / task.folder)


def test_results_are_those_of_the_published_sets(made, served, tmp_path):
    suite, published = made
    bring(suite, tmp_path / "data")
    config, weights = evaluation_sets.make_network(tmp_path / "network")
    found = [
        evaluate_published(str(config), weights, suite, data, tmp_path / f"out{number}", threads=1)
        for number, data in enumerate((published, tmp_path / "data"))
    ]
    assert [task.metrics for task in found[0].tasks] == [task.metrics for task in found[1].tasks]
    assert all(task.metrics for task in found[0].tasks)


@pytest.mark.parametrize(("name", "publishes"), [(CAPTIONS, 0), (CAPTIONS, 2), (CAPTIONS, 3), (CAPTIONS, 6), (RIDDLES, 1), (RIDDLES, 5), (RIDDLES, 7)])
def test_a_stopped_download_goes_on_brings_no_file_twice_and_is_no_set_before(made, served, tmp_path, stopped, name, publishes):
    suite, published = made
    task = suite.chosen((name,))[0]
    one = suites.Suite(spec=suite.spec, tasks=(task,))
    with stopped(publishes):
        bring(one, tmp_path)
    folder = tmp_path / task.folder
    assert not (folder / sets.MANIFEST).exists()
    there = [path.name for path in (folder / download.WORK / "source").glob("*.*")]
    served.asked.clear()
    bring(one, tmp_path)
    assert not [line for line in served.asked if line.startswith("GET") and any(line.endswith(f"/{name}") for name in there)]
    assert samples(tmp_path, task) == samples(published, task)
    assert {path.name for path in folder.iterdir()} <= {"test", sets.EXAMPLES, sets.MANIFEST}


def test_a_command_that_was_killed_while_it_made_a_set_goes_on(made, served, tmp_path):
    suite, published = made
    command = [Path(__file__).parent / "killed.py", "after", "4", "evalsets", "download", "--data", tmp_path / "data", "--tasks", RIDDLES]
    done = subprocess.run([sys.executable, *map(str, command)], env=os.environ | {"HF_ENDPOINT": served.address}, capture_output=True, check=False)
    folder = tmp_path / "data" / suite.chosen((RIDDLES,))[0].folder
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in folder.iterdir()] == [download.WORK]
    assert list((folder / download.WORK).glob(".part-*/*/test/0.tar"))
    bring(suite, tmp_path / "data")
    assert all(samples(tmp_path / "data", task) == samples(published, task) for task in suite.tasks)
    assert {path.name for path in folder.iterdir()} == {"test", sets.EXAMPLES, sets.MANIFEST}


def test_a_file_that_was_altered_since_it_came_is_brought_again(made, served, tmp_path, stopped):
    suite, published = made
    with stopped(3):
        bring(suite, tmp_path)
    task = suite.tasks[0]
    path = tmp_path / task.folder / download.WORK / "source" / task.data.files[0]
    path.write_bytes(path.read_bytes()[:-100])
    bring(suite, tmp_path)
    assert samples(tmp_path, task) == samples(published, task)


def test_a_tar_that_was_lost_is_made_again(made, served, tmp_path):
    suite, published = made
    bring(suite, tmp_path)
    (tmp_path / suite.tasks[0].folder / "test" / "0.tar").unlink()
    bring(suite, tmp_path)
    assert samples(tmp_path, suite.tasks[0]) == samples(published, suite.tasks[0])


@pytest.mark.parametrize("name", ["test_1k_flickr.csv", "images_flickr_1k_test.zip"])
def test_a_file_with_another_digest_than_stated_is_named(made, served, tmp_path, name):
    served.stated[name] = "0" * 64
    with pytest.raises(AssetError, match=rf"{re.escape(name)} arrived with another digest"):
        bring(made[0], tmp_path)
    assert download.missing(made[0].tasks, tmp_path) == made[0].tasks


CAPTION = text_table(["filename", "raw"], [("0.jpg", ["a"])])
RIDDLE = text_table(["cue", "candidates", "associations"], [("a", ["red cat", "b"], ["b"])])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("test_1k_flickr.csv", CAPTION, "has 1 samples, task .* has 40"),
        ("test_1k_flickr.csv", CAPTION[:-8], r"test_1k_flickr\.csv cannot be read as a table in text"),
        ("test_1k_flickr.csv", CAPTION.replace(b"raw", b"row"), r"test_1k_flickr\.csv: row 0 has no column raw"),
        ("test_1k_flickr.csv", CAPTION.replace(b"[", b"("), r"test_1k_flickr\.csv: row 0: .* is no list in JSON"),
        ("test_1k_flickr.csv", CAPTION.replace(b"0.jpg", b"x.jpg"), r"images_flickr_1k_test\.zip has no picture 'x\.jpg', which .*row 0 asks for"),
        ("test_1k_flickr.csv", b"\xff", r"test_1k_flickr\.csv cannot be read as a table in text"),
        ("images_flickr_1k_test.zip", b"PK", r"images_flickr_1k_test\.zip cannot be read as a zip archive"),
        ("images_flickr_1k_test.zip", archive("x", {f"{number}.jpg": b"GIF89a" for number in range(40)}), r"row 0 is no picture. Allowed: JPEG"),
        ("winogavil_dataset.csv", RIDDLE, r"winogavil_images\.zip has no picture 'b\.jpg'"),
        ("winogavil_dataset.csv", RIDDLE.replace(b"cat", rb"\ncat"), "calls a candidate"),
        ("winogavil_dataset.csv", RIDDLE.replace(b'""b""]",0', b'""c""]",0'), "row 0 is no example record: .*names no candidate"),
    ],
)
def test_what_a_set_cannot_be_made_of_is_named_and_leaves_no_set(made, served, tmp_path, name, content, message):
    suite, _ = made
    replace(served, name, content)
    with pytest.raises(DatacompError, match=message):
        bring(suite, tmp_path)
    assert [path for task in suite.tasks for path in (tmp_path / task.folder).glob("manifest.json") if name in task.data.files] == []


def test_a_picture_that_was_altered_in_the_archive_is_told(made, served, tmp_path):
    there = served.others["nlphuji/winogavil"]
    whole = there["winogavil_images.zip"]
    place = len(whole) // 3
    replace(served, "winogavil_images.zip", whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(StageError, match=r"winogavil_images\.zip cannot be read as a zip archive"):
        bring(made[0], tmp_path)


def test_a_picture_of_a_senseless_size_is_not_read(made, served, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_MAX_PICTURE_BYTES", 10)
    with pytest.raises(StageError, match=r"images_flickr_1k_test\.zip: picture '0\.jpg' has [\d,]+ bytes. Allowed: up to 10"):
        bring(made[0], tmp_path)


def test_a_jpeg_with_others_behind_it_is_one(made, served, tmp_path):
    task = made[0].tasks[0]
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40)).save(buffer, "MPO", save_all=True, append_images=[Image.new("RGB", (40, 40))])
    replace(served, task.data.files[1], archive("x", {f"{number}.jpg": buffer.getvalue() for number in range(40)}))
    bring(suites.Suite(spec=made[0].spec, tasks=(task,)), tmp_path)
    sample = next(sets.samples(sets.read(tmp_path, task)))
    assert sample.picture == buffer.getvalue()
    assert embed.decode(sample.picture).size == (40, 40)


def test_a_set_that_was_made_by_hand_is_not_taken_for_the_hub_s(made, served, tmp_path):
    suite, published = made
    shutil.copytree(published, tmp_path / "data")
    with pytest.raises(StageError, match=r"wds_flickr.* does not come from nlphuji/flickr_1k_test.*choose another folder"):
        bring(suite, tmp_path / "data")


def test_the_disk_holds_the_sets_and_the_largest_of_what_they_are_made_of(made, served, tmp_path, monkeypatch):
    remotes = download.find(made[0].tasks, tmp_path)
    needed = sum(remote.bytes for remote in remotes) + max(remote.bytes for remote in remotes)
    free = needed
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(free, 0, free))
    download.check_disk(remotes, tmp_path)
    free -= 1
    with pytest.raises(StageError, match="GB more in"):
        download.check_disk(remotes, tmp_path)


def test_the_command_tells_what_lies_on_the_disk_meanwhile(served, tmp_path):
    told = datacomp("evalsets", "download", "--data", tmp_path, "--dry-run")
    assert re.search(r"2 test sets, \d\.\d{3} GB \(\d\.\d{3} GB more of disk while sets are made of what came\) to fetch into", told)


def test_a_repository_without_these_files_is_named_with_what_to_do_and_the_rest_comes(made, served, tmp_path):
    suite, _ = made
    served.others["nlphuji/winogavil"] = {"winogavil_images.zip": b"x"}
    told = " ".join(datacomp("evalsets", "download", "--data", tmp_path).split())
    assert "1 test sets are not published as they are read here: misc/winogavil (nlphuji/winogavil lacks winogavil_dataset.csv or winogavil_images.zip)" in told
    assert "evalsets convert" in told
    assert download.missing(suite.tasks, tmp_path) == suite.chosen((RIDDLES,))


def test_an_evaluation_without_data_fetches_them(made, served):
    suite, published = made
    folder = test_sets.locate(suite, None)
    assert all(samples(folder, task) == samples(published, task) for task in suite.tasks)


# Converting


def parquet_tables(folder, published, task, change=lambda rows: rows):
    """WinoGAViL's rows as the Hub writes them into parquet, with the pictures in each, in two tables."""
    test_set = sets.read(published, task)
    picture_of = {sets.captions(sample)[0]: sample.picture for sample in sets.samples(test_set)}
    rows = [
        {
            "cue": example.cue,
            "candidates": list(example.candidates),
            "associations": list(example.associations),
            "candidate_images": [{"bytes": picture_of[name], "path": f"{name}.jpg"} for name in example.candidates],
            "num_candidates": len(example.candidates),
        }
        for example in winogavil.examples(test_set)
    ]
    folder.mkdir()
    half = len(rows) // 2
    for number, part in enumerate((rows[:half], change(rows[half:]))):
        pl.DataFrame(part).write_parquet(folder / f"{number:04d}.parquet")
    return folder


def test_parquet_tables_become_winogavil(made, served, tmp_path):
    suite, published = made
    task = suite.chosen((RIDDLES,))[0]
    source = parquet_tables(tmp_path / "tables", published, task)
    told = datacomp("evalsets", "convert", "--from", source, "--task", RIDDLES, "--out", tmp_path / "out")
    assert "misc/winogavil: 30 samples in" in told
    assert samples(tmp_path / "out", task) == samples(published, task)


def other_picture(rows):
    rows[0]["candidate_images"][0] = rows[0]["candidate_images"][1]
    return rows


def one_less(rows):
    rows[0]["candidate_images"].pop()
    return rows


def no_picture(rows):
    return [row | {"candidate_images": None} for row in rows]


def texts(rows):
    return [row | {"candidates": "red cat"} for row in rows]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_picture, r"0001\.parquet: row 0: candidate '.*' has another picture than in a row before"),
        (one_less, r"0001\.parquet: row 0 has \d+ pictures for \d+ candidates"),
        (no_picture, r"0001\.parquet: row 0 has 0 pictures"),
        (texts, r"0001\.parquet: row 0 is no example record: candidates"),
        (lambda rows: [{"cue": row["cue"]} for row in rows], r"0001\.parquet has no column associations, candidate_images, candidates"),
        (lambda rows: rows[:-1], "has 29 samples, task misc/winogavil has 30"),
    ],
)
def test_tables_that_are_no_winogavil_are_refused(made, tmp_path, change, message):
    suite, published = made
    task = suite.chosen((RIDDLES,))[0]
    source = parquet_tables(tmp_path / "tables", published, task, change)
    with pytest.raises(DatacompError, match=message):
        convert(source, task, tmp_path / "out")
    assert not (tmp_path / "out" / task.folder).exists()


def test_a_parquet_table_that_is_cut_off_is_named(made, tmp_path):
    suite, published = made
    task = suite.chosen((RIDDLES,))[0]
    path = parquet_tables(tmp_path / "tables", published, task) / "0001.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DatacompError, match=r"0001\.parquet cannot be read as parquet"):
        convert(path.parent, task, tmp_path / "out")


def test_what_was_fetched_by_hand_is_converted_too(made, tmp_path):
    suite, published = made
    for task in suite.tasks:
        source = tmp_path / task.family
        source.mkdir()
        for name, content in on_the_hub(published, task).items():
            (source / name).write_bytes(content)
        convert(source, task, tmp_path / "out")
        assert samples(tmp_path / "out", task) == samples(published, task)


def test_a_folder_with_two_archives_is_refused(made, tmp_path):
    task = made[0].tasks[0]
    for name in ("a.csv", "a.zip", "b.zip"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(StageError, match=r"holds no \*\.parquet, and 2 \*\.zip"):
        convert(tmp_path, task, tmp_path / "out")
