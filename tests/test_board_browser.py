"""The board in a real browser, Debian's chromium: hostile names harm nobody, sorting works, phones need no sideways scrolling, nothing leaves the page."""

from threading import Thread

import pytest
from browsing import CONTRAST, watching

from datacomp import digest
from datacomp.artifacts.entry import SeedLeftOut, Verification
from datacomp.board import page, serve

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::DeprecationWarning:playwright")]

ATTACK = "<script>window.harmed = 1; alert(1)</script>"
IMAGE = '"><img src="https://example.org/x.png" onerror="window.harmed = 1">'


@pytest.fixture
def out(make_entry, make_report, tmp_path):
    entries = tmp_path / "entries"
    for number in range(6):
        record = dict(make_entry().runs[0].sources[0].subset)
        told = {"losses": {step: 2 + 600 / (step + 80) for step in range(10, 801, 10)}, "list_reports": (make_report(record),)} if number == 2 else {}
        make_entry(f"method {number}", seeds=tuple(range(1 + number % 3)), level=0.3 + 0.05 * number, proposed_by="Ada", **told).write(
            entries / f"{number}.json"
        )
    make_entry("oracle", level=0.9, subset={"ineligible": "made from the pool's truth"}).write(entries / "oracle.json")
    make_entry(
        ATTACK,
        level=0.2,
        proposed_by=IMAGE,
        description=ATTACK + IMAGE,
        subset={"external_resources": (ATTACK,)},
        losses={1: 0.0, 800: 1e4},
        seeds_left_out=(SeedLeftOut(seed=1, reason=IMAGE),),
    ).write(entries / "attack.json")
    told = {"format": "datacomp-verification/1", "level": "re-run", "verified_by": IMAGE, "code": {"version": ATTACK, "sha256": "e" * 64}, "tasks": (ATTACK,)}
    Verification.of(told | {"entry_sha256": digest.of_file(entries / "attack.json")}, "a test").write(entries / "attack.verification.json")
    make_entry("x" * 100, level=0.25, proposed_by="y" * 100, run_by="z" * 100, links=("https://example.org/" + "w" * 400,)).write(entries / "long.json")
    (entries / "broken.json").write_text("{")
    assert [name for name, _ in page.build(entries, tmp_path / "out").left_out] == ["broken.json"]
    return tmp_path / "out"


@pytest.fixture(params=["file", "served"])
def address(request, out):
    if request.param == "file":
        yield out.as_uri()
        return
    running = serve.server(out.parent / "entries", out, 0)
    thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://{serve.HOST}:{running.server_port}"
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.mark.parametrize("name", ["index.html", "published.html", "entries/attack.html", "entries/oracle.html", "entries/long.html"])
def test_a_hostile_entry_harms_nobody_and_nothing_leaves_the_page(browser, address, name):
    with watching(browser) as seen:
        seen.goto(f"{address}/{name}", until="networkidle")
        assert seen.page.evaluate("typeof window.harmed") == "undefined"
        assert seen.dialogs == []
        assert seen.messages == []  # a breach of the policy would be one
        assert [url for url in seen.requests if not url.startswith(address + "/")] == []
        assert seen.page.evaluate("document.documentElement.className") == "scripted"
        assert seen.page.evaluate("getComputedStyle(document.querySelector('.skip')).position") == "absolute"  # the style is there


def test_the_policy_stops_what_escaping_would_have_let_through(browser, address, out):
    index = out / "index.html"
    broken = index.read_text().replace("<h1>", f'{ATTACK}<img src="https://example.org/x.png"><h1>')
    (out / "broken.html").write_text(broken)
    with watching(browser) as seen:
        seen.goto(f"{address}/broken.html", until="networkidle")
        assert seen.page.evaluate("typeof window.harmed") == "undefined"
        assert seen.dialogs == []
        stopped = [message for message in seen.messages if "Content Security Policy" in message]
        assert {directive for directive in ("script-src", "img-src") if any(directive in message for message in stopped)} == {"script-src", "img-src"}


