"""Fits find what made the points, their intervals cover it, and what cannot be told is said."""

import numpy as np
import pytest

from datacomp.errors import StageError
from datacomp.scaling import choose
from datacomp.scaling.fit import Point, _Problem, fit, intervals, parameters
from datacomp.scaling.laws import Pool, Shared, error

SIZE = 12_800_000
SHARED = Shared(0.022, 0.1)
POOLS = {"0-10": Pool(SIZE, -0.13, 3), "10-20": Pool(SIZE, -0.11, 4), "20-30": Pool(SIZE, -0.09, 5), "30-40": Pool(SIZE, -0.07, 7)}
SIZES = {name: pool.samples for name, pool in POOLS.items()}
LOOKS = (1, 2, 4, 8, 10)
NOISE = 0.002  # DataComp's own between seeds, on ImageNet


def measured(pools, looks=LOOKS, noise=0.0, seed=0):
    random = np.random.default_rng(seed)
    return [
        Point(name, count * SIZE, float(error(count * SIZE, [pool], SHARED)) + noise * random.normal(), noise or 1.0)
        for name, pool in pools.items()
        for count in looks
    ]


def three():
    return dict(list(POOLS.items())[:3])


def test_points_without_noise_give_back_what_made_them():
    found = fit(SIZES, measured(POOLS))
    assert found.shared == pytest.approx(SHARED, rel=1e-6)
    for name, pool in POOLS.items():
        assert found.pools[name] == pytest.approx(pool, rel=1e-6)
    assert not [warning for warning in found.warnings if "bound" in warning]


def test_small_pools_are_fitted_as_large_ones():
    shared, pools = Shared(60.0, 0.1), {name: pool._replace(samples=5_120) for name, pool in POOLS.items()}
    points = [Point(name, count * 5_120, float(error(count * 5_120, [pool], shared))) for name, pool in pools.items() for count in LOOKS]
    found = fit(dict.fromkeys(POOLS, 5_120.0), points)
    assert found.shared == pytest.approx(shared, rel=1e-6)
    assert not [warning for warning in found.warnings if "bound" in warning]


@pytest.mark.parametrize("by_size", [False, True])
def test_derivatives_are_those_of_the_law(by_size):
    problem = _Problem(SIZES, measured(POOLS, looks=(0.3, 1, 2.5, 9)), by_size=by_size)
    x = parameters(fit(SIZES, measured(POOLS)))
    numeric = np.stack([(problem.residuals(x + step) - problem.residuals(x - step)) / 2e-6 for step in 1e-6 * np.eye(len(x))], axis=1)
    np.testing.assert_allclose(problem.jacobian(x), numeric, atol=1e-8)
    assert problem.residuals(x) == pytest.approx(0, abs=1e-6)  # of the law that tests/test_scaling_laws.py holds to hand-worked values


def test_a_fit_does_not_depend_on_the_order_of_points_and_pools():
    points = measured(POOLS, noise=NOISE)
    first, second = fit(SIZES, points), fit(dict(reversed(SIZES.items())), points[::-1])
    assert first.shared == pytest.approx(second.shared, rel=1e-5)
    assert first.pools["20-30"] == pytest.approx(second.pools["20-30"], rel=1e-5)


def test_noise_is_estimated_unless_it_is_known():
    points = [point._replace(deviation=1.0) for point in measured(POOLS, looks=np.arange(1, 13), noise=NOISE)]
    assert fit(SIZES, points).deviation == pytest.approx(NOISE, rel=0.35)
    assert fit(SIZES, points, is_known=True).deviation == 1.0


def test_a_pool_that_does_not_wear_out_within_the_budgets_is_told():
    pools = {**three(), "fresh": Pool(SIZE, -0.1, 1e6)}
    found = fit(dict.fromkeys(pools, SIZE), measured(pools))
    assert any("half-life of pool fresh" in warning for warning in found.warnings)
    assert intervals(found)["tau fresh"].is_open


def test_a_single_pool_says_that_its_parameters_trade_off():
    alone = {"0-10": POOLS["0-10"]}
    found = fit({"0-10": SIZE}, measured(alone, noise=NOISE, looks=(4, 5, 6, 7, 8)), is_known=True)
    wide = intervals(found)["d"]
    assert found.warnings or wide.is_open or wide.high - wide.low > 0.1


