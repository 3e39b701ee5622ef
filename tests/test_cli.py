"""The command line: every command explains itself, and every mistake ends in one line, a non-zero exit and nothing half-written."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from datacomp import digest, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.cli import app
from datacomp.filters.apply import apply
from datacomp.reshard.run import Form, reshard

ROOT = Path(__file__).parent.parent
PROMISED = {  # these names stay
    *("pool make", "filter", "subset check", "subset info", "reshard", "train", "evaluate", "export", "enter", "verify"),
    *("board build", "board serve", "run", "demo", "estimate", "score", "calibrate", "runs list", "runs show", "trace"),
    *("cluster make", "cluster report", "cluster centroids", "cluster features"),
    *("submit list", "submit prepare", "submit validate", "submit push", "submit status"),
}


def datacomp(*arguments, cwd=None, wrapper=(), path=ROOT):
    environment = os.environ | {"PYTHONPATH": str(path), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    command = [*wrapper, sys.executable, "-P", "-m", "datacomp", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=120)


def assert_one_clear_line(done, expected):
    """A failed command: one line on standard error behind any progress bars, which says what is wrong and how to mend it."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in re.split(r"[\r\n]+", done.stderr) if line.strip() and not re.search(r"\d+%\||: 0 |it/s|/s\]", line)]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("datacomp: ")
    assert re.search(expected, lines[0]), lines[0]


def commands():
    found = {}

    def walk(group, prefix):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                walk(command, f"{prefix}{name} ")
            else:
                found[prefix + name] = command

    walk(typer.main.get_command(app), "")
    return found


def test_the_promised_commands_are_there():
    assert set(commands()) >= PROMISED


@pytest.mark.parametrize("name", commands())
def test_every_command_has_help_with_an_example_of_its_own(name):
    text = " ".join(CliRunner().invoke(app, [*name.split(), "--help"]).output.split())
    assert f"Example: datacomp {name}" in text


@pytest.mark.parametrize("name", commands())
def test_an_example_s_options_are_the_command_s(name):
    command = commands()[name]
    known = {option for parameter in command.params for option in getattr(parameter, "opts", ())}
    assert set(re.findall(r"--[a-z-]+", command.epilog)) <= known


@pytest.fixture
def listed(small_pool, tmp_path):
    return apply("random", {"fraction": 0.3}, small_pool, tmp_path / "list.npy")


def save(path, array):
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=True)
    return path


def left_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def test_an_unsorted_list_is_refused_with_the_command_that_mends_it(small_pool, listed, tmp_path):
    unsorted = save(tmp_path / "unsorted.npy", listed.uids[::-1])
    done = datacomp("reshard", "--pool", small_pool.path, "--subset", unsorted, "--out", tmp_path / "shards")
    assert_one_clear_line(done, "is not sorted.*Repair: datacomp subset repair")
    assert not left_in(tmp_path / "shards")
    repair = re.search(r"Repair: datacomp (.*)\.$", done.stderr.strip()).group(1)
    assert datacomp(*repair.split()).returncode == 0
    assert datacomp("subset", "check", tmp_path / "unsorted-sorted.npy", "--pool", small_pool.path).returncode == 0


def test_a_pickled_list_is_refused_and_runs_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "run"), "w"))

    save(tmp_path / "list.npy", np.array([Evil()], object))
    assert_one_clear_line(datacomp("subset", "check", tmp_path / "list.npy"), "pickled objects, which are never loaded")
    (tmp_path / "list.npy").write_bytes(pickle.dumps(Evil()))
    assert_one_clear_line(datacomp("subset", "info", tmp_path / "list.npy"), "is no uid list")
    assert left_in(tmp_path) == ["list.npy"]


