"""A plan's grid shares runs, is run to its end whatever kills it on the way, and becomes points."""

import json

import numpy as np
import pytest
from folders import content
from typer.testing import CliRunner

from datacomp.artifacts import results, shards, subset
from datacomp.artifacts import run as runs
from datacomp.cli import app
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.errors import StageError
from datacomp.launch import profile
from datacomp.pipelines import grid, measured, scaling
from datacomp.pipelines.grid import Plan
from datacomp.pipelines.scaling import Experiment
from datacomp.scaling import points

SCORE = "clip_l14_similarity_score"


def planned(scale, suite, **more):
    return Plan.model_validate(
        {
            "scale": scale.name,
            "recipe_sha256": scale.digest(),
            "suite": suite.spec.name,
            "suite_sha256": suite.digest(),
            "pool_uids_sha256": "",
            "score": {"score": SCORE},
            "buckets": 2,
            "budgets": (96, 128, 192),
            "check_budgets": (),
            "check_unions": (),
            "seeds": (0,),
            "share": True,
        }
        | more
    )


@pytest.fixture
def nano():
    return scales.load("nano"), suites.load("nano")


def test_checkpoints_serve_the_budgets_that_they_fall_on(nano):
    scale, suite = nano
    plan = planned(scale, suite, budgets=(12_800, 25_600, 51_200, 102_400))
    assert [(run.steps, run.checkpoints, run.served) for run in grid.trainings(plan, scale) if run.part == "0-50"] == [(800, 8, (100, 200, 400, 800))]
    apart = grid.trainings(plan.model_copy(update={"share": False}), scale)
    assert [(run.steps, run.checkpoints, run.served) for run in apart if run.part == "0-50"] == [(step, 1, (step,)) for step in (800, 400, 200, 100)]


def test_a_budget_that_no_checkpoint_falls_on_has_a_run_of_its_own(nano):
    scale, suite = nano
    courses = grid.trainings(planned(scale, suite, budgets=(128 * 200, 128 * 211, 128 * 800)), scale)
    assert [(run.steps, run.served) for run in courses if run.part == "0-50"] == [(800, (200, 800)), (211, (211,))]


def test_every_seed_union_and_further_budget_is_trained(nano):
    scale, suite = nano
    plan = planned(scale, suite, buckets=4, budgets=(1280, 2560), check_unions=(2, 4), check_budgets=(3840,), seeds=(0, 1))
    found = grid.trainings(plan, scale)
    assert {run.part for run in found} == {"0-25", "25-50", "50-75", "75-100", "0-50", "0-100"}
    for part in ("0-25", "0-50"):
        assert {step for run in found if (run.part, run.seed) == (part, 1) for step in run.served} == {10, 20, 30}
    assert len({run.name for run in found}) == len(found)


def test_what_a_grid_takes_is_less_where_runs_are_shared(nano):
    scale, suite = nano
    plan = planned(scale, suite, budgets=(25_600, 51_200, 102_400))
    shared, apart = (grid.price(plan.model_copy(update={"share": share}), scale, suite, 102_400, card="a100", samples_per_s=1000) for share in (True, False))
    assert (shared.trainings, apart.trainings) == (2, 6)
    assert shared.evaluations == apart.evaluations == 6
    assert shared.samples_seen == 2 * 102_400
    assert shared.apart_samples_seen == apart.samples_seen == 2 * 179_200
    assert shared.device_hours == pytest.approx(204.8 / 3600)
    assert shared.shards_samples == 102_400
    assert shared.checkpoint_bytes > 0


def test_what_a_tiny_model_takes_is_not_guessed(nano):
    scale, suite = nano
    found = grid.price(planned(scale, suite, budgets=(25_600,)), scale, suite, 102_400, card="a100")
    assert (found.device_hours, found.shards_bytes) == (None, None)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"buckets": 0}, "0 buckets"),
        ({"budgets": (128, 256)}, "2 budgets give 4 points for 6 parameters"),
        ({"check_budgets": (128,)}, "both fitted and checked"),
        ({"check_unions": (3,)}, "a union of 3 buckets"),
        ({"seeds": (0, 0), "budgets": (128, 256, 384, 512)}, "seed 0 came twice"),
    ],
)
def test_a_plan_that_no_law_could_be_fitted_to_is_refused(nano, changes, why):
    with pytest.raises(StageError, match=why):
        grid.check(planned(*nano, **({"budgets": (128, 256, 384, 512)} | changes)))


