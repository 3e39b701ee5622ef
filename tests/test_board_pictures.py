"""The board's pictures: the front, the places of points, and markup that no name can turn into anything else."""

import pytest
from markup import ATTACK, Markup

from datacomp import axes
from datacomp.board import page, pictures
from datacomp.board.pictures import Point


def point(name, amount, average, *, reference=False, series=""):
    return Point(name, amount, average, reference, series)


def test_the_front_holds_who_is_beaten_by_none_with_as_little():
    points = [point("all", 100, 0.5), point("best", 30, 0.6), point("small", 10, 0.4), point("worse", 30, 0.55), point("oracle", 5, 0.9, reference=True)]
    assert [found.name for found in pictures.front(points)] == ["small", "best"]


def test_more_is_further_right_and_better_is_higher():
    drawn = pictures.picture("key", "Title", "samples", [point("low", 10, 0.2), point("high", 1000, 0.7)])
    low, high = drawn.marks
    assert float(low.x) < float(high.x)
    assert float(low.y) > float(high.y)
    assert all(0 <= float(mark.x) <= pictures.WIDTH and 0 <= float(mark.y) <= pictures.HEIGHT for mark in drawn.marks)
    assert "high: 70.0 % with 1,000 samples" in drawn.description


@pytest.mark.parametrize("points", [[point("a", 0, 0.0), point("b", 0, 0.0)], [point("a", 1, 1.0)] * 2, [point("x" * 100, 10**12, 0.3), point("b", 1, 0.999)]])
def test_extreme_points_stay_on_the_canvas(points):
    drawn = pictures.picture("key", "Title", "samples", points)
    assert all(0 <= float(mark.x) <= pictures.WIDTH and 0 <= float(mark.y) <= pictures.HEIGHT for mark in drawn.marks)
    assert len(drawn.up) >= 1


def test_points_of_a_series_at_several_amounts_are_joined():
    points = [point("a", 10, 0.2, series="a"), point("a", 100, 0.3, series="a"), point("b", 10, 0.25, series="b"), point("b", 10, 0.26, series="b")]
    assert len(pictures.picture("key", "Title", "samples", points).trends) == 1


@pytest.mark.parametrize(("amount", "text"), [(12_800_000, "12.8M"), (1_280_000_000, "1.28B"), (30_000, "30k"), (7, "7")])
def test_an_amount_is_short(amount, text):
    assert axes.short(amount) == text


def test_pictures_have_titles_descriptions_and_no_markup_of_strangers(make_entry, tmp_path):
    for scale in ("nano", "micro"):
        for place, name in enumerate((ATTACK, "plain")):
            make_entry(name, scale=scale, level=0.6 - 0.1 * place).write(tmp_path / "entries" / f"{scale}-{place}.json")
    page.build(tmp_path / "entries", tmp_path / "out")
    text = (tmp_path / "out/index.html").read_text()
    assert text.count('<svg viewBox="0 0 480 300" role="img"') == text.count("<desc id=") == 3  # two tables, and across scales
    assert text.count('<polyline class="trend"') == 2
    assert ATTACK not in text
    assert Markup(text).handlers == []