def test_foreign_uids_are_refused(small_pool, listed, tmp_path):
    foreign = save(tmp_path / "foreign.npy", np.concatenate([np.zeros(2, uids.UID), listed.uids]))
    assert_one_clear_line(datacomp("subset", "check", foreign, "--pool", small_pool.path), "2 of the 182 uids .* are not in the pool")
    assert not foreign.with_suffix(".json").exists()
    done = datacomp("reshard", "--pool", small_pool.path, "--subset", foreign, "--out", tmp_path / "shards")
    assert_one_clear_line(done, "2 of the 182 listed samples cannot be found: 2 not in the pool")
    assert left_in(tmp_path / "shards") == ["asked.json", "found.json", "samples.npy"]


@pytest.fixture
def pool_copy(small_pool, tmp_path):
    shutil.copytree(small_pool.path, tmp_path / "pool")
    return tmp_path / "pool"


def test_a_truncated_tar_is_refused(pool_copy, listed, tmp_path):
    tar = pool_copy / "shards" / "00000000.tar"
    with tarfile.open(tar) as whole:
        members = {json.load(whole.extractfile(name))["uid"]: name for name in whole.getnames() if name.endswith(".json")}
        caption = members[uids.text(listed.uids)[90]].replace(".json", ".txt")
        inside = whole.getmember(caption).offset_data + 1  # of a listed sample whose uid has been read
    tar.write_bytes(tar.read_bytes()[:inside])
    done = datacomp("reshard", "--pool", pool_copy, "--subset", listed.path, "--out", tmp_path / "shards")
    assert not list((tmp_path / "shards").glob("*.tar"))
    assert_one_clear_line(done, r"1 corrupt, \d+ not downloaded.*00000000\.tar the first.*Repair: .*--allow-missing")


def test_a_missing_table_is_refused(pool_copy, tmp_path):
    (pool_copy / "metadata" / "00000000.parquet").unlink()
    done = datacomp("filter", "no_filter", "--pool", pool_copy, "--out", tmp_path / "out.npy")
    assert_one_clear_line(done, r"lacks 00000000\.parquet")
    assert not (tmp_path / "out.npy").exists()