def test_budgets_are_whole_batches_beyond_the_warm_up(nano):
    scale, _ = nano
    assert grid.whole_batches(scale, [1e5, 12_800, 12_801]) == (12_800, 99_968)
    with pytest.raises(StageError, match="in which the learning rate rises"):
        grid.whole_batches(scale, [6400, 12_800])


@pytest.fixture(scope="module")
def experiment(small_pool, small_suite, tiny_scale, tmp_path_factory):
    """Two buckets at three budgets of two to six steps, their union, and a budget more; run undisturbed."""
    suite, data = small_suite
    plan = planned(tiny_scale, suite, budgets=(96, 128, 160, 192), check_budgets=(224,), check_unions=(2,))
    made = Experiment(plan, tiny_scale, suite, small_pool.path, tmp_path_factory.mktemp("plan") / "plan", data, threads=1)
    made.run()
    return made


def test_a_plan_ends_with_a_point_for_each_bucket_and_budget(experiment):
    found = scaling.measure(experiment.plan, experiment.out, experiment.suite)
    assert found.samples == {"0-50": 300.0, "50-100": 300.0}
    assert sorted((point.pool, point.seen) for point in found.points) == [(name, seen) for name in ("0-50", "50-100") for seen in (96, 128, 160, 192)]
    assert {(point.pool, point.seen) for point in found.checks if " + " in point.pool} == {("0-50 + 50-100", seen) for seen in (96, 128, 160, 192, 224)}
    assert {point.pool for point in found.checks if point.seen == 224} == {"0-50", "50-100", "0-50 + 50-100"}
    assert all(0 < point.error <= 1 for point in (*found.points, *found.checks))
    assert {point.is_mid for point in found.points} == {True}  # all within the run of 224 samples
    assert all(step.is_done for step in experiment.steps())


def test_the_table_that_is_left_reads_as_what_was_measured(experiment):
    found, read = scaling.measure(experiment.plan, experiment.out, experiment.suite), points.read(experiment.out / scaling.POINTS)
    assert read.samples == found.samples
    for one, other in ((read.points, found.points), (read.checks, found.checks)):
        assert [point._replace(error=0) for point in one] == [point._replace(error=0) for point in other]
        assert [point.error for point in one] == pytest.approx([point.error for point in other], abs=1e-6)


def test_buckets_share_the_pool_by_rank_and_a_union_is_their_sum(experiment, tmp_path):
    best, rest, both = (subset.read(scaling.list_path(experiment.out, name)) for name in ("0-50", "50-100", "0-100"))
    assert (len(best.uids), len(rest.uids), len(both.uids)) == (300, 300, 600)
    assert len(np.unique(np.concatenate([best.uids, rest.uids]))) == 600
    joined = scaling.union_list(experiment.out, ("0-50", "50-100"), tmp_path / "union.npy")
    assert joined.record.uids_sha256 == both.record.uids_sha256
    assert shards.read(experiment.out / "shards" / "0-100").record.found_samples == 600


@pytest.mark.parametrize("publishes", [3, 40, 75])
def test_a_stopped_plan_goes_on_and_ends_the_same(experiment, stopped, tmp_path, publishes):
    again = Experiment(experiment.plan, experiment.scale, experiment.suite, experiment.pool, tmp_path / "plan", experiment.data, threads=1)
    with stopped(publishes):
        again.run()
    assert not all(step.is_done for step in again.steps())
    again.run()
    assert content(again.out) == content(experiment.out)


def test_a_finished_plan_does_nothing_and_another_one_is_refused_there(experiment, stopped):
    before = content(experiment.out)
    experiment.run()
    assert content(experiment.out) == before
    other = Experiment(experiment.plan.model_copy(update={"seeds": (1,)}), experiment.scale, experiment.suite, experiment.pool, experiment.out, experiment.data)
    with pytest.raises(StageError, match="holds a plan with another seeds"):
        other.check(profile.choose())


def test_runs_that_no_plan_asked_for_are_points_as_well(experiment, tmp_path):
    found = measured.read(experiment.out / "runs" / "0-50", experiment.suite)
    assert list(found.samples.values()) == [300.0]
    assert {point.seen for point in found.points} == {96, 128, 160, 192, 224}
    assert sum(not point.is_mid for point in found.points) == 1
    everything = measured.read(experiment.out / "runs", experiment.suite, "nano/shape")
    assert set(everything.samples) == {"0-50", "50-100", "0-100"}


