"""The board in a terminal."""

import pytest
from typer.testing import CliRunner

from datacomp.cli import app
from datacomp.declared import suite as suites


@pytest.fixture
def show(tmp_path):
    def show(*options):
        return CliRunner(env={"COLUMNS": "160"}).invoke(app, ["board", "show", "--entries", str(tmp_path), *options])

    return show


def test_each_table_is_printed_the_best_entry_first(make_entry, tmp_path, show):
    for scale in ("nano", "micro"):
        for name, level in (("worse", 0.4), ("better", 0.6)):
            make_entry(f"{name} of {scale}", scale=scale, level=level).write(tmp_path / scale / f"{name}.json")
    text = show().output
    assert text.index("better of micro") < text.index("worse of micro") < text.index("better of nano") < text.index("worse of nano")
    assert "60.0 ± " in text
    assert "micro" not in show("--scale", "nano").output
    assert "there are: filtering micro, filtering nano" in show("--track", "byod").output


def test_a_table_of_an_earlier_suite_version_says_so_and_stands_last(make_entry, new_version, tmp_path, show):
    make_entry("old").write(tmp_path / "old.json")
    new_version()
    make_entry("new", seeds=(5,)).write(tmp_path / "new.json")
    text = show().output
    assert text.index(" new") < text.index(f"an earlier version of suite nano, today's is {suites.load('nano').spec.version}:") < text.index(" old")


def test_own_runs_are_shown_by_their_entries(make_entry, tmp_path):
    make_entry("mine").write(tmp_path / "a" / "entry.json")
    (tmp_path / "a" / "run.json").write_text("{}")
    shown = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["board", "show", "--runs", str(tmp_path)])
    assert "mine" in shown.output
    assert "left out" not in shown.output
    both = CliRunner().invoke(app, ["board", "show", "--runs", str(tmp_path), "--entries", str(tmp_path)])
    assert "both --entries and --runs came" in str(both.exception)


@pytest.mark.parametrize(("columns", "groups"), [(44, []), (80, ["objects"]), (160, ["objects", "retrieval"])])
def test_a_narrow_terminal_leaves_out_means_of_groups_and_no_method(make_entry, tmp_path, columns, groups):
    make_entry("a method with a name", level=0.6).write(tmp_path / "a.json")
    lines = CliRunner(env={"COLUMNS": str(columns)}).invoke(app, ["board", "show", "--entries", str(tmp_path)]).output.splitlines()
    heading = next(line for line in lines if "method" in line)
    assert [title for title in ("average", "objects", "retrieval") if title in heading] == ["average", *groups]
    assert any("a method with a name" in line and "60.0 ± " in line for line in lines)
    assert [line for line in lines if "left out" in line and "retrieval" in line] == [line for line in lines[-1:] if "retrieval" not in groups]


def test_an_empty_board_says_so(show):
    assert (show().exit_code, show().output) == (0, "no entries\n")


def test_nothing_of_an_entry_or_a_file_s_name_reaches_the_terminal_as_an_order(make_entry, tmp_path, show):
    make_entry("[red]bold[/red] [link=https://example.org]here[/link]").write(tmp_path / "a.json")
    (tmp_path / "\x1b[31mred.json").write_text("{")
    found = show()
    assert "[red]bold[/red] [link=https://example.org]here[/link]" in found.output
    assert "\x1b" not in found.output
    assert "left out: ?[31mred.json: its name holds more" in found.output
