"""datacomp results show, compare and import: scores of runs and networks, ours and those that the published tools wrote."""

from pathlib import Path
from typing import Annotated

import typer

from datacomp import places
from datacomp.cli.options import Out
from datacomp.cli.runs import Json

group = typer.Typer(help="Results of evaluations.", no_args_is_help=True)
_WHAT = "results.json, eval_results.jsonl, a run, or the folder of one of these or of one list's runs"
_Suite = Annotated[str, typer.Option("--suite", help="The suite of eval_results.jsonl (else datacomp), or of runs that were evaluated on several.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="results")


@group.command(epilog="Example: datacomp results show build/demo/runs/no_filter build/theirs/results.json")
def show(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help=f"Each: {_WHAT}.", parser=places.here)],
    suite: _Suite = "",
    json: Json = False,
) -> None:
    """Show every task and the means, each with its standard error; there are no means unless every task is there that counts."""
    from datacomp import digest
    from datacomp.board import evaluated
    from datacomp.cli import tables

    found = [(one := evaluated.read(file, suite), evaluated.summary(one.suite, one.seeds)) for file in files]
    if json:
        told = [{"path": str(one.path), "suite": one.suite.spec.name, "runs": len(one.seeds), **short.plain()} for one, short in found]
        typer.echo(digest.canonical(told), nl=False)
        return
    for one, short in found:
        typer.echo(f"{one.path}{f', mean of {len(one.seeds)} runs' if len(one.seeds) > 1 else ''}")
        tables.show_results(one.suite, short)


@group.command(epilog="Example: datacomp results compare build/demo/runs/no_filter build/demo/runs/basic_filter_ftz")
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help=f"One: {_WHAT}.", parser=places.here)],
    second: Annotated[Path, typer.Argument(metavar="B", help="The other.", parser=places.here)],
    suite: _Suite = "",
    json: Json = False,
) -> None:
    """Show B less A for every task and mean, each with the interval that holds 99 of 100 such differences.

    Intervals join the errors of the test samples and how much runs differ by their seeds: by several runs, or by what is known of the scale.
    """
    from datacomp import digest
    from datacomp.board import compare as comparing
    from datacomp.board import evaluated
    from datacomp.cli import tables

    sides = [evaluated.read(file, suite) for file in (first, second)]
    found = comparing.compare(*sides)
    if json:
        told = {"differences": [{**one.plain(), "verdict": one.verdict} for one in found.differences], "notes": found.notes}
        typer.echo(digest.canonical(told), nl=False)
        return
    measured = sides[0].suite
    typer.echo(f"suite {measured.spec.name} version {measured.spec.version}, in percent")
    for name, side in zip("AB", sides, strict=True):
        typer.echo(f"{name}  {side.path}{f', mean of {len(side.seeds)} runs' if len(side.seeds) > 1 else ''}")
    tables.show_comparison(measured, found)
    for note in found.notes:
        typer.echo(note)


@group.command("import", epilog="Example: datacomp results import eval_results.jsonl --out build/theirs")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="eval_results.jsonl as the published tools write it.", parser=places.here)],
    out: Out,
    suite: Annotated[str, typer.Option("--suite", help="The suite that it is of.")] = "datacomp",
) -> None:
    """Read what the published tools wrote into OUT/results.json. It is marked as imported, and no entry accepts it."""
    from datacomp.board import evaluated
    from datacomp.declared import suite as suites

    found = evaluated.import_published(file, suites.load(suite), out)
    typer.echo(f"{len(found.tasks)} tasks in {out}")
