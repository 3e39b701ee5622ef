"""Statistics of comparisons, by numbers worked out by hand, and the claims about the miniature, each where it holds and where it does not."""

import math
import re

import pytest

from datacomp import rooms
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.errors import RecordError, StageError
from datacomp.pipelines import compared, miniature_filters, miniature_page, miniature_pictures, paired
from datacomp.pipelines.compared import About, MainScore, Row
from datacomp.pipelines.miniature_filters import BASIC, FIRST, NAMES, NONE, ORACLE, PUBLISHED, RANDOM, clip
from datacomp.pipelines.paired import Table
from datacomp.scaling import draw

SUITE = suites.load("nano")
DIGESTS = {name: scales.load(name).digest() for name in ("nano", "micro")} | {"suite": SUITE.digest()}
RESULTS = rooms.leaderboard() / "published" / "results.csv"


def row(arm, seed, level, scale="nano", error=0.0, **about):
    """A run that reaches so much in every task of suite nano."""
    tasks = tuple(
        MainScore(task=task.name, metrics={task.main_metric: level}, standard_errors={task.main_metric: error}, samples=task.samples)
        for task in SUITE.tasks
        if task.counts
    )
    said = {
        "recipe_sha256": DIGESTS[scale],
        "suite": SUITE.spec.name,
        "suite_version": SUITE.spec.version,
        "suite_sha256": DIGESTS["suite"],
        "pool": scale,
        "pool_uids_sha256": "a" * 64,
        "pool_content_sha256": "b" * 64,
        "list_sha256": "c" * 64,
    }
    content = {"scale": scale, "arm": arm, "seed": seed, "about": About(**(said | about)), "samples": 30_720, "distinct_samples": 30_720, "tasks": tasks}
    return Row.of(content | {"weights_sha256": "d" * 64, "code": {"version": "0", "sha256": "e" * 64}}, "a made-up row")


def table(levels, scale="nano", error=0.0, noise=0.002):
    """Arms at some levels with two seeds, which differ by as much up and down as noise says, turned around at every other arm."""
    signs = {arm: (1, -1) if place % 2 else (-1, 1) for place, arm in enumerate(levels)}
    rows = [row(arm, seed, level + signs[arm][seed] * noise, scale, error) for arm, level in levels.items() for seed in (0, 1)]
    return Table(rows, scales.load(scale), SUITE)


# Statistics

HAND = {"a": {0: 0.1, 1: 0.3}, "b": {0: 0.2, 1: 0.6}}  # seed 1 lies 0.3 above seed 0, and 0.1 more or less at either arm


def test_noise_of_seeds_with_and_without_what_a_seed_does_to_every_arm():
    assert paired.within(HAND) == pytest.approx((math.sqrt((0.02 + 0.08) / 2), 2))
    assert paired.rest(HAND) == pytest.approx((0.1, 1))  # four residuals of 0.05: their squares make 0.01, over one degree of freedom


def test_noise_is_not_told_by_too_few_runs():
    assert paired.within({"a": {0: 0.1}, "b": {0: 0.2}}) is None
    assert paired.rest({"a": {0: 0.1}, "b": {0: 0.2}}) is None
    assert paired.rest({"a": {0: 0.1, 1: 0.2}}) is None  # arm and seed tell all
    assert paired.rest({"a": {0: 0.1, 1: 0.3}, "b": {0: 0.2, 2: 0.6}, "c": {1: 0.2}}) is None


def test_an_arm_that_lacks_a_seed_adds_what_it_tells():
    found = paired.rest(HAND | {"c": {0: 0.7}})
    assert found == pytest.approx((0.1, 1))
    # three arms with seeds 0 and 1, differences 0.2, 0.4 and 0.6: half their variance of 0.04, with two degrees of freedom
    assert paired.rest(HAND | {"c": {0: 0.1, 1: 0.7}}) == pytest.approx((math.sqrt(0.02), 2))


def test_a_gap_is_paired_and_joins_seeds_and_samples():
    found = paired.gap([0.1, 0.3], [0.2, 0.6], 0.0, paired.rest(HAND))
    assert found.difference == pytest.approx(0.2)
    assert found.standard_error == pytest.approx(0.1)  # 0.1 times the root of 2 over 2
    assert found.own_error == pytest.approx(0.1)  # differences 0.1 and 0.3: 0.1414 over the root of 2; of two arms both ways agree
    joined = paired.gap([0.1, 0.3], [0.2, 0.6], 0.24, paired.rest(HAND))
    assert joined.standard_error == pytest.approx(0.26)
    assert (joined.is_above, joined.is_within_noise) == (False, True)
    alone = paired.gap([0.1], [0.2], 0.0, None)
    assert alone[1:] == (None, None, 1)
    assert not alone.is_above
    assert not alone.is_within_noise


