"""Print docs/commands.md: every command with its own help. `make docs` writes it, tests/test_docs.py holds it."""

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


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
