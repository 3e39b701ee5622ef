"""Entries that lie: each is an honest one with one small change, and is refused by name or shown as harmless text.

A forger who is clever makes averages and digests fit again (`fitted`); then only what lies outside the file can tell.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from typer.testing import CliRunner

from datacomp import digest
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.entry import Entry, SeedLeftOut
from datacomp.artifacts.results import Results
from datacomp.artifacts.run import Run
from datacomp.board import averages, enter, lists, page, repeats, verify
from datacomp.cli import app
from datacomp.declared import release as releases
from datacomp.declared import suite as suites
from datacomp.declared import track as tracks
from datacomp.errors import DatacompError
from datacomp.filters.apply import apply
from datacomp.uids import UID

OTHER = "0" * 64
NESTED, HUGE_BYTES = 100_000, 200 << 20
RIGHT = 100  # more right answers than there were
HTML = "<script>alert(1)</script><img src=x onerror=alert(1)>"
SCRIPT = "');alert(1);//{{7*7}}${alert(1)}"
ESCAPE, BIDI = "\x1b]0;owned\x07\x1b[2J", "ab\u202egnp.exe"


class Honest(NamedTuple):
    """An entry of two runs, what lies beside it, and an entry that was there before."""

    path: Path
    runs: tuple[Run, ...]
    listed: Path
    earlier: Path

    def checked(self):
        """What an entry is refused for, in words; empty for one that holds."""
        beside = verify.Beside(tuple(run.path for run in self.runs), (self.listed,), None, repeats.read(self.earlier, self.path))
        try:
            _, checks, level = verify.verify(self.path, beside)
        except DatacompError as error:
            return [str(error)]
        found = [f"{check.name}: {check.problem}" for check in checks if check.problem]
        assert (level == verify.ARTEFACTS_CHECKED) == (not found)
        return found


@pytest.fixture
def honest(make_run, make_report, make_entry, tmp_path):
    listed = subsets.write(tmp_path / "list.npy", [np.array([(0, 1), (0, 2), (7, 7)], UID)], {"filter": "clip_score", "external_resources": ("OpenAI CLIP",)})
    runs = tuple(make_run(f"run{seed}", seed, subset=dict(listed.record), losses={step: 9 - seed * step / 1e4 for step in range(1, 801)}) for seed in (5, 6))
    about = enter.About(
        method="CLIP score",
        author="somebody",
        description="The best ones.",
        links=("https://example.org/paper",),
        seeds_left_out=(SeedLeftOut(seed=7, reason="the node died"),),
        list_reports=(make_report(dict(listed.record)),),
    )
    entry = enter.enter(runs, suites.load("nano"), tracks.load("filtering"), about)
    entry.write(tmp_path / "entry.json")
    make_entry("another").write(tmp_path / "earlier" / "another.json")
    return Honest(tmp_path / "entry.json", runs, listed.path, tmp_path / "earlier")


def test_the_honest_entry_holds(honest):
    assert honest.checked() == []


# forgeries of what the entry says


def first(entry):
    return entry["runs"][0]


def first_run_only(entry):
    del entry["runs"][1:]


def task(entry, name="nano/objects"):
    return next(found for found in first(entry)["tasks"] if found["task"] == name)


def source(entry):
    return first(entry)["sources"][0]


def of_all_runs(change):
    """A change of the source that all runs have."""

    def changed(entry):
        for run in entry["runs"]:
            change(run["sources"][0])

    return changed


def more_right(entry):
    """A hundred more right answers, with all metrics of the task that follow."""
    found = task(entry)
    share = found["metrics"]["acc1"] + RIGHT / found["samples"]
    found["metrics"] = dict.fromkeys(found["metrics"], share)
    found["standard_errors"] = dict.fromkeys(found["standard_errors"], (share * (1 - share) / found["samples"]) ** 0.5)


def averaged(change):
    """A change after which the averages fit again."""

    def changed(entry):
        change(entry)
        found = Entry.parse(json.dumps(entry), "a forgery")
        made = averages.aggregates(suites.load(found.suite), [run.tasks for run in found.runs])
        entry["aggregates"] = {name: one.plain() for name, one in made.items()}

    return changed


def fitted(change):
    """A change after which averages and the results' digests fit again."""

    def changed(entry):
        averaged(change)(entry)
        for run in entry["runs"]:
            told = {"suite": entry["suite"], "suite_version": entry["suite_version"], "suite_sha256": entry["suite_sha256"]}
            results = Results.parse(json.dumps(told | {"weights_sha256": run["weights_sha256"], "tasks": run["tasks"]}), "a forgery")
            run["results_sha256"] = results.digest()

    return changed


