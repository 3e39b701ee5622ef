"""datacomp board: the page that compares entries."""

from pathlib import Path
from typing import Annotated

import typer

group = typer.Typer(help="The leaderboard.", no_args_is_help=True)
Entries = Annotated[Path | None, typer.Option("--entries", help="Folder of entries; leaderboard/entries/ by default.", show_default=False)]
Site = Annotated[Path, typer.Option("--out", help="Folder of the page.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="board")


@group.command(epilog="Example: datacomp board build --entries build/demo/entries --out build/board")
def build(entries: Entries = None, out: Site = Path("build/board")) -> None:
    """Build the static page of all entries."""
    from datacomp import rooms
    from datacomp.board import page

    board = page.build(entries or rooms.leaderboard() / "entries", out)
    for name, reason in board.left_out:
        typer.echo(f"left out: {name}: {reason}", err=True)
    typer.echo(f"{sum(len(table.listed) for table in board.tables)} entries in {out / 'index.html'}")


@group.command(epilog="Example: datacomp board serve --entries build/demo/entries --port 8000")
def serve(entries: Entries = None, out: Site = Path("build/board"), port: Annotated[int, typer.Option(help="Port on this machine.")] = 8000) -> None:
    """Serve the page to this machine, built anew when entries change."""
    from datacomp import rooms
    from datacomp.board import serve as serving

    serving.serve(entries or rooms.leaderboard() / "entries", out, port, lambda address: typer.echo(f"{address} (end with Ctrl-C)"))
