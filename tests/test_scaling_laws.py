"""The laws give the values that were worked out by hand and by the authors' code, and have the properties that the paper proves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datacomp.errors import StageError
from datacomp.scaling.laws import Pool, Shared, error, error_of_effective_data

SIZE = 12_800_000
SHARED = Shared(0.022, 0.1)
FOUR = [Pool(SIZE, b, tau) for b, tau in ((-0.13, 3), (-0.11, 4), (-0.09, 5), (-0.07, 7))]

pools = st.builds(Pool, st.just(SIZE), st.floats(-0.5, -0.005), st.floats(0.2, 20))
budgets = st.floats(1e5, 1e10)
laws = pytest.mark.parametrize("law", [error, error_of_effective_data])


def authors_code(seen, pool, shared):
    """As the authors' code has it: what is irreducible decays as well."""
    passes = int(seen // pool.samples)
    ends = [*(pool.samples * (j + 1) for j in range(passes)), seen]
    found = (shared.normaliser * min(ends[0], seen) / 100_000) ** pool.utility + shared.irreducible
    for j in range(1, passes + 1):
        found *= (ends[j] / ends[j - 1]) ** (pool.utility * 0.5 ** (j / pool.half_life))
    return found


def additive(seen, pools, shared):
    """The law step by step, pass by pass, for pools of equal size."""
    total, count = sum(pool.samples for pool in pools), len(pools)
    found, done, number = 1.0, 0.0, 0
    while done < seen:
        end = min(done + total, seen)
        exponent = sum(pool.utility * 0.5 ** (number / (count * pool.half_life)) for pool in pools) / count
        found *= (shared.normaliser * end / 100_000) ** exponent if number == 0 else (end / done) ** exponent
        done, number = end, number + 1
    return found + shared.irreducible


@pytest.mark.parametrize(
    ("looks", "expected"),
    [(0.5, 1.056492689), (1, 0.974073101), (1.5, 0.938259475), (2, 0.913742800), (3, 0.887165748), (4, 0.872583041), (10, 0.848584331)],
)
def test_one_pool_has_the_values_that_were_worked_out(looks, expected):
    assert error(looks * SIZE, [Pool(SIZE, -0.13, 3)], SHARED) == pytest.approx(expected, abs=5e-10)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (32e6, (0.899007, 0.893270, 0.906802, 0.922702)),
        (64e6, (0.863740, 0.837605, 0.850107, 0.868325)),
        (128e6, (0.848584, 0.793903, 0.800888, 0.819597)),
        (640e6, (0.845105, 0.749133, 0.726249, 0.733567)),
    ],
)
def test_mixtures_have_the_values_that_were_worked_out(seen, expected):
    assert [float(error(seen, FOUR[:count], SHARED)) for count in range(1, 5)] == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize(
    ("seen", "theirs", "ours"),
    [
        (12.8e6, 0.973169, 0.973169),
        (25.6e6, 0.905500, 0.912454),
        (64e6, 0.849445, 0.862158),
        (128e6, 0.832460, 0.846919),
        (640e6, 0.828561, 0.843420),
    ],
)
def test_the_authors_code_lets_the_irreducible_error_decay_and_ours_does_not(seen, theirs, ours):
    pool = Pool(SIZE, -0.131, 3)
    assert authors_code(seen, pool, SHARED) == pytest.approx(theirs, abs=1e-6)
    assert error(seen, [pool], SHARED) == pytest.approx(ours, abs=1e-6)


@given(st.lists(pools, min_size=1, max_size=5), st.floats(0.1, 60))
def test_the_law_is_the_product_over_passes(some, looks):
    seen = looks * SIZE * len(some)
    assert error(seen, some, SHARED) == pytest.approx(additive(seen, some, SHARED), rel=1e-12)


@laws
@given(pool=pools, count=st.integers(2, 6), seen=budgets)
def test_equal_pools_are_one_pool_of_their_sizes_and_half_lives(law, pool, count, seen):
    together = Pool(count * SIZE, pool.utility, count * pool.half_life)
    assert law(seen, [pool] * count, SHARED) == pytest.approx(law(seen, [together], SHARED), rel=1e-10)


@laws
@given(seen=budgets, utility=st.floats(-0.5, -0.005))
def test_without_decay_the_law_is_a_power(law, seen, utility):
    expected = (SHARED.normaliser * seen / 100_000) ** utility + SHARED.irreducible
    assert law(seen, [Pool(SIZE, utility, 1e12)], SHARED) == pytest.approx(expected, rel=1e-6)


@laws
@given(some=st.lists(pools, min_size=2, max_size=4), seen=budgets)
def test_the_order_of_pools_says_nothing(law, some, seen):
    assert law(seen, some, SHARED) == pytest.approx(law(seen, some[::-1], SHARED), rel=1e-12)


@laws
@given(some=st.lists(pools, min_size=1, max_size=4))
@settings(max_examples=50)
def test_more_samples_never_hurt(law, some):
    found = law(np.geomspace(1e7, 1e10, 300), some, SHARED)  # from there on normaliser times samples is above one unit
    assert (np.diff(found) <= 1e-15).all()


@given(st.lists(pools, min_size=1, max_size=4), st.integers(0, 3), st.floats(1e7, 1e10))
def test_a_more_useful_pool_gives_less_error(some, which, seen):
    which %= len(some)
    better = [pool._replace(utility=1.1 * pool.utility) if place == which else pool for place, pool in enumerate(some)]
    assert error(seen, better, SHARED) < error(seen, some, SHARED)


def test_the_best_prefix_never_gets_shorter_with_more_compute():
    best = [np.argmin([error(seen, FOUR[:count], SHARED) for count in range(1, 5)]) for seen in np.geomspace(2e7, 5e9, 60)]
    assert best == sorted(best)
    assert best[0] < best[-1]


def test_pools_of_unequal_size_count_by_their_samples():
    split = [Pool(SIZE, -0.13, 6), Pool(3 * SIZE, -0.13, 18)]  # one pool of 4 SIZE and half-life 24, cut in two
    assert error(3e8, split, SHARED) == pytest.approx(error(3e8, [Pool(4 * SIZE, -0.13, 24)], SHARED), rel=1e-12)


@laws
@pytest.mark.parametrize(("seen", "some"), [(0, FOUR), (-1, FOUR), (float("nan"), FOUR), (1e6, []), (1e6, [Pool(0, -0.1, 1)]), (1e6, [Pool(1, -0.1, 0)])])
def test_what_no_law_is_defined_for_is_refused(law, seen, some):
    with pytest.raises(StageError, match="a law was asked about"):
        law(seen, some, SHARED)
