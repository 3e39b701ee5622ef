"""The board: averages, what is checked of an entry, the order of a table, and a page that strangers cannot turn against its readers."""

import json
import math
import shlex
import statistics
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from markup import ATTACK, Markup

from datacomp import digest
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.entry import Entry
from datacomp.board import averages, page, rank, serve, verify
from datacomp.declared import suite as suites
from datacomp.errors import EntryError, RecordError, StageError
from datacomp.uids import UID


@pytest.fixture
def folder(tmp_path):
    entries = tmp_path / "entries"
    entries.mkdir()
    return entries


def problems(entry):
    return [check.name for check in verify.check(entry) if check.problem]


def site(out):
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def other_tasks(entry, change):
    """The entry with its first run's results changed."""
    content = entry.plain()
    change(content["runs"][0]["tasks"])
    return Entry.parse(json.dumps(content), "a test")


# averages


def test_an_average_is_the_mean_of_its_tasks_and_its_error_that_of_a_mean(make_entry):
    suite, entry = suites.load("nano"), make_entry(level=0.25)
    average = averages.aggregates(suite, [entry.runs[0].tasks])[averages.AVERAGE]
    errors = [math.sqrt(0.25 * 0.75 / task.samples) for task in suite.tasks]
    assert average.value == pytest.approx(0.25)
    assert average.standard_error == pytest.approx(math.sqrt(sum(error * error for error in errors)) / len(errors))


def test_the_spread_of_the_seeds_joins_the_error_of_the_samples(make_entry):
    suite = suites.load("nano")
    entry = make_entry(seeds=(0, 10, 40))
    task = suite.tasks[0]
    values = [(round(0.5 * task.samples) + seed) / task.samples for seed in (0, 10, 40)]
    from_samples = statistics.fmean(math.sqrt(value * (1 - value) / task.samples) for value in values)
    from_seeds = math.sqrt(sum((value - statistics.fmean(values)) ** 2 for value in values) / 2) / math.sqrt(3)
    found = averages.task_aggregate(suite, task.name, [run.tasks for run in entry.runs])
    assert found.value == pytest.approx(statistics.fmean(values))
    assert found.standard_error == pytest.approx(math.sqrt(from_samples**2 + from_seeds**2))


def test_an_average_over_fewer_tasks_is_refused(make_entry):
    suite, entry = suites.load("nano"), make_entry()
    with pytest.raises(EntryError, match=f"task {suite.tasks[-1].name} has no {suite.tasks[-1].main_metric}"):
        averages.aggregates(suite, [entry.runs[0].tasks[:-1]])


# what is checked of an entry


def test_an_entry_that_holds_passes_every_check(make_entry):
    assert problems(make_entry(seeds=(0, 1))) == []


def test_an_edited_average_is_found(make_entry):
    assert problems(make_entry(level=0.3, aggregates=make_entry(level=0.9).aggregates)) == ["averages"]


def test_an_edited_metric_is_found(make_entry):
    assert problems(other_tasks(make_entry(), lambda tasks: tasks[0]["metrics"].update(acc1=0.50001))) == ["metrics are possible"]


@pytest.mark.parametrize("value", [1.5, -0.1, 1e308, -1e308])
def test_a_metric_that_no_test_can_give_is_found(make_entry, value):
    assert problems(other_tasks(make_entry(), lambda tasks: tasks[0]["metrics"].update(acc1=value))) == ["metrics are possible"]


@pytest.mark.parametrize("value", [1e200, -0.5])
def test_a_standard_error_that_no_test_can_give_is_found(make_entry, value):
    assert problems(other_tasks(make_entry(), lambda tasks: tasks[0]["standard_errors"].update(acc1=value))) == ["metrics are possible"]


def test_an_entry_of_datacomp_s_suite_passes_every_check_and_has_a_page(make_entry, folder, tmp_path):
    entry = make_entry(suite="datacomp")
    assert problems(entry) == []
    entry.write(folder / "a.json")
    page.build(folder, tmp_path / "site")
    (shown,) = (tmp_path / "site" / "entries").glob("*.html")
    text = Markup(shown.read_text()).text
    assert "WinoGAViL" in text
    assert "FairFace" not in text  # it has no main metric to show


