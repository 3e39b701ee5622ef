"""What an entry's page shows besides scores: loss curves, the figures of its lists, seeds, others of the same list, who vouches, earlier suite versions."""

import json
import shutil

import pytest
from markup import Markup
from typer.testing import CliRunner

from datacomp import digest
from datacomp.artifacts import loss_curve, run_folder
from datacomp.artifacts import run as runs
from datacomp.artifacts.entry import Entry, SeedLeftOut, Verification
from datacomp.artifacts.list_report import ListReport
from datacomp.artifacts.loss_curve import LossCurve
from datacomp.board import enter, page, pictures, rank, repeats, reports, review, verify
from datacomp.cli import app
from datacomp.declared import suite as suites
from datacomp.declared import track as tracks
from datacomp.errors import EntryError, LockError, RecordError
from datacomp.filters.apply import apply
from datacomp.subset import inspect, report


def entered(runs_, **said):
    return enter.enter(runs_, suites.load("nano"), tracks.load("filtering"), enter.About(**{"method": "mine", "author": "me"} | said))


def curve(losses):
    return LossCurve(steps=tuple(losses), losses=tuple(losses.values()))


@pytest.fixture
def shown(tmp_path):
    """Build the site of some entries, by their files' names; give the text of a page."""

    def build(entries, name="index.html"):
        for slug, entry in entries.items():
            entry.write(tmp_path / "entries" / f"{slug}.json")
        assert page.build(tmp_path / "entries", tmp_path / "site").left_out == ()
        return (tmp_path / "site" / name).read_text()

    return build


# loss curves


@pytest.mark.parametrize("total", [1, 6, 20, 21, 800, 3125, 142_046])
def test_the_steps_of_a_curve_are_the_first_the_last_and_few(total):
    found = loss_curve.steps(total)
    assert set(range(1, min(total, loss_curve.FIRST_STEPS) + 1)) <= found <= set(range(1, total + 1))
    assert total in found
    assert len(found) <= loss_curve.MAX_POINTS


def test_what_else_was_logged_changes_no_curve():
    """A log has a line every few seconds too, and those depend on the clock."""
    planned = [(step, 9 - step / 1000) for step in sorted(loss_curve.steps(800))]
    by_clock = sorted([*planned, (333, 5.0), (778, 4.0)])
    assert loss_curve.of_log(planned, 800) == loss_curve.of_log(by_clock, 800)
    assert loss_curve.of_log([(333, 5.0)], 800) is None


def test_the_trainer_logs_every_step_of_the_curve_however_quick_it_is(tiny_run):
    found = {line.step for line in run_folder.log(tiny_run.path)}
    assert loss_curve.steps(tiny_run.record.checkpoints[-1].step) <= found


def test_an_entry_carries_the_curve_of_the_log_and_one_without_a_log_has_none(make_run):
    logged, silent = make_run("logged", 0, losses={1: 9.0, 2: 8.5, 333: 7.0, 800: 3.25}), make_run("silent", 1)
    entry = entered([logged, silent])
    assert entry.runs[0].loss_curve == curve({1: 9.0, 2: 8.5, 800: 3.25})
    assert entry.runs[1].loss_curve is None
    assert "loss_curve" not in entry.plain()["runs"][1]  # so that entries of before keep their digests


def test_the_page_draws_a_line_for_each_seed_and_says_it_in_words(make_run, shown):
    found = entered([make_run(f"run{seed}", seed, losses={1: 9.0, 400: 5.0 + seed, 800: 4.0}) for seed in (0, 1)])
    text = shown({"mine": found}, "entries/mine.html")
    assert text.count('<polyline class="loss"') == 2
    assert "Seed 1: 9.000 after step 1, 6.000 after step 400, 4.000 after step 800." in Markup(text).text
    assert "Training" not in Markup(shown({"other": entered([make_run("elsewhere/silent", 9)])}, "entries/other.html")).text


@pytest.mark.parametrize("losses", [{1: 0.0}, {1: 3.0, 2: 3.0}, {1: 0.0, 2: 5e-324}, {1: 1e4, 10**9: 0.0}, {10**9: 1e-9}], ids=str)
def test_extreme_curves_stay_on_the_canvas(losses):
    drawn = pictures.curves("key", [(0, curve(losses))], 128)
    places = [tuple(map(float, place.split(","))) for line in drawn.lines for place in line.points.split()]
    assert all(0 <= x <= pictures.WIDTH and 0 <= y <= pictures.HEIGHT for x, y in places)
    assert 1 <= len(drawn.up) <= 20
    assert 1 <= len(drawn.across) <= 20


