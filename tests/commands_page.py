"""Print docs/commands.md: every command with its own help. `make docs` writes it, tests/test_docs.py holds it."""

import shlex

import typer
from typer.testing import CliRunner

from datacomp.cli import app

WIDTH = {"COLUMNS": "100", "TERMINAL_WIDTH": "100"}


def names(group, prefix=""):
    """Every command of a group, those of its subgroups included."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from names(command, f"{prefix}{name} ")
        else:
            yield prefix + name


def page():
    """The whole page."""
    parts = ["# Commands", "Written by `make docs` from the commands' own help."]
    for name in names(typer.main.get_command(app)):
        text = CliRunner(env=WIDTH).invoke(app, [*name.split(), "--help"], prog_name="datacomp").output
        lines = "\n".join(f"    {line}".rstrip() for line in text.strip().splitlines())
        parts.append(f"## datacomp {name}\n\n{lines}")
    return "\n\n".join(parts) + "\n"


def unknown_words(line):
    """What a command line names that does not exist: a command or an option."""
    words = shlex.split(line)
    group, consumed = typer.main.get_command(app), 1
    while hasattr(group, "commands"):
        if words[consumed] not in group.commands:
            return [words[consumed]]
        group, consumed = group.commands[words[consumed]], consumed + 1
    known = {option for parameter in group.params for option in parameter.opts} | {"--help"}
    return [word for word in words[consumed:] if word.startswith("--") and word.split("=")[0] not in known]


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
