"""The report of a fit in a real browser: nothing leaves the page, its words can be read, and a phone can show it."""

import pytest
from browsing import CONTRAST, watching
from test_scaling_pictures import ATTACK, POOLS, made, without_leaving_out

from datacomp.scaling import report
from datacomp.scaling.fit import fit

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::DeprecationWarning:playwright")]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    pools = {f"{ATTACK}{number}": pool for number, pool in enumerate(POOLS.values())}
    first = made(pools, mid=True)
    path = tmp_path_factory.mktemp("report") / "page.html"
    report.write(without_leaving_out(ATTACK, first, fit(first.samples, first.points)), path)
    return path.as_uri()


def test_the_report_asks_for_nothing_and_runs_nothing(browser, address):
    with watching(browser) as seen:
        seen.goto(address, until="networkidle")
        assert seen.messages == seen.dialogs == []
        assert [url for url in seen.requests if url != address and not url.startswith("data:")] == []
        assert seen.page.locator("svg.picture[role=img]:visible").count() == 4
        for picture in seen.page.locator("svg.picture").all():
            box = picture.bounding_box()
            assert box["width"] > 500
            assert box["height"] > 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_words_of_the_report_stand_out(browser, address, scheme):
    with watching(browser, color_scheme=scheme) as seen:
        seen.goto(address)
        assert seen.page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("width", [320, 768, 1280])
def test_the_report_does_not_scroll_sideways(browser, address, width):
    with watching(browser, viewport={"width": width, "height": 844}) as seen:
        seen.goto(address)
        assert seen.page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0
