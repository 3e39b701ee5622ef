"""The study of density-based pruning: its lists, what they hold by the truth, and each verdict where it shows and where it does not."""

import re
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import numpy as np
import polars as pl
import pytest
from vectors import names

from datacomp import tables, uids
from datacomp.artifacts import clusters as made
from datacomp.artifacts import subset as subsets
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.errors import PoolError
from datacomp.pipelines import pruning_claims, pruning_report, pruning_truth
from datacomp.pipelines.compared import About, MainScore, Row
from datacomp.pipelines.paired import Table
from datacomp.pipelines.pruning_claims import POOL
from datacomp.pipelines.pruning_study import DEDUPLICATED, METHODS, NONE, PREFILTERED, SHORT, Study, titled
from datacomp.pipelines.pruning_truth import Kept, Truth

SHARES = (0.2, 0.4, 0.6)
NANO = scales.load("nano")
SHORTER = scales.changed(NANO, {"budget.steps": "200"})
BETTER = {"DBP": 0.4, "SSP": 0.35, "random": 0.3, "CLIP score": 0.3}  # so much does each method reach where everything shows
WORSE = {"DBP": 0.2, "SSP": 0.25, "random": 0.3, "CLIP score": 0.4}


def row(scale, arm, seed, level):
    """A run that reaches so much in every task of suite nano."""
    suite = suites.load("nano")
    counting = [task for task in suite.tasks if task.counts]
    tasks = tuple(MainScore(task=task.name, metrics={task.main_metric: level}, standard_errors={}, samples=task.samples) for task in counting)
    about = About(
        recipe_sha256=scale.digest(), suite="nano", suite_version=suite.spec.version, suite_sha256=suite.digest(), pool="nano", pool_uids_sha256="a" * 64,
        pool_content_sha256="b" * 64, list_sha256="c" * 64,
    )  # fmt: skip
    samples = {"20 %": 2_000, "40 %": 4_000, "60 %": 6_000}.get(" ".join(arm.removesuffix(SHORT).split()[-2:]), 10_000)
    content = {"scale": "nano", "arm": arm, "seed": seed, "about": about, "samples": samples, "distinct_samples": samples, "tasks": tasks}
    return Row.of(content | {"weights_sha256": "d" * 64, "code": {"version": "0", "sha256": "e" * 64}}, "a made-up row")


def table(scale, levels, seeds=(0, 1)):
    """Arms at some levels; seeds differ by a little, turned around at every other arm."""
    turned = {arm: (-1) ** place for place, arm in enumerate(levels)}
    rows = [row(scale, arm, seed, level + 0.002 * turned[arm] * (-1) ** seed) for arm, level in levels.items() for seed in seeds]
    return Table(rows, scale, suites.load("nano"))


def measured(methods, *, none=0.25, deduplicated=0.3, short=0.35, seeds=(0, 1)):
    """Both tables, with as much for each method at every share."""
    whole = {NONE: none, DEDUPLICATED: deduplicated} | {titled(method, share): level for method, level in methods.items() for share in SHARES}
    shorter = {NONE + SHORT: 0.2, titled("DBP", 0.4) + SHORT: short}
    return table(NANO, whole, seeds), table(SHORTER, shorter, seeds)


def holds(repeated=0.1, rare=0.2, shots=2.0):
    return Kept(samples=1_000, scenes=900, repeated=repeated, shots=shots, rare=rare, concepts=80, good=0.5)


def kept(*, left=0.02, mine=0.3, uniform=0.2):
    """What the pool and the lists hold."""
    lists = {POOL: holds(repeated=0.15, rare=0.2, shots=20.0), DEDUPLICATED: holds(repeated=left)}
    return lists | {titled(method, share): holds(rare=rare) for method, rare in (("DBP", mine), ("SSP", uniform)) for share in SHARES}


def shown(methods, lists, **levels):
    return [verdict.shows for verdict in pruning_claims.verdicts(*measured(methods, **levels), lists, SHARES, 0.4)]


def test_every_claim_can_show_and_can_fail_to():
    best = shown(BETTER, kept())
    worst = shown(WORSE, kept(left=0.1, mine=0.1, uniform=0.2), none=0.5, deduplicated=0.4, short=0.1)
    assert best == [True] * len(best)
    assert worst == [False] * len(worst)
    assert len(best) == 11


def test_differences_within_noise_do_not_show():
    level = dict.fromkeys(METHODS, 0.3)
    assert shown(level, kept(), none=0.3, deduplicated=0.3, short=0.3)[:7] == [False] * 7


def test_one_seed_tells_nothing_of_averages():
    assert shown(BETTER, kept(), seeds=(0,))[:8] == [None] * 8
    empty = Table([], NANO, suites.load("nano")), Table([], SHORTER, suites.load("nano"))
    found = pruning_claims.verdicts(*empty, {}, SHARES, 0.4)
    assert {verdict.shows for verdict in found} == {None}
    assert "it cannot be told yet" in found[0].line()


def test_a_verdict_names_its_numbers():
    line = pruning_claims.verdicts(*measured(BETTER), kept(), SHARES, 0.4)[0].line()
    assert "**it shows**" in line
    assert re.search(r"DBP over SSP: \+5\.0 ± 0\.\d at 20 %, \+5\.0 ± 0\.\d at 40 %, \+5\.0 ± 0\.\d at 60 %; \+5\.0 ± 0\.\d on average", line)


