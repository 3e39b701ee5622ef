"""Runs on a disk: found and shown in any state, and traced back to the pool, where whatever does not hold is seen."""

import json
import re
import shlex
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from datacomp import uids
from datacomp.artifacts import run as runs
from datacomp.artifacts import run_folder
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.run import Inputs
from datacomp.artifacts.subset import SubsetRecord
from datacomp.board import commands, trace
from datacomp.board.enter import About, enter
from datacomp.cli import app, run_tables
from datacomp.declared import suite, track
from datacomp.errors import DatacompError, StageError
from datacomp.filters.apply import apply
from datacomp.train.hardware import Hardware
from datacomp.train.run import train


def called(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def listing(*folders):
    done = called("runs", "list", *folders, "--json")
    assert done.exit_code == 0, done.exception
    return json.loads(done.output)


@pytest.fixture(scope="session")
def trained(tiny_scale, small_shards, tmp_path_factory):
    """A real run beside its shards, in a folder that tests copy."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(small_shards.path, folder / "shards")
    train(tiny_scale, (small_shards,), folder / "run", hardware=Hardware(workers=0))
    return folder


@pytest.fixture
def copied(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "copied")
    return tmp_path / "copied"


@pytest.fixture
def entered(make_run, tmp_path):
    """An entry of two seeds beside its runs, as `datacomp run` leaves them."""
    made = [make_run(f"seed{seed}", seed=seed) for seed in (0, 1)]
    entry = enter(made, suite.load("nano"), track.load("filtering"), About(method="top 30 %", author="somebody", description="it's good"))
    entry.write(tmp_path / "entry.json")
    return tmp_path / "entry.json"


# list and show


def test_runs_are_found_wherever_they_lie_and_in_whatever_state(make_run, tmp_path):
    make_run("a/finished", level=0.5)
    make_run("b/c/trained", suite=None)
    started = make_run("d/started").path
    (started / "run.json").unlink()
    broken = make_run("e/broken").path
    (broken / "run.json").write_text("{")
    make_run(".hidden/run")
    (started / "log.jsonl").write_text('{"step": 10, "loss": 4.5, "samples_per_s": 2000.0}\n{"step": 320, "loss": 2.5, "sam')
    found = {run["path"].removeprefix(f"{tmp_path}/"): run for run in listing(tmp_path)}
    assert [(path, run["state"]) for path, run in found.items()] == [
        ("a/finished", "finished"),
        ("b/c/trained", "finished"),
        ("d/started", "unfinished"),
        ("e/broken", "broken"),
    ]
    assert found["a/finished"]["averages"] == {"nano": pytest.approx(0.5)}
    assert found["b/c/trained"]["averages"] == {}
    assert (found["d/started"]["step"], found["d/started"]["steps"], found["d/started"]["loss"]) == (10, 800, 4.5)
    assert "is no runrecord record" in found["e/broken"]["problem"]
    text = called("runs", "list", tmp_path).output
    assert re.search(r"a/finished +nano +0 +clip_score +finished +nano 50\.0", text)
    assert re.search(r"d/started +nano +0 +clip_score +step 10 of 800 +4\.500", text)
    assert len(listing(tmp_path / "a", tmp_path / "d")) == 2


def test_a_folder_without_runs_has_none(tmp_path):
    assert called("runs", "list", tmp_path).output == "no runs\n"
    assert listing(tmp_path) == []


def test_a_run_that_was_just_stopped_is_unfinished(tiny_scale, small_shards, tmp_path, stopped):
    with stopped(4):
        train(tiny_scale, (small_shards,), tmp_path / "run", hardware=Hardware(workers=0))
    (found,) = listing(tmp_path)
    assert (found["state"], found["steps"]) == ("unfinished", None)  # its recipe is no scale's
    assert 0 < found["step"] < 6


def test_steps_that_were_taken_again_count_once(make_run):
    run = make_run()
    lines = [(1, 5.0), (10, 4.0), (20, 3.0), (11, 3.9), (30, 2.0)]  # killed after 20, resumed from 10
    text = "".join(f"{json.dumps({'step': step, 'loss': loss, 'samples_per_s': 100.0})}\n" for step, loss in lines)
    (run.path / "log.jsonl").write_text(text + '{"event": "resumed"}\n[1]\n{"step": 40, "loss": NaN}\n')
    assert [(line.step, line.loss) for line in run_folder.read(run.path).log] == [(1, 5.0), (10, 4.0), (11, 3.9), (30, 2.0)]


def test_a_sparkline_falls_with_the_loss():
    log = [run_folder.Logged(step, 8.0 - step / 100, 0.0) for step in range(1, 701)]
    assert run_tables.sparkline(log) == "".join(sorted(run_tables.sparkline(log), reverse=True))
    assert run_tables.sparkline(log)[0] == "█"
    assert run_tables.sparkline(log)[-1] == "▁"
    assert run_tables.sparkline(log[:1]) == "▁"


def test_everything_of_a_run_is_shown(make_run, trained):
    text = called("runs", "show", trained / "run").output
    for shown in (r"smoke, closed division", r"seed +0", r"shards, weight 1: 210 samples", r"list random \(fraction=0.35\)", r"pool nano, 600 samples reached"):
        assert re.search(shown, text), text
    for shown in (r"loss +\d\.\d{3} [▁-█]+ \d\.\d{3}", r"speed +[\d,]+ samples/s", r"step 4, 128 samples seen", r"cpu, threads: \d", r"torch \d"):
        assert re.search(shown, text), text
    evaluated = called("runs", "show", make_run(level=0.25).path).output
    assert re.search(r"average +mean +0\.2500 ±", evaluated)


def test_an_unfinished_run_is_shown_as_far_as_it_came(make_run):
    run = make_run()
    (run.path / "run.json").unlink()
    assert "unfinished, step 0 of 800" in called("runs", "show", run.path).output


def test_results_of_another_checkpoint_or_suite_are_not_shown_as_this_run_s(make_run):
    run = make_run()
    path = run.path / "evaluation" / "nano.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps(said | {"suite_sha256": "0" * 64}))
    assert listing(run.path)[0]["averages"] == {"nano": None}
    assert "another suite nano than today's" in called("runs", "show", run.path).output
    path.write_text(json.dumps(said | {"weights_sha256": "0" * 64}))
    assert listing(run.path)[0]["averages"] == {}


# trace


def states(links):
    return {f"{link.artefact}: {known.what}": known.state for link in links for known in link.digests}


def test_a_run_is_traced_to_the_pool_and_everything_that_is_here_holds(trained, small_pool):
    links = trace.trace(trained / "run", pool=small_pool.path)
    assert [link.artefact for link in links] == ["run", "shards", "list", "pool"]
    assert states(links) == {
        "run: run.json": "OK",
        "run: recipe": "FAIL",  # no scale of tracks/ has this test's recipe
        "run: code": "OK",
        **dict.fromkeys(weights_of(trained), "OK"),
        "shards: shards.json": "OK",
        "list: uids": "OK",
        "pool: uids": "FAIL",  # the first 600 samples are not pool nano
        "pool: uids reached": "OK",
        "pool: uids in the folder": "OK",
    }


def weights_of(folder):
    return [f"run: weights, step {checkpoint.step}" for checkpoint in runs.read(folder / "run").record.checkpoints]


def spoil_weights(folder):
    runs.read(folder / "run").weights().write_bytes(b"others")


def spoil_shards(folder):
    path = folder / "shards" / "shards.json"
    path.write_text(path.read_text().replace('"found_samples": 210', '"found_samples": 209'))


def spoil_tars(folder):
    next((folder / "shards").glob("*.tar")).unlink()


def spoil_list(folder):
    np.save(folder / "shards" / "sample_ids.npy", np.zeros(210, uids.UID))


def cut_list(folder):
    (folder / "shards" / "sample_ids.npy").write_bytes(b"\x93NUMPY")


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (spoil_weights, "run: weights, step 6"),
        (spoil_shards, "shards: shards.json"),
        (spoil_tars, "shards: shards.json"),
        (spoil_list, "list: uids"),
        (cut_list, "list: uids"),
    ],
)
def test_what_was_changed_is_found(copied, spoil, what):
    before = states(trace.trace(copied / "run"))
    spoil(copied)
    after = states(trace.trace(copied / "run"))
    assert (before[what], after[what]) == ("OK", "FAIL")


def test_what_is_gone_is_not_here(copied):
    weights = weights_of(copied)
    shutil.rmtree(copied / "shards")
    shutil.rmtree(copied / "run" / "checkpoints")
    found = states(trace.trace(copied / "run"))
    assert {what for what, state in found.items() if state == "not here"} == {
        *weights,
        "shards: shards.json",
        "list: uids",
        "pool: uids reached",
    }


def test_an_entry_is_traced_through_the_runs_beside_it(entered):
    done = called("trace", entered)
    assert done.exit_code == 0, done.exception
    assert "FAIL" not in done.output
    links = trace.trace(entered)
    assert [link.artefact for link in links] == ["entry", "results", "run", "results", "run", "shards", "list", "pool"]
    assert {state for what, state in states(links).items() if what.startswith(("entry", "results", "run"))} == {"OK"}
    assert json.loads(called("trace", entered, "--json").output) == [link.plain() for link in links]


def test_an_entry_alone_tells_all_digests_and_checks_what_is_ours(entered, tmp_path):
    (tmp_path / "alone").mkdir()
    alone = shutil.copy(entered, tmp_path / "alone" / "entry.json")
    links = trace.trace(alone)
    found = states(links)
    assert {what for what, state in found.items() if state == "OK"} == {
        "entry: entry",
        "entry: rules",
        "results: suite",
        "run: recipe",
        "run: code",
        "pool: uids",
    }
    assert "FAIL" not in found.values()
    here = states(trace.trace(alone, [entered.parent / "seed0", entered.parent / "seed1"]))
    assert here["run: run.json"] == "OK"


@pytest.mark.parametrize(("file", "what"), [("run.json", "run: run.json"), ("evaluation/nano.json", "results: results")])
def test_a_run_that_is_not_the_entry_s_is_found(entered, file, what):
    path = entered.parent / "seed1" / file
    path.write_text(path.read_text().replace("0.5", "0.6") + "\n")
    done = called("trace", entered)
    assert done.exit_code == 1
    assert isinstance(done.exception, StageError)
    assert f"{what.split(': ')[1]} of the {what.split(': ')[0]}" in str(done.exception)
    assert "FAIL" in done.output


def test_an_edited_entry_is_found(entered):
    content = json.loads(entered.read_text())
    content["aggregates"]["average"]["value"] += 0.01
    entered.write_text(json.dumps(content))
    first = trace.trace(entered)[0].digests[0]
    assert (first.state, first.note[:9]) == ("FAIL", "averages:")


def test_results_of_another_checkpoint_break_the_chain(make_run):
    run = make_run()
    path = run.path / "evaluation" / "nano.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights_sha256": "0" * 64}))
    assert states(trace.trace(run.path))["results: weights"] == "FAIL"


def test_a_run_that_is_not_finished_has_nothing_to_trace(make_run):
    run = make_run()
    (run.path / "run.json").unlink()
    with pytest.raises(StageError, match="holds no finished run, it is at step 0"):
        trace.trace(run.path)


def test_every_command_of_a_trace_is_one_that_the_program_knows(entered):
    for link in trace.trace(entered):
        words = shlex.split(link.command)
        done = called(*words[1:], "--help")
        assert done.exit_code == 0, link.command
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        assert options <= set(re.findall(r"--[a-z-]+", done.output)), link.command
    assert shlex.split(trace.trace(entered)[0].command)[-3:-1] == ["it's good", "--out"]


# commands


def told(filter_name, **options):
    return SubsetRecord(uids_sha256="b" * 64, samples=1, distinct_samples=1, filter=filter_name, options=options)


@pytest.mark.parametrize(
    "text",
    [
        "clip_score(l14, 0.3) & no_filter",
        "(random(0.5) | clip_score(b32, fraction=0.1)) - random(0.5, seed=7)",
        "random(0.2)",
        "basic_filter[ftz] - random(0.5)",
    ],
)
def test_the_command_of_a_list_makes_it_again(small_pool, tmp_path, text):
    first = apply(text, {}, small_pool, tmp_path / "list.npy")
    words = shlex.split(commands.of_list(first.record, str(small_pool.path), str(tmp_path / "again.npy")))
    assert called(*words[1:]).exit_code == 0
    assert subsets.read(tmp_path / "again.npy").record == first.record


def test_the_command_of_lists_that_were_joined_names_their_digests(small_pool, tmp_path):
    for place, fraction in enumerate((0.2, 0.3), 1):
        apply("random", {"fraction": fraction}, small_pool, tmp_path / f"{place}.npy")
    assert called("subset", "union", tmp_path / "1.npy", tmp_path / "2.npy", "--out", tmp_path / "both.npy").exit_code == 0
    command = commands.of_list(subsets.read(tmp_path / "both.npy").record)
    assert command.startswith("datacomp subset union LIST_1 LIST_2 --out LIST.npy  # of lists whose uids have sha256 ")
    assert subsets.read(tmp_path / "1.npy").record.uids_sha256 in command


@pytest.mark.parametrize("name", ["", "x; rm -rf ~", "no_filter, decontaminated", "a & b & " * 25, "$(id) & no_filter"])
def test_a_list_of_which_too_little_is_known_has_no_command(name):
    assert commands.of_list(told(name)).startswith("# LIST.npy: the author's list")


def test_options_of_strangers_stay_one_word():
    hostile = told("a & b", **{"1.x": "'; rm -rf ~ #", "2.y) & z(": "`id`"})
    words = shlex.split(commands.of_list(hostile))
    assert len(words) == 7
    assert words[3:] == ["--pool", "POOL", "--out", "LIST.npy"]


def test_several_sources_keep_their_weights_apart():
    assert "--shards A=2 --shards B=0.5 " in commands.of_run("nano", {}, 0, ["A", "B"], [2.0, 0.5], "RUN")
    assert "--division open" in commands.of_run("nano", {"optimizer.beta2": "0.9"}, 0, ["A"], [2.0], "RUN")


def test_a_run_of_the_open_division_is_traced_with_its_changes(make_entry, tmp_path):
    make_entry(changes={"optimizer.beta2": "0.9", "precision": '"float32"'}).write(tmp_path / "entry.json")
    links = trace.trace(tmp_path / "entry.json")
    assert "FAIL" not in states(links).values()
    (run,) = [link for link in links if link.artefact == "run"]
    assert """ --division open --set optimizer.beta2=0.9 --set 'precision="float32"' """ in run.command


def test_an_inputs_file_of_another_program_is_reported_and_not_followed(tmp_path):
    (tmp_path / "inputs.json").write_text('{"other": 1}')
    (found,) = listing(tmp_path)
    assert found["state"] == "broken"
    with pytest.raises(DatacompError, match=Inputs.__name__.lower()):
        run_folder.read(tmp_path)
