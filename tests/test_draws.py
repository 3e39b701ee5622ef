"""Draws are pure functions of what they are for, equal on every machine."""

import numpy as np
import pytest

from datacomp import draws


def test_draws_are_these_numbers_for_ever():
    assert draws.bits(0, "golden", np.arange(3)).tolist() == [14413231894332796916, 11379333741627409723, 5866383921481413261]
    assert draws.permutation(6, 1, "golden").tolist() == [2, 5, 1, 4, 0, 3]


def test_a_draw_does_not_depend_on_what_is_drawn_beside_it():
    assert draws.bits(3, "x", np.arange(100))[57] == draws.bits(3, "x", 57)


def test_other_seeds_names_and_indices_give_other_numbers():
    drawn = [draws.bits(0, "a", 0), draws.bits(1, "a", 0), draws.bits(0, "b", 0), draws.bits(0, "a", 1), draws.bits(0, "a", 0, 0)]
    assert len({int(number) for number in drawn}) == 5


def test_uniform_numbers_are_uniform():
    drawn = draws.uniform(0, "uniform", np.arange(100_000))
    assert np.histogram(drawn, 10, (0, 1))[0] == pytest.approx(10_000, rel=0.04)


def test_choices_follow_their_shares():
    drawn = draws.choice([1, 0, 3], 0, "choice", np.arange(100_000))
    assert np.bincount(drawn, minlength=3) / 100_000 == pytest.approx([0.25, 0, 0.75], abs=0.01)


def test_a_permutation_holds_everything_once():
    assert sorted(draws.permutation(1000, 0, "p").tolist()) == list(range(1000))
