"""Parts of an entry made again: honest runs agree, whatever they ran on, and what was never measured or trained so does not."""

import json
import re
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from datacomp import digest
from datacomp.artifacts import results as results_files
from datacomp.artifacts import run as runs
from datacomp.artifacts import run_folder
from datacomp.artifacts.entry import Entry
from datacomp.artifacts.results import Results, TaskResult
from datacomp.artifacts.shards import ShardSet
from datacomp.board import enter, verify
from datacomp.cli import app
from datacomp.declared import pool as pools
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.declared import track as tracks
from datacomp.errors import StageError
from datacomp.evaluate.run import evaluate
from datacomp.filters.apply import apply
from datacomp.pipelines import rerun
from datacomp.reshard.run import Form, reshard
from datacomp.train.hardware import Hardware
from datacomp.train.run import train

STEPS = 4
ALONE = Hardware(device="cpu", threads=1, workers=0)
HONEST = [(seed, Hardware("cpu", devices, threads, 0, accumulate)) for seed in range(5) for devices, threads, accumulate in (
    (1, 1, 1), (1, 2, 1), (1, 4, 1), (2, 1, 1), (2, 2, 1), (4, 1, 2),
)]  # fmt: skip


class Site(NamedTuple):
    """Where a tiny scale, suite and pool are the declared ones."""

    scale: scales.Scale
    suite: suites.Suite
    shards: ShardSet

    def entered(self, folder, seed, hardware, edit=lambda path: None):
        """Train, evaluate, edit what that left, and enter it."""
        run = train(self.scale, (self.shards,), folder / "run", seed=seed, hardware=hardware)
        evaluate(run, self.scale, self.suite, self.data, device="cpu", threads=hardware.threads)
        edit(run.path)
        entry = enter.enter([runs.read(run.path)], self.suite, tracks.load("filtering"), enter.About(method="random", author="somebody"))
        entry.write(folder / "entry.json")
        return folder / "entry.json", verify.Beside((run.path,), (self.shards.path / "sample_ids.npy",))

    def again(self, entered, tasks=("nano/objects",), steps=STEPS, **other):
        wanted = {"tasks": tasks, "steps": steps, "data": self.data, "shards": (self.shards,), "hardware": ALONE} | other
        _, checks, level = rerun.check(*entered, rerun.Wanted(**wanted))
        return [f"{check.name}: {check.problem}" for check in checks if check.problem], level

    data: object = None


@pytest.fixture
def site(tiny_scale, small_suite, small_shards, small_pool, monkeypatch):
    monkeypatch.setattr(scales, "load", lambda name: tiny_scale)
    monkeypatch.setattr(suites, "load", lambda name, version=None: small_suite[0])
    spec = pools.load("nano").model_copy(update={"name": tiny_scale.pool, "uids_sha256": small_pool.record.uids_sha256})
    monkeypatch.setattr(pools, "load", lambda name: spec)
    return Site(tiny_scale, small_suite[0], small_shards, small_suite[1])


def test_the_list_in_the_shards_beside_a_run_is_found(site, tmp_path):
    path, beside = site.entered(tmp_path, 0, ALONE)
    assert verify.verify(path, verify.Beside(beside.runs))[2] == verify.SELF_REPORTED
    (tmp_path / site.shards.path.name).symlink_to(site.shards.path)
    assert verify.verify(path, verify.Beside(beside.runs))[2] == verify.ARTEFACTS_CHECKED


def check_honest(site, folder, seed, hardware):
    assert site.again(site.entered(folder, seed, hardware), ("nano/objects", "nano/shape")) == ([], verify.RERUN)


def test_an_honest_run_comes_out_again_with_other_threads(site, tmp_path):
    check_honest(site, tmp_path, 1, ALONE._replace(threads=2))


@pytest.mark.slow(minutes=12)
@pytest.mark.parametrize(("seed", "hardware"), HONEST, ids=[f"seed{seed}-{how.devices}x{how.threads}-{how.accumulate}" for seed, how in HONEST])
def test_honest_runs_come_out_again_whatever_they_ran_on(site, tmp_path, seed, hardware):
    check_honest(site, tmp_path, seed, hardware)


@pytest.fixture
def entered(site, tmp_path):
    return site.entered(tmp_path, 0, ALONE)


def test_re_run_means_both_an_evaluation_and_steps(site, entered):
    assert site.again(entered, steps=0) == ([], verify.ARTEFACTS_CHECKED)
    assert site.again(entered, tasks=()) == ([], verify.ARTEFACTS_CHECKED)


def more_right(run):
    """The results' file with more right answers, as if they had been measured."""
    path = results_files.path_in(run, "nano")
    content = json.loads(path.read_text())
    found = content["tasks"][0]
    share = found["metrics"]["acc1"] + 10 / found["samples"]
    found["metrics"] = dict.fromkeys(found["metrics"], share)
    found["standard_errors"] = dict.fromkeys(found["standard_errors"], (share * (1 - share) / found["samples"]) ** 0.5)
    path.write_text(digest.canonical(Results.parse(json.dumps(content), "a forgery").plain()))


def test_scores_that_the_checkpoint_does_not_reach_are_found(site, tmp_path):
    """All digests hold: the file of results itself was made up."""
    forged = site.entered(tmp_path, 0, ALONE, more_right)
    assert verify.verify(*forged)[2] == verify.ARTEFACTS_CHECKED
    (problem,), level = site.again(forged, ("nano/objects", "nano/shape"), steps=0)
    assert re.match(r"seed 0, nano/objects again: acc\w+ is 0\.\d+ in the entry and 0\.\d+ here", problem)
    assert level == verify.SELF_REPORTED


