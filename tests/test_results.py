"""Results are shown, compared and imported: means only of all tasks, intervals of test samples and seeds, strangers' lines read strictly."""

import json
import math
import os
import shutil
import statistics

import numpy as np
import pytest
from scipy.stats import t as student
from typer.testing import CliRunner

from datacomp.artifacts import results as results_files
from datacomp.artifacts.results import Imported, Results, TaskResult
from datacomp.board import averages, calibrate, compare, enter, evaluated
from datacomp.cli import app
from datacomp.declared import expected
from datacomp.declared import suite as suites
from datacomp.errors import DatacompError, RecordError, StageError
from datacomp.records import MAX_RECORD_BYTES

SUITE, NANO = suites.load("datacomp"), suites.load("nano")
ERROR = 0.002  # standard error of every task here


def called(*arguments):
    return CliRunner().invoke(app, ["results", *map(str, arguments)])


def answered(*arguments):
    done = called(*arguments, "--json")
    assert done.exit_code == 0, done.exception
    return json.loads(done.output)


def score(task, value):
    """A task's result with its main metric, acc1 and a metric that is undefined."""
    metrics = {"acc1": value, "acc5": None} | ({task.main_metric: value} if task.main_metric else {})
    return TaskResult(task=task.name, samples=task.samples, data_sha256="0" * 64, metrics=metrics, standard_errors=dict.fromkeys(metrics, ERROR))


def line(task, value=0.25):
    return results_files.published_line(task, score(task, value))


def write_lines(path, lines):
    path.write_text("".join(f"{text}\n" for text in lines))
    return path


@pytest.fixture
def lines(tmp_path):
    """eval_results.jsonl with all 40 tasks of suite datacomp, in another order than the suite's."""
    return write_lines(tmp_path / "eval_results.jsonl", map(line, reversed(SUITE.tasks)))


# Import


def test_published_lines_are_read_into_a_record_in_the_suite_s_order(lines, tmp_path):
    done = called("import", lines, "--out", tmp_path / "theirs")
    assert done.exit_code == 0, done.exception
    found = results_files.read(tmp_path / "theirs" / "results.json")
    assert isinstance(found, Imported)
    assert [scores.task for scores in found.tasks] == list(SUITE.spec.tasks)
    assert found.tasks[0].metrics == score(SUITE.tasks[0], 0.25).metrics
    known = {name for scores in found.tasks for name in scores.standard_errors}
    assert known == {"acc1"}
    cifar10 = next(scores for scores in found.tasks if scores.task == "cifar10")
    assert cifar10.standard_errors["acc1"] == pytest.approx(math.sqrt(0.25 * 0.75 / 10_000))


def changed(**changes):
    return json.dumps(json.loads(line(SUITE.tasks[1])) | changes)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "line 2 is no publishedline record"),
        ("[" * 100_000, "line 2 is no publishedline record"),
        ("", "line 2 is no publishedline record"),
        (b"\x80\x04K\x01.".decode("latin-1"), "line 2 is no publishedline record"),
        (changed(more=1), "line 2 is no publishedline record: more"),
        (changed(key="cifar11"), "line 2: suite datacomp has no task cifar11"),
        (changed(dataset="CIFAR-100"), "line 2: task cifar10 is called 'CIFAR-100'. Allowed: 'CIFAR-10'"),
        (changed(metrics={"acc1": math.nan, "main_metric": math.nan}), "line 2 is no publishedline record: metrics.acc1: Input should be a finite number"),
        (changed(metrics={"acc1": "0.5", "main_metric": 0.5}), "line 2 is no publishedline record: metrics.acc1"),
        (changed(metrics={"acc1": True, "main_metric": True}), "line 2 is no publishedline record: metrics.acc1"),
        (changed(metrics={"acc1": 0.5, "main_metric": 0.6}), "line 2: main_metric is 0.6. Allowed: 0.5, the line's acc1"),
        (changed(metrics={"acc1": 50.0, "main_metric": 50.0}), "line 2: task cifar10 has 50.0. Allowed: shares between 0 and 1"),
        (changed(metrics={"acc5": 0.5, "main_metric": None}), "line 2: task cifar10 has no acc1"),
        (line(SUITE.tasks[0], 0.5), "line 2: task vtab/caltech101 is there twice"),
    ],
)
def test_lines_that_the_published_tools_do_not_write_are_refused_by_number(tmp_path, text, problem):
    path = tmp_path / "eval_results.jsonl"
    path.write_text(f"{line(SUITE.tasks[0])}\n{text}\n", encoding="latin-1")
    done = called("import", path, "--out", tmp_path / "theirs")
    assert done.exit_code == 1
    assert isinstance(done.exception, RecordError), done.exception
    assert problem in str(done.exception)
    assert not (tmp_path / "theirs").exists()