def test_intervals_hold_the_value_and_are_narrower_with_less_noise():
    wide, narrow = (intervals(fit(SIZES, measured(POOLS, noise=noise), is_known=True)) for noise in (NOISE, NOISE / 10))
    for name, interval in narrow.items():
        assert interval.low < interval.value < interval.high
        assert interval.high - interval.low < wide[name].high - wide[name].low
    assert narrow["tau 0-10"].low < 3 < narrow["tau 0-10"].high
    assert list(narrow)[:4] == ["a", "d", "b 0-10", "tau 0-10"]


def test_draws_of_several_sizes_stand_for_one_pool():
    """A small draw is repeated sooner: with each point's own size the points of both lie on one law."""
    sizes = (SIZE, SIZE / 8)
    points = [
        Point(name, seen, float(error(seen, [pool._replace(samples=size)], SHARED)), samples=size)
        for name, pool in three().items()
        for size in sizes
        for seen in (SIZE / 4, SIZE, 4 * SIZE)
    ]
    found = fit(dict.fromkeys(three(), SIZE), points)
    assert found.shared == pytest.approx(SHARED, rel=1e-4)
    assert found.pools["0-10"] == pytest.approx(POOLS["0-10"], rel=1e-4)
    small = choose.sized(found, points[3])
    assert choose.predict(small, 4 * SIZE, ("0-10",)).error == pytest.approx(points[5].error, abs=1e-6)


def test_draws_may_wear_out_in_proportion_to_their_size():
    """Two halves that are alike make their pool again: the theorem on unions says what half-life each has."""
    halves = [pool._replace(samples=SIZE / 2, half_life=pool.half_life / 2) for pool in three().values()]
    whole = [Point(name, looks * SIZE, float(error(looks * SIZE, [pool], SHARED))) for name, pool in three().items() for looks in (0.5, 2, 6)]
    half = [
        Point(name, looks * SIZE, float(error(looks * SIZE, [pool], SHARED)), samples=SIZE / 2)
        for name, pool in zip(three(), halves, strict=True)
        for looks in (2, 6)
    ]
    assert whole[2].error == pytest.approx(float(error(6 * SIZE, [halves[0], halves[0]], SHARED)), abs=1e-12)
    found = fit(dict.fromkeys(three(), SIZE), whole + half, by_size=True)
    assert found.shared == pytest.approx(SHARED, rel=1e-4)
    assert found.pools["10-20"] == pytest.approx(POOLS["10-20"], rel=1e-4)
    assert choose.sized(found, half[0]).pools["0-10"] == pytest.approx(halves[0], rel=1e-4)
    assert intervals(found)["tau 0-10"].value == pytest.approx(POOLS["0-10"].half_life, rel=1e-4)
    assert fit(dict.fromkeys(three(), SIZE), whole + half).deviation > 1e-3  # with one half-life for both sizes no law fits


def test_simpler_guesses_are_made_without_draws():
    whole = measured(three())
    half = [Point("0-10", point.seen, 0.99, samples=SIZE / 2) for point in whole[:3]]
    union, later = Point("0-10 + 10-20", 4 * SIZE, 0.8), Point("0-10", 40 * SIZE, 0.7)
    plain, drawn = (choose.check(fit(dict.fromkeys(three(), SIZE), points, by_size=True), [union, later]) for points in (whole, half + whole))
    for one, other in zip(plain, drawn, strict=True):
        assert (one.nearest, one.power) == pytest.approx((other.nearest, other.power), rel=1e-9)
        assert one.predicted.error != pytest.approx(other.predicted.error, rel=1e-3)


def test_a_parameter_at_its_bound_has_an_open_interval_and_no_variance_below_zero():
    found = fit(SIZES, measured(POOLS, noise=NOISE))
    broken = found._replace(covariance=found.covariance - 1e-3 * np.eye(len(found.covariance)))
    assert intervals(broken)["a"].low < found.shared.normaliser


def test_points_that_tell_nothing_are_said_to_tell_nothing():
    flat = [point._replace(error=0.9, deviation=1.0) for point in measured(three())]
    found = fit(dict.fromkeys(three(), SIZE), flat)
    assert any("bound" in warning for warning in found.warnings)
    assert choose.predict(found, SIZE, ("0-10",)).error == pytest.approx(0.9, abs=0.05)