def test_counts_of_groups_are_no_shares(make_entry):
    entry = make_entry(suite="datacomp")
    (slides,) = (task for task in entry.runs[0].tasks if task.task == "wilds/camelyon17")
    assert slides.metrics["count_slide:0"] > 1
    assert problems(entry) == []


def test_a_removed_mark_is_found(make_entry):
    assert problems(make_entry(marks=())) == ["marks"]


def test_another_recipe_is_found(make_entry):
    assert problems(make_entry(recipe_sha256="0" * 64)) == ["digest of the recipe"]


CHANGES = {"optimizer.learning_rate": "1e-4"}


def test_an_entry_of_the_open_division_says_what_it_changed(make_entry):
    assert problems(make_entry(changes=CHANGES)) == []
    assert "digest of the recipe" in problems(make_entry(changes=CHANGES).model_copy(update={"changes": {"optimizer.learning_rate": "2e-4"}}))
    assert "rules of the track" in problems(make_entry(changes=CHANGES, division="closed"))
    assert "rules of the track" in problems(make_entry(division="open"))


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", "https://a b", "//example.org", "HTTPS\t://example.org"])
def test_a_link_that_is_no_web_address_is_refused_by_the_record(make_entry, link):
    make_entry(links=("https://example.org/paper",))
    text = json.dumps(make_entry().plain() | {"links": [link]})
    with pytest.raises(RecordError, match="links"):
        Entry.parse(text, "a test")


# the order


def test_the_better_of_two_entries_stands_first(make_entry, folder):
    make_entry("worse", level=0.4).write(folder / "a.json")
    make_entry("better", level=0.6).write(folder / "b.json")
    (table,) = rank.read(folder).tables
    assert [listed.entry.method for listed in table.listed] == ["better", "worse"]


def test_divisions_stand_in_tables_of_their_own(make_entry, folder):
    make_entry(level=0.4).write(folder / "a.json")
    make_entry(level=0.6, changes={"optimizer.learning_rate": "1e-4"}).write(folder / "b.json")
    assert [(table.division, len(table.listed)) for table in rank.read(folder).tables] == [("closed", 1), ("open", 1)]


def test_an_oracle_is_shown_without_a_rank(make_entry, folder, tmp_path):
    make_entry("oracle", level=0.9, subset={"ineligible": "made from the pool's truth"}).write(folder / "oracle.json")
    make_entry("honest", level=0.6).write(folder / "honest.json")
    page.build(folder, tmp_path / "out")
    text = Markup((tmp_path / "out/index.html").read_text()).text
    assert text.index("\u2013 oracle") < text.index("reference, not ranked") < text.index("1 honest")
    own = Markup((tmp_path / "out/entries/oracle.html").read_text()).text
    assert "made from the pool's truth" in own
    assert "rank 1" not in own
    assert "rank 1" in Markup((tmp_path / "out/entries/honest.html").read_text()).text


# what is left out


def test_files_that_do_not_hold_are_listed_with_the_reason_and_no_path_of_this_machine(make_entry, folder, tmp_path):
    make_entry("good").write(folder / "good.json")
    make_entry(level=0.3, aggregates=make_entry(level=0.9).aggregates).write(folder / "edited.json")
    (folder / "broken.json").write_text("{")
    board = page.build(folder, tmp_path / "out")
    assert [name for name, _ in board.left_out] == ["broken.json", "edited.json"]
    index = (tmp_path / "out/index.html").read_text()
    assert "average is 0.9" in Markup(index).text
    assert "Invalid JSON" in Markup(index).text
    assert str(tmp_path) not in index
    assert not (tmp_path / "out/entries/edited.html").exists()