def test_the_watch_would_notice_harm(browser, address, out):
    broken = (out / "index.html").read_text().replace('http-equiv="Content-Security-Policy"', "").replace("<h1>", f"{ATTACK}<h1>")
    (out / "broken.html").write_text(broken)
    with watching(browser) as seen:
        seen.goto(f"{address}/broken.html", until="networkidle")
        served = address.startswith("http")  # there the policy comes with the answer too
        assert (seen.page.evaluate("typeof window.harmed"), seen.dialogs) == (("undefined", []) if served else ("number", ["1"]))


def methods(seen):
    return seen.page.locator("section.board tbody th.method a").all_inner_texts()


def test_a_column_sorts_by_click_and_by_keyboard(browser, address):
    with watching(browser) as seen:
        seen.goto(f"{address}/index.html")
        before = methods(seen)
        average = seen.page.locator("th.average")
        average.get_by_role("button").click()
        assert (methods(seen), average.get_attribute("aria-sort")) == (before, "descending")
        average.get_by_role("button").click()
        assert (methods(seen), average.get_attribute("aria-sort")) == (before[::-1], "ascending")
        seen.page.locator("th[data-kind=text] button").first.press("Enter")
        assert methods(seen) == sorted(before, key=str.lower)
        assert average.get_attribute("aria-sort") is None
        seen.page.locator("thead th.rank button").press("Space")
        assert methods(seen) == before


def test_without_javascript_everything_is_there_and_no_control_is_dead(browser, address):
    with watching(browser, java_script_enabled=False) as seen:
        seen.goto(f"{address}/index.html")
        assert seen.page.locator("section.board tbody tr:visible").count() == 9
        assert seen.page.locator("button:visible, input:visible, form:visible").count() == 0
        seen.page.locator("th.method a").first.click()
        assert seen.page.locator("table.tasks tbody tr:visible").count() == 11


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize("width", [320, 390, 768, 1024, 1280])
def test_no_page_scrolls_sideways(browser, address, width, script):
    with watching(browser, viewport={"width": width, "height": 844}, java_script_enabled=script) as seen:
        for name in (
            "index.html",
            "index.html#pin=long&pin=2&pin=5&show=nano/noise",
            "published.html",
            "entries/attack.html",
            "entries/long.html",
            "entries/2.html",
        ):
            seen.goto(f"{address}/{name}")
            assert seen.page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0, name


@pytest.mark.parametrize("width", [1265, 1440])  # the first is 1280 with a scroll bar
def test_a_table_lies_within_its_frame_on_a_desktop(browser, address, width):
    with watching(browser, viewport={"width": width, "height": 900}) as seen:
        seen.goto(f"{address}/index.html")
        over = "[...document.querySelectorAll('section.board .scroll')].map(frame => frame.scrollWidth - frame.clientWidth)"
        assert set(seen.page.evaluate(over)) == {0}
        seen.page.evaluate("document.querySelectorAll('th.method').forEach(head => { head.style.minWidth = '60rem'; })")
        assert max(seen.page.evaluate(over)) > 0  # it could have been seen


def test_the_head_of_a_long_table_stays_in_sight(browser, address):
    with watching(browser, viewport={"width": 1280, "height": 300}) as seen:
        seen.goto(f"{address}/index.html")
        seen.page.locator("section.board tbody tr").nth(7).scroll_into_view_if_needed()
        assert seen.page.locator("th.average").bounding_box()["y"] == pytest.approx(0, abs=2)


def test_the_first_key_press_offers_to_skip_to_the_content(browser, address):
    with watching(browser) as seen:
        seen.goto(f"{address}/index.html")
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.textContent") == "Skip to the content"
        seen.page.keyboard.press("Enter")
        assert seen.page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_words_stand_out_from_their_ground(browser, address, scheme):
    with watching(browser, color_scheme=scheme) as seen:
        for name in ("index.html", "index.html#pin=1&pin=5&show=nano/noise", "published.html", "entries/2.html", "entries/oracle.html"):
            seen.goto(f"{address}/{name}")
            seen.page.evaluate("for (const found of document.querySelectorAll('details')) found.open = true")
            assert seen.page.evaluate(CONTRAST) == [], name
        seen.page.evaluate("document.documentElement.style.setProperty('--ink', 'var(--ground)')")
        assert seen.page.evaluate(CONTRAST) != []
