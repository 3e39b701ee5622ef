"""Verdicts on scaling laws come out both ways, as the rows say; predictions are counted as they are defined; the page shows what there is."""

import numpy as np
import polars as pl
import pytest

from datacomp import uids
from datacomp.artifacts import subset
from datacomp.declared import filter_recipe
from datacomp.errors import StageError
from datacomp.pipelines import compared, scaling_evidence, scaling_page, scaling_study
from datacomp.pipelines.claims import Settings, Where
from datacomp.pipelines.filter_networks import Networks
from datacomp.pipelines.scaling_evidence import CLAIMS, Row
from datacomp.pipelines.scaling_study import Design
from datacomp.scaling import laws
from datacomp.scaling.choose import JOINED
from datacomp.scaling.laws import Pool, Shared

SIZE, SHARED = 5_120, Shared(60.0, 0.1)
NAMES = ("0-10", "10-20", "20-30", "30-40")
POOLS = {name: Pool(SIZE, utility, 6.0) for name, utility in zip(NAMES, (-0.4, -0.25, -0.15, -0.1), strict=True)}
BUDGETS, UNSEEN = (12_800, 25_600, 38_400, 51_200), 409_600
UNIONS = [NAMES[:count] for count in (2, 3, 4)]
JUDGES = {claim.key: claim.judge for claim in CLAIMS}


def of_law(union, seen):
    return float(laws.error(seen, [POOLS[name] for name in union], SHARED))


def rows(error=of_law, seeds=(0, 1, 2), noise=0.0005):
    """A study whose errors follow a function of union and budget, and noise."""
    random, made = np.random.default_rng(0), []
    for seed in seeds:
        for union in [*((name,) for name in NAMES), *UNIONS]:
            for seen in (*BUDGETS, UNSEEN):
                fitted = len(union) == 1 and seen != UNSEEN
                made.append(Row(JOINED.join(union), SIZE * len(union), seen, seed, error(union, seen) + noise * random.normal(), fitted))
    return made


def unworn(union, seen):
    """Repetition costs nothing, so that the best bucket is the best everywhere."""
    return float(laws.error(seen, [POOLS[name]._replace(half_life=1e9) for name in union], SHARED))


def averaged(union, seen):
    """A union is worth the mean of its buckets: a law is not what says that."""
    return float(np.mean([of_law((name,), seen) for name in union]))


@pytest.fixture(scope="module")
def lawful():
    return rows()


def test_where_errors_follow_the_law_all_claims_show(lawful):
    verdicts = {key: judge(lawful) for key, judge in JUDGES.items()}
    assert {key: verdict.shows for key, verdict in verdicts.items()} == dict.fromkeys(JUDGES, True)
    assert "over 19 points, seed 0: 0.0" in verdicts["qqt-predict"].told
    assert "the best measured is 0-10 % at 12,800 samples seen" in verdicts["qqt-compute"].told


