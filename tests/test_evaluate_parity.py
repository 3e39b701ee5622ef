"""On the same small sets, weights and pictures every metric is the published evaluator's (benchmarks/parity/evaluate.py writes the golden)."""

import json
from pathlib import Path

import evaluation_sets
import pytest

from datacomp.declared import suite as suites
from datacomp.evaluate.run import FAMILIES, PUBLISHED, evaluate_published

GOLDEN = json.loads((Path(__file__).parent / "golden" / "evaluate.json").read_text())["metrics"]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    folder, suite = tmp_path_factory.mktemp("parity"), evaluation_sets.kinds()
    config, weights = evaluation_sets.make_network(folder / "network")
    data = evaluation_sets.make(folder / "data", suite)
    found = evaluate_published(str(config), weights, suite, data, folder / "out", threads=1)
    return found, folder / "out" / PUBLISHED


@pytest.mark.parametrize("name", GOLDEN)
def test_every_metric_is_the_published_evaluator_s(evaluated, name):
    ours = next(result.metrics for result in evaluated[0].tasks if result.task == name)
    theirs = GOLDEN[name]
    assert ours.keys() == theirs.keys()
    for metric, value in theirs.items():
        assert ours[metric] == (None if value is None else pytest.approx(value, abs=1e-6)), metric


def test_the_golden_tells_families_apart():
    """A golden of constants would prove nothing: each family's metrics lie strictly between 0 and 1, and differ."""
    assert {task.family for task in evaluation_sets.kinds().tasks} == set(FAMILIES)
    for name, metrics in GOLDEN.items():
        assert len({value for value in metrics.values() if value is not None and 0 < value < 1}) > 1, name


def test_lines_are_those_that_the_published_tools_read(evaluated):
    declared = {task.name: task for task in suites.load("datacomp").tasks}
    lines = [json.loads(line) for line in evaluated[1].read_text().splitlines()]
    assert [line["key"] for line in lines] == list(evaluation_sets.KINDS)
    for line in lines:
        task = declared[line["key"]]
        assert line.keys() == {"key", "dataset", "metrics"}
        assert line["dataset"] == task.title
        assert line["metrics"].keys() == {*GOLDEN[task.name], "main_metric"}
        assert line["metrics"]["main_metric"] == (line["metrics"][task.main_metric] if task.main_metric else None)