# figures of a list


def test_the_figures_of_a_list_are_those_of_inspect_and_hold(small_pool, tmp_path):
    listed = apply("clip_score", {"fraction": 0.3}, small_pool, tmp_path / "list.npy")
    found = inspect.inspect(small_pool, listed)
    told = report.report(found.numbers)
    assert told.problems(listed.record.samples, listed.record.distinct_samples) == []
    assert (told.kept, told.dropped) == (found.numbers.rows.kept, found.numbers.rows.dropped)
    assert "clip_l14_similarity_score" in {bars.name for bars in told.histograms}
    assert len({"shorter side", "aspect ratio", "caption characters", "caption words"} & {bars.name for bars in told.histograms}) == 4
    assert told.languages
    text = digest.canonical(told.plain())
    assert ListReport.parse(text, "a test") == told
    assert not any(one.name in text for one in found.numbers.captions.most_kept if len(one.name) > 9)  # nobody's words
    drawn = reports.report(told, "list", "key")
    assert len(drawn.charts) == len(told.histograms)
    assert all(float(bar.kept_height) >= 0 and float(bar.dropped_y) >= -0.1 for chart in drawn.charts for bar in chart.bars)


def test_an_entry_takes_what_inspect_wrote_and_its_page_draws_it(make_run, make_report, shown, tmp_path, monkeypatch):
    run = make_run()
    told = make_report(dict(run.record.inputs.sources[0].subset))
    monkeypatch.setattr(inspect.Inspection, "read", lambda path: path)
    monkeypatch.setattr(report, "report", lambda path: told)
    arguments = ["enter", "--run", run.path, "--method", "mine", "--author", "me", "--inspected", tmp_path / "a.numbers.json", "--out", tmp_path / "entry.json"]
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code == 0, done.exception
    text = shown({"mine": Entry.read(tmp_path / "entry.json")}, "entries/mine.html")
    words = Markup(text).text
    assert "What the list keeps" in words
    assert "CLIP score L/14" in words
    assert "median 0.2 kept, 0.1 dropped; 5 rows without" in words
    assert "30,720 of 102,400, 30.0 %" in words
    assert text.count('<figure class="bars"') == 2


def test_a_report_of_another_list_enters_no_entry(make_run, make_report):
    run = make_run()
    other = make_report(dict(run.record.inputs.sources[0].subset), uids_sha256="0" * 64)
    with pytest.raises(EntryError, match="which is none of the entry's"):
        entered([run], list_reports=(other,))


# seeds


def test_a_run_beside_the_others_is_entered_too_or_left_out_with_a_reason(make_run):
    first, second = make_run("seed0", 0), make_run("seed1", 1)
    make_run("another", 2, subset={"uids_sha256": "9" * 64})
    make_run("not-evaluated", 3, suite=None)
    with pytest.raises(EntryError, match=r"seed1 is a run of the same list and recipe with seed 1.*--left-out '1: REASON'"):
        entered([first])
    assert len(entered([first, second]).runs) == 2
    entry = entered([first], seeds_left_out=(SeedLeftOut(seed=1, reason="the disk was full"),))
    assert [(one.seed, one.reason) for one in entry.seeds_left_out] == [(1, "the disk was full")]
    assert enter.seed_mark(entry) == ""


@pytest.mark.parametrize(
    ("seeds", "left_out", "marked"), [((0,), (), False), ((0, 1, 2), (), False), ((0, 2), (), True), ((7,), (), True), ((0, 2), (1,), False)]
)
def test_seeds_that_are_not_those_from_0_on_are_marked(make_entry, shown, seeds, left_out, marked):
    told = tuple(SeedLeftOut(seed=seed, reason="the loss was not finite") for seed in left_out)
    text = shown({"a": make_entry(seeds=seeds, **({"seeds_left_out": told} if told else {}))}, "entries/a.html")
    words = Markup(text).text
    assert (enter.CHOSEN_SEEDS in words) == marked
    assert ("the loss was not finite" in words) == bool(left_out)
    assert ("single seed" in words) == (len(seeds) == 1)


@pytest.mark.parametrize("said", ["3", "x: y", "3:", ": because"])
def test_a_seed_is_left_out_with_a_reason_or_refused(said, make_run, tmp_path):
    arguments = ["enter", "--run", make_run().path, "--method", "m", "--author", "me", "--left-out", said, "--out", tmp_path / "e.json"]
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert "names no seed and reason" in str(done.exception)


