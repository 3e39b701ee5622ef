"""datacomp board: the page that compares entries."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datacomp.board import texts

if TYPE_CHECKING:
    from datacomp.board.rank import Board

group = typer.Typer(help="The leaderboard.", no_args_is_help=True)
Entries = Annotated[Path | None, typer.Option("--entries", help="Folder of entries; leaderboard/entries/ by default.", show_default=False)]
Runs = Annotated[Path | None, typer.Option("--runs", help="Folder of runs of one's own, in place of entries: the entry.json of each.", show_default=False)]
Track = Annotated[str, typer.Option("--track", help="This track's tables only.", show_default=False)]
Scale = Annotated[str, typer.Option("--scale", help="This scale's tables only.", show_default=False)]
Site = Annotated[Path, typer.Option("--out", help="Folder of the page.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="board")


@group.command(epilog="Example: datacomp board build --entries build/demo/entries --out build/board")
def build(entries: Entries = None, runs: Runs = None, out: Site = Path("build/board")) -> None:
    """Build the static page of all entries."""
    from datacomp.board import page

    folder, names = _where(entries, runs)
    board = page.build(folder, out, names=names)
    _tell_left_out(board)
    typer.echo(f"{sum(len(table.listed) for table in board.tables)} entries in {out / 'index.html'}")


@group.command(epilog="Example: datacomp board show --entries build/demo/entries --scale nano")
def show(entries: Entries = None, runs: Runs = None, track: Track = "", scale: Scale = "") -> None:
    """Print the board: a table for each track, division, scale and suite version."""
    from datacomp.board import rank
    from datacomp.cli import tables

    board = rank.read(*_where(entries, runs))
    _tell_left_out(board)
    found = [table for table in board.tables if track in ("", table.track) and scale in ("", table.scale)]
    for table in found:
        if table.earlier:
            typer.echo(f"an earlier version of suite {table.suite}, today's is {table.today}:")
        tables.show_entries([listed.entry for listed in table.listed])
    if not found:
        typer.echo("no entries" if not board.tables else f"no entries there; there are: {', '.join(f'{table.track} {table.scale}' for table in board.tables)}")


def _where(entries: Path | None, runs: Path | None) -> tuple[Path, str]:
    """The folder to look in, and what entries' files are called there."""
    from datacomp import rooms
    from datacomp.errors import StageError

    if runs is None:
        return entries or rooms.leaderboard() / "entries", "*.json"
    if entries is not None:
        raise StageError("both --entries and --runs came", allowed="a folder of entries, or one of runs", repair="leave one of them out")
    return runs, "entry.json"


def _tell_left_out(board: "Board") -> None:
    for name, reason in board.left_out:
        typer.echo(texts.printable(f"left out: {name}: {reason}"), err=True)


@group.command(epilog="Example: datacomp board serve --entries build/demo/entries --port 8000")
def serve(
    entries: Entries = None, runs: Runs = None, out: Site = Path("build/board"), port: Annotated[int, typer.Option(help="Port on this machine.")] = 8000
) -> None:
    """Serve the page to this machine, built anew when entries change."""
    from datacomp.board import serve as serving

    folder, names = _where(entries, runs)
    serving.serve(folder, out, port, lambda address: typer.echo(f"{address} (end with Ctrl-C)"), names=names)


@group.command(epilog="Example: datacomp board review proposed/leaderboard/entries --base leaderboard/entries --report report.md")
def review(
    proposed: Annotated[Path, typer.Argument(help="Folder of entries as a pull request would leave it.")],
    base: Annotated[Path | None, typer.Option("--base", help="Folder of entries as it is; leaderboard/entries/ by default.", show_default=False)] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write the outcome as a comment in Markdown.", show_default=False)] = None,
) -> None:
    """Check what a pull request proposes: new entries hold and repeat none, entries that are there are not touched."""
    from datacomp import files, rooms
    from datacomp.board import review as reviewing
    from datacomp.errors import EntryError

    found = reviewing.review(proposed, base or rooms.leaderboard() / "entries")
    text = reviewing.report(found)
    if report:
        files.write_text(report, text)
    typer.echo(text, nl=False)
    if broken := [one.name for one in found if not one.holds]:
        raise EntryError(f"{len(broken)} of {len(found)} proposed files do not hold: {', '.join(broken[:5])}", repair="see the lines that say FAIL")


@group.command(epilog="Example: datacomp board schema > entry.schema.json")
def schema() -> None:
    """Print the JSON Schema of an entry, which is leaderboard/entry.schema.json."""
    from datacomp import digest
    from datacomp.artifacts.entry import Entry

    typer.echo(digest.canonical(Entry.model_json_schema()), nl=False)


@group.command("suite", epilog="Example: datacomp board suite nano > nano-v1.json")
def whole_suite(name: Annotated[str, typer.Argument(help="A suite of eval_suite/suites/.")]) -> None:
    """Print today's version of a suite with its tasks, as eval_suite/earlier/ keeps it when another version comes."""
    from datacomp import digest
    from datacomp.declared import suite as suites

    typer.echo(digest.canonical(suites.load(name).plain()), nl=False)


@group.command(epilog="Example: datacomp board code")
def code() -> None:
    """Print this version and the digest of its code, as tracks/releases.toml holds them for released ones."""
    import datacomp
    from datacomp import digest

    typer.echo(f'"{datacomp.__version__}" = "{digest.of_code()}"')