def test_a_file_that_is_empty_or_too_large_is_refused(tmp_path):
    path = write_lines(tmp_path / "eval_results.jsonl", [])
    with pytest.raises(RecordError, match="holds no results"):
        results_files.imported(path, SUITE)
    os.truncate(path, MAX_RECORD_BYTES + 1)  # nothing but a hole
    with pytest.raises(RecordError, match="records of up to 67,108,864 bytes"):
        results_files.imported(path, SUITE)


def test_other_results_are_not_overwritten(lines, tmp_path):
    out = tmp_path / "theirs"
    assert called("import", lines, "--out", out).exit_code == called("import", lines, "--out", out).exit_code == 0
    before = (out / "results.json").read_bytes()
    done = called("import", write_lines(tmp_path / "other.jsonl", [line(SUITE.tasks[0])]), "--out", out)
    assert isinstance(done.exception, StageError)
    assert (out / "results.json").read_bytes() == before


def test_no_entry_accepts_what_was_imported(make_run, tmp_path):
    run = make_run()
    enter.seed_run(run, NANO)
    path = write_lines(tmp_path / "eval_results.jsonl", map(line, NANO.tasks))
    results_files.imported(path, NANO).write(results_files.path_in(run.path, "nano"))
    with pytest.raises(RecordError, match=r"nano\.json is no results record"):
        enter.seed_run(run, NANO)


# Show


def test_all_tasks_give_means_the_clean_one_among_them(lines):
    (found,) = answered("show", lines)
    assert {mean["name"]: mean["value"] for mean in found["means"]} == {name: pytest.approx(0.25) for name in averages.ranking(SUITE) | averages.further(SUITE)}
    assert len(found["tasks"]) == 40
    text = called("show", lines).output
    assert "clean" in text
    assert "no average" not in text


def test_one_task_less_gives_no_mean_unless_it_does_not_count(tmp_path):
    def shown(left_out):
        path = write_lines(tmp_path / "eval_results.jsonl", [line(task) for task in SUITE.tasks if task.name != left_out])
        return called("show", path).output, answered("show", path)[0]["means"]

    text, means = shown("misc/winogavil")
    assert ("39 of 40 tasks: no average" in text, means) == (True, [])
    text, means = shown("fairness/fairface")
    assert ("no average" in text, len(means)) == (False, 6)


def test_an_error_that_nobody_knows_is_not_shown_as_none(lines, make_run):
    (found,) = answered("show", lines)
    errors = {one["name"]: one["standard_error"] for one in (*found["tasks"], *found["means"])}
    assert errors["misc/winogavil"] is errors["average"] is None
    assert errors["imagenet"] == errors["imagenet1k"] > 0
    assert "0.2500 ± ?" in called("show", lines).output
    assert "?" not in called("show", make_run().path).output


def test_a_record_a_run_and_a_folder_of_seeds_are_shown(make_run, tmp_path):
    made = [make_run(f"list/seed{seed}", seed=seed, level=level) for seed, level in enumerate((0.3, 0.5))]
    several, one, record = answered("show", tmp_path / "list", made[0].path, results_files.path_in(made[0].path, "nano"))
    assert (several["runs"], one["runs"]) == (2, 1)
    assert {**one, "path": ""} == {**record, "path": ""}
    wanted = averages.aggregates(NANO, [enter.seed_run(run, NANO).tasks for run in made])
    assert {mean["name"]: (mean["value"], mean["standard_error"]) for mean in several["means"]} == {
        name: (found.value, found.standard_error) for name, found in wanted.items()
    }


