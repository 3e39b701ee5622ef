"""The command line: a skin. Each command parses, calls one function and prints; a known error is one line and exit code 1."""

import sys
from typing import NoReturn

import typer

from datacomp.board import texts
from datacomp.cli import (
    board,
    calibrate,
    cluster,
    decontaminate,
    dfn,
    enter,
    estimate,
    evaluate,
    export,
    filtering,
    init,
    inspect,
    jobs,
    pool,
    reproduce,
    results,
    run,
    runs,
    scaling,
    score,
    scores,
    submit,
    subset,
    train,
)
from datacomp.cli.old_names import Commands
from datacomp.errors import DatacompError

app = typer.Typer(
    name="datacomp",
    cls=Commands,
    help="The benchmark for datasets: a list of sample uids becomes a leaderboard entry.",
    epilog="Begin with: datacomp demo --out build/demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_GROUPS = (
    pool,
    score,
    cluster,
    scores,
    filtering,
    subset,
    inspect,
    decontaminate,
    estimate,
    dfn,
    train,
    evaluate,
    export,
    enter,
    submit,
    board,
    init,
    run,
    jobs,
    runs,
    results,
    scaling,
    reproduce,
    calibrate,
)
for group in _GROUPS:
    group.register(app)


def main() -> None:
    """Run the command; what users can cause ends in one line, never in a traceback."""
    try:
        app()
    except DatacompError as error:
        _fail(str(error))
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}. Repair: check that the place exists, is writable and has room, or choose another.")


def _fail(message: str) -> NoReturn:
    print(f"datacomp: {texts.printable(message)}", file=sys.stderr)  # noqa: T201
    sys.exit(1)
