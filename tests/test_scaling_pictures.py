"""Pictures of fits show what was fitted, no name can turn into anything else, and the page loads nothing."""

import io
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from markup import ATTACK, Markup
from PIL import Image
from test_scaling_fit import NOISE, SHARED, SIZE, measured

from datacomp.scaling import choose, draw, pictures, report
from datacomp.scaling.fit import Point, fit
from datacomp.scaling.laws import Pool, error
from datacomp.scaling.pictures import Area, Dot, Line, Text
from datacomp.scaling.points import Measured

POOLS = {"0-50": Pool(SIZE, -0.13, 3), "50-100": Pool(SIZE, -0.1, 5)}


def made(pools, looks=(1, 2, 4, 8, 10), *, mid=False):
    points = [point._replace(is_mid=mid, deviation=1.0) for point in measured(pools, looks=looks, noise=NOISE)]
    return Measured(dict.fromkeys(pools, float(SIZE)), tuple(points))


@pytest.fixture(scope="module")
def found():
    first = made(POOLS, mid=True)
    union = Point("0-50 + 50-100", 20 * SIZE, float(error(20 * SIZE, list(POOLS.values()), SHARED)))
    first = first._replace(checks=(union, Point("0-50", 20 * SIZE, 0.85), Point("0-50", 20 * SIZE, 0.86)))
    return report.make("a pool", first, fit(first.samples, first.points))


def without_leaving_out(*arguments):
    """A report without the slow part that fits each budget's absence."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choose, "leave_one_budget_out", lambda *_: ())
        return report.make(*arguments)


@pytest.fixture(scope="module")
def hostile():
    pools = {f"{ATTACK}{number}": pool for number, pool in enumerate(POOLS.values())}
    first = made(pools)
    return without_leaving_out(ATTACK, first, fit(first.samples, first.points))


def marks(found, key, kind):
    picture = next(picture for picture in found.pictures if picture.key == key)
    return [mark for mark in picture.marks if isinstance(mark, kind)]


def test_every_bucket_has_a_panel_with_its_curve_band_and_points(found):
    assert len(marks(found, "curves", Area)) == 2
    assert len([line for line in marks(found, "curves", Line) if line.colour]) == 2
    dots = marks(found, "curves", Dot)
    assert len(dots) == len(found.fitted.points) == 10
    assert all(dot.hollow for dot in dots)  # of the middle of a schedule
    assert {text.words for text in marks(found, "curves", Text) if text.role == "name"} == set(POOLS)


def test_a_crossover_is_marked_where_it_is(found):
    (crossing,) = found.crossings
    assert crossing.low < crossing.seen < crossing.high
    (line,) = [line for line in marks(found, "unions", Line) if line.role == "crossing"]
    curves = [line for line in marks(found, "unions", Line) if line.colour and len(line.places) > 10]
    heights = [np.interp(line.places[0][0], *zip(*curve.places, strict=True)) for curve in curves]
    assert heights[0] == pytest.approx(heights[1], abs=0.5)  # pixels
    assert len(marks(found, "unions", Dot)) == 2  # the union and the bucket that were measured at a further budget


def test_the_front_holds_what_none_beats_with_as_little():
    assert pictures.on_front([10, 20, 30, 40], np.array([0.5, 0.6, 0.4, 0.4])) == [0, 2]


def test_the_kept_share_steps_up_where_the_choice_changes(found):
    (stairs,) = [line for line in marks(found, "kept", Line) if line.colour]
    assert len(stairs.places) == 4
    assert stairs.places[0][1] > stairs.places[-1][1]
    (whisker,) = [line for line in marks(found, "kept", Line) if line.role == "whisker"]
    assert whisker.places[0][0] < stairs.places[1][0] < whisker.places[1][0]


def test_everything_stays_on_the_canvas(found, hostile):
    for picture in (*found.pictures, *hostile.pictures):
        for mark in picture.marks:
            places = [mark.place] if isinstance(mark, Dot | Text) else mark.places
            assert all(0 <= x <= picture.size[0] and 0 <= y <= picture.size[1] for x, y in places), (picture.key, mark)


def test_names_at_the_ends_of_lines_do_not_overlap():
    pools = {f"{10 * n}-{10 * n + 10}": Pool(SIZE, -0.13 + 0.001 * n, 3 + n) for n in range(10)}
    first = made(pools)
    fitted = fit(first.samples, first.points)
    picture = pictures.unions(fitted, choose.prefixes(list(pools)), list(pools), (SIZE, 20 * SIZE), ())
    heights = sorted(mark.place[1] for mark in picture.marks if isinstance(mark, Text) and mark.role == "name")
    assert len(heights) == 10
    assert np.diff(heights).min() > 12


@pytest.mark.parametrize(
    ("union", "name"),
    [(("0-10",), "0-10"), (("0-10", "10-20", "20-30"), "0-30"), (("10-20", "20-30"), "10-30"), (("0-10", "20-30"), "0-10 + 20-30")],
)
def test_a_union_is_named_by_its_ends(union, name):
    assert pictures.union_name(union, ["0-10", "10-20", "20-30"]) == name


def test_other_names_are_joined_by_words():
    assert pictures.union_name(("best", "good"), ["best", "good", "rest"]) == "best to good"


def test_a_picture_is_the_same_as_svg_and_png(found):
    for picture in found.pictures[::3]:
        root = ET.fromstring(draw.svg(picture))
        kinds = [element.tag.rpartition("}")[2] for element in root]
        assert kinds.count("polyline") == sum(isinstance(mark, Line) for mark in picture.marks)
        assert kinds.count("circle") == sum(isinstance(mark, Dot) for mark in picture.marks)
        image = Image.open(io.BytesIO(draw.png(picture)))
        assert image.size == (2 * picture.size[0], 2 * picture.size[1])
        first = next(mark for mark in picture.marks if isinstance(mark, Line) and mark.colour)
        x, y = first.places[0]
        area = np.asarray(image.crop((round(2 * x) - 6, round(2 * y) - 6, round(2 * x) + 6, round(2 * y) + 6)).convert("RGB"), int)
        wanted = [int(first.colour[place : place + 2], 16) for place in (1, 3, 5)]
        assert np.abs(area - wanted).sum(axis=2).min() < 60


def test_the_page_says_what_was_fitted_checked_and_chosen(found):
    text = Markup(report.text(found)).text
    assert "fitted to 10 measured errors of 2 buckets" in text
    assert "10 of 10 points are of checkpoints in the middle of a schedule" in text
    assert "The choice beside the best that was measured" in text
    for name in ("tau 0-50", "b 50-100", "What was measured and not fitted", "Each budget predicted from all others"):
        assert name in text


def test_the_page_loads_nothing_and_no_name_is_markup(found, hostile, tmp_path):
    for one in (found, hostile):
        page = Markup(report.text(one))
        assert all(value.startswith(("#", "data:")) for _, value in page.addresses)
        assert page.handlers == []
        assert "script" not in page.tags
        (policy,) = page.policies
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    assert ATTACK not in report.text(hostile)
    for picture in hostile.pictures:
        assert ATTACK not in draw.svg(picture)


def test_a_fit_of_one_bucket_has_a_report(tmp_path):
    first = made({"0-50": POOLS["0-50"]}, looks=(0.5, 1, 2, 4, 8, 10))
    found = without_leaving_out("one", first, fit(first.samples, first.points))
    assert found.crossings == []
    report.write(found, tmp_path / "page.html", apart=True)
    assert "The best candidate is the same at all budgets" in (tmp_path / "page.html").read_text()