def test_runs_of_several_lists_are_no_one_s_seeds(make_run, tmp_path):
    make_run("a/seed0")
    make_run("a/seed1", seed=1, subset={"samples": 77})
    with pytest.raises(StageError, match="are not those of one list that differ by their seeds"):
        evaluated.read(tmp_path / "a")
    shutil.copytree(tmp_path / "a" / "seed0", tmp_path / "b" / "x")
    shutil.copytree(tmp_path / "a" / "seed0", tmp_path / "b" / "y")
    with pytest.raises(StageError, match="are not those of one list that differ by their seeds"):
        evaluated.read(tmp_path / "b")


def test_results_that_are_missing_or_of_another_suite_are_refused(make_run, tmp_path):
    with pytest.raises(StageError, match="there are no results at"):
        evaluated.read(tmp_path / "nowhere")
    with pytest.raises(StageError, match="there are no results at"):
        evaluated.read(tmp_path)
    with pytest.raises(StageError, match="was not evaluated"):
        evaluated.read(make_run("bare", suite=None).path)
    run = make_run()
    with pytest.raises(StageError, match="has no results under suite datacomp"):
        evaluated.read(run.path, "datacomp")
    path = results_files.path_in(run.path, "nano")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"suite_sha256": "0" * 64}))
    with pytest.raises(StageError, match="another suite nano than today's"):
        evaluated.read(path)


# Compare


def side(*levels, known=None, suite=NANO, name="x"):
    """Runs of one list, all of whose tasks have the same score; `known` is what is known of the scale."""
    return evaluated.Evaluated(name, suite, tuple(tuple(score(task, level) for task in suite.tasks) for level in levels), known)


def named(comparison):
    return {one.name: one for one in comparison.differences}


def noise(stated=None, **scores):
    """What is known of a scale: a noise that somebody states, or the scores of a baseline's seeds."""
    real = expected.load("nano")
    every = {name: scores.get(name, (0.5,)) for name in averages.ranking(NANO)}
    return real.model_copy(update={"stated_noise": stated or {}, "baselines": {"no_filter": expected.Figures(source="a test", scores=every)}})


def test_without_seeds_the_error_is_that_of_two_test_samples():
    found = named(compare.compare(side(0.5), side(0.6)))
    task, mean = found[NANO.tasks[0].name], found["average"]
    assert (task.difference, task.standard_error) == (pytest.approx(0.1), pytest.approx(ERROR * math.sqrt(2)))
    assert mean.standard_error == pytest.approx(ERROR * math.sqrt(2 / len(NANO.tasks)))
    assert mean.interval == pytest.approx((0.1 - 2.58 * mean.standard_error, 0.1 + 2.58 * mean.standard_error))
    assert not mean.has_seeds


@pytest.mark.parametrize(("second", "verdict"), [(0.5, "within noise"), (0.53, "differs")])
def test_a_single_run_has_the_noise_that_is_stated_of_its_scale(second, verdict):
    known = noise({"average": 0.006})
    found = named(compare.compare(side(0.5, known=known), side(second, known=known)))
    assert found["average"].standard_error == pytest.approx(math.sqrt(2 * (ERROR**2 / len(NANO.tasks) + 0.006**2)))
    assert (found["average"].verdict, found["average"].has_seeds) == (verdict, True)
    assert not found["shifts"].has_seeds  # of which nothing is stated