def test_entries_of_one_list_and_recipe_point_at_each_other_with_the_average_of_all_runs(make_entry, shown):
    entries = {
        "a": make_entry("mine", seeds=(0, 1)),
        "b": make_entry("again", seeds=(30,), run_by="else"),
        "c": make_entry("c", subset={"uids_sha256": "9" * 64}),
    }
    assert repeats.of_same_recipe(list(entries.values())) == [(1,), (0,), ()]
    index = Markup(shown(entries)).text
    assert index.count("list entered 2 times") == 2
    words = Markup(shown(entries, "entries/a.html")).text
    assert ["again", ",", "run", "by", "else", ",", "seed", "30", "Over", "all", "3", "runs"][0] in words
    assert "Over all 3 runs the average is" in words
    assert "The same list elsewhere" not in Markup(shown(entries, "entries/c.html")).text


def test_seeds_of_one_list_by_one_runner_are_not_handed_in_apart(make_entry, tmp_path):
    make_entry("mine", seeds=(0, 1)).write(tmp_path / "base/filtering/nano/first.json")
    shutil.copytree(tmp_path / "base", tmp_path / "proposed")
    for name, by in (("second", "Somebody "), ("third", "another")):
        make_entry(name, seeds=(len(name) + 20,), run_by=by).write(tmp_path / f"proposed/filtering/nano/{name}.json")
    found = {one.name.rpartition("/")[2]: one for one in review.review(tmp_path / "proposed", tmp_path / "base")}
    (problem,) = [check.problem for check in found["second.json"].checks if check.problem]
    assert problem.startswith("filtering/nano/first.json is of the same list and recipe and run by the same: hand in one entry of all seeds")
    assert found["third.json"].holds


@pytest.mark.parametrize(("resource", "marked"), [("a private CLIP", True), ("https://example.org/clip", False), ("gcld3", False)])
def test_resources_without_an_address_have_a_badge(make_entry, shown, resource, marked):
    text = Markup(shown({"a": make_entry(subset={"external_resources": (resource,)})})).text
    assert ("resources without an address" in text) == marked


# who vouches


def vouched(folder, name, **said):
    entry = folder / "entries" / f"{name}.json"
    told = {"format": "datacomp-verification/1", "entry_sha256": digest.of_file(entry), "level": "artefacts checked", "verified_by": "a keeper"}
    (folder / "entries" / f"{name}-{said.get('level', 'x')[:2]}.verification.json").write_text(
        digest.canonical(told | {"code": {"version": "0.1.0", "sha256": "e" * 64}} | said)
    )


def test_the_page_says_who_vouches_and_the_highest_level_counts(make_entry, shown, tmp_path):
    entries = {"a": make_entry("a"), "b": make_entry("b", seeds=(3,), subset={"uids_sha256": "9" * 64})}
    shown(entries)
    vouched(tmp_path, "a", level="re-run", tasks=["nano/objects"], steps=20)
    vouched(tmp_path, "a", level="artefacts checked", verified_by="somebody else")
    board = rank.read(tmp_path / "entries")
    assert {listed.slug: listed.trust for listed in board.tables[0].listed} == {"a": verify.RERUN, "b": verify.SELF_REPORTED}
    words = Markup(shown(entries, "entries/a.html")).text
    assert "By a keeper With datacomp 0.1.0" in words
    assert "the first 20 steps" in words
    assert 'data-value="re-run"' in shown(entries)
    assert "Who checked it" not in Markup(shown(entries, "entries/b.html")).text


@pytest.mark.parametrize("said", [
    {"level": "perfect"}, {"verified_by": "\x1b[2J"}, {"verified_by": "a\u202eb"}, {"entry_sha256": "x"}, {"steps": -1}, {"trust": "all"},
    {"verified_by": "x" * 101},
], ids=str)  # fmt: skip
def test_a_verification_that_is_none_raises_no_trust(make_entry, tmp_path, said):
    make_entry().write(tmp_path / "entries/a.json")
    vouched(tmp_path, "a", **said)
    board = rank.read(tmp_path / "entries")
    assert board.tables[0].listed[0].trust == verify.SELF_REPORTED
    assert len(board.left_out) == 1


def test_a_linked_verification_is_not_followed(make_entry, tmp_path):
    make_entry().write(tmp_path / "entries/a.json")
    (tmp_path / "entries/a.verification.json").symlink_to("/dev/zero")
    assert [reason[:22] for _, reason in rank.read(tmp_path / "entries").left_out] == ["it is no regular file."]


