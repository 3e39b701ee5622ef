"""Pull requests to the board: what is checked of them, the schema that is published, and the workflow that runs it without trusting them."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from commands_page import unknown_words
from typer.testing import CliRunner

from datacomp import digest
from datacomp.artifacts.entry import FORMAT, Entry, Withdrawal
from datacomp.board import review
from datacomp.cli import app
from datacomp.errors import DatacompError, StageError

ROOT = Path(__file__).parent.parent
WORKFLOW = ROOT / "leaderboard" / "workflow" / "validate.yml"
SCHEMA = ROOT / "leaderboard" / "entry.schema.json"


@pytest.fixture
def base(make_entry, tmp_path):
    make_entry("first").write(tmp_path / "base" / "filtering" / "nano" / "first.json")
    return tmp_path / "base"


@pytest.fixture
def proposed(base, make_entry, tmp_path):
    """An honest entry more."""
    shutil.copytree(base, tmp_path / "proposed")
    make_entry("second", seeds=(10,), subset={"uids_sha256": "9" * 64}).write(tmp_path / "proposed" / "filtering" / "nano" / "second.json")
    return tmp_path / "proposed"


def told(proposed, base):
    """What does not hold, by the file's name."""
    return {one.name: "; ".join(f"{check.name}: {check.problem}" for check in one.checks if check.problem) for one in review.review(proposed, base)}


def test_a_new_entry_that_holds_is_welcome(proposed, base):
    (found,) = review.review(proposed, base)
    assert (found.name, found.holds, found.notes) == ("filtering/nano/second.json", True, ())
    assert review.report((found,)).startswith("Every proposed entry holds.\n\n~~~text\nfile  filtering/nano/second.json\npass  ")


def test_nothing_proposed_holds(base):
    assert review.review(base, base) == ()
    assert "nothing was proposed" in review.report(())


def withdrawal(sha256):
    return Withdrawal(format="datacomp-withdrawal/1", entry_sha256=sha256, reason="the list was another one")


PROPOSALS = {
    "an edit": (lambda place, make: make("changed").write(place / "filtering/nano/first.json"), "first.json", "an entry is never edited"),
    "a removal": (lambda place, make: (place / "filtering/nano/first.json").unlink(), "first.json", "an entry is never removed"),
    "a copy": (
        lambda place, make: make("mine").write(place / "filtering/nano/copy.json"),
        "copy.json",
        "no repeat of an earlier entry: .*first.json",
    ),
    "another place": (
        lambda place, make: make("new", seeds=(50,)).write(place / "byod/nano/new.json"),
        "new.json",
        "its place .*: it belongs at filtering/nano/new.json",
    ),
    "a scale for tests": (
        lambda place, make: make("new", seeds=(50,), scale="smoke").write(place / "filtering/smoke/new.json"),
        "new.json",
        "the scale has a board: scale smoke is for tests only",
    ),
    "a withdrawal of nothing": (
        lambda place, make: withdrawal("0" * 64).write(place / "filtering/nano/x.withdrawal.json"),
        "x.withdrawal.json",
        "it names an entry that is there: none has the digest 000000000000",
    ),
    "no withdrawal": (
        lambda place, make: (place / "x.withdrawal.json").write_text("{}"),
        "x.withdrawal.json",
        "it is a withdrawal: .* is no withdrawal record",
    ),
    "a linked withdrawal": (lambda place, make: (place / "x.withdrawal.json").symlink_to("/etc/hostname"), "x.withdrawal.json", "it is a withdrawal's file"),
    "no entry": (lambda place, make: (place / "filtering/nano/x.json").write_text("{"), "x.json", "it is an entry: filtering/nano/x.json is no entry record"),
    "a program": (lambda place, make: (place / "conftest.py").write_text("raise SystemExit"), "conftest.py", "it is an entry's file"),
    "a name with a command": (lambda place, make: (place / "$(id).json").write_text("{}"), "$(id).json", "it is an entry's file"),
    "a link": (lambda place, make: (place / "filtering/nano/l.json").symlink_to("/etc/hostname"), "l.json", "it is an entry's file"),
    "a linked folder": (lambda place, make: (place / "filtering/micro").symlink_to("/etc"), "micro", "it is an entry's file"),
}


@pytest.mark.parametrize("name", PROPOSALS)
def test_what_does_not_belong_on_the_board_is_refused_by_name(proposed, base, make_entry, name):
    change, file, reason = PROPOSALS[name]
    change(proposed, make_entry)
    problems = {Path(found).name: problem for found, problem in told(proposed, base).items()}
    assert problems.pop("second.json") == ""
    assert list(problems) == [file]
    assert re.search(reason, problems[file]), problems


def test_a_withdrawal_is_told_to_the_keepers_and_makes_way_for_the_corrected_entry(proposed, base, make_entry):
    folder = proposed / "filtering" / "nano"
    make_entry("first, corrected").write(folder / "corrected.json")
    assert "no repeat of an earlier entry" in told(proposed, base)["filtering/nano/corrected.json"]
    withdrawal(digest.of_file(folder / "first.json")).write(folder / "first.withdrawal.json")
    found = {one.name: one for one in review.review(proposed, base)}
    assert all(one.holds for one in found.values())
    assert "a keeper of the board has to see who asks for it" in found["filtering/nano/first.withdrawal.json"].notes[0]


