"""datacomp export: a run's weights for open_clip."""

from typing import Annotated

import typer

from datacomp.cli.options import Out, Run


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: datacomp export --run build/run --out build/export")(export)


def export(
    run: Run,
    out: Out,
    step: Annotated[int | None, typer.Option("--step", help="The checkpoint after this step; by default the last.", show_default=False)] = None,
) -> None:
    """Write a run's weights as a folder that open_clip loads, from this disk or from the Hub. Its README.md says how."""
    from datacomp.artifacts import run as runs

    finished = runs.read(run)
    from datacomp.train import export as exporting  # now that there is something to do: it loads torch

    done = exporting.export(finished, finished.record.inputs.recipe(), out, step=step)
    typer.echo(f"weights after step {done.step:,} in {out}; {out / exporting.CARD} says how to load them")
