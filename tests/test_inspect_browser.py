"""The page of a list in a real browser: strangers' words harm nobody, nothing leaves the page, phones and keyboards can use it."""

import pytest
from browsing import CONTRAST, watching
from test_inspect import HOSTILE, make_list, make_pool

from datacomp.filters.apply import apply
from datacomp.subset import page
from datacomp.subset.inspect import WALL_PAIRS, inspect

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::DeprecationWarning:playwright")]

ATTACK = "<script>window.harmed = 1; alert(1)</script><img src=https://example.org/x.png onerror='window.harmed = 1'>"


@pytest.fixture(scope="module")
def address(small_pool, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    best = apply("clip_score", {"fraction": 0.3, "score": "clip_l14_similarity_score"}, small_pool, folder / "best.npy")
    other = apply("random", {"fraction": 0.5}, small_pool, folder / "other.npy")
    page.write(inspect(small_pool, best, [other]), folder / "page.html")
    return (folder / "page.html").as_uri()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    words = [*HOSTILE, ATTACK, "\u0301" * 5000, "x" * 10_000, "مرحبا " * 50]
    columns = {
        "text": words,
        "url": [f"https://{word}.example/" for word in words],
        f"clip_{ATTACK.replace('/', '')}_similarity_score": [row / 9 for row in range(len(words))],
        "original_width": [10**8] * len(words),
        "original_height": [1] * len(words),
    }
    lists = [make_list(folder / f"{name}.npy", range(0, len(words), step)) for step, name in ((2, ATTACK.replace("/", "")), (3, "y" * 200))]
    page.write(inspect(make_pool(folder / "pool", columns), lists[0], lists[1:]), folder / "page.html")
    return folder / "page.html"


def captions(seen, side):
    return seen.page.locator(f"#wall .side.{side} .card:visible .caption").all_inner_texts()


def test_the_page_is_complete_and_asks_for_nothing(browser, address):
    with watching(browser) as seen:
        seen.goto(address, until="networkidle")
        assert (seen.messages, seen.requests) == ([], [url for url in seen.requests if url == address or url.startswith("data:")])
        assert seen.page.locator("#wall .card:visible").count() == 2 * WALL_PAIRS
        assert seen.page.locator("svg[role=img]:visible").count() == 1 + 2 + 4 + 1
        pictures = seen.page.locator(".card img")
        assert pictures.count() == 2 * WALL_PAIRS + 16
        assert pictures.evaluate_all("images => images.every(image => image.complete && image.naturalWidth > 0)")
        assert seen.page.evaluate("document.documentElement.className") == "scripted"


def test_strangers_words_harm_nobody(browser, hostile):
    with watching(browser) as seen:
        seen.goto(hostile.as_uri(), until="networkidle")
        assert seen.page.evaluate("typeof window.harmed") == "undefined"
        assert (seen.dialogs, seen.messages) == ([], [])
        assert [url for url in seen.requests if not url.startswith((hostile.as_uri(), "data:"))] == []
        assert any("<script>" in caption for caption in (*captions(seen, "kept"), *captions(seen, "dropped")))


def test_the_policy_stops_what_escaping_would_have_let_through(browser, hostile):
    broken = hostile.with_name("broken.html")
    broken.write_text(hostile.read_text().replace("<h1>", f"{ATTACK}<style>h1 {{ color: red }}</style><h1>"))
    with watching(browser) as seen:
        seen.goto(broken.as_uri(), until="networkidle")
        assert seen.page.evaluate("typeof window.harmed") == "undefined"
        assert seen.dialogs == []
        for directive in ("script-src", "style-src", "img-src"):
            assert any(directive in message for message in seen.messages)


def test_the_watch_would_notice_harm(browser, hostile):
    broken = hostile.with_name("open.html")
    broken.write_text(hostile.read_text().replace('http-equiv="Content-Security-Policy"', "").replace("<h1>", f"{ATTACK}<h1>"))
    with watching(browser) as seen:
        seen.goto(broken.as_uri(), until="networkidle")
        assert (seen.page.evaluate("typeof window.harmed"), seen.dialogs) == ("number", ["1"])


def test_the_box_leaves_the_pairs_that_match(browser, address):
    with watching(browser) as seen:
        seen.goto(address)
        wanted = captions(seen, "kept")[3]
        seen.page.get_by_label("Find in captions").fill(wanted.upper())
        assert set(captions(seen, "kept")) == {wanted}
        seen.page.get_by_label("Find in captions").fill("no caption has these words")
        assert seen.page.locator("#wall .card:visible").count() == 0
        assert seen.page.locator(".no-match:visible").count() == 2
        assert seen.page.locator("#found").inner_text() == f"0 of {2 * WALL_PAIRS}"


def test_pairs_can_be_ordered(browser, address):
    with watching(browser) as seen:
        seen.goto(address)
        before = captions(seen, "kept")
        seen.page.get_by_label("Order").select_option("length")
        lengths = [len(caption) for caption in captions(seen, "kept")]
        assert lengths == sorted(lengths, reverse=True)
        seen.page.get_by_label("Order").select_option("As drawn")
        assert captions(seen, "kept") == before


def test_a_pair_is_enlarged_with_the_keyboard(browser, address):
    with watching(browser) as seen:
        seen.goto(address)
        first = seen.page.locator("#wall .card").first
        first.get_by_role("button", name="Enlarge").press("Enter")
        dialog = seen.page.get_by_role("dialog")
        assert first.locator(".caption").inner_text() == dialog.locator(".caption").inner_text()
        assert dialog.get_by_text("uid", exact=True).is_visible()
        seen.page.keyboard.press("ArrowRight")
        assert dialog.locator("code").inner_text() == seen.page.locator("#wall .card code").nth(1).text_content()
        seen.page.keyboard.press("Escape")
        assert dialog.count() == 0
        assert (
            seen.page.evaluate("document.activeElement.closest('.card').querySelector('code').textContent")
            == seen.page.locator("#wall .card code").nth(1).text_content()
        )


def test_without_javascript_everything_is_there_and_no_control_is_dead(browser, address):
    with watching(browser, java_script_enabled=False) as seen:
        seen.goto(address)
        assert seen.page.locator("#wall .card:visible").count() == 2 * WALL_PAIRS
        assert seen.page.locator("button:visible, input:visible, select:visible").count() == 0
        assert seen.page.locator("table.bins tbody tr").first.is_hidden()
        seen.page.locator(".chart summary").first.click()
        assert seen.page.locator("table.bins tbody tr").first.is_visible()


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_page_scrolls_sideways(browser, address, hostile, width, script):
    with watching(browser, viewport={"width": width, "height": 844}, java_script_enabled=script) as seen:
        for page_address in (address, hostile.as_uri()):
            seen.goto(page_address)
            assert seen.page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0


def test_every_chart_has_a_name_and_its_numbers(browser, address):
    with watching(browser) as seen:
        seen.goto(address)
        for chart in seen.page.locator(".chart svg").all():
            assert "median" in seen.page.locator(f"#{chart.get_attribute('aria-labelledby')}").inner_text()
        assert seen.page.locator(".chart table.bins").count() == seen.page.locator(".chart svg").count() == 6
        ids = seen.page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
        assert len(set(ids)) == len(ids)
        targets = seen.page.evaluate("[...document.querySelectorAll('nav a')].map(link => link.hash.slice(1))")
        assert set(targets) <= set(ids)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_words_stand_out_from_their_ground(browser, address, scheme):
    with watching(browser, color_scheme=scheme) as seen:
        seen.goto(address)
        assert seen.page.evaluate(CONTRAST) == []
