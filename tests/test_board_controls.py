"""What readers do with the board in a real browser: search, filter, choose columns, compare, share a link, take the numbers along, by keyboard too."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from browsing import CONTRAST, watching

from datacomp import digest
from datacomp.artifacts.entry import Entry, SeedLeftOut
from datacomp.board import compare, evaluated, page
from datacomp.declared import suite as suites

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::DeprecationWarning:playwright")]

FORMULA = '=HYPERLINK("https://example.org")'
LEVELS = {"strong, with a comma": 0.7, "middling": 0.5, "twin": 0.5004, "weak": 0.3, FORMULA: 0.2}
MINUS = "\u2212"
AXE = Path(__file__).parent / "axe"


@pytest.fixture(scope="module")
def out(make_entry, make_report, tmp_path_factory):
    entries = tmp_path_factory.mktemp("board") / "entries"
    for place, (method, level) in enumerate(LEVELS.items()):
        changes = {"subset": {"external_resources": ("a secret model",)}} if method == "weak" else {"description": "It keeps whatever mentions a walrus."}
        if place == 1:
            report = make_report(dict(make_entry().runs[0].sources[0].subset))
            changes |= {"losses": {1: 4.8, 400: 3.0, 800: 2.5}, "list_reports": (report,), "seeds_left_out": (SeedLeftOut(seed=2, reason="a node died"),)}
        make_entry(method, seeds=tuple(range(1 + place % 3)), level={"nano/objects": 0.9 - level} | dict.fromkeys(OTHERS, level), **changes).write(
            entries / f"{place}.json"
        )
    assert page.build(entries, entries.parent / "out").left_out == ()
    return entries.parent / "out"


OTHERS = [task.name for task in suites.load("nano").tasks if task.name != "nano/objects"]


@pytest.fixture
def seen(browser, out):
    with watching(browser, viewport={"width": 1280, "height": 900}, accept_downloads=True) as seen:
        seen.goto(f"{out.as_uri()}/index.html")
        yield seen
        assert seen.messages == []  # neither an error nor a breach of the policy


def methods(seen):
    return seen.page.locator("section.board .scroll:not(.compared *) tbody th.method a").all_inner_texts()


def heads(seen):
    return [re.sub(r"[↑↓↕]", "", text) for text in seen.page.locator("section.board table.sortable thead th:visible").all_inner_texts()]


def test_words_of_a_row_its_description_and_its_author_are_found(seen):
    box = seen.page.get_by_label("Find a method, an author or a word")
    for wanted, found in (("MIDDLING somebody", ["middling"]), ("walrus", [method for method in LEVELS if method != "weak"]), ("secret", ["weak"])):
        box.fill(wanted)
        assert sorted(methods(seen)) == sorted(found)
        assert seen.page.locator("output").inner_text() == f"{len(found)} of 5"
    box.fill("nobody of that name")
    assert methods(seen) == []
    assert seen.page.get_by_text("No entry of this table matches.").is_visible()
    seen.page.get_by_role("button", name="Show everything again").click()
    assert len(methods(seen)) == 5
    assert box.input_value() == ""


def test_filters_leave_entries_with_public_resources_or_several_seeds(seen):
    seen.page.get_by_label("public resources only").check()
    assert "weak" not in methods(seen)
    assert len(methods(seen)) == 4
    seen.page.get_by_label("several seeds only").check()
    assert sorted(methods(seen)) == sorted(method for place, method in enumerate(LEVELS) if place % 3 and method != "weak")


def test_columns_of_tasks_are_chosen_one_by_one_and_by_group(seen):
    before = heads(seen)
    seen.page.get_by_text("Choose columns").click()
    seen.page.get_by_label("Trust").uncheck()
    seen.page.get_by_label("All or none of the tasks: Shifts").click()
    shifts = [task.title for task in suites.load("nano").tasks if task.name in suites.load("nano").spec.groups[1].tasks]
    assert heads(seen) == [head for head in before if head != "Trust"] + shifts
    seen.page.locator(".chooser input[value='nano/objects']").check()
    order = methods(seen)
    seen.page.locator("thead th[data-name='nano/objects'] button").click()
    assert methods(seen) == order[::-1]  # in the task of objects alone the weak ones are better
    seen.page.get_by_label("All or none of the tasks: Shifts").click()
    assert len(heads(seen)) == len(before)


def test_pinned_entries_stand_first_and_are_compared_as_the_program_compares_them(seen, out):
    pinned = ["twin", "weak", "middling", "strong, with a comma"]
    for method in pinned:
        seen.page.get_by_label(f"Compare {method}", exact=True).check()
    assert methods(seen) == [*pinned, FORMULA]
    seen.page.get_by_label("Find a method, an author or a word").fill("nobody of that name")
    assert methods(seen) == pinned
    entries = {entry.method: entry for path in (out / "entries").glob("*.json") for entry in [Entry.read(path)]}
    sides = [evaluated.of_entry(entries[method], suites.load("nano")) for method in pinned]
    lines = {line.locator("th").inner_text(): line.locator("td").all_inner_texts() for line in seen.page.locator(".comparison tbody tr").all()}
    titles = {task.name: task.title for task in suites.load("nano").tasks} | {"average": "Average", "shifts": "Shifts"}
    judged = set()
    for place, side in enumerate(sides[1:]):
        for one in compare.compare(sides[0], side).differences:
            if one.name in titles and (one.is_mean or titles[one.name] != "Objects"):
                shown = lines[titles[one.name]][2 + 2 * place].replace(MINUS, "-")
                numbers = [float(number) for number in re.findall(r"[+-]\d+\.\d+", shown)]
                assert numbers == pytest.approx([100 * value for value in (one.difference, *one.interval)], abs=0.011)
                verdict = "within noise" if one.verdict == "within noise" else "better" if one.difference > 0 else "worse"
                assert shown.endswith(f"{'' if one.has_seeds else '*'}, {verdict}")
                judged.add(verdict)
    assert judged == {"worse", "better", "within noise"}
    seen.page.get_by_role("searchbox").clear()
    for method in pinned[1:]:
        seen.page.get_by_label(f"Compare {method}", exact=True).uncheck()
    assert not seen.page.get_by_text("Side by side").is_visible()


def test_a_link_shows_the_same_again(seen, browser):
    seen.page.locator("thead").get_by_role("button", name="Method").click()
    seen.page.get_by_label("several seeds only").check()
    seen.page.get_by_label("Find a method, an author or a word").fill("walrus")
    seen.page.get_by_label("Compare twin").check()
    seen.page.get_by_label("Compare middling").check()
    seen.page.get_by_text("Choose columns").click()
    seen.page.get_by_label("Seeds", exact=True).uncheck()
    seen.page.locator(".chooser").get_by_label("Noise").check()
    with watching(browser, viewport={"width": 1280, "height": 900}) as other:
        other.goto(seen.page.url)
        assert methods(other) == methods(seen)
        assert heads(other) == heads(seen)
        assert other.page.locator(".comparison").inner_text() == seen.page.locator(".comparison").inner_text()
        assert other.page.get_by_label("several seeds only").is_checked()
        other.page.goto(other.page.url.partition("#")[0] + "#find=weak")
        assert methods(other) == ["weak"]


@pytest.mark.parametrize(
    "fragment",
    [
        "find=%3Cimg src=x onerror=alert(1)%3E",
        "pin=<script>&pin=nobody&pin=",
        "sort=,,&sort=x&show=constructor,__proto__&hide=method",
        "=%E0%A4%A",
        "only=__proto__",
    ],
)
def test_a_hostile_link_does_nothing(browser, out, fragment):
    with watching(browser) as seen:
        seen.goto(f"{out.as_uri()}/index.html#{fragment}", until="networkidle")
        assert (seen.dialogs, seen.messages) == ([], [])
        assert seen.page.evaluate("document.documentElement.className") == "scripted"
        assert seen.page.locator("img").count() == 1


def downloaded(seen, form):
    with seen.page.expect_download() as waiting:
        seen.page.get_by_role("button", name=f"Download Filtering, nano as {form}").click()
    assert waiting.value.suggested_filename.endswith(f"-v2.{form.lower()}")
    return Path(waiting.value.path()).read_bytes().decode()


def test_what_is_shown_can_be_taken_as_csv_and_json(seen):
    seen.page.get_by_label("public resources only").check()
    seen.page.get_by_text("Choose columns").click()
    seen.page.get_by_label("Samples", exact=True).uncheck()
    seen.page.locator(".chooser").get_by_label("Noise").check()
    rows = list(csv.DictReader(io.StringIO(downloaded(seen, "CSV"), newline="")))
    assert [row["method"] for row in rows] == ["strong, with a comma", "twin", "middling", f"'{FORMULA}"]
    assert {"rank", "average", "average standard error", "nano/noise", "author", "entry"} < set(rows[0])
    assert "samples" not in rows[0]
    found = json.loads(downloaded(seen, "JSON"))["rows"]
    assert [row["method"] for row in found] == ["strong, with a comma", "twin", "middling", FORMULA]
    assert found[0]["average"] == float(rows[0]["average"]) == pytest.approx((10 * 0.7 + 0.2) / 11, abs=1e-3)
    assert found[0]["rank"] == 1


def test_everything_works_by_keyboard(seen):
    seen.page.get_by_label("Find a method, an author or a word").focus()
    names = []
    for _ in range(9):
        seen.page.keyboard.press("Tab")
        names.append(seen.page.evaluate("document.activeElement.innerText || document.activeElement.name || document.activeElement.className"))
        assert seen.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert names[:4] == ["only", "only", "only", "Choose columns"]
    seen.page.get_by_label("Compare weak").focus()
    seen.page.keyboard.press("Space")
    assert methods(seen)[0] == "weak"
    assert seen.page.evaluate("document.activeElement.ariaLabel") == "Compare weak"  # the row moved, the focus stayed


def test_the_accessibility_check_is_the_recorded_one():
    assert digest.of_file(AXE / "axe.min.js") in (AXE / "README.md").read_text()


def violations(seen):
    seen.page.evaluate((AXE / "axe.min.js").read_text())
    found = seen.page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [(one["id"], [node["html"][:120] for node in one["nodes"][:3]], one["nodes"][0]["failureSummary"]) for one in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["index.html#pin=1&pin=2&show=nano/noise", "published.html", "entries/1.html"])
def test_nothing_keeps_people_from_using_a_page(browser, out, name, width, scheme):
    with watching(browser, viewport={"width": width, "height": 900}, color_scheme=scheme) as seen:
        seen.goto(f"{out.as_uri()}/{name}")
        seen.page.evaluate("for (const found of document.querySelectorAll('details')) found.open = true")
        assert violations(seen) == []


@pytest.mark.parametrize("width", [1280, 390])
def test_tables_of_earlier_suite_versions_can_be_used_as_the_others(browser, make_entry, new_version, tmp_path, width):
    make_entry("old", level=0.9).write(tmp_path / "entries/old.json")
    make_entry("older", level=0.8, seeds=(1,)).write(tmp_path / "entries/older.json")
    new_version()
    make_entry("new", seeds=(5,)).write(tmp_path / "entries/new.json")
    page.build(tmp_path / "entries", tmp_path / "out")
    with watching(browser, viewport={"width": width, "height": 900}) as seen:
        for name in ("index.html", "entries/old.html"):
            seen.goto(f"{(tmp_path / 'out').as_uri()}/{name}")
            assert violations(seen) == []
            assert seen.page.evaluate(CONTRAST) == []
            assert seen.page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0
        seen.page.get_by_role("link", name="Filtering, nano").first.click()
        assert seen.page.url.endswith("index.html#filtering-closed-nano-nano-v2")
        assert methods(seen) == ["new", "old", "older"]


def test_the_accessibility_check_finds_what_is_wrong(browser, out):
    with watching(browser) as seen:
        seen.goto(f"{out.as_uri()}/index.html")
        seen.page.evaluate("document.querySelector('label[for=find]').remove()")
        assert [name for name, *_ in violations(seen)] == ["label"]


@pytest.mark.slow
def test_a_thousand_entries_are_there_in_two_seconds_and_sorted_in_a_fifth_of_one(browser, make_entry, tmp_path):
    for place in range(1000):
        make_entry(f"method {place}", level=0.2 + place / 2000, suite="datacomp").write(tmp_path / "entries" / f"{place}.json")
    page.build(tmp_path / "entries", tmp_path / "out")
    with watching(browser, viewport={"width": 1280, "height": 900}) as seen:
        seen.goto(f"{(tmp_path / 'out').as_uri()}/index.html")
        painted = "new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))"
        assert seen.page.evaluate(painted) < 2000
        head = "document.querySelector('th.average button')"
        took = [
            seen.page.evaluate(f"(() => {{ const start = performance.now(); {head}.click(); return {painted}.then((end) => end - start); }})()")
            for _ in range(5)
        ]
        assert min(took) < 200
        assert len(methods(seen)) == 50
        seen.page.get_by_role("button", name="Show all 1,000 rows").click()
        assert len(methods(seen)) == 1000