def relabelled(site, run, seed):
    """The log of a training with another seed under this run's name."""
    other = train(site.scale, (site.shards,), run.with_name("other"), seed=seed, hardware=ALONE)
    (run / run_folder.LOG).write_bytes((other.path / run_folder.LOG).read_bytes())


def test_a_loss_curve_of_another_training_is_found(site, tmp_path):
    forged = site.entered(tmp_path, 0, ALONE, lambda run: relabelled(site, run, 1))
    (problem,), level = site.again(forged, ())
    assert re.match(r"seed 0, the first 4 steps again: the loss after step 1 is \d\.\d{4} as submitted and \d\.\d{4} here", problem)
    assert level == verify.SELF_REPORTED


@pytest.mark.parametrize("log", ["", '{"step": 0, "loss": 5.0}\n{"step": 5, "loss": 4.0}\n'])
def test_a_log_without_the_first_steps_cannot_be_compared(site, tmp_path, log):
    forged = site.entered(tmp_path, 0, ALONE, lambda run: (run / run_folder.LOG).write_text(log))
    assert re.search(r"the submitted (log.jsonl|loss curve) has no loss of step 1$", site.again(forged, ())[0][0])


def test_the_curve_of_an_entry_stands_for_a_log_that_is_not_there(site, entered):
    (run,) = entered[1].runs
    (run / run_folder.LOG).unlink()
    assert Entry.read(entered[0]).runs[0].loss_curve.steps == tuple(range(1, 7))
    assert site.again(entered, ()) == ([], verify.ARTEFACTS_CHECKED)


def test_a_curve_that_is_not_the_log_s_is_found(site, entered):
    path, beside = entered
    content = json.loads(path.read_text())
    content["runs"][0]["loss_curve"]["losses"][5] -= 0.5
    path.write_text(digest.canonical(content))
    assert "the entry says something else about its loss_curve" in "".join(check.problem for check in verify.verify(path, beside)[1])


def test_other_shards_are_refused(site, entered, small_pool, tmp_path):
    listed = apply("random", {"fraction": 0.35, "seed": 1}, small_pool, tmp_path / "list.npy")
    other = reshard(small_pool, listed, tmp_path / "shards", Form(site.scale.sampling.shard_samples))
    assert "are not those of the run" in site.again(entered, (), shards=(other,))[0][0]


def test_nothing_is_made_again_of_an_entry_that_does_not_hold(site, entered, monkeypatch):
    monkeypatch.setattr(rerun, "evaluate", None)  # would fail if it were called
    content = json.loads(entered[0].read_text())
    content["aggregates"]["average"]["value"] = 0.9
    entered[0].write_text(digest.canonical(content))
    assert [problem[:8] for problem in site.again(entered)[0]] == ["averages"]


def test_nothing_can_be_made_again_without_the_runs(entered):
    with pytest.raises(StageError, match=r"without the submitted runs.*--run RUN"):
        rerun.check(entered[0], verify.Beside(), rerun.Wanted(tasks=("nano/objects",)))


def test_an_unknown_task_is_told(site, entered):
    assert "suite nano has no task nano/nothing" in site.again(entered, ("nano/nothing",), 0)[0][0]


def test_the_command_makes_parts_again(site, entered):
    path, beside = entered
    arguments = ["verify", path, "--run", *beside.runs, "--subset", *beside.lists, "--data", site.data, "--threads", 1, "--device", "cpu"]
    arguments += ["--rerun-eval", "nano/objects,nano/shape", "--rerun-train", STEPS, "--shards", site.shards.path]
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, done.output + str(done.exception)
    assert "pass  seed 0, nano/shape again\n" in done.output
    assert "pass  seed 0, the first 4 steps again\n" in done.output
    assert "\ntrust level: re-run\n" in done.output


# tolerances


def result(value, samples=1000, name="acc1"):
    return TaskResult(task="a", samples=samples, data_sha256="0" * 64, metrics={name: value, "acc5": None}, standard_errors={})


@pytest.mark.parametrize(("claimed", "found", "samples", "holds"), [
    (0.5, 0.502, 1000, True), (0.5, 0.503, 1000, False), (0.5, 0.52, 100, True), (0.5, 0.53, 100, False), (0.5, None, 1000, False),
])  # fmt: skip
def test_a_metric_may_differ_by_a_few_samples(claimed, found, samples, holds):
    assert (rerun.other_metrics(result(claimed, samples), result(found, samples)) == "") == holds


@pytest.mark.parametrize(("name", "holds"), [("acc_wg", True), ("acc1", False), ("text_retrieval_recall@1", False)])
def test_a_sample_weighs_more_in_a_mean_over_classes_or_groups(name, holds):
    assert (rerun.other_metrics(result(0.5, name=name), result(0.509, name=name)) == "") == holds
    assert rerun.other_metrics(result(0.5, name=name), result(0.52, name=name)) != ""


@pytest.mark.parametrize(("precision", "difference", "holds"), [
    ("float32", 5e-4, True), ("float32", 2e-3, False), ("amp_bfloat16", 5e-3, True), ("amp_bfloat16", 2e-2, False),
])  # fmt: skip
def test_a_loss_may_differ_by_what_precisions_make(precision, difference, holds):
    assert (rerun.other_losses({3: 5.0}, {3: 5.0 + difference}, rerun.LOSS[precision]) == "") == holds


def test_a_loss_that_is_no_number_differs():
    assert rerun.other_losses({3: 5.0}, {3: float("nan")}, 1.0) != ""
