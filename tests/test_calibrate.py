"""A site's run of a baseline against what is known of it: agrees, disagrees, or cannot be compared; and the figures themselves."""

import math
import re
import statistics

import numpy as np
import pytest
from scipy.stats import t as student
from typer.testing import CliRunner

from datacomp import rooms
from datacomp.artifacts.subset import SubsetRecord
from datacomp.board import calibrate
from datacomp.cli import app
from datacomp.declared import baseline, expected, lock, scale, suite
from datacomp.errors import DatacompError, EntryError, RecordError, StageError
from datacomp.filters import named
from datacomp.filters.apply import apply

PUBLISHED = ("small", "medium", "large", "xlarge")
GROUPS = ("imagenet", "shifts", "vtab", "retrieval")


def listed(name):
    """The record of a baseline's list, as overrides of a run's."""
    found = baseline.load(name)
    return {"filter": found.filter, "options": dict(found.options)}


def mean(name, average):
    return statistics.fmean(expected.load("nano").baselines[name].scores[average])


def levels(name, shift=0.0):
    """For each task of suite nano the score that gives a baseline's expected averages, all of them moved by `shift`."""
    measured = suite.load("nano")
    grouped = {task: mean(name, group.name) for group in measured.spec.groups for task in group.tasks}
    alone = [task for task in measured.counting if task not in grouped]
    left = len(measured.counting) * mean(name, "average") - sum(grouped.values())
    return {task: level + shift for task, level in (grouped | dict.fromkeys(alone, left / max(len(alone), 1))).items()}


def called(*runs, baseline=""):
    """Call `datacomp calibrate` on some runs."""
    arguments = [part for run in runs for part in ("--run", str(run.path))]
    return CliRunner().invoke(app, ["calibrate", *arguments, *(["--baseline", baseline] if baseline else [])])


def assert_refused(done, problem):
    assert done.exit_code == 1
    assert isinstance(done.exception, DatacompError), done.exception  # which `main` prints as one line
    assert re.search(problem, str(done.exception)), str(done.exception)


@pytest.fixture
def published_suite():
    """A suite with the groups of DataComp's, one task in each and one in none."""
    spec, task = suite.load("nano").spec, suite.load("nano").tasks[0]
    tasks = tuple(task.model_copy(update={"name": name, "samples": 1_000_000}) for name in (*GROUPS, "other"))
    groups = tuple(suite.Group(name=name, title=name, tasks=(name,)) for name in GROUPS)
    told = {"name": "datacomp", "version": 1, "tasks": tuple(task.name for task in tasks), "groups": groups}
    return suite.Suite(spec=spec.model_copy(update=told), tasks=tasks)


def published_run(make_run, measured, scale_name, name, run=0, **shifts):
    """A run that reaches a published baseline's scores, some of them moved."""
    scores = {average: values[run] for average, values in expected.load(scale_name).baselines[name].scores.items()}
    found = {group: scores[group] + shifts.get(group, 0.0) for group in GROUPS}
    found["other"] = 5 * (scores["average"] + shifts.get("average", 0.0)) - sum(found.values())
    return make_run(scale=scale_name, suite=measured, level=found, subset=listed(name))


# the figures


@pytest.mark.parametrize("name", expected.names())
def test_figures_are_of_today_s_recipe_of_known_baselines_and_of_the_suite_s_averages(name):
    """Whoever changes a draft recipe or suite measures the baselines again, or removes its figures."""
    found = expected.load(name)
    assert found.recipe_sha256 == scale.load(name).digest()
    assert set(found.baselines) <= set(baseline.names())
    averages = {frozenset(figures.scores) for figures in found.baselines.values()}
    if found.suite in suite.names():
        measured = suite.load(found.suite)
        assert found.suite_sha256 in ("", measured.digest())
        assert averages == {frozenset({"average", *(group.name for group in measured.spec.groups)})}
    else:
        assert averages == {frozenset({"average", *GROUPS})}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_figures_state_their_noise_and_nano_s_is_measured(name):
    found = expected.load(name)
    assert set(found.stated_noise) == {"imagenet", "average"}
    assert all(0 < score < 1 for figures in found.baselines.values() for scores in figures.scores.values() for score in scores)
    assert expected.load("nano").spread("average").freedom >= 6


def test_figures_stand_outside_the_lock():
    assert not [key for key in lock.locks(rooms.tracks()) if key.startswith(expected.FOLDER)]