def test_a_link_among_the_entries_is_not_followed(make_entry, folder, tmp_path):
    make_entry().write(tmp_path / "elsewhere.json")
    (folder / "a.json").symlink_to(tmp_path / "elsewhere.json")
    assert rank.read(folder) == rank.Board((), (("a.json", "it is no regular file"),))


def test_two_files_that_would_share_a_page_do_not(make_entry, folder):
    make_entry("first").write(folder / "a" / "b.json")
    make_entry("second").write(folder / "a-b.json")
    board = rank.read(folder)
    assert [listed.entry.method for table in board.tables for listed in table.listed] == ["first"]
    assert [name for name, _ in board.left_out] == ["a-b.json"]


def withdrawal(path, **changed):
    said = {"format": "datacomp-withdrawal/1", "entry_sha256": digest.of_file(path), "reason": "a uid was listed by mistake"} | changed
    path.with_suffix(".withdrawal.json").write_text(json.dumps(said))


def test_a_withdrawn_entry_leaves_the_tables_and_its_correction_stays(make_entry, folder):
    make_entry("wrong").write(folder / "a.json")
    make_entry("right").write(folder / "b.json")
    assert len(rank.read(folder).tables[0].listed) == 2
    withdrawal(folder / "a.json", replaced_by="b.json")
    board = rank.read(folder)
    assert [listed.entry.method for listed in board.tables[0].listed] == ["right"]
    assert board.left_out == (("a.json", "withdrawn: a uid was listed by mistake; replaced by b.json"),)


@pytest.mark.parametrize("changed", [{"entry_sha256": "0" * 64}, {"reason": ""}, {"format": "other"}], ids=lambda changed: next(iter(changed)))
def test_a_withdrawal_of_nothing_or_without_a_reason_withdraws_nothing(make_entry, folder, changed):
    make_entry().write(folder / "a.json")
    withdrawal(folder / "a.json", **changed)
    board = rank.read(folder)
    assert len(board.tables[0].listed) == 1
    assert len(board.left_out) == ("entry_sha256" not in changed)


def test_a_name_that_cannot_be_part_of_an_address_is_left_out(make_entry, folder):
    make_entry().write(folder / 'a"onload=x.json')
    assert [name for name, _ in rank.read(folder).left_out] == ['a"onload=x.json']


# the page


def test_markup_in_an_entry_is_shown_as_text(make_entry, folder, tmp_path):
    hostile = {
        "description": ATTACK + '"><img src=x onerror=alert(1)>',
        "proposed_by": '"><svg onload=alert(1)>',
        "run_by": ATTACK,
    }
    subset = {"filter": ATTACK, "options": {ATTACK: ATTACK}, "assets": {ATTACK: "c" * 64}, "external_resources": (ATTACK,), "ineligible": ""}
    entry = make_entry(ATTACK, subset=subset, source={"missing_samples": {ATTACK: 3}}, **hostile)
    entry.write(folder / "a.json")
    make_entry(ATTACK, subset={"ineligible": ATTACK}).write(folder / "b.json")
    (folder / "<script>.json").write_text("{")
    assert len(page.build(folder, tmp_path / "out").tables[0].listed) == 2
    for name in ("index.html", "entries/a.html", "entries/b.html"):
        text = (tmp_path / "out" / name).read_text()
        found = Markup(text)
        assert found.tags.count("script") == 4  # our own files
        assert found.handlers == []
        assert found.tags.count("img") == 1  # our own sign
        assert ATTACK in found.text
        assert ATTACK not in text


def test_a_page_names_no_address_but_its_own_files_and_the_links_of_the_entry(make_entry, folder, tmp_path):
    make_entry(links=("https://example.org/x",)).write(folder / "a.json")
    page.build(folder, tmp_path / "out")
    for name in ("index.html", "entries/a.html"):
        found = Markup((tmp_path / "out" / name).read_text())
        assert found.policies == [page.POLICY]
        for tag, address in found.addresses:
            target = (tmp_path / "out" / name).parent / address.partition("#")[0]
            assert target.exists() or (tag, address) == ("a", "https://example.org/x"), address
    assert 'rel="nofollow noopener noreferrer"' in (tmp_path / "out/entries/a.html").read_text()


