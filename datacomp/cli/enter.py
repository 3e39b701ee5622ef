"""datacomp enter and datacomp verify."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datacomp import places
from datacomp.cli import options
from datacomp.cli.options import Author, Description, Links, Method, Out, RunBy, Sources, Suite, Track

if TYPE_CHECKING:
    from datacomp.board.verify import Check


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: datacomp enter --run build/run --track filtering --method 'CLIP score' --author me --out entry.json")(enter)
    app.command(epilog="Example: datacomp verify entry.json --run build/run")(verify)


def enter(
    run: Annotated[
        list[Path],
        typer.Option("--run", help="Folder of a finished, evaluated run; one for each seed.", parser=places.here, metavar="FOLDER", show_default=False),
    ],
    method: Method,
    author: Author,
    out: Out,
    track: Track = "filtering",
    suite: Suite = "nano",
    run_by: RunBy = "",
    description: Description = "",
    link: Links = None,
    sources: Sources = None,
) -> None:
    """Write the entry of one or several runs of one list."""
    from datacomp.artifacts import run as runs
    from datacomp.board import enter as entering
    from datacomp.cli import tables
    from datacomp.declared import suite as suites
    from datacomp.declared import track as tracks

    about = options.about(method, author, run_by, description, link, sources, track)
    entry = entering.enter([runs.read(folder) for folder in run], suites.load(suite), tracks.load(track), about)
    entry.write(out)
    tables.show_entries([entry])


def verify(
    entry: Annotated[Path, typer.Argument(help="An entry, .json.")],
    run: Annotated[list[Path] | None, typer.Option("--run", help="Folder of the run behind it; one for each seed.", show_default=False)] = None,
) -> None:
    """Check an entry against rules and records, with --run also against the run's files."""
    from datacomp.board import verify as verifying

    _, checks, level = verifying.verify(entry, tuple(run or ()))
    show_checks(checks)
    verifying.demand(entry, checks)
    typer.echo(f"trust level: {level}")


def show_checks(checks: list["Check"]) -> None:
    """Print each check with pass, or FAIL and the reason."""
    for check in checks:
        typer.echo(f"{'FAIL' if check.problem else 'pass'}  {check.name}{': ' + check.problem if check.problem else ''}")
