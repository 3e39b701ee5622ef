"""A list becomes an entry: the whole chain by the commands of the README, also when it is killed on the way."""

import itertools
import json
import os
import re
import shlex
import signal
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from folders import content

from datacomp.artifacts import pool as pools
from datacomp.artifacts import run as runs
from datacomp.artifacts.entry import Entry
from datacomp.board import averages, calibrate, trace
from datacomp.board.enter import About
from datacomp.declared import expected
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.filters.apply import apply
from datacomp.pipelines import miniature
from datacomp.pipelines.run import Chain

TESTS = Path(__file__).parent


def datacomp(*arguments, moment=("never", 0)):
    """Run a command, perhaps killed at a moment; return its exit code and output."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS.parent)}
    command = [sys.executable, str(TESTS / "killed.py"), *map(str, moment), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return miniature.make_test_sets(suites.load("nano"), tmp_path_factory.mktemp("evalsets"))


@pytest.fixture(scope="session")
def smoke(tmp_path_factory, data):
    """The smoke pool, a list from it, and one undisturbed chain."""
    folder = tmp_path_factory.mktemp("smoke")
    datacomp("pool", "make", "smoke", "--out", folder / "pool")
    datacomp("filter", "clip_score", "--fraction", "0.3", "--pool", folder / "pool", "--out", folder / "list.npy")
    datacomp(*chain(folder, folder / "undisturbed", data))
    return folder


def chain(folder, out, data, seed=0):
    who = ("--method", "CLIP score", "--author", "a test")
    how = ("--data", data, "--seed", seed, "--threads", 1)
    return ("run", "--scale", "smoke", "--pool", folder / "pool", "--subset", folder / "list.npy", *who, *how, "--out", out)


def test_the_chain_ends_in_an_entry_that_its_run_confirms(smoke):
    out = smoke / "undisturbed"
    entry = Entry.read(out / "entry.json")
    assert entry.marks == ("draft scale", "for tests only", "single seed")
    done = datacomp("verify", out / "entry.json", "--run", out / "seed0")
    assert "FAIL" not in done.stdout
    assert "trust level: artefacts checked" in done.stdout
    assert entry.runs[0].sources[0].subset.uids_sha256 == json.loads((smoke / "list.json").read_text())["uids_sha256"]


def test_the_stages_one_by_one_give_the_same_entry(smoke, data, tmp_path):
    shards, run_folder = tmp_path / "shards", tmp_path / "run"
    datacomp("reshard", "--scale", "smoke", "--pool", smoke / "pool", "--subset", smoke / "list.npy", "--out", shards)
    datacomp("train", "--scale", "smoke", "--shards", shards, "--out", run_folder, "--threads", 1)
    printed = datacomp("evaluate", "--run", run_folder, "--suite", "nano", "--data", data, "--threads", 1).stdout
    assert re.search(r"Objects\s+acc1\s+0\.\d{4} ± 0\.\d{4}", printed)
    datacomp("enter", "--run", run_folder, "--track", "filtering", "--method", "CLIP score", "--author", "a test", "--out", tmp_path / "entry.json")
    assert (tmp_path / "entry.json").read_bytes() == (smoke / "undisturbed" / "entry.json").read_bytes()


def test_an_entry_is_traced_back_to_the_pool_and_everything_holds(smoke):
    links = trace.trace(smoke / "undisturbed" / "entry.json", pool=smoke / "pool")
    assert [link.artefact for link in links] == ["entry", "results", "run", "shards", "list", "pool"]
    assert {known.state for link in links for known in link.digests} == {"OK"}


@pytest.mark.slow
def test_the_commands_of_a_trace_make_the_entry_again(smoke, data, tmp_path):
    links = trace.trace(smoke / "undisturbed" / "entry.json")
    more = {"run": ("--threads", 1), "results": ("--data", data, "--threads", 1)}
    for link in reversed(links):
        place = re.compile(r"\b(POOL|LIST|SHARDS|RUN|ENTRY)\b")
        words = [place.sub(lambda found: str(tmp_path / found[0].lower()), word) for word in shlex.split(link.command)]
        assert datacomp(*words[1:], *more.get(link.artefact, ())).returncode == 0
    assert (tmp_path / "entry.json").read_bytes() == (smoke / "undisturbed" / "entry.json").read_bytes()


def test_a_finished_chain_is_not_run_again(smoke, data):
    before = content(smoke / "undisturbed")
    done = datacomp(*chain(smoke, smoke / "undisturbed", data), moment=("step", 0))
    assert done.returncode == 0
    assert content(smoke / "undisturbed") == before


def test_a_dry_run_says_what_is_done_and_what_is_not(smoke, data, tmp_path):
    finished = datacomp(*chain(smoke, smoke / "undisturbed", data), "--dry-run").stdout
    assert [line.split()[0] for line in finished.splitlines()] == ["runs", *["done"] * 4]
    planned = datacomp(*chain(smoke, tmp_path / "out", data), "--dry-run").stdout
    assert "to do  train with seed 0: 50 steps of 128, 6,400 samples seen" in planned
    assert "done" not in planned
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("moment", [("after", 5), ("step", 23)], ids=["in resharding", "in training"])
def test_a_killed_chain_ends_with_the_same_entry(smoke, data, tmp_path, moment):
    assert datacomp(*chain(smoke, tmp_path / "out", data), moment=moment).returncode == -signal.SIGKILL
    assert not (tmp_path / "out" / "entry.json").exists()
    assert datacomp(*chain(smoke, tmp_path / "out", data)).returncode == 0
    assert content(tmp_path / "out") == content(smoke / "undisturbed")


def test_a_board_refuses_what_is_for_tests_only(smoke, tmp_path):
    (tmp_path / "entries").mkdir()
    (tmp_path / "entries" / "smoke.json").write_bytes((smoke / "undisturbed" / "entry.json").read_bytes())
    done = datacomp("board", "build", "--entries", tmp_path / "entries", "--out", tmp_path / "board")
    assert "left out: smoke.json: the scale has a board: scale smoke is for tests only" in done.stderr
    assert "0 entries" in done.stdout


@pytest.mark.slow
def test_two_runs_of_one_seed_are_equal_byte_for_byte_and_another_seed_is_not(smoke, data, tmp_path):
    for name, seed in (("again", 0), ("other", 1)):
        datacomp(*chain(smoke, tmp_path / name, data, seed))
    assert content(tmp_path / "again") == content(smoke / "undisturbed")
    entries = [Entry.read(out / "entry.json") for out in (tmp_path / "other", smoke / "undisturbed")]
    assert entries[0].runs[0].weights_sha256 != entries[1].runs[0].weights_sha256
    assert entries[0].aggregates != entries[1].aggregates


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_chain_killed_wherever_a_file_appears_ends_with_the_same_entry(smoke, data, tmp_path, moment):
    """Killed at its third new file, then at the third that the restart makes, and so on: stage borders and the inside of every stage."""
    arguments = chain(smoke, tmp_path / "out", data)
    kills = 0
    while datacomp(*arguments, moment=(moment, 3)).returncode:
        kills += 1
        assert kills < 60
    assert kills >= 8
    assert content(tmp_path / "out") == content(smoke / "undisturbed")


@pytest.mark.slow
@pytest.mark.parametrize("moment", [("step", 0), ("step", 49), ("task", 1), ("task", 5)], ids=str)
def test_a_chain_killed_inside_a_computation_ends_with_the_same_entry(smoke, data, tmp_path, moment):
    assert datacomp(*chain(smoke, tmp_path / "out", data), moment=moment).returncode == -signal.SIGKILL
    assert datacomp(*chain(smoke, tmp_path / "out", data)).returncode == 0
    assert content(tmp_path / "out") == content(smoke / "undisturbed")


@pytest.mark.slow
@pytest.mark.parametrize("moment", [("after", 2), ("before", 5)], ids=str)
def test_a_killed_pool_goes_on_to_the_same_bytes(smoke, tmp_path, moment):
    assert datacomp("pool", "make", "smoke", "--out", tmp_path / "pool", moment=moment).returncode == -signal.SIGKILL
    datacomp("pool", "make", "smoke", "--out", tmp_path / "pool")
    assert content(tmp_path / "pool") == content(smoke / "pool")


@pytest.mark.slow(minutes=10)
def test_at_nano_the_expected_scores_come_out_and_filters_are_told_apart(data, tmp_path):
    """Three seeds each: gaps are larger than two standard errors of the paired difference, no filter is above chance, baselines reach what is expected."""
    datacomp("pool", "make", "nano", "--out", tmp_path / "pool")
    pool, suite, scale, known = pools.read(tmp_path / "pool"), suites.load("nano"), scales.load("nano"), expected.load("nano")
    lists = {
        "no_filter": apply("no_filter", {}, pool, tmp_path / "no_filter.npy"),
        "clip_score_l14_30": apply("clip_score", {"fraction": 0.3}, pool, tmp_path / "clip_score.npy"),
        "oracle": miniature.oracle(pool, tmp_path / "oracle.npy"),
    }
    seeds = (0, 1, 2)
    scores = []  # of each list, its average under each seed
    for name, listed in lists.items():
        out = tmp_path / name
        entry = Chain(scale, pool.path, listed.path, About(method=name, author="a test"), out, suite, seeds=seeds, data=data).run()
        scores.append(averages.seed_means(suite, suite.counting, [run.tasks for run in entry.runs])[0])
        if name in known.baselines:
            assert not calibrate.compare([runs.read(out / f"seed{seed}") for seed in seeds], suite, known, name).outside
    chance = statistics.fmean(task.chance for task in suite.tasks)
    assert min(scores[0]) > chance + 0.05
    for worse, better in itertools.pairwise(scores):
        gaps = [b - w for w, b in zip(worse, better, strict=True)]
        assert statistics.fmean(gaps) > 2 * statistics.stdev(gaps) / len(seeds) ** 0.5, scores