def test_the_same_entries_give_the_same_bytes_wherever_they_lie(make_entry, tmp_path):
    for name in ("one", "two"):
        make_entry("a", seeds=(0, 1)).write(tmp_path / name / "entries" / "a.json")
        make_entry("b", level=0.3).write(tmp_path / name / "entries" / "b.json")
        (tmp_path / name / "entries" / "broken.json").write_text("{")
        page.build(tmp_path / name / "entries", tmp_path / name / "out")
    assert site(tmp_path / "one/out") == site(tmp_path / "two/out")
    make_entry("c", level=0.2).write(tmp_path / "two/entries/c.json")
    page.build(tmp_path / "two/entries", tmp_path / "two/out")
    assert site(tmp_path / "one/out") != site(tmp_path / "two/out")


def test_an_entry_can_be_downloaded_as_it_was_handed_in(make_entry, folder, tmp_path):
    make_entry("a").write(folder / "a.json")
    page.build(folder, tmp_path / "out")
    assert (tmp_path / "out/entries/a.json").read_bytes() == (folder / "a.json").read_bytes()


def test_the_page_of_a_removed_entry_goes(make_entry, folder, tmp_path):
    make_entry("a").write(folder / "a.json")
    page.build(folder, tmp_path / "out")
    (folder / "a.json").unlink()
    page.build(folder, tmp_path / "out")
    assert not list((tmp_path / "out/entries").iterdir())


def test_a_board_without_entries_says_how_to_add_one(folder, tmp_path):
    board = page.build(folder, tmp_path / "out")
    text = Markup((tmp_path / "out/index.html").read_text()).text
    assert board == rank.Board((), ())
    assert "No entries yet" in text
    assert "datacomp run --scale nano" in text


def test_a_folder_that_holds_something_else_is_not_written_to(folder, tmp_path):
    mine = tmp_path / "mine"
    (mine / "entries").mkdir(parents=True)
    (mine / "entries" / "work.txt").write_text("years")
    with pytest.raises(StageError, match="no page of ours"):
        page.build(folder, mine)
    with pytest.raises(StageError, match="cannot be written"):
        page.build(mine / "entries", mine)
    assert (mine / "entries" / "work.txt").read_text() == "years"


def test_the_commands_stay_commands_whatever_the_method_is_called(make_entry, folder, tmp_path):
    name = "x'; rm -rf ~ #"
    make_entry(name).write(folder / "a.json")
    make_entry("plug-in", subset={"filter": "x; rm -rf ~"}).write(folder / "b.json")
    (table,) = page.build(folder, tmp_path / "out").tables
    for listed in table.listed:
        view = page.view.entry_view(page.view.section(table), table.listed.index(listed))
        words = shlex.split(view.commands, comments=True)
        assert "rm" not in words
        assert ";" not in words
        assert words[words.index("--method") + 1] == listed.entry.method


def test_the_commands_name_the_filter_and_its_options_as_the_program_takes_them(make_entry, folder, tmp_path):
    make_entry("a", seeds=(3, 4), subset={"filter": "clip_score[l14]", "options": {"fraction": 0.3, "exact_count": True, "tied": False}}).write(
        folder / "a.json"
    )
    make_entry("b", level=0.9, subset={"filter": "oracle", "options": {}, "ineligible": "from the truth"}).write(folder / "b.json")
    section = page.view.section(page.build(folder, tmp_path / "out").tables[0])
    first, second = (page.view.entry_view(section, place).commands for place in (0, 1))
    assert "datacomp pool oracle --pool POOL --out LIST.npy" in first
    assert "datacomp filter clip_score --pool POOL --exact-count --fraction=0.3 --out LIST.npy" in second
    assert "--seed 3 --seed 4" in second


# serving


@pytest.fixture
def served(folder, tmp_path):
    running = serve.server(folder, tmp_path / "out", 0)
    thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running.server_port
    running.shutdown()
    thread.join()
    running.server_close()