def test_verify_writes_down_what_it_found_and_nothing_it_did_not(make_run, tmp_path):
    run = make_run()
    entered([run]).write(tmp_path / "a.json")
    out = tmp_path / "a.verification.json"
    command = ["verify", str(tmp_path / "a.json"), "--run", str(run.path), "--record", str(out)]
    assert "has a place and a name" in str(CliRunner().invoke(app, command).exception)
    done = CliRunner().invoke(app, [*command, "--verified-by", "a keeper"])
    assert "is self-reported. Allowed: artefacts checked or re-run" in str(done.exception)
    assert not out.exists()


def test_a_verification_comes_to_a_board_by_a_pull_request_that_a_keeper_sees(make_entry, tmp_path):
    make_entry().write(tmp_path / "entries/a.json")
    shutil.copytree(tmp_path / "entries", tmp_path / "base")
    vouched(tmp_path, "a")
    (found,) = review.review(tmp_path / "entries", tmp_path / "base")
    assert (found.holds, found.notes) == (True, ("it vouches for a.json: a keeper of the board has to see who asks for it",))
    vouched(tmp_path, "a", entry_sha256="0" * 64)
    (found,) = review.review(tmp_path / "entries", tmp_path / "base")
    assert not found.holds


def test_the_record_of_a_verification_has_a_fixed_form():
    assert set(Verification.model_fields) == {"format", "entry_sha256", "level", "verified_by", "code", "tasks", "steps"}


# earlier suite versions

TODAY = suites.load("nano").spec.version


def test_entries_of_an_earlier_suite_version_stand_dimmed_in_tables_of_their_own(make_entry, shown, new_version):
    old = make_entry("old and better", level=0.9)
    new_version()
    new = make_entry("new", level=0.4, seeds=(5,))
    assert (old.suite_version, new.suite_version) == (TODAY, TODAY + 1)
    text = shown({"old": old, "new": new})
    words = Markup(text).text
    assert words.index("1 new") < words.index("Earlier suite versions", words.index("1 new")) < words.rindex("old and better")
    assert text.count('<section class="board earlier"') == text.count('<section class="board"') == 1
    assert 'href="entries/old.html"' in text
    own = Markup(shown({}, "entries/old.html")).text
    assert f"Measured with suite nano version {TODAY}; today's is version {TODAY + 1}." in own
    assert "Worst light" in own  # a task that the new version lacks
    assert "# with datacomp 0.1.0" in own
    assert "Across scales" not in words


def test_an_entry_of_an_earlier_version_holds_and_comes_to_no_board_any_more(make_entry, new_version, tmp_path):
    make_entry("old").write(tmp_path / "old.json")
    assert not [check for check in verify.for_newcomer(tmp_path / "old.json")[1] if check.problem]
    new_version()
    assert not [check for check in verify.for_board(tmp_path / "old.json")[1] if check.problem]
    (problem,) = [check for check in verify.for_newcomer(tmp_path / "old.json")[1] if check.problem]
    assert problem == verify.Check("the suite's version is today's", f"it is version {TODAY}, today's is {TODAY + 1}")


def test_the_command_prints_a_suite_as_it_is_kept():
    assert digest.of_bytes(CliRunner().invoke(app, ["board", "suite", "nano"]).output.encode()) == suites.load("nano").digest()


def test_averages_of_an_earlier_version_are_computed_anew_too(make_entry, new_version):
    forged = make_entry(level=0.3, aggregates=make_entry(level=0.9).aggregates)
    new_version()
    assert [check.name for check in verify.check(forged) if check.problem] == ["averages"]


def test_a_version_that_nobody_kept_is_left_out_and_a_changed_one_refused(make_entry, new_version, tmp_path):
    entry = make_entry()
    room = new_version(keep=False)
    assert f"suite nano has no version {TODAY}" in verify.check(entry)[0].problem
    (room / suites.EARLIER).mkdir(exist_ok=True)
    suites.load("nano").write(room / suites.EARLIER / f"nano-v{TODAY}.json")
    with pytest.raises(LockError, match="is not what the lock of the room holds"):
        suites.load("nano", TODAY)
    with pytest.raises(RecordError, match=f"has no version {TODAY + 2}"):
        suites.load("nano", TODAY + 2)


def test_entry_files_of_runs_keep_their_bytes_whatever_the_clock_said(make_run, tmp_path):
    """Two logs with other lines between, as two machines leave them."""
    first = make_run("a/run", losses={1: 9.0, 3: 8.0, 800: 4.0})
    again = make_run("b/run", losses={1: 9.0, 3: 8.0, 555: 6.0, 800: 4.0})
    assert json.dumps(entered([first]).plain()) == json.dumps(entered([again]).plain())
    assert runs.read(first.path).digest == runs.read(again.path).digest