def test_halves_tell_what_repetition_costs_and_are_no_unions(lawful):
    random = np.random.default_rng(2)
    worn = {name: pool._replace(samples=SIZE / 2, half_life=pool.half_life / 2) for name, pool in POOLS.items()}
    halves = [
        Row(name, SIZE // 2, seen, seed, float(laws.error(seen, [worn[name]], SHARED)) + 0.0005 * random.normal(), True, True)
        for seed in (0, 1, 2) for name in NAMES for seen in BUDGETS[2:]
    ]  # fmt: skip
    found = [*lawful, *halves]
    assert {key: judge(found).shows for key, judge in JUDGES.items()} == dict.fromkeys(JUDGES, True)
    assert scaling_evidence.candidates(found) == scaling_evidence.candidates(lawful)
    assert scaling_evidence.errors(found, ("0-10",), BUDGETS[2]) == scaling_evidence.errors(lawful, ("0-10",), BUDGETS[2])
    few, many = (scaling_evidence.fit([row for row in rows_ if row.pool in NAMES]).covariance for rows_ in (lawful, found))
    assert many[3, 3] < few[3, 3]  # of the half-life of the best tenth
    page = scaling_page.pages(found, None)[scaling_page.PAGE]
    assert page.count("half of 0-10 %") == 2


def test_where_unions_do_not_follow_the_law_no_claim_of_them_shows():
    found = rows(averaged)
    assert {key: judge(found).shows for key, judge in JUDGES.items()} == dict.fromkeys(JUDGES, False)
    assert "none was measured" in JUDGES["qqt-crossover"](found).told
    assert "better by" in JUDGES["qqt-choose"](found).told


def test_where_repetition_costs_nothing_the_best_bucket_wins_everywhere():
    found = rows(unworn)
    assert not JUDGES["qqt-compute"](found).shows
    assert "no change is predicted; none was measured" in JUDGES["qqt-crossover"](found).told
    assert JUDGES["qqt-choose"](found).shows  # the laws choose the best bucket as well


def test_a_gain_within_its_noise_is_none(lawful):
    random = np.random.default_rng(1)
    noisy = [row._replace(error=row.error + 0.3 * random.normal()) if not row.fitted else row for row in lawful]
    assert not JUDGES["qqt-compute"](noisy).shows


@pytest.mark.parametrize("keep", [lambda row: row.seed == 0, lambda row: row.fitted, lambda row: row.seen == UNSEEN or not row.fitted, lambda row: False])
def test_where_rows_are_missing_nothing_is_said(lawful, keep):
    found = [row for row in lawful if keep(row)]
    assert {judge(found).shows for judge in JUDGES.values()} == {None}


def test_misses_are_mean_absolute_errors_over_what_was_not_fitted(lawful):
    exact = rows(noise=0.0, seeds=(0,))
    one = scaling_evidence.missed(exact)[0]
    held_out = [row for row in exact if not row.fitted]
    at_nearest = {(name, seen): of_law((name,), min(BUDGETS, key=lambda budget: abs(np.log(budget / seen)))) for name in NAMES for seen in (*BUDGETS, UNSEEN)}
    nearest = [abs(row.error - np.mean([at_nearest[name, row.seen] for name in row.pool.split(JOINED)])) for row in held_out]
    assert one.points == len(held_out) == 19
    assert one.nearest == pytest.approx(np.mean(nearest))
    assert one.law < 1e-3 < one.power
    kinds = {kind: scaling_evidence.missed(exact, kind)[0].points for kind in scaling_evidence.KINDS}
    assert kinds == {"all": 19, "unions": 12, "unseen budget": 4, "unions at the unseen budget": 3}


def test_the_measured_turn_is_interpolated_between_budgets(lawful):
    there = scaling_evidence.turn(lawful)
    low, high = there.between
    assert low < there.measured < high
    assert there.predicted.before == NAMES[:1]


def test_the_page_has_all_tables_and_pictures_and_says_where_there_is_nothing(lawful):
    made = scaling_page.pages(lawful, None)
    assert set(made) == {scaling_page.PAGE, scaling_page.CURVES, scaling_page.UNIONS}
    text = made[scaling_page.PAGE]
    assert text.count("**it shows**") == len(CLAIMS)
    assert "| unseen budget | 2 | 4 |" in text
    assert made[scaling_page.UNIONS].startswith("<svg")
    for few in ([], [row for row in lawful if row.fitted and row.seen == BUDGETS[0]]):
        assert "Not measured yet" in scaling_page.pages(few, None)[scaling_page.PAGE]
    alone = scaling_page.pages([row for row in lawful if row.fitted], None)
    assert alone[scaling_page.PAGE].count("**not measured**") == len(CLAIMS)
    assert set(alone) == set(made)


# The runs


SMALL = Design(600, 2, 2, (96, 128, 160, 192), (224,), (2,), (96, 224), score="clip_l14_similarity_score")


@pytest.fixture
def small(tiny_scale, small_suite, small_pool, monkeypatch):
    """The study of the tiny scale on the small pool."""
    suite, data = small_suite
    monkeypatch.setattr("datacomp.declared.scale.load", lambda _name: tiny_scale)
    monkeypatch.setattr("datacomp.declared.suite.load", lambda _name, _version=None: suite)
    monkeypatch.setattr("datacomp.pipelines.test_sets.locate", lambda *_: data)
    return scaling_study.study(SMALL._replace(pool=small_pool.path), Settings("smoke", seeds=(0,)))


def test_a_plan_says_every_run_and_its_cost(small, tmp_path):
    lines = "\n".join(small.plan(Where(tmp_path, tmp_path / "runs.json"), Settings("smoke", seeds=(0, 1)), small.arms))
    assert lines.startswith("24 runs to do, 3,840 samples seen in all")
    assert lines.count("to do     0-50 + 50-100, seed 1") == 2
    assert not (tmp_path / "runs.json").exists()


def test_buckets_are_by_the_score_of_a_network_on_clean_pairs(small_pool, small_suite, tmp_path, monkeypatch):
    network = Networks(tmp_path / "networks", tmp_path / "networks.json", small_suite[0], filter_recipe.load("miniature")).makers()["CLIP score b32"]()
    asked = []
    monkeypatch.setattr(Networks, "trained", lambda _self, share: asked.append(share) or network)
    where = Where(tmp_path / "out", tmp_path / "runs.json")
    least, *_ = scaling_study.comparisons(Design(buckets=2, best=2, unions=(), pool=small_pool.path), where, Settings())
    for arm in least.arms:
        arm.make(tmp_path / f"{arm.name}.npy")
    scores = pl.concat([pl.read_parquet(path) for path in sorted((where.out / "scores").glob("*.parquet"))]).sort("score", descending=True)
    halves = [set(uids.text(subset.read(tmp_path / f"{name}.npy").uids)) for name in ("0-50", "50-100")]
    assert asked == [0.0]  # once for both lists
    assert halves == [set(scores["uid"][:300]), set(scores["uid"][300:])]


@pytest.mark.slow
def test_every_run_is_a_row_and_none_is_done_twice(small, tmp_path):
    where, settings = Where(tmp_path / "out", tmp_path / "runs.json"), Settings("smoke", seeds=(0,), at_once=2)
    small.run(where, settings, small.arms)
    found = small.read(where.record)
    assert [(row.seen, row.pool) for row in found if JOINED in row.pool] == [(96, "0-50 + 50-100"), (224, "0-50 + 50-100")]
    assert sorted((row.pool, row.seen) for row in found if row.fitted) == [(name, seen) for name in ("0-50", "50-100") for seen in (96, 128, 160, 192)]
    assert all(0 < row.error < 1 for row in found)
    assert {row.samples for row in found if row.fitted} == {300}
    before = where.record.read_bytes()
    small.run(Where(tmp_path / "elsewhere", where.record), settings, small.arms)
    assert where.record.read_bytes() == before
    assert not list((tmp_path / "elsewhere").rglob("seed0*"))


def test_rows_of_other_recipes_are_passed_over_and_pools_are_not_mixed(small, make_row, tmp_path):
    record = tmp_path / "runs.json"
    for name, about in (("0-50", {}), ("50-100", {"recipe_sha256": "0" * 64})):
        compared.add(record, make_row(name, about))
    assert [row.pool for row in small.read(record)] == ["0-50"]
    compared.add(record, make_row("0-50", {"pool_content_sha256": "1" * 64}, seed=1))
    with pytest.raises(StageError, match="rows of pools that differ"):
        small.read(record)


def test_rows_are_those_of_the_design_in_the_order_of_the_score(small, make_row, tmp_path):
    record, design = tmp_path / "runs.json", SMALL._replace(buckets=20, best=3)
    for name in ("10-15", "0-5 + 5-10", "half of 5-10", "5-10", "0-5", "15-20", "0-50"):
        compared.add(record, make_row(name, {}))
    found = scaling_study.study(design, Settings("smoke", seeds=(0,))).read(record)
    assert [(row.pool, row.is_half) for row in found] == [("0-5", False), ("5-10", False), ("5-10", True), ("10-15", False), ("0-5 + 5-10", False)]


@pytest.fixture
def make_row(tiny_scale, small_suite):
    """A recorded run at the tiny study's least budget."""
    suite, _ = small_suite
    scale = scaling_study.budgeted(tiny_scale, 96)
    held = {"recipe_sha256": scale.digest(), "suite": suite.spec.name, "suite_version": 1, "suite_sha256": suite.digest()}
    held |= {"pool": "small", "pool_uids_sha256": "a" * 64, "pool_content_sha256": "", "list_sha256": "b" * 64}

    def make(arm, about, seed=0):
        tasks = [
            {"task": task.name, "metrics": {task.main_metric: 0.25}, "standard_errors": {task.main_metric: 0.01}, "samples": task.samples}
            for task in suite.tasks
        ]
        row = {"scale": scale.name, "arm": arm, "seed": seed, "samples": 300, "distinct_samples": 300, "weights_sha256": "c" * 64}
        parts = {"about": compared.About.model_validate(held | about), "tasks": tuple(map(compared.MainScore.model_validate, tasks))}
        return compared.Row.model_validate(row | parts | {"code": {"version": "0.1.0", "sha256": "e" * 64}})

    return make