def test_two_proposals_may_not_repeat_each_other(proposed, base):
    folder = proposed / "filtering" / "nano"
    shutil.copy(folder / "second.json", folder / "third.json")
    assert "no repeat of an earlier entry" in told(proposed, base)["filtering/nano/third.json"]


def test_somebody_else_s_list_is_told_and_no_fault(proposed, base, make_entry):
    make_entry("again", seeds=(70,), run_by="somebody else").write(proposed / "filtering" / "nano" / "again.json")
    again = next(one for one in review.review(proposed, base) if "again" in one.name)
    assert (again.holds, again.notes) == (True, ("filtering/nano/first.json is of the same list",))


def test_no_name_ends_the_report_s_block_of_code(proposed, base):
    (proposed / "x\n~~~\n# @everybody.json").write_text("{}")
    text = review.report(review.review(proposed, base))
    assert [line for line in text.splitlines() if line.startswith(("~~~", "#"))] == ["~~~text", "~~~"]


def test_a_folder_that_is_not_there_is_told(base):
    with pytest.raises(StageError, match="there is no folder"):
        review.review(base / "nowhere", base)


def test_the_command_reports_and_fails_where_something_does_not_hold(proposed, base, tmp_path):
    arguments = ["board", "review", str(proposed), "--base", str(base), "--report", str(tmp_path / "report.md")]
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.output) == (0, (tmp_path / "report.md").read_text())
    (proposed / "x.txt").write_text("x")
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, DatacompError)
    assert "1 of 2 proposed files do not hold: x.txt" in str(done.exception)
    assert (tmp_path / "report.md").read_text().startswith("Some of what is proposed does not hold.")


# the schema


def test_the_published_schema_is_today_s():
    assert CliRunner().invoke(app, ["board", "schema"]).output == SCHEMA.read_text(), "run: datacomp board schema > leaderboard/entry.schema.json"


def test_the_schema_knows_every_field_and_no_other():
    schema = json.loads(SCHEMA.read_text())
    records = [schema, *schema["$defs"].values()]
    assert all(record["additionalProperties"] is False for record in records)
    assert set(schema["properties"]) == set(Entry.model_fields)
    assert schema["properties"]["format"]["const"] == FORMAT
    links = schema["properties"]["links"]["items"]["pattern"]
    assert [bool(re.search(links, link)) for link in ("https://example.org", "javascript:alert(1)")] == [True, False]


def test_today_s_entries_are_among_the_goldens():
    """Whoever adds a field adds an entry that has it; those of before stay."""
    fields = {name for path in (ROOT / "tests" / "history").glob("entry-*.json") for name in json.loads(path.read_text())}
    assert fields == set(Entry.model_fields)


def test_the_command_prints_the_digest_of_this_code():
    assert CliRunner().invoke(app, ["board", "code"]).output.endswith(f'" = "{digest.of_code()}"\n')


# the workflow


def faults(text):
    """What in a workflow trusts a pull request, an action or a command that it must not."""
    workflow = yaml.safe_load(text)
    found = [] if workflow["permissions"] == {} else ["every job has permissions"]
    for name, job in workflow["jobs"].items():
        steps = job["steps"]
        reads_strangers = any("refs/pull/" in str(step.get("with", {}).get("ref", "")) for step in steps)
        if reads_strangers and (job["permissions"] != {"contents": "read"} or "secrets." in str(job) or "github.token" in str(job)):
            found.append(f"{name} reads a pull request and could write")
        for step in steps:
            if "uses" in step and not re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"]):
                found.append(f"{name} uses {step['uses']}")
            if "checkout" in step.get("uses", "") and step["with"].get("persist-credentials") is not False:
                found.append(f"{name} leaves credentials")
            found += [f"{name} runs {line}" for line in step.get("run", "").splitlines() if not is_known(line)]
            found += [f"{name} works elsewhere"] * ("working-directory" in step)
    return found


def is_known(line):
    words = shlex.split(line)
    if "${{" in line or any(word.startswith("proposed") for word in words if "install" in words):
        return False
    if words[0] == "datacomp":
        return unknown_words(line) == []
    return words[:4] == ["python", "-m", "pip", "install"] or words[:3] == ["gh", "pr", "comment"]


def test_the_workflow_trusts_no_pull_request():
    assert faults(WORKFLOW.read_text()) == []
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    assert set(jobs) == {"validate", "comment", "publish"}


@pytest.mark.parametrize(("old", "new"), [
    ("datacomp board review", "datacomp board inspect"),
    ("--report report.md", "--rapport report.md"),
    ("--no-deps ./board", "--no-deps proposed/"),
    ("actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683", "actions/checkout@v4"),
    ("actions/setup-python@", "somebody/setup-python@"),
    ("persist-credentials: false", "fetch-depth: 1"),
    ("      contents: read\n    steps:\n      - name", "      contents: write\n    steps:\n      - name"),
    ("permissions: {}", "permissions: write-all"),
    ('"$NUMBER"', "${{ github.event.pull_request.title }}"),
    ("gh pr comment", "bash proposed/run.sh"),
])  # fmt: skip
def test_a_careless_workflow_is_found(old, new):
    text = WORKFLOW.read_text()
    assert old in text
    assert faults(text.replace(old, new, 1)) != []