def test_two_standard_errors_are_the_border():
    assert paired.Gap(0.2, 0.1, None, 2).is_within_noise
    assert not paired.Gap(0.2, 0.1, None, 2).is_above
    assert paired.Gap(0.201, 0.1, None, 2).is_above
    assert not paired.Gap(-0.201, 0.1, None, 2).is_within_noise


def test_the_spread_between_arms_is_taken_apart():
    found = paired.spread(HAND)  # means 0.2 and 0.4 have a variance of 0.02, of which 0.01 / 2 is noise
    assert found.between_arms == pytest.approx(math.sqrt(0.015))
    assert found.share_of_runs == pytest.approx(0.01 / 0.025)
    assert found.share_of_means == pytest.approx(0.25)
    same = paired.spread({"a": {0: 0.1, 1: 0.3}, "b": {0: 0.3, 1: 0.1}})
    assert (same.between_arms, same.share_of_runs) == (0.0, 1.0)
    assert paired.spread({}) is None


def test_rank_correlation_of_what_two_orders_share():
    first = {"a": 1, "b": 2, "c": 3, "d": 4, "only here": 0}
    found = paired.ranks(first, {"b": 0.1, "a": 0.2, "d": 0.9, "c": 0.3, "only there": 0})
    assert found.shared == ("a", "b", "c", "d")
    assert found.correlation == pytest.approx(0.8)  # one swap of neighbours: 1 - 6 * 2 / (4 * 15)
    assert paired.ranks({"a": 1, "b": 2}, {"a": 1, "b": 2}) is None
    assert paired.ranks({"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 2, "c": 3}) is None


def test_a_table_s_means_and_gaps_are_those_of_its_rows():
    found = Table([row(arm, seed, level, error=0.07) for arm, seeds in HAND.items() for seed, level in seeds.items()], scales.load("nano"), SUITE)
    sample_error = 0.07 / math.sqrt(len(SUITE.counting))
    mean, gap = found.mean("b"), found.gap("a", "b")
    assert (mean.value, mean.seeds) == (pytest.approx(0.4), 2)
    assert mean.standard_error == pytest.approx(math.hypot(sample_error, math.sqrt(0.05) / math.sqrt(2)))
    assert gap.difference == pytest.approx(0.2)
    assert gap.standard_error == pytest.approx(math.hypot(sample_error * math.sqrt(2), 0.1))
    assert found.gap("a", "nothing") is None


def test_rows_of_another_recipe_suite_or_pool_are_left_out_and_counted():
    rows = [row("a", 0, 0.1), row("a", 1, 0.1, recipe_sha256="0" * 64), row("b", 0, 0.1, suite_sha256="0" * 64), row("c", 0, 0.1, pool_uids_sha256="0" * 64)]
    found = Table([*rows, row("a", 0, 0.1, "micro")], scales.load("nano"), SUITE, uids_sha256="a" * 64)
    assert (list(found.rows), found.left_out) == (["a"], 3)
    with pytest.raises(StageError, match="of pools that differ"):
        Table([row("a", 0, 0.1), row("b", 0, 0.1, pool_content_sha256="0" * 64)], scales.load("nano"), SUITE)


# Claims

NANO = {
    NONE: 0.20,
    RANDOM: 0.201,
    BASIC: 0.22,
    "text-based": 0.24,
    **{clip("b32", percent): 0.30 - abs(percent - 29) / 400 for percent in (10, 20, 30, 50)},
    **{clip("l14", percent): 0.35 - abs(percent - 29) / 400 for percent in (10, 20, 30, 50)},
    ORACLE: 0.5,
}
MICRO = {name: level + 0.2 - 0.1 * name.endswith(" 10 %") for name, level in NANO.items()}


def claims(nano=NANO, micro=MICRO, **how):
    found = miniature_filters.claims({"nano": table(nano, **how), "micro": table(micro, "micro", **how)})
    assert [claim.text[:3] for claim in found] == ["(1)", "(1)", "(2)", "(2)", "(3)", "(4)", "(5)", "(6)"]
    return found


def test_all_claims_hold_where_they_should():
    found = claims()
    assert [claim.verdict for claim in found[:7]] == ["it shows"] * 7
    assert "+2.0 ± 0.3 from no filter to basic" in found[0].numbers
    assert "4 of 4 by more than two standard errors" in found[2].numbers
    assert "the least rise is +10.0 points of CLIP score b32 10 %" in found[6].numbers
    assert re.fullmatch(r"it is 0\.[5-8][0-9] over 13 filters", found[7].numbers)
    assert not found[7].shows  # what repetition costs at micro turns its order around
    assert claims(micro={name: level + 0.2 for name, level in NANO.items()})[7].shows


@pytest.mark.parametrize(
    ("place", "nano", "micro", "number"),
    [
        (0, {BASIC: 0.203}, {}, "+0.3 ± 0.3 from no filter to basic"),  # above, but by less than two errors
        (0, {ORACLE: 0.3}, {}, "-4.7 ± 0.3 from CLIP score l14 30 % to oracle"),
        (1, {}, {clip("l14", 30): 0.41}, "-1.0 ± 0.3 from basic to CLIP score l14 30 %"),
        (2, {clip("b32", 50): 0.4}, {}, "at 50 %; 3 of 4"),
        (3, {}, {clip("l14", 20): 0.3}, "at 20 %"),
        (4, {RANDOM: 0.21}, {}, "+1.0 ± 0.3, +3.4 standard errors"),
        (5, {}, {clip("l14", 10): 0.3025 + 0.2}, "+0.0 ± 0.4 more"),  # as far behind at both scales
        (5, {clip("l14", 10): 0.1}, {}, "more"),  # behind at both, and less so at the larger one
        (6, {RANDOM: 0.5}, {}, "these do not: random 30 % by -9.9 points"),
    ],
)
def test_each_claim_fails_where_it_does_not_hold(place, nano, micro, number):
    found = claims(NANO | nano, MICRO | micro)
    assert found[place].verdict == "it does not show"
    assert number in found[place].numbers


def test_claims_fail_in_noise_that_hides_them():
    found = claims(noise=0.2)
    assert [found[place].verdict for place in (0, 1, 5)] == ["it does not show"] * 3


@pytest.mark.parametrize(
    ("name", "concerned"), [(NONE, {0, 1, 4, 6, 7}), (clip("b32", 20), {2, 3, 6, 7}), (clip("l14", 10), {2, 3, 5, 6, 7}), (ORACLE, {0, 1, 6, 7})]
)
def test_what_is_missing_is_said_and_nothing_judged_without_it(name, concerned):
    without = [{other: level for other, level in levels.items() if other != name} for levels in (NANO, MICRO)]
    found = claims(*without)
    assert {place for place, claim in enumerate(found) if claim.verdict == "not measured yet"} == concerned
    assert all(name in found[place].numbers for place in concerned)


def test_with_one_seed_nothing_is_judged_that_needs_to_know_their_noise():
    one = {
        scale: Table([row(name, 0, level, scale) for name, level in levels.items()], scales.load(scale), SUITE)
        for scale, levels in (("nano", NANO), ("micro", MICRO))
    }
    found = miniature_filters.claims(one)
    assert [claim.shows for claim in found[:6]] == [None] * 6
    assert "one seed, and nothing tells how seeds differ" in found[0].numbers
    assert found[6].shows


def test_the_published_order_is_that_of_the_papers_tables():
    small, medium = (miniature_filters.published_averages(RESULTS, scale) for scale in PUBLISHED)
    assert set(small) == set(medium) == set(NAMES) - {ORACLE}
    assert (small[NONE], small[clip("l14", 30)], small[clip("b32", 10)]) == (0.132, 0.173, 0.126)
    assert (medium[BASIC], medium["text-based"], medium[RANDOM], medium[clip("b32", 30)]) == (0.285, 0.307, 0.24, 0.338)


def test_a_published_row_that_is_gone_is_told(tmp_path):
    (tmp_path / "results.csv").write_text("".join(line for line in RESULTS.read_text().splitlines(keepends=True) if "CLIP L14 score top 20%" not in line))
    with pytest.raises(RecordError, match="no average of 'CLIP L14 score top 20%' at scale small"):
        miniature_filters.published_averages(tmp_path / "results.csv", "small")


def test_arms_are_all_filters_and_those_that_claims_need_come_first_where_runs_are_dear(tmp_path):
    assert tuple(arm.name for arm in miniature_filters.arms(tmp_path)) == NAMES
    found = [arm.name for arm in miniature_filters.arms(tmp_path, first=FIRST)]
    assert found[:5] == [NONE, BASIC, clip("l14", 30), ORACLE, clip("l14", 10)]
    assert sorted(found) == sorted(NAMES)


def test_arms_write_lists(small_pool, tmp_path):
    sizes = {}
    for arm in miniature_filters.arms(small_pool.path):
        if arm.name in (NONE, RANDOM, clip("b32", 20), ORACLE):
            sizes[arm.name] = len(arm.make(tmp_path / f"{arm.folder}.npy").uids)
            assert bool(arm.note) == (arm.name == ORACLE)
    assert (sizes[NONE], sizes[RANDOM]) == (600, 180)
    assert 120 <= sizes[clip("b32", 20)] <= 126
    assert 0 < sizes[ORACLE] < 600


# The page


@pytest.fixture
def page(tmp_path):
    """A page of made-up rows at a place like docs/, with its record and pictures below it."""
    record = tmp_path / "miniature" / "runs.json"
    for scale, levels in (("nano", NANO), ("micro", MICRO)):
        for seeds in table(levels, scale, error=0.01).rows.values():
            for one in seeds.values():
                if scale == "nano" or one.arm in FIRST:
                    compared.add(record, one)
    found = {scale: Table(compared.read(record).values(), scales.load(scale), SUITE) for scale in ("nano", "micro")}
    miniature_page.write(found, RESULTS, record, tmp_path / "page.md")
    return tmp_path / "page.md"


def test_a_page_holds_every_filter_every_claim_and_what_is_missing(page):
    text = page.read_text()
    nano, micro = text.partition("## Scale nano")[2].split("## Scale micro")
    assert all(f"| {name}" in part for name in NAMES for part in (nano, micro))
    assert "not measured yet" not in nano
    assert micro.count("| not measured yet | 0 |") == len(NAMES) - len(FIRST)
    assert "| basic | 30,720 | 2 | 22.0 ± 0.4 | +2.0 ± 0.5 |" in nano
    assert re.search(r"\| no filter \| 30,720 \| 2 \| 20\.0 ± 0\.4 \|  \|.*\| 13\.2 \| 25\.8 \|", nano)
    assert "* (1) at nano: no filter < basic < CLIP score l14 30 % < oracle, each step more than two standard errors: it shows." in text
    assert text.count(": not measured yet. no run at micro of random 30 %, text-based") == 2
    assert "* nano with DataComp's medium: 0." in text
    assert "* micro with DataComp's small: " in text
    assert "degrees of freedom" in nano


def test_a_page_s_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)]+)\)", page.read_text())
    assert {"miniature/runs.json", "miniature/averages.svg", "miniature/scales.svg", "miniature/published-nano.svg"} <= set(targets)
    assert [target for target in targets if not (page.parent / target).is_file()] == []