def test_a_changed_recipe_is_refused(small_shards, tmp_path):
    for part in ("datacomp", "tracks", "eval_suite", "leaderboard"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    recipe = tmp_path / "tracks" / "scales" / "small.toml"
    recipe.write_text(recipe.read_text().replace("warmup_steps = 500", "warmup_steps = 50"))
    done = datacomp("train", "--scale", "small", "--shards", small_shards.path, "--out", tmp_path / "run", path=tmp_path)
    assert_one_clear_line(done, r"tracks/scales/small\.toml was changed.*a frozen record never changes")
    assert not (tmp_path / "run").exists()


def test_an_entry_with_an_edited_average_is_refused(make_entry, tmp_path):
    path = tmp_path / "entry.json"
    make_entry().write(path)
    assert datacomp("verify", path).returncode == 0
    content = json.loads(path.read_text())
    content["aggregates"]["average"]["value"] += 0.01
    path.write_text(digest.canonical(content))
    assert_one_clear_line(datacomp("verify", path), "does not hold: averages: average is 0.5")


@pytest.fixture
def read_only(tmp_path):
    """A folder that nobody can write to, and what to put before a command so that even root cannot."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    if os.geteuid():
        folder.chmod(0o555)
        return folder, ()
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("root, and a private mount cannot be made here")
    return folder, ("unshare", "-m", "sh", "-c", f'mount -t tmpfs -o ro tmpfs {folder} && exec "$@"', "sh")


def test_a_read_only_place_is_refused(small_pool, listed, make_entry, tmp_path, read_only):
    folder, wrapper = read_only
    entry = tmp_path / "entries" / "entry.json"
    make_entry().write(entry)
    shards = reshard(small_pool, listed, tmp_path / "shards", Form(1000))
    for arguments in (
        ("filter", "no_filter", "--pool", small_pool.path, "--out", folder / "list.npy"),
        ("reshard", "--pool", small_pool.path, "--subset", listed.path, "--out", folder / "shards"),
        ("train", "--scale", "smoke", "--shards", shards.path, "--out", folder / "run"),
        ("board", "build", "--entries", entry.parent, "--out", folder / "board"),
    ):
        assert_one_clear_line(datacomp(*arguments, wrapper=wrapper), r"read-only.*(Read-only file system|Permission denied).*Repair:")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("filter", "clip_scores", "--pool", "POOL", "--out", "x.npy"), "'clip_scores' is no filter. Allowed: basic_filter, clip_score"),
        (("filter", "clip_score", "--pool", "POOL", "--out", "x.npy"), "add one, as in: --fraction 0.3"),
        (("filter", "clip_score", "--pool", "POOL", "--arch", "h14", "--fraction", "0.3", "--out", "x.npy"), "--arch b32, --arch l14"),
        (("filter", "no_filter", "--pool", "nowhere", "--out", "x.npy"), "nowhere is no pool.*datacomp pool make"),
        (("pool", "make", "giga", "--out", "x"), "'giga' is not among the pools"),
        (("pool", "make", "commonpool_small", "--out", "x"), "lies on the web"),
        (("score", "--pool", "POOL", "--model", "ViT-B-32", "--out", "x"), "nothing is downloaded.*add --weights"),
        (("train", "--scale", "nana", "--shards", "x", "--out", "y"), "'nana' is not among the scales.*nano"),
        (("train", "--scale", "nano", "--shards", "nowhere", "--out", "y"), "there are no training shards at nowhere.*datacomp reshard"),
        (("evaluate", "--run", "nowhere", "--suite", "nano"), "holds no finished run"),
        (("export", "--run", "nowhere", "--out", "x"), "holds no finished run.*datacomp train"),
        (("verify", "nowhere.json"), "there is no record at nowhere.json"),
        (("calibrate", "--run", "nowhere"), "holds no finished run"),
        (("runs", "list", "nowhere"), "there is no folder nowhere.*datacomp runs list build"),
        (("runs", "show", "nowhere"), "nowhere holds no run.*datacomp runs list"),
        (("trace", "nowhere.json"), "there is no record at nowhere.json"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, tuple) else "",
)
def test_a_newcomer_s_mistake_says_what_to_do(arguments, expected, small_pool, tmp_path):
    arguments = [str(small_pool.path) if argument == "POOL" else argument for argument in arguments]
    assert_one_clear_line(datacomp(*arguments, cwd=tmp_path), expected)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("said", [("--method", "x" * 101), ("--author", "x" * 101), ("--link", "javascript:alert(1)")], ids=lambda said: said[0])
def test_what_cannot_stand_in_an_entry_is_refused_before_anything_runs(small_pool, listed, tmp_path, said):
    chain = ("run", "--scale", "smoke", "--pool", small_pool.path, "--subset", listed.path, "--method", "a", "--author", "b", "--out", tmp_path / "out")
    assert_one_clear_line(datacomp(*chain, *said), f"what is said of the entry is no about record: {said[0][2:]}")
    assert not (tmp_path / "out").exists()


def test_an_error_cannot_write_escapes_to_the_terminal(tmp_path):
    (tmp_path / "entry.json").write_text(json.dumps({"\x1b[31mred\x1b[0m": 1}))
    assert "\x1b" not in datacomp("verify", tmp_path / "entry.json").stderr


def test_commands_say_what_they_did(small_pool, tmp_path):
    out = tmp_path / "list.npy"
    done = datacomp("filter", "clip_score", "--pool", small_pool.path, "--fraction", "0.1", "--arch", "b32", "--exact-count", "--out", out)
    assert done.stdout == f"runs on this machine: there is no datacomp.toml here\n60 uids in {out}\n"
    about = datacomp("subset", "info", out).stdout
    assert re.search(r"filter +clip_score", about)
    assert re.search(r"options +\{.*'clip_b32_similarity_score'", about)
    assert len(subsets.read(out).uids) == 60 < len(pools.all_uids(small_pool))