def also(**told):
    return lambda entry: entry.update(told)


def of_run(**told):
    return lambda entry: first(entry).update(told)


def of_task(**told):
    return lambda entry: task(entry).update(told)


def metrics(**told):
    return lambda entry: task(entry)["metrics"].update(told)


def curve(entry):
    return first(entry)["loss_curve"]


def report(entry):
    return entry["list_reports"][0]


def of_curve(place, value):
    """A change of one point: of the losses, or of the steps."""
    return lambda entry: curve(entry)[place[0]].__setitem__(place[1], value)


def of_report(**told):
    return lambda entry: report(entry).update(told)


def of_bars(**told):
    return lambda entry: report(entry)["histograms"][0].update(told)


def second_is_first(entry):
    entry["runs"][1]["tasks"] = first(entry)["tasks"]


FORGERIES = {
    # scores
    "a score edited": (metrics(acc1=0.5001), "metrics are possible: nano/objects: acc1 is no whole number of 3,200 samples"),
    "a score raised by whole samples": (metrics(acc1=0.75), "metrics are possible: nano/objects: acc5 is 0.50.* less than acc1"),
    "a score above one": (metrics(acc1=1.5), "metrics are possible: nano/objects: acc1 is 1.5"),
    "a score taken away": (metrics(acc1=None), "metrics are possible: .*it has no acc1"),
    "a recall that no classes give": (
        metrics(mean_per_class_recall=0.999),
        "metrics are possible: .*recall is 0.999; with this acc1 it is from",
    ),
    "a metric that nobody measures": (metrics(beauty=0.5), "metrics are possible: .*a metric 'beauty', which nobody measures"),
    "a smaller standard error": (lambda entry: task(entry)["standard_errors"].update(acc1=0.001), "metrics are possible: .*standard error of acc1 must be"),
    "a standard error left out": (lambda entry: task(entry).update(standard_errors={}), "metrics are possible: .*acc1 has no standard error"),
    "a task raised, averages left": (more_right, "averages: average is"),
    "a task raised, averages fitted": (averaged(more_right), "digest of the results: the metrics of seed 5 are not"),
    "a task raised, everything fitted": (fitted(more_right), "run at .*the entry says something else about its results_sha256, tasks"),
    "a task left out": (lambda entry: first(entry)["tasks"].pop(), "averages: task nano/light has no acc_wg in the results"),
    "a task twice": (lambda entry: first(entry)["tasks"].append(task(entry)), "metrics are possible: nano/objects stands 2 times in one run"),
    "an easier task in place of one": (of_task(task="nano/easy"), "metrics are possible: nano/easy is no task of suite nano"),
    "other test data": (of_task(data_sha256=OTHER), "metrics are possible: nano/objects: it was measured on other data"),
    "fewer test samples": (of_task(samples=10), "metrics are possible: nano/objects: it was measured on other data"),
    "a wrong average": (lambda entry: entry["aggregates"]["average"].update(value=0.9), "averages: average is 0.900000"),
    "a wrong group": (lambda entry: entry["aggregates"]["shifts"].update(value=0.9), "averages: shifts is 0.900000"),
    "a surer average": (lambda entry: entry["aggregates"]["average"].update(standard_error=1e-5), "averages: average is"),
    "an average more": (lambda entry: entry["aggregates"].update(best={"value": 1.0, "standard_error": 0.0}), "averages: the entry has .*best"),
    # recipe, suite, code
    "another recipe": (also(recipe_sha256=OTHER), "digest of the recipe"),
    "a changed recipe in the closed division": (also(changes={"optimizer.learning_rate": "1e-2"}), "digest of the recipe"),
    "other rules": (also(rules_sha256=OTHER), "digest of the rules"),
    "another suite": (also(suite_sha256=OTHER), "digest of the suite"),
    "another version of the suite": (also(suite_version=99), "track, scale and suite are known: suite nano has no version 99"),
    "an unknown scale": (also(scale="huge"), "track, scale and suite are known: 'huge' is not among the scales"),
    "a larger scale": (also(scale="micro"), "digest of the recipe"),
    "modified code": (of_run(code={"version": "0.1.0", "sha256": OTHER}), "run at .*something else about its code"),
    "other packages": (of_run(packages={"torch": "1.0"}), "run at .*something else about its packages"),
    "more samples seen": (of_run(samples_seen=204_800), "rules of the track: the run with seed 5 saw 204,800 samples"),
    # list and pool
    "uids outside the pool": (
        of_all_runs(lambda found: found.update(samples=1, missing_samples={"not in the pool": 2})),
        "rules of the track: 2 uids of the list are not in the pool",
    ),
    "another pool's name": (also(pool="datacomp_1b"), "pool and resources are those of the runs: pool: the entry says datacomp_1b"),
    "another pool": (
        lambda entry: (of_all_runs(lambda found: found.update(pool_uids_sha256=OTHER))(entry), entry.update(pool_uids_sha256=OTHER)),
        "rules of the track: the list was made from pool",
    ),
    "no pool": (
        lambda entry: (of_all_runs(lambda found: found.update(pool_uids_sha256=""))(entry), entry.update(pool_uids_sha256="")),
        "rules of the track: .*the entry does not say which pool",
    ),
    "another list": (of_all_runs(lambda found: found["subset"].update(uids_sha256=OTHER)), "list .*it is no list of the entry"),
    "a longer list": (
        of_all_runs(lambda found: found["subset"].update(samples=30)),
        "rules of the track: .*3 samples found and 0 missing are not the 30",
    ),
    "more different samples than samples": (of_all_runs(lambda found: found["subset"].update(distinct_samples=4)), "rules of the track: .*4 of its 3 samples"),
    "a second source": (lambda entry: [run["sources"].append(source(entry)) for run in entry["runs"]], "rules of the track: track filtering takes one list"),
    "a resource kept silent": (also(external_resources=[]), "pool and resources are those of the runs: external_resources"),
    "another list for each run": (lambda entry: source(entry).update(shards_sha256=OTHER), "rules of the track: the entry's runs were trained on different"),
    # checkpoints and runs
    "a swapped checkpoint": (of_run(weights_sha256=OTHER), "digest of the results: the metrics of seed 5"),
    "a swapped checkpoint, digests fitted": (fitted(of_run(weights_sha256=OTHER)), "run at .*something else about its results_sha256, weights_sha256"),
    "a run of another seed": (of_run(seed=7), "run at .*the entry has no run with its seed, 5"),
    "a seed twice": (lambda entry: entry["runs"].append(first(entry)), "rules of the track: two runs of the entry have the same seed"),
    "results of a run used for two": (fitted(second_is_first), "no run is another one: seeds 5 and 6 have the same metrics"),
    "a single seed without its mark": (averaged(first_run_only), "marks: .*single seed"),
    "a mark of one's own": (lambda entry: entry["marks"].append("best of all"), "marks"),
    "no runs": (also(runs=[]), "is no entry record: runs"),
    # loss curves, reports, seeds
    "a loss edited": (of_curve(("losses", 50), 1.5), "run at .*something else about its loss_curve"),
    "a loss below zero": (of_curve(("losses", 50), -1.0), "is no entry record: runs.0.loss_curve.losses.50"),
    "a huge loss": (of_curve(("losses", 50), 1e308), "is no entry record: runs.0.loss_curve.losses.50"),
    "a loss that is a text": (of_curve(("losses", 50), HTML), "is no entry record: runs.0.loss_curve.losses.50"),
    "steps out of order": (of_curve(("steps", 50), 3), "is no entry record: runs.0.loss_curve: .*steps of a loss curve rise"),
    "a step that is none": (of_curve(("steps", 0), 0), "is no entry record: runs.0.loss_curve.steps.0"),
    "a huge step": (of_curve(("steps", -1), 10**400), "is no entry record"),
    "more steps than the recipe has": (of_curve(("steps", -1), 801), "what is told besides can be: the loss curve of seed 5 goes to step 801"),
    "fewer losses than steps": (lambda entry: curve(entry)["losses"].pop(), "is no entry record: runs.0.loss_curve: .*one loss for each step"),
    "a long loss curve": (lambda entry: curve(entry).update(steps=list(range(1, 100_001)), losses=[1.0] * 100_000), "is no entry record: runs.0.loss_curve"),
    "no points": (lambda entry: curve(entry).update(steps=[], losses=[]), "is no entry record: runs.0.loss_curve"),
    "one loss curve for two": (lambda entry: entry["runs"][1].update(loss_curve=curve(entry)), "no run is another one: .*the same loss curve"),
    "a report of another list": (of_report(uids_sha256=OTHER), "what is told besides can be: a report is of list 0000"),
    "a report of fewer rows": (of_report(dropped=7), "the histogram 'clip_l14_similarity_score' has"),
    "a report of more kept": (of_report(kept=30, times=[30]), "30 rows are kept, the list has 3"),
    "a report twice": (lambda entry: entry["list_reports"].append(report(entry)), "two reports are of one list"),
    "a list that repeats more": (of_report(times=[1, 1, 1]), "how often rows are listed does not add up"),
    "a histogram of more rows": (of_bars(kept_missing=9), "the histogram 'clip_l14_similarity_score' has"),
    "a histogram under markup": (of_bars(name=HTML), "is no entry record: list_reports.0.histograms.0.name"),
    "edges out of order": (of_bars(edges=[0.3, 0.2, 0.1]), "is no entry record: list_reports.0.histograms.0: .*edges of a histogram rise"),
    "edges beyond all": (of_bars(edges=[0.1, 0.2, 1e300]), "is no entry record: list_reports.0.histograms.0.edges.2"),
    "fewer bins than edges": (of_bars(kept=[3]), "is no entry record: list_reports.0.histograms.0: .*an edge more than bins"),
    "rows below zero": (of_bars(kept=[-1, 4]), "is no entry record: list_reports.0.histograms.0.kept.0"),
    "ten thousand bins": (of_bars(edges=list(range(10_001)), kept=[0] * 10_000, dropped=[0] * 10_000), "is no entry record: list_reports.0.histograms.0"),
    "a histogram twice": (lambda entry: report(entry)["histograms"].append(report(entry)["histograms"][0]), "a histogram or a language is there twice"),
    "a language that is a script": (of_report(languages=[{"language": HTML, "kept": 3, "dropped": 0}]), "is no entry record: list_reports.0.languages.0"),
    "more speakers than rows": (of_report(languages=[{"language": "en", "kept": 4, "dropped": 0}]), "more rows have a language than there are"),
    "a caption in a report": (of_report(captions=[HTML]), "is no entry record: list_reports.0.captions"),
    "a seed left out that is there": (also(seeds_left_out=[{"seed": 5, "reason": "worse"}]), "seed 5 is left out and in the entry"),
    "terminal escapes in a reason": (also(seeds_left_out=[{"seed": 9, "reason": ESCAPE}]), "is no entry record: seeds_left_out.0.reason"),
    # texts
    "terminal escapes in a name": (also(method=ESCAPE), "is no entry record: method"),
    "terminal escapes in the description": (also(description=ESCAPE), r"texts can be shown: entry.description holds U\+0007, U\+001B"),
    "terminal escapes in a mark": (also(marks=[ESCAPE]), "is no entry record: marks"),
    "a name written backwards": (also(proposed_by=BIDI), r"texts can be shown: entry.proposed_by holds U\+202E"),
    "an invisible key": (of_run(packages={"to\u200brch": "2"}), r"texts can be shown: a key of entry.runs.0.packages holds U\+200B"),
    "a link that is a script": (also(links=["javascript:alert(1)"]), "is no entry record: links"),
    "a link that is a page": (also(links=["data:text/html,<script>alert(1)</script>"]), "is no entry record: links"),
    "a link with a line break": (also(links=["https://example.org/\nx"]), "is no entry record: links"),
    "a long name": (also(method="x" * 101), "is no entry record: method"),
    "a name of five megabytes": (also(method="x" * (5 << 20)), "is no entry record: method"),
    "an unknown key": (also(trust="re-run"), "is no entry record: trust"),
    "an unknown key in a run": (of_run(verified=True), "is no entry record: runs.0.verified"),
    "another format": (also(format="datacomp-entry/99"), "is no entry record: format"),
    "a number as a text": (of_run(samples_seen="102400"), "is no entry record: runs.0.samples_seen"),
    "a text as a digest": (also(recipe_sha256=HTML), "is no entry record: recipe_sha256"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_refused_by_name(honest, name):
    change, reason = FORGERIES[name]
    content = json.loads(honest.path.read_text())
    change(content)
    honest.path.write_text(digest.canonical(content))
    found = honest.checked()
    assert any(re.search(reason, problem) for problem in found), found


def test_somebody_s_entry_under_another_name_is_found(honest):
    content = json.loads((honest.earlier / "another.json").read_text())
    honest.path.write_text(digest.canonical(content | {"method": "mine", "proposed_by": "me", "run_by": "me"}))
    repeated = "no repeat of an earlier entry: the run with seed 0 has the same run and the same checkpoint"
    assert any(problem.startswith(repeated) and problem.endswith("of another.json") for problem in honest.checked())


TEXTS = {
    "NaN": (lambda text: text.replace('"samples_seen": 102400', '"samples_seen": NaN'), "is no entry record: runs.0.samples_seen"),
    "NaN for a score": (lambda text: re.sub(r'"acc1": [0-9.]+', '"acc1": NaN', text), "is no entry record: runs.0.tasks.0"),
    "NaN for a loss": (lambda text: re.sub(r'"losses": \[\s+[0-9.]+', '"losses": [NaN', text), "is no entry record: runs.0.loss_curve.losses.0"),
    "infinity for an edge": (
        lambda text: re.sub(r'"edges": \[\s+[0-9.]+', '"edges": [-1e999', text),
        "is no entry record: list_reports.0.histograms.0.edges.0",
    ),
    "infinity": (lambda text: text.replace('"weight": 1.0', '"weight": 1e999'), "is no entry record: runs.0.sources.0.weight"),
    "a key twice": (lambda text: text.replace('"method":', '"method": "seen by some", "method":'), "the file is as datacomp enter writes it"),
    "deep nesting": (lambda text: text.replace('"links": [', '"links": [' + "[" * NESTED), "is no entry record.*recursion limit"),
    "deep nesting in an unknown key": (lambda text: "{" + '"a": {' * NESTED, "is no entry record.*recursion limit"),
    "another encoding": (lambda text: text.encode("utf-16"), "is no entry record: the whole: Invalid JSON"),
    "half a file": (lambda text: text[: len(text) // 2], "is no entry record: the whole: Invalid JSON"),
    "nothing": (lambda text: "", "is no entry record: the whole: Invalid JSON"),
    "a list": (lambda text: f"[{text}]", "is no entry record: the whole"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_that_is_no_entry_is_refused_by_name(honest, name):
    change, reason = TEXTS[name]
    changed = change(honest.path.read_text())
    honest.path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    (found,) = honest.checked()
    assert re.search(reason, found), found


def test_a_file_of_200_mb_is_not_read(honest):
    with honest.path.open("r+b") as file:
        file.truncate(HUGE_BYTES)
    assert honest.checked() == [f"{honest.path} has 209,715,200 bytes. Allowed: records of up to 8,388,608 bytes."]


def test_deep_nesting_in_toml_is_refused(tmp_path):
    (tmp_path / "entry.toml").write_text("a = " + "[" * NESTED)
    with pytest.raises(DatacompError, match="too deep to be read"):
        Entry.read(tmp_path / "entry.toml")


# forgeries of what lies beside the entry


def test_a_checkpoint_swapped_on_the_disk_is_found(honest):
    honest.runs[0].weights().write_bytes(honest.runs[1].weights().read_bytes())
    assert "is not the checkpoint that run.json names" in honest.checked()[0]


def test_results_edited_on_the_disk_are_found(honest):
    path = honest.runs[0].path / "evaluation" / "nano.json"
    path.write_text(path.read_text().replace("0.5015625", "0.6015625"))
    assert any("something else about its results_sha256" in problem for problem in honest.checked())


def test_a_list_swapped_on_the_disk_is_found(honest):
    subsets.write(honest.listed, [np.array([(0, 1), (0, 2), (7, 8)], UID)])
    assert ["it is no list of the entry" in problem for problem in honest.checked()] == [True]


def test_every_uid_of_a_list_must_be_in_the_pool(make_entry, small_pool, tmp_path):
    inside = apply("random", {"fraction": 0.1}, small_pool, tmp_path / "inside.npy")
    assert inside.record.samples == 60
    outside = subsets.write(tmp_path / "outside.npy", [np.sort(np.append(inside.uids, np.array([(1, 1)], UID)))])
    entry = make_entry(source={"pool_uids_sha256": small_pool.record.uids_sha256}, subset=dict(inside.record))
    assert list(lists.check(entry, (inside.path,), small_pool.path).checks.values()) == ["", ""]
    problems = list(lists.check(entry, (outside.path,), small_pool.path).checks.values())
    assert problems[0].startswith("it is no list of the entry")
    assert problems[1] == "1 of its uids are not in the pool, the first is 00000000000000010000000000000001"
    elsewhere = make_entry(subset=dict(inside.record))
    assert "is not that of the entry" in list(lists.check(elsewhere, (inside.path,), small_pool.path).checks.values())[1]


@pytest.mark.parametrize(("known", "mark"), [({}, "unreleased code"), ({"0.1.0": OTHER}, "modified code"), ({"0.1.0": "e" * 64}, None)])
def test_code_that_no_release_has_is_marked(make_entry, monkeypatch, known, mark):
    monkeypatch.setattr(releases, "known", lambda: known)
    entry = make_entry()
    assert enter.code_mark(entry) == (mark or "")
    assert not any("code" in found for found in entry.marks)  # a release that comes later must not make the entry wrong
    assert [check.name for check in verify.check(entry) if check.problem] == []
    assert releases.Releases.read(Path(releases.__file__).parents[2] / "tracks" / releases.FILE)


# what is shown


def places(content, place=()):
    """Where the texts of a record stand."""
    if isinstance(content, str):
        yield place
    for key, value in content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ():
        yield from places(value, (*place, key))


@pytest.mark.parametrize("attack", [HTML, SCRIPT], ids=["html", "script"])
def test_markup_in_any_text_of_an_entry_is_refused_or_shown_as_text(honest, tmp_path, attack):
    """Each text in turn; digests are made to fit where they can be."""
    plain = honest.path.read_text()
    shown = []
    for number, place in enumerate(places(json.loads(plain))):
        content = json.loads(plain)
        found = content
        for key in place[:-1]:
            found = found[key]
        found[place[-1]] = attack
        try:
            entry = Entry.parse(digest.canonical(content), "a forgery")
        except DatacompError:
            continue
        if not [check for check in verify.check(entry) if check.problem]:
            entry.write(tmp_path / "entries" / f"{number}.json")
            shown.append(place)
    assert {("method",), ("description",), ("proposed_by",), ("run_by",)} <= set(shown)
    board = page.build(tmp_path / "entries", tmp_path / "site")
    assert sum(len(table.listed) for table in board.tables) == len(shown)
    pages = [path.read_text() for path in (tmp_path / "site").rglob("*.html")]
    assert not [text for text in pages if "<img src=x" in text or "<script>alert" in text or "');alert" in text]
    assert any("alert" in text for text in pages)


def test_nothing_in_an_entry_reaches_the_terminal_as_an_escape(honest):
    content = json.loads(honest.path.read_text())
    content["description"], content["marks"] = ESCAPE, []
    honest.path.write_text(digest.canonical(content))
    said = CliRunner().invoke(app, ["verify", str(honest.path)])
    assert said.exit_code == 1
    assert "texts can be shown" in said.output
    assert "\x1b" not in said.output + str(said.exception)


def test_the_command_finds_repeats_and_tells_of_the_same_list(honest):
    arguments = ["verify", str(honest.path), "--among", str(honest.earlier), "--subset", str(honest.listed)]
    arguments += [part for run in honest.runs for part in ("--run", str(run.path))]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "note" not in done.output
    assert "trust level: artefacts checked" in done.output
    (honest.earlier / "mine.json").write_bytes(honest.path.read_bytes())
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "note  mine.json is of the same list" in done.output
    assert "FAIL  no repeat of an earlier entry" in done.output