def test_crossovers_have_intervals_that_narrow_with_the_noise():
    wide, narrow = (choose.crossovers(fit(SIZES, measured(POOLS, noise=noise)), choose.prefixes(list(POOLS)), 13e6, 2e8) for noise in (NOISE, NOISE / 10))
    for each in (wide[0], narrow[0]):
        assert each.low < each.seen < each.high
    assert narrow[0].high / narrow[0].low < wide[0].high / wide[0].low


@pytest.mark.slow(minutes=3)
def test_intervals_cover_at_the_stated_rate():
    """3 pools, 5 budgets, 200 simulations: 95 % less what chance takes, 3 standard errors of a share."""
    truth = {"a": SHARED.normaliser, "d": SHARED.irreducible} | {
        key: value for name, pool in three().items() for key, value in ((f"b {name}", pool.utility), (f"tau {name}", pool.half_life))
    }
    covered = dict.fromkeys(truth, 0)
    unions = 0
    for seed in range(200):
        found = fit(dict.fromkeys(three(), SIZE), measured(three(), noise=NOISE, seed=seed))
        for name, interval in intervals(found).items():
            covered[name] += interval.low <= truth[name] <= interval.high
        told = choose.predict(found, 6 * SIZE, ("0-10", "10-20"))
        unions += told.low <= error(6 * SIZE, list(POOLS.values())[:2], SHARED) <= told.high
    for name, count in covered.items():
        assert 0.95 - 3 * 0.0155 <= count / 200 <= 1, name
    assert unions / 200 >= 0.95 - 3 * 0.0155


@pytest.mark.parametrize(
    ("sizes", "points", "why"),
    [
        (SIZES, measured(three()), "pool 30-40 has no points"),
        (three(), measured(POOLS), "whose size is not given"),
        (SIZES, measured(POOLS, looks=(1, 2)), "8 points for 10 parameters"),
        (SIZES, [*measured(POOLS), Point("0-10", 0, 0.5)], "0 samples seen"),
        (SIZES, [*measured(POOLS), Point("0-10", 1e6, float("nan"))], "error nan"),
    ],
)
def test_what_cannot_be_fitted_is_refused(sizes, points, why):
    with pytest.raises(StageError, match=why):
        fit(dict.fromkeys(sizes, SIZE), points)


def test_unions_that_were_never_trained_are_predicted():
    found = fit(SIZES, measured(POOLS))
    for union in (("0-10", "10-20"), tuple(POOLS)):
        told = choose.predict(found, 64e6, union)
        assert told.error == pytest.approx(error(64e6, [POOLS[name] for name in union], SHARED), abs=1e-6)
        assert told.low <= told.error <= told.high


def test_little_compute_wants_the_best_pool_and_much_wants_more():
    found = fit(SIZES, measured(POOLS))
    unions = choose.prefixes(list(POOLS))
    assert choose.by_utility(found) == list(POOLS)
    assert [len(choose.choose(found, seen, unions)[0].union) for seen in (13e6, 64e6, 640e6)] == [1, 2, 3]
    assert choose.choose(found, 640e6, choose.subsets(list(POOLS)))[0].error <= choose.choose(found, 640e6, unions)[0].error


def test_crossovers_are_where_two_unions_are_equal():
    found = fit(SIZES, measured(POOLS))
    seen = choose.crossovers(found, choose.prefixes(list(POOLS)), 13e6, 5e9)
    assert [(len(each.before), len(each.after)) for each in seen][:2] == [(1, 2), (2, 3)]
    for each in seen:
        errors = [error(each.seen, [found.pools[name] for name in union], found.shared) for union in (each.before, each.after)]
        assert errors[0] == pytest.approx(errors[1], abs=1e-6)


def test_too_many_pools_have_no_table_of_all_subsets():
    with pytest.raises(StageError, match="13 pools have 8,191 unions"):
        choose.subsets([str(number) for number in range(13)])


def test_a_budget_that_was_left_out_is_predicted_better_than_by_its_neighbour_or_by_a_plain_power_law():
    left = list(choose.leave_one_budget_out(SIZES, measured(POOLS, looks=(1, 2, 4, 8, 16), noise=NOISE / 4)))
    assert [each.seen / SIZE for each in left] == [1, 2, 4, 8, 16]
    inner = [each for each in left if 1 < each.seen / SIZE < 16]
    assert all(each.law < each.nearest for each in inner)
    assert np.mean([each.law for each in inner]) < np.mean([each.power for each in inner])
