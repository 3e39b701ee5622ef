"""The documents say what is true: trees, links, commands and figures."""

import re
from pathlib import Path

import pytest
import typer
from commands_page import names, page, unknown_words

from datacomp.cli import app
from datacomp.declared import suite

ROOT = Path(__file__).parent.parent
FOLDERS = (ROOT, ROOT / "docs", ROOT / "docs" / "decisions", ROOT / "leaderboard", ROOT / "tracks", ROOT / "eval_suite")
PAGES = sorted(path for folder in FOLDERS for path in folder.glob("*.md"))


def tree(text):
    """The paths of the README's tree, from its indentation."""
    folders = []
    for indent, name in re.findall(r"^ {4}( *)([a-z_]+)/ ", text, re.MULTILINE):
        depth = len(indent) // 2
        folders = [*folders[:depth], name]
        yield Path(*folders)


def broken_links(page):
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    return [target for target in targets if "://" not in target and not (page.parent / target).exists()]


def documented():
    """Every `datacomp …` command line of the pages, one a line."""
    for path in PAGES:
        if path.name != "commands.md":
            for line in re.findall(r"^ +(?:\.venv/bin/)?(datacomp [a-z].*)$", path.read_text(), re.MULTILINE):
                yield pytest.param(line, id=f"{path.name}: {line[:60]}")


def test_the_readme_s_tree_is_the_tree():
    named = set(tree((ROOT / "README.md").read_text()))
    assert {path for path in named if not (ROOT / path).is_dir()} == set()
    packages = {path.parent.relative_to(ROOT) for path in (ROOT / "datacomp").glob("*/__init__.py")}
    assert packages <= named


def test_a_wrong_tree_is_found():
    assert list(tree("    datacomp/   x\n      nothing/  y\n")) == [Path("datacomp"), Path("datacomp/nothing")]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    assert broken_links(path) == []


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "page.md").write_text("[here](nowhere.md)")
    assert broken_links(tmp_path / "page.md") == ["nowhere.md"]


def test_the_page_of_commands_is_today_s():
    assert (ROOT / "docs" / "commands.md").read_text() == page(), "run: make docs"


def test_every_command_stands_on_the_page():
    text = (ROOT / "docs" / "commands.md").read_text()
    assert all(f"\n## datacomp {name}\n" in text for name in names(typer.main.get_command(app)))


@pytest.mark.parametrize("line", list(documented()))
def test_a_documented_command_exists_with_its_options(line):
    assert unknown_words(line) == []


def test_an_unknown_option_in_a_document_is_found():
    assert unknown_words("datacomp run --scales nano") == ["--scales"]
    assert unknown_words("datacomp pool brew") == ["brew"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nobody_is_sent_to_another_project_s_package(path):
    assert not re.search(r"pip install datacomp(?!-bench)\b", path.read_text())


def test_every_module_says_what_it_is_for():
    silent = [path.name for path in (ROOT / "datacomp").rglob("*.py") if path.stat().st_size and not path.read_text().startswith('"""')]
    assert silent == []


def test_every_scale_stands_in_the_readme():
    text = (ROOT / "README.md").read_text()
    assert all(f"| `{path.stem}` |" in text for path in (ROOT / "tracks" / "scales").glob("*.toml"))


def test_the_table_of_licences_says_what_the_records_say():
    rows = re.findall(r"^\| (.+) \| (.+) \| https?://\S+(?: \(quoted\))? \|$", (ROOT / "eval_suite" / "README.md").read_text(), re.MULTILINE)
    told = {task: licence for tasks, licence in rows for task in tasks.split(", ")}
    assert told == {task.name: task.licence for task in suite.load("datacomp").tasks}


def test_the_changelog_begins_with_this_version():
    from datacomp import __version__

    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## ([0-9.]+)", text, re.MULTILINE).group(1) == __version__
    assert all(re.match(r"\* \[(Code|Rules|Suite|Board)\] ", line) for line in text.splitlines() if line.startswith("* "))
