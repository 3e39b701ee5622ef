"""How entries stand: ranks that chance could have given, the gain over no filter, the share of the pool."""

import pytest
from markup import Markup

from datacomp.artifacts.pool import Reachable
from datacomp.board import averages, page, standing
from datacomp.board.compare import Measured, SeedPart
from datacomp.declared import pool as pools


def mean(value, error, seeds=None):
    return Measured(value, error, True, SeedPart(seeds**2, 2) if seeds else None)


def test_entries_far_apart_keep_their_ranks_and_equal_ones_share_them():
    assert standing.rank_intervals([mean(0.9, 0.01), mean(0.5, 0.01), mean(0.5, 0.01), mean(0.1, 0.01)]) == [(1, 1), (2, 3), (2, 3), (4, 4)]


def test_seeds_that_differ_widen_the_interval_of_a_rank():
    without = standing.rank_intervals([mean(0.60, 0.005), mean(0.57, 0.005)])
    assert without == [(1, 1), (2, 2)]
    assert standing.rank_intervals([mean(0.60, 0.005, 0.03), mean(0.57, 0.005, 0.03)]) == [(1, 2), (1, 2)]


def test_an_interval_holds_95_of_100_draws():
    apart = 1.96 * 2**0.5  # standard errors of one, so that the worse is in front in 2.5 of 100 draws
    for nearer, ranks in ((0.9, (1, 2)), (1.1, (1, 1))):
        assert standing.rank_intervals([mean(0.5 + 0.01 * apart * nearer, 0.01), mean(0.5, 0.01)])[0] == ranks


@pytest.mark.parametrize("count", [0, 1])
def test_few_entries_have_ranks_too(count):
    assert standing.rank_intervals([mean(0.5, 0.1)] * count) == [(1, 1)] * count


def known(entries):
    return [mean(entry.aggregates[averages.AVERAGE].value, 0.01) for entry in entries]


def test_a_gain_is_over_no_filter_on_the_same_reachable_pool(make_entry):
    elsewhere = {"effective_pool": Reachable(samples=90_000, uids_sha256="e" * 64)}
    unfiltered = {"filter": "no_filter", "options": {}}
    entries = [make_entry("a", level=0.6), make_entry("none", level=0.5, subset=unfiltered), make_entry("b", level=0.7, source=elsewhere)]
    gains = standing.gains(entries, known(entries))
    assert gains[0].difference == pytest.approx(0.1, abs=1e-3)
    assert gains[1:] == [None, None]
    entries.append(make_entry("none there", level=0.55, subset=unfiltered, source=elsewhere))
    assert standing.gains(entries, known(entries))[2].difference == pytest.approx(0.15, abs=1e-3)


def test_the_share_of_the_pool_is_that_of_the_scale_s_own(make_entry):
    pool = pools.load("nano")
    half = Reachable(samples=pool.samples // 2, uids_sha256="e" * 64)
    assert standing.reached(make_entry(source={"effective_pool": half}), pool) == 0.5
    assert standing.reached(make_entry(), pool) == 1.0
    assert standing.reached(make_entry(source={"pool": "another"}), pool) is None


def test_the_page_shows_gains_and_shares_where_there_are_any(make_entry, tmp_path):
    make_entry("a", level=0.6).write(tmp_path / "entries/a.json")
    page.build(tmp_path / "entries", tmp_path / "out")
    text = Markup((tmp_path / "out/index.html").read_text()).text
    assert "Gain" not in text
    assert "Reached" not in text
    half = Reachable(samples=51_200, uids_sha256="e" * 64)
    for name, level, subset in (("b", 0.6, {}), ("none", 0.5, {"filter": "no_filter", "options": {}})):
        make_entry(name, level=level, subset=subset, source={"effective_pool": half}).write(tmp_path / f"entries/{name}.json")
    page.build(tmp_path / "entries", tmp_path / "out")
    text = Markup((tmp_path / "out/index.html").read_text()).text
    assert "+10.0" in text
    assert "50.0 %" in text
    assert "+10.0" in Markup((tmp_path / "out/entries/b.html").read_text()).text