def test_seeds_of_both_sides_and_of_the_scale_s_baselines_count_together():
    known = noise(average=(0.50, 0.51, 0.54))
    first, second = (0.40, 0.42), (0.40, 0.43, 0.45)
    found = named(compare.compare(side(*first, known=known), side(*second, known=known)))["average"]
    measured = statistics.variance(known.baselines["no_filter"].scores["average"])
    seeds = [((len(own) - 1) * statistics.variance(own) + 2 * measured) / (len(own) + 1) / len(own) for own in (first, second)]
    variance = sum(seeds) + 2 * ERROR**2 / len(NANO.tasks)
    assert found.standard_error == pytest.approx(math.sqrt(variance))
    freedom = variance**2 / (seeds[0] ** 2 / 3 + seeds[1] ** 2 / 4)  # Welch
    assert found.interval[1] - found.difference == pytest.approx(calibrate.limit(freedom) * found.standard_error)
    assert calibrate.limit(freedom) == pytest.approx(student.ppf(0.995, math.floor(freedom)), abs=0.01)


def test_99_of_100_intervals_hold_the_true_difference():
    """Seeds and test samples drawn anew each time; 600 comparisons may miss 99 % by 1.5 points."""
    random = np.random.default_rng(0)
    held = []
    for _ in range(600):
        sides = []
        for level in (0.5, 0.52):
            drawn = level + random.normal(0, 0.01, 4)[:, None] + random.normal(0, ERROR, len(NANO.tasks))  # (runs, tasks); one test sample for all runs
            seeds = tuple(tuple(score(task, value) for task, value in zip(NANO.tasks, map(float, run), strict=True)) for run in drawn)
            sides.append(evaluated.Evaluated("x", NANO, seeds))
        low, high = named(compare.compare(*sides))["average"].interval
        held.append(low <= 0.02 <= high)
    assert 0.975 <= statistics.fmean(held) < 1


def test_what_has_no_standard_error_is_not_judged(lines, make_run):
    found = answered("compare", lines, lines)
    verdicts = {one["name"]: one["verdict"] for one in found["differences"]}
    assert verdicts["cifar10"] == verdicts["imagenet"] == "within noise"
    assert verdicts["misc/winogavil"] == verdicts["average"] == "not judged"
    assert any("no standard errors" in note for note in found["notes"])


def test_some_tasks_are_compared_without_an_average(lines, tmp_path):
    some = write_lines(tmp_path / "some.jsonl", [line(task, 0.5) for task in SUITE.tasks[:3]])
    found = answered("compare", lines, some)
    assert [one["name"] for one in found["differences"]] == list(SUITE.spec.tasks[:3])
    assert all(one["difference"] == 0.25 for one in found["differences"])
    assert "3 of the 38 tasks that count are in both: no average" in found["notes"]


def test_runs_are_compared_with_what_is_known_of_their_scale(make_run):
    runs = [make_run(str(level), level=level).path for level in (0.3, 0.9)]
    done = called("compare", *runs)
    assert done.exit_code == 0, done.exception
    assert "noise of scale nano: the spread of the seeds of each list, pooled" in done.output
    found = {one["name"]: one for one in answered("compare", *runs)["differences"]}
    spread = expected.load("nano").spread("average")
    assert found["average"]["standard_error"] > spread.deviation * math.sqrt(2)
    assert (found["average"]["verdict"], found["average"]["has_seeds"]) == ("differs", True)
    assert "* of the test samples alone" in done.output  # of single tasks nobody knows the noise


def test_a_changed_recipe_has_no_known_noise(make_run):
    run = make_run(inputs={"recipe_sha256": "0" * 64})
    assert evaluated.read(run.path).expected is None
    assert evaluated.read(make_run("as it is").path).expected is not None


def test_other_test_data_are_noted_and_another_suite_is_refused(make_run, lines):
    first, second = make_run("a"), make_run("b")
    path = results_files.path_in(second.path, "nano")
    found = Results.read(path)
    other = found.tasks[0].model_copy(update={"data_sha256": "f" * 64})
    found.model_copy(update={"tasks": (other, *found.tasks[1:])}).write(path)
    notes = answered("compare", first.path, second.path)["notes"]
    assert f"the test data of {other.task} were not the same bytes" in notes
    assert not any("bytes" in note for note in answered("compare", first.path, first.path)["notes"])
    done = called("compare", first.path, lines)
    assert isinstance(done.exception, DatacompError)
    assert "Allowed: results of one suite" in str(done.exception)