def test_the_spread_is_pooled_within_baselines():
    one, two = (0.1, 0.2, 0.3), (0.5, 0.54)
    figures = {
        "a": {"source": "", "scores": {"average": one}},
        "b": {"source": "", "scores": {"average": two}},
        "c": {"source": "", "scores": {"average": (0.9,)}},
    }
    about = {"scale": "nano", "recipe_sha256": "0" * 64, "suite": "nano", "suite_version": 1, "suite_sha256": "", "source": "", "noise_source": ""}
    spread = expected.Expected.model_validate(about | {"baselines": figures}).spread("average")
    assert spread.freedom == 3
    assert spread.deviation == pytest.approx(math.sqrt((2 * statistics.variance(one) + statistics.variance(two)) / 3))
    with pytest.raises(ValueError, match="different averages"):
        expected.Expected.model_validate(about | {"baselines": figures | {"d": {"source": "", "scores": {"other": one}}}})


def test_a_scale_without_figures_is_answered_with_those_that_have_some():
    with pytest.raises(RecordError, match=r"nobody has written down scores to expect at scale smoke.*large, medium, micro, nano, small, xlarge"):
        expected.load("smoke")


# the rule


@pytest.mark.parametrize(("known", "seen"), [(3, 1), (3, 3), (1, 1)])
def test_the_standard_error_is_that_of_a_difference_of_means(known, seen):
    random = np.random.default_rng(0)
    differences = random.normal(0, 0.02, (200_000, seen)).mean(axis=1) - random.normal(0, 0.02, (200_000, known)).mean(axis=1)
    found = calibrate.Compared("average", 0.5, 0.5, expected.Spread(deviation=0.02, freedom=0), known, seen)
    assert found.standard_error == pytest.approx(differences.std(), rel=0.01)


def test_one_right_site_in_a_hundred_is_called_wrong():
    """Also where the noise is itself estimated, of three lists with three seeds each."""
    random, wrong, sites = np.random.default_rng(1), 0, 20_000
    for scores in random.normal(0.5, 0.02, (sites, 10)):
        lists = scores[:9].reshape(3, 3)
        spread = expected.Spread(deviation=float(np.sqrt(lists.var(axis=1, ddof=1).mean())), freedom=6)
        wrong += calibrate.Compared("average", float(lists[0].mean()), float(scores[9]), spread, 3, 1).verdict == "outside"
    assert wrong / sites == pytest.approx(0.01, abs=0.003)


def test_limits_are_student_s():
    for freedom, limit in calibrate.LIMITS.items():
        assert limit == pytest.approx(student.ppf(0.995, freedom or 1e9), abs=0.006)
    between = calibrate.Compared("average", 0.5, 0.5, expected.Spread(deviation=0.1, freedom=14), 3, 1)
    assert between.limit == calibrate.LIMITS[12]


# which baseline a list is


@pytest.mark.parametrize("name", baseline.names())
def test_a_baseline_s_own_record_is_recognised(name):
    record = {"uids_sha256": "0" * 64, "samples": 1, "distinct_samples": 1}
    assert named.baseline_of(SubsetRecord.model_validate(record | listed(name))).name == name


@pytest.mark.parametrize(
    ("text", "options", "name"),
    [
        ("no_filter", {}, "no_filter"),
        ("random", {"fraction": 0.3}, "random_30"),
        ("random", {"fraction": 0.3, "seed": 1}, None),
        ("clip_score", {"fraction": 0.3}, "clip_score_l14_30"),
        ("clip_score(b32, 0.3)", {}, "clip_score_b32_30"),
        ("clip_score", {"fraction": 0.3, "exact_count": True}, None),
        ("clip_score", {"fraction": 0.2}, None),
        ("basic_filter[ftz]", {}, "basic_filter_ftz"),
        ("clip_score(l14, 0.3) & no_filter", {}, None),
    ],
)
def test_a_list_is_recognised_by_its_filter_and_every_option(small_pool, tmp_path, text, options, name):
    found = named.baseline_of(apply(text, options, small_pool, tmp_path / "list.npy").record)
    assert (found.name if found else None) == name


# runs of nano


def test_a_run_that_agrees_is_within_noise(make_run):
    done = called(make_run(subset=listed("no_filter"), level=levels("no_filter")))
    assert done.exit_code == 0, done.exception
    assert done.output.count("within noise") == 2 + len(suite.load("nano").spec.groups)  # the average, each group, and all in all
    assert f"{100 * mean('no_filter', 'average'):.2f} ±" in done.output


@pytest.mark.parametrize("shift", [-0.2, 0.3])
def test_a_run_that_disagrees_is_outside(make_run, shift):
    run = make_run(subset=listed("no_filter"), level={task: max(level + shift, 0.0) for task, level in levels("no_filter").items()})
    done = called(run)
    assert_refused(done, f"not what is expected of no_filter at scale nano: .* standard errors {'above' if shift > 0 else 'below'}")
    assert "outside" in done.output


def test_the_list_of_another_baseline_is_seen(make_run):
    run = make_run(subset=listed("no_filter"), level=levels("clip_score_l14_30"))
    assert_refused(called(run), "not what is expected of no_filter")
    assert called(run, baseline="clip_score_l14_30").exit_code == 0