def test_runs_that_lie_on_different_curves_are_not_joined(make_run, tmp_path):
    suite = suites.load("nano")
    make_run("a/seed0")
    make_run("a/seed1", seed=1, level=0.4)
    found = measured.read(tmp_path, suite)
    assert [point.error for point in found.points] == pytest.approx([0.5, 0.6], abs=0.01)
    assert list(found.samples) == ["a"]
    with pytest.raises(StageError, match="has no score 'best'"):
        measured.read(tmp_path, suite, "best")
    make_run("b/seed0", inputs={"division": "open", "changes": {"optimizer.learning_rate": "1e-3"}})
    with pytest.raises(StageError, match="recipes that differ by more than their budgets"):
        measured.read(tmp_path, suite)


def test_results_of_other_weights_are_no_points(make_run, tmp_path):
    made = make_run("a/seed0")
    path = results.path_in(made.path, "nano")
    text = json.loads(path.read_text()) | {"weights_sha256": "f" * 64}
    path.write_text(json.dumps(text))
    with pytest.raises(StageError, match="is of other weights"):
        measured.read(tmp_path, suites.load("nano"))
    path.unlink()
    with pytest.raises(StageError, match="was evaluated on suite nano"):
        measured.read(tmp_path, suites.load("nano"))
    assert runs.read_record(made.path).record.checkpoints


def called(*arguments):
    return CliRunner().invoke(app, ["scaling", *map(str, arguments)])


BUDGETS = ("--budgets", "12.8e3,25.6e3,51.2e3,102.4e3")


def test_a_dry_run_says_what_it_costs_and_what_would_be_done(small_pool, tmp_path):
    done = called("plan", "--pool", small_pool.path, "--score", SCORE, "--buckets", 2, *BUDGETS, "--out", tmp_path / "plan", "--dry-run")
    assert done.exit_code == 0, done.exception
    assert "2 runs of 204,800 samples seen in all, 384,000 had each budget its own run; 8 evaluations" in done.output
    lines = [line for line in done.output.splitlines() if line.startswith("to do")]
    assert len(lines) == 2 + 2 * 2 + 1
    assert "to do  train on ranks 0-50 % with seed 0: 800 steps, 102,400 samples seen" in done.output
    assert not (tmp_path / "plan").exists()


def test_on_a_cluster_each_run_is_a_job_that_waits_for_its_shards(small_pool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datacomp.toml").write_text('profile = "site"\n[profiles.site]\nwhere = "slurm"\npartition = "gpu"\n')
    done = called("plan", "--pool", small_pool.path, "--score", SCORE, "--buckets", 2, *BUDGETS, "--out", "plan", "--dry-run")
    assert done.exit_code == 0, done.exception
    assert "--- train run 0-50/s800-seed0 ---" in done.output
    assert "--dependency=afterok:reshard-part-0-50" in done.output
    assert "--dependency=afterok:evaluate-run-0-50/s800-seed0:evaluate-run-50-100/s800-seed0" in done.output


@pytest.mark.parametrize(("option", "value", "why"), [("--budgets", "1e5,many", "--budgets is '1e5,many'"), ("--check-unions", "3", "a union of 3 buckets")])
def test_options_that_make_no_plan_are_refused(small_pool, tmp_path, option, value, why):
    given = {"--pool": small_pool.path, "--score": SCORE, "--buckets": 2, "--budgets": BUDGETS[1], "--out": tmp_path / "plan"} | {option: value}
    done = called("plan", *(word for pair in given.items() for word in pair), "--dry-run")
    assert why in str(done.exception)


def test_the_list_of_the_choice_is_written_for_reshard(experiment, tmp_path, monkeypatch):
    measured_there = scaling.measure(experiment.plan, experiment.out, experiment.suite)
    monkeypatch.setattr(scaling, "read", lambda *_: measured_there)  # the tiny suite is no declared one
    done = called("choose", experiment.out, "--budget", "1e4", "--out", tmp_path / "chosen.npy")
    assert done.exit_code == 0, done.exception
    first = done.output.splitlines()
    assert any(f"{len(subset.read(tmp_path / 'chosen.npy').uids):,} uids" in line for line in first)
