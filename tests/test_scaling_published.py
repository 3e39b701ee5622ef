"""The published repetition pairs are those of the tables, and the laws that agree with pairs are found where they are."""

import pytest
from typer.testing import CliRunner

from datacomp import rooms
from datacomp.cli import app
from datacomp.errors import StageError
from datacomp.pipelines import repetition
from datacomp.pipelines.repetition import Pair
from datacomp.scaling.laws import Pool, Shared, error

RESULTS = rooms.leaderboard() / "published" / "results.csv"


def test_pairs_are_those_of_the_published_tables():
    found = repetition.pairs(RESULTS, "imagenet")
    assert [sum(pair.scale == scale for pair in found) for scale in repetition.SCALES] == [34, 10]  # of 35 rows, one stands in the wrong table
    best = next(pair for pair in found if pair.scale == "medium" and pair.method == "CLIP B32 score top 30%")
    assert best == Pair("medium", "CLIP B32 score top 30%", 38_400_000, (128e6, 1.28e9), pytest.approx((0.715, 0.564)))
    assert any(pair.method == "Random subset (75%)" for pair in found)  # which the tables write in two ways
    assert {pair.errors for pair in repetition.pairs(RESULTS, "average_38")} != {pair.errors for pair in found}
    with pytest.raises(StageError, match="imagenet, average_38"):
        repetition.pairs(RESULTS, "vtab")


def test_points_of_both_scales_stand_for_one_pool_each_with_its_own_size():
    found = repetition.measured(repetition.pairs(RESULTS, "imagenet"))
    assert (len(found.samples), len(found.points)) == (10, 40)
    sizes = {point.samples for point in found.points if point.pool == "CLIP B32 score top 30%"}
    assert sizes == {3_800_000, 38_400_000}
    assert found.samples["CLIP B32 score top 30%"] == 38_400_000


def made(pools, shared):
    seen = (128e6, 1.28e9)
    return [Pair("medium", str(place), pool.samples, seen, tuple(error(seen, [pool], shared).tolist())) for place, pool in enumerate(pools)]


def test_two_budgets_agree_with_many_laws_and_the_true_one_is_among_them():
    shared = Shared(10**-1.5, 0.2)
    pools = [Pool(38.4e6, -0.15, 8.0), Pool(64e6, -0.13, 12.0)]
    found = made(pools, shared)
    family = repetition.possible(found, 0.004)
    assert len(family) > 20
    near = min(family, key=lambda each: abs(each.shared.irreducible - 0.2) + abs(each.shared.normaliser - shared.normaliser))
    for got, pool in zip(near.pools, pools, strict=True):
        assert got.utility == pytest.approx(pool.utility, rel=0.1)
        assert got.half_life == pytest.approx(pool.half_life, rel=0.25)
    half_lives = [each.pools[0].half_life for each in family]
    assert max(half_lives) > 3 * min(half_lives)
    measured, beyond = (repetition.told(found, family, seen) for seen in (1.28e9, 12.8e9))
    assert max(high - low for low, high in measured.ranges) < 0.04
    assert max(high - low for low, high in beyond.ranges) > max(high - low for low, high in measured.ranges)
    assert sum(beyond.best.values()) == pytest.approx(1)


def test_no_law_agrees_with_a_list_that_gets_worse():
    better, worse = made([Pool(38.4e6, -0.15, 8.0)], Shared(0.03, 0.2)) * 2
    assert repetition.possible([better, worse._replace(errors=(0.6, 0.8))], 0.002) == []


def test_the_command_shows_ranges_and_what_is_open(monkeypatch):
    monkeypatch.setattr(repetition, "_GRID", 9)  # coarse, and quick
    done = CliRunner().invoke(app, ["scaling", "published", "--metric", "average_38"])
    assert done.exit_code == 0, done.exception
    assert "CLIP B32 score top 30%" in done.output
    assert "laws of the grid agree with all" in done.output
    assert "at 1.28B samples seen the best is CLIP B32 score top" in done.output
    assert "filters at both scales misses 40 points by" in done.output
    refused = CliRunner().invoke(app, ["scaling", "published", "--scale", "large"])
    assert "small, medium" in str(refused.exception)
