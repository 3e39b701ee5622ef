"""Averages are the published ones: recomputed from published scores of single tasks, they agree with what was printed."""

import csv
import statistics

import pytest

from datacomp import rooms
from datacomp.artifacts.results import TaskResult
from datacomp.board import averages
from datacomp.declared import suite as suites
from datacomp.errors import EntryError

SUITE = suites.load("datacomp")
PRINTED = "Average perf. on 38 datasets"
ANOTHER_RUN = {"commonpool_m_basic_s128m_b4k", "commonpool_s_image_s13m_b4k", "commonpool_s_s13m_b4k"}  # leaderboard/published/README.md says why
UNCLEAN = {"CLEVR Counts", "CLEVR Distance", "PatchCamelyon", "Camelyon17", "KITTI Vehicle Distance"}


def table(name):
    with (rooms.leaderboard() / "published" / name).open(newline="") as file:
        return {f"{row['name']} {row['pretrained']}": row for row in csv.DictReader(file)}


PER_TASK, TABLES = table("per_task.csv"), table("tables.csv")


def results(row):
    """A model's published scores as results of ours."""
    return tuple(
        TaskResult(task=task.name, samples=task.samples, data_sha256="0" * 64, metrics={task.main_metric: float(row[task.title])}, standard_errors={})
        for task in SUITE.tasks
        if task.counts
    )


def test_there_are_38_models_of_which_25_stand_in_the_paper_s_tables():
    assert (len(PER_TASK), len(TABLES)) == (38, 25)
    assert set(TABLES) <= set(PER_TASK)


@pytest.mark.parametrize("model", PER_TASK)
def test_the_average_of_38_tasks_is_the_published_one(model):
    found = averages.aggregates(SUITE, [results(PER_TASK[model])])
    assert found[averages.AVERAGE].value == pytest.approx(float(PER_TASK[model][PRINTED]), abs=1e-4)


@pytest.mark.parametrize("model", TABLES)
def test_means_of_groups_are_the_published_ones(model):
    found = averages.aggregates(SUITE, [results(PER_TASK[model])])
    agrees = all(found[name].value == pytest.approx(float(TABLES[model][name]), abs=5e-4 + 1e-9) for name in found)
    assert agrees == (TABLES[model]["pretrained"] not in ANOTHER_RUN)


@pytest.mark.parametrize("task", SUITE.counting)
def test_there_is_no_average_when_a_task_is_missing(task):
    scores = [result for result in results(next(iter(PER_TASK.values()))) if result.task != task]
    with pytest.raises(EntryError, match=f"task {task} has no "):
        averages.aggregates(SUITE, [scores])


def test_the_clean_mean_leaves_out_five_tasks():
    row = next(iter(PER_TASK.values()))
    kept = [float(row[task.title]) for task in SUITE.tasks if task.counts and task.title not in UNCLEAN]
    assert len(kept) == 33
    assert averages.aggregate(SUITE, averages.further(SUITE)["clean"], [results(row)]).value == pytest.approx(statistics.fmean(kept))


def test_a_task_outside_the_average_has_no_aggregate():
    with pytest.raises(EntryError, match="task fairness/fairface has no main metric"):
        averages.task_aggregate(SUITE, "fairness/fairface", [results(next(iter(PER_TASK.values())))])
