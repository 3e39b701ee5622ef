"""A rehearsal is killed and goes on, tells what the whole run will take, and is no entry."""

import json

import pytest
from typer.testing import CliRunner

from datacomp import cli, places
from datacomp.artifacts import run_folder
from datacomp.board import calibrate, enter, trace, verify
from datacomp.declared import expected
from datacomp.declared import suite as suites
from datacomp.declared import track as tracks
from datacomp.errors import EntryError, StageError
from datacomp.pipelines import rehearse
from datacomp.train import budget
from datacomp.train.hardware import Hardware
from datacomp.train.run import train

ALONE = Hardware(workers=0, threads=1)
REHEARSED = {"division": "rehearsal", "rehearsed_steps": 4}


@pytest.fixture(scope="module")
def rehearsed(tiny_scale, small_shards, small_suite, tmp_path_factory):
    """Four of the tiny scale's six steps."""
    return rehearse.rehearse(tiny_scale, (small_shards,), tmp_path_factory.mktemp("rehearsed") / "run", 4, *small_suite, hardware=ALONE)


def test_a_rehearsal_is_killed_and_goes_on_to_the_same_bytes(rehearsed):
    lines = [json.loads(line) for line in (rehearsed.run.path / "log.jsonl").read_text().splitlines()]
    assert [(line.get("event", "step"), line["step"]) for line in lines] == [
        *(("start", 0), ("step", 1), ("step", 2)),
        *(("start", 2), ("step", 3), ("step", 4), ("end", 4)),
    ]
    assert rehearsed.difference == 0


def test_a_rehearsal_leaves_the_real_run_s_folder_alone(rehearsed):
    path = rehearsed.run.path
    assert path.name == "run-rehearsal"
    assert [found.name for found in path.parent.iterdir()] == ["run-rehearsal"]
    assert not (path / "resume").exists()


def test_a_rehearsal_follows_the_real_schedule(rehearsed, tiny_scale, tiny_run):
    inputs = rehearsed.run.record.inputs
    assert (inputs.recipe_sha256, inputs.rehearsed_steps) == (tiny_scale.digest(), 4)
    logged = {line.step: line.loss for line in run_folder.read(rehearsed.run.path).log}
    real = {line.step: line.loss for line in run_folder.read(tiny_run.path).log if line.step in logged}
    assert logged == pytest.approx(real, abs=2e-6)  # that run may have had two threads, and losses are logged with six digits


def test_a_rehearsal_says_what_the_whole_run_will_take(rehearsed, small_suite):
    step, *_ = said = rehearse.report(rehearsed._replace(step_s=2.0, average=0.123))
    assert step == f"rehearsal   4 of 6 steps of scale smoke, in {rehearsed.run.path}: no entry"
    assert said[1] == "speed       2 s a step, 16.0 samples/s; the whole run: 12 seconds"
    assert said[2] == "going on    killed after 2 steps and started again: the same bytes as undisturbed"
    assert said[3] == "evaluation  average 12.3 % on 2 tasks of suite nano"
    assert "without --rehearse" in said[4]
    assert rehearsed.step_s > 0


def test_weights_that_differ_after_the_kill_are_an_error(tiny_scale, tiny_run, small_shards, tmp_path):
    other = train(tiny_scale, (small_shards,), tmp_path / "run", seed=1, hardware=ALONE)
    assert rehearse._difference(tiny_run, tiny_run) == 0
    with pytest.raises(StageError, match="weights that differ by"):
        rehearse._difference(tiny_run, other)


def test_missing_test_sets_are_an_error_before_anything_is_trained(tiny_scale, small_shards, small_suite, tmp_path):
    with pytest.raises(StageError, match="there is no test set at"):
        rehearse.rehearse(tiny_scale, (small_shards,), tmp_path / "run", 4, small_suite[0], tmp_path / "nothing", hardware=ALONE)
    assert not list(tmp_path.iterdir())


def test_another_folder_is_left_alone(tiny_scale, small_shards, small_suite, tmp_path):
    (tmp_path / "run-rehearsal").mkdir()
    (tmp_path / "run-rehearsal" / "mine").touch()
    with pytest.raises(StageError, match="holds something else than a rehearsal"):
        rehearse.rehearse(tiny_scale, (small_shards,), tmp_path / "run", 4, *small_suite, hardware=ALONE)
    assert (tmp_path / "run-rehearsal" / "mine").exists()


def test_a_rehearsal_in_a_store_is_refused(tiny_scale, small_shards, small_suite):
    with pytest.raises(StageError, match="give --out a folder of this machine"):
        rehearse.rehearse(tiny_scale, (small_shards,), places.at("s3://runs/run"), 4, *small_suite, hardware=ALONE)


def test_a_rehearsal_under_a_launcher_is_refused(tiny_scale, small_shards, small_suite, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    with pytest.raises(StageError, match=r"starts and kills its own processes.*--devices"):
        rehearse.rehearse(tiny_scale, (small_shards,), tmp_path / "run", 4, *small_suite, hardware=ALONE)


@pytest.mark.parametrize("steps", [3, 7])
def test_too_few_and_too_many_steps_are_refused(tiny_scale, steps):
    assert budget.course(tiny_scale.budget, 6).steps == 6
    with pytest.raises(StageError, match=rf"{steps} steps cannot be rehearsed. Allowed: 4 to 6"):
        budget.course(tiny_scale.budget, steps)


def test_a_rehearsal_goes_into_no_entry(make_run, make_entry, tmp_path):
    run = make_run(inputs=REHEARSED)
    with pytest.raises(EntryError, match=r"is a rehearsal of 4 steps, which is no entry.*without --rehearse"):
        enter.enter([run], suites.load("nano"), tracks.load("filtering"), enter.About(method="m", author="a"))
    with pytest.raises(StageError, match="is of the rehearsal division"):
        calibrate.compare([run], suites.load("nano"), expected.load("nano"), "no_filter")
    make_entry().write(tmp_path / "entry.json")
    _, checks, _ = verify.verify(tmp_path / "entry.json", verify.Beside(runs=(run.path,)))
    assert "is a rehearsal of 4 steps" in checks[-1].problem


def test_the_command_behind_a_rehearsal_is_a_rehearsal_s(make_run):
    chains = [trace.trace(make_run(name, inputs=inputs).path, (), None) for name, inputs in (("a", REHEARSED), ("b", {}))]
    commands = [next(link.command for link in chain if link.artefact == "run") for chain in chains]
    assert [command.endswith(" --rehearse 4") for command in commands] == [True, False]


def test_test_sets_are_for_a_rehearsal(tmp_path):
    said = CliRunner().invoke(cli.app, ["train", "--scale", "smoke", "--shards", "x", "--out", str(tmp_path / "run"), "--data", str(tmp_path)])
    assert "--data came without --rehearse" in str(said.exception)


def test_an_entry_that_says_it_is_a_rehearsal_does_not_hold(make_entry):
    problems = {check.name: check.problem for check in verify.check(make_entry(division="rehearsal"))}
    assert problems["rules of the track"].startswith("a rehearsal is no entry")