def ask(port, method, path):
    connection = HTTPConnection(serve.HOST, port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read().decode()
    connection.close()
    return found


def test_a_new_entry_is_on_the_served_page_at_the_next_request(make_entry, folder, served):
    assert "No entries yet" in ask(served, "GET", "/")[2]
    make_entry("newcomer").write(folder / "a.json")
    assert "newcomer" in ask(served, "GET", "/")[2]


def test_a_group_s_own_runs_are_shown_as_they_land(make_entry, tmp_path):
    """Folders as `datacomp run` leaves them, with records of other kinds in them."""
    runs = tmp_path / "runs"
    make_entry("early list").write(runs / "a" / "entry.json")
    (runs / "a" / "seed0" / "evaluation").mkdir(parents=True)
    (runs / "a" / "seed0" / "run.json").write_text("{}")
    running = serve.server(runs, tmp_path / "out", 0, "entry.json")
    thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    before = ask(running.server_port, "GET", "/")[2]
    make_entry("later list", seeds=(9,)).write(runs / "b" / "entry.json")
    after = ask(running.server_port, "GET", "/")[2]
    running.shutdown()
    thread.join()
    running.server_close()
    assert ("early list" in before, "later list" in before, "Left out" in before) == (True, False, False)
    assert "later list" in after


def test_the_served_page_forbids_everything_from_elsewhere(served):
    status, headers, _ = ask(served, "GET", "/")
    assert status == 200
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("HEAD", "/", 200), ("POST", "/", 501), ("GET", "/static/", 404), ("GET", "/static/board.js", 200), ("GET", "/../entries/a.json", 404)],
)
def test_only_files_of_the_page_are_served(served, method, path, status):
    assert ask(served, method, path)[0] == status


@pytest.mark.parametrize("port", [None, 65_536])
def test_a_port_that_cannot_be_had_is_an_error_that_says_so(folder, tmp_path, served, port):
    with pytest.raises(StageError, match=r"cannot be had.*--port"):
        serve.server(folder, tmp_path / "out", port or served)


def test_serving_leaves_no_request_in_the_terminal(served, capfd):
    ask(served, "GET", "/" + "x" * 20)
    assert capfd.readouterr() == ("", "")


def test_templates_never_mark_anything_as_safe():
    templates = Path(page.__file__).parent / "templates"
    texts = {path.name: path.read_text() for path in templates.glob("*.html")}
    assert set(texts) == {"base.html", "controls.html", "index.html", "entry.html", "pictures.html", "published.html"}
    assert not [name for name, text in texts.items() if "safe" in text or "autoescape" in text or "Markup" in text]


@pytest.mark.parametrize(("seeds", "level"), [((0, 1), verify.ARTEFACTS_CHECKED), ((0, 0), verify.SELF_REPORTED), ((0,), verify.SELF_REPORTED)])
def test_artefacts_are_checked_only_when_every_seed_s_run_was(make_entry, tmp_path, monkeypatch, seeds, level):
    listed = subsets.write(tmp_path / "list.npy", [np.array([(0, 1), (0, 2)], UID)])
    make_entry(seeds=(0, 1), subset=dict(listed.record)).write(tmp_path / "entry.json")
    monkeypatch.setattr(verify, "against_run", lambda entry, folder: (verify.Check("run", ""), int(folder.name)))
    runs = tuple(map(Path, map(str, seeds)))
    assert verify.verify(tmp_path / "entry.json", verify.Beside(runs, (listed.path,)))[2] == level
    assert verify.verify(tmp_path / "entry.json", verify.Beside(runs))[2] == verify.SELF_REPORTED  # without the list


@pytest.mark.parametrize("path", sorted((Path(__file__).parent / "history").glob("entry-*.json")), ids=lambda path: path.name)
def test_yesterday_s_entries_stay_readable_and_keep_their_digest(path):
    entry = Entry.read(path)
    assert entry.digest() == digest.of_file(path)
    assert entry.runs[0].sources[0].subset.filter == "clip_score"