def test_a_page_without_rows_says_that_nothing_is_measured(tmp_path):
    found = miniature_page.tables(tmp_path / "miniature" / "runs.json", "nano")
    miniature_page.write(found, RESULTS, tmp_path / "miniature" / "runs.json", tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert text.count("| not measured yet | 0 |") == 2 * len(NAMES)
    assert text.count(": not measured yet. ") == 8
    assert "![" not in text


def test_pictures_show_every_filter_with_its_error(page):
    svg = (page.parent / "miniature" / "averages.svg").read_text()
    assert svg.count("<circle") == len(NAMES) + len(FIRST) + 2  # and the legend
    assert "<title>basic at nano: 22.0 ± 0.4 %</title>" in svg
    across = (page.parent / "miniature" / "scales.svg").read_text()
    assert across.count("<circle") == len(FIRST)
    assert "basic: 22.0 % nano, 42.0 % micro" in across


def test_a_picture_of_two_measures_tells_their_rank_correlation():
    points = [miniature_pictures.Point(name, level, level + 0.1, 0.01, 0.02) for name, level in NANO.items()]
    picture = miniature_pictures.against("key", "title", points, ("nano", "micro"))
    assert picture.description.startswith("Spearman's rank correlation is 1.00. ")
    assert draw.png(picture).startswith(b"\x89PNG")