def test_the_cost_is_that_of_the_shorter_recipe():
    verdicts = pruning_claims.cost(*measured(BETTER), 0.4)
    assert verdicts[0].claim == "DBP 40 % in 0.25 of the steps gives more than no filter in all of them"
    assert verdicts[0].numbers.startswith("The difference is +10.0 ± ")


# The truth


@pytest.fixture
def truth(tmp_path):
    """Ten samples: a scene with four shots, one with two, four alone; concept 7 is rare."""
    named = sorted(names(10))
    frame = {
        "uid": named,
        "concept": [1, 1, 1, 1, 2, 2, 3, 3, 7, 2],
        "cluster": [0, 0, 0, 0, 1, 1, -1, -1, -1, -1],
        "caption_kind": ["faithful short"] * 5 + ["vague"] * 5,
        "picture_kind": ["sound"] * 4 + ["tiny"] * 6,
    }
    for number, part in enumerate((pl.DataFrame(frame)[5:], pl.DataFrame(frame)[:5])):
        tables.write_parquet(tmp_path / "truth" / f"{number}.parquet", part)
    return named, Truth(SimpleNamespace(path=tmp_path))


def test_the_pool_s_truth(truth):
    found = truth[1].pool()
    assert found == (10, 6, 0.6, 3.0, 0.1, 4, 0.4)


def test_a_list_that_thins_scenes(truth):
    named, pool = truth
    found = pool.kept(uids.parse([named[0], named[4], named[6], named[8], named[8]]))
    assert found == (4, 4, 0.5, 1.0, 0.25, 4, 0.25)
    assert "| once | 4 | 4 | 50.0 % | 1.0 | 25.0 % | 4 | 25.0 % |" in pruning_truth.table({"once": found})


def test_a_pool_without_truth_is_refused(tmp_path):
    with pytest.raises(PoolError, match="has no truth"):
        Truth(SimpleNamespace(path=tmp_path))


# Lists


@pytest.fixture(scope="module")
def study(small_pool, tiny_scale, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return Study(folder, folder / "runs.json", tiny_scale, suites.load("nano"), small_pool.path, (0,), clusters=6, at_once=1)


@pytest.fixture(scope="module")
def lists(study):
    """The list of each arm."""
    whole, short = study.comparisons()
    return {arm.name: made_list(arm, study.out / f"{arm.folder}.npy") for arm in (*whole.arms, *short.arms)}


def made_list(arm, path):
    arm.make(path)
    return subsets.read(path)


def test_epsilon_is_chosen_by_what_is_left(study, lists):
    assert len(lists[DEDUPLICATED].uids) == pytest.approx(480, abs=12)
    assert study.epsilon == study.recipe.epsilon
    assert len(lists[PREFILTERED].uids) == len(lists[DEDUPLICATED].uids) // 2


def test_lists_of_a_share_are_of_one_size_and_differ(lists):
    passed = lists[PREFILTERED].uids
    for share in SHARES:
        found = [lists[titled(method, share)].uids for method in METHODS]
        assert {len(listed) for listed in found} == {int(len(passed) * share)}
        assert len({listed.tobytes() for listed in found}) == len(METHODS)
        assert all(np.all(uids.count(listed, passed) == 1) for listed in found[:3])
    easy, hard = (lists[titled(method, 0.4)].uids for method in ("DBP easy first", "DBP"))
    assert len(easy) == len(hard)
    assert np.count_nonzero(uids.count(easy, hard)) < len(hard)


def test_uniform_pruning_takes_as_much_of_each_cluster(study, lists):
    members = made.read(study.steps() / "clusters").members()
    named = np.empty(len(members), uids.UID)
    named["f0"], named["f1"] = members["f0"], members["f1"]
    inside = uids.count(named, lists[titled("SSP", 0.4)].uids) > 0
    for number in np.unique(members["cluster"]):
        own = members["cluster"] == number
        assert abs(inside[own].sum() - 0.4 * own.sum()) <= 1


def test_shorter_runs_have_the_same_lists_and_say_what_they_are(study, lists):
    whole, short = study.comparisons()
    assert [arm.name for arm in short.arms] == [name + SHORT for name in (NONE, "DBP 40 %", "CLIP score 40 %")]
    assert all("open division" in arm.note for arm in short.arms)
    assert short.scale.budget.steps == 2 == round(whole.scale.budget.steps / 4)
    assert lists["DBP 40 %" + SHORT].record.uids_sha256 == lists["DBP 40 %"].record.uids_sha256


# The page


def test_the_page_says_what_was_measured(study, lists, tmp_path):
    del lists  # but its steps are there
    whole, short = measured(BETTER)
    held = kept() | {titled(method, share): holds() for method in ("random", "CLIP score") for share in SHARES}
    verdicts = pruning_claims.verdicts(whole, short, held, SHARES, 0.4)
    path = pruning_report.write(study, whole, short, held, verdicts, tmp_path)
    text = path.read_text()
    assert text.count("**it shows**") == len(verdicts)
    assert "| DBP 40 % | 4,000 | 2 | 40.0 ±" in text
    assert f"ε = {study.epsilon:g}" in text
    for name in re.findall(r"\]\(([^)]+)\)", text):
        assert (tmp_path / name).is_file()
    drawn = (tmp_path / "averages.svg").read_text()
    ET.fromstring(drawn)
    assert "DBP, 2k: 40.0 ±" in drawn
    assert "6 clusters of" in (tmp_path / "clusters.html").read_text()