def test_several_seeds_are_compared_by_their_mean(make_run):
    shifts = enumerate((-0.02, 0, 0.02))
    runs = [make_run(f"run{seed}", seed=seed, subset=listed("no_filter"), level=levels("no_filter", shift)) for seed, shift in shifts]
    done = called(*runs)
    assert done.exit_code == 0
    assert "mean of 3 runs" in done.output
    assert_refused(called(runs[0], runs[0]), "several runs have the same seed")
    other = make_run("other", seed=3, subset=listed("random_30"), level=levels("random_30"))
    assert_refused(called(runs[0], other), "trained on different shards")


def test_a_list_of_unknown_origin_is_an_error_that_names_the_baselines(make_run):
    run = make_run(subset={"filter": "", "options": {}}, level=levels("no_filter"))
    assert_refused(called(run), "is no baseline by its record.*clip_score_l14_30.*--baseline")
    assert called(run, baseline="no_filter").exit_code == 0
    assert_refused(called(run, baseline="nothing"), "'nothing' is not among the baselines")


def test_a_baseline_that_nobody_measured_is_an_error_that_names_those_that_were(make_run):
    assert_refused(called(make_run(subset=listed("clip_score_b32_30"))), "scores of baseline clip_score_b32_30.*no_filter")


def test_an_unfinished_run_is_refused(make_run):
    run = make_run(subset=listed("no_filter"))
    (run.path / "run.json").unlink()
    assert_refused(called(run), "holds no finished run")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"inputs": {"recipe_sha256": "0" * 64}}, "was trained by recipe 000000000000.*measure the baselines again"),
        ({"inputs": {"division": "open"}}, "is of the open division"),
        ({"samples_seen": 6400}, "saw 6,400 samples. Allowed: all 102,400"),
        ({"source": {"pool_uids_sha256": "f" * 64}}, "trained on another pool"),
        ({"source": {"pool_uids_sha256": ""}}, "trained on another pool .unknown"),
        ({"suite": None}, "has no results under suite nano.*datacomp evaluate"),
    ],
)
def test_a_run_that_the_figures_say_nothing_about_is_refused(make_run, changed, problem):
    run = make_run(**({"subset": listed("no_filter"), "level": levels("no_filter")} | changed))
    with pytest.raises((StageError, EntryError), match=problem):
        calibrate.compare([run], suite.load("nano"), expected.load("nano"), "no_filter")


def test_results_under_another_version_of_the_suite_are_refused(make_run):
    found = suite.load("nano")
    changed = found.model_copy(update={"spec": found.spec.model_copy(update={"summary": "another"})})
    run = make_run(suite=changed, subset=listed("no_filter"))
    with pytest.raises(EntryError, match=r"another version of suite nano.*datacomp evaluate"):
        calibrate.compare([run], found, expected.load("nano"), "no_filter")
    with pytest.raises(StageError, match="measured with another suite nano than today's"):
        calibrate.compare([run], changed, expected.load("nano"), "no_filter")


# published figures


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_runs_agree_with_themselves_and_only_what_has_noise_is_judged(make_run, published_suite, name):
    run = published_run(make_run, published_suite, name, "clip_score_l14_30", shifts=0.1)
    found = calibrate.compare([run], published_suite, expected.load(name), "clip_score_l14_30")
    verdicts = {one.name: one.verdict for one in found.averages}
    assert verdicts == {"average": "within noise", "imagenet": "within noise"} | dict.fromkeys(("shifts", "vtab", "retrieval"), "not judged")
    assert "stated by the README" in found.notes[1]


def test_the_two_published_runs_of_one_list_agree_within_the_stated_noise(make_run, published_suite):
    for run in (0, 1):
        seen = published_run(make_run, published_suite, "small", "no_filter", run)
        assert not calibrate.compare([seen], published_suite, expected.load("small"), "no_filter").outside


def test_one_point_less_on_imagenet_is_outside_at_medium(make_run, published_suite):
    run = published_run(make_run, published_suite, "medium", "no_filter", imagenet=-0.01)
    (found,) = calibrate.compare([run], published_suite, expected.load("medium"), "no_filter").outside
    assert found.name == "imagenet"
    assert found.errors == pytest.approx(-0.01 / (0.002 * math.sqrt(2)), abs=0.1)


def test_missing_samples_are_told(make_run, published_suite):
    run = make_run(scale="small", suite=published_suite, subset=listed("no_filter"), source={"missing_samples": {"not downloaded": 7_000}})
    notes = calibrate.compare([run], published_suite, expected.load("small"), "no_filter").notes
    assert "7,000 of the list's 30,720 samples were missing here" in notes[-1]
