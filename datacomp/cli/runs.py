"""datacomp runs list, runs show and trace: what was run, how far it came, and where it comes from."""

from pathlib import Path
from typing import Annotated

import typer

from datacomp import places

group = typer.Typer(help="Training runs.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the group and the command."""
    app.add_typer(group, name="runs")
    app.command(epilog="Example: datacomp trace build/demo/entries/no_filter.json --run build/demo/runs/no_filter/seed0")(trace)


@group.command("list", epilog="Example: datacomp runs list build")
def list_runs(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="FOLDER", help="Where to look, with all that lies below; build by default.", parser=places.here)
    ] = None,
    json: Json = False,
) -> None:
    """List runs: finished, evaluated, or how far they came."""
    from datacomp import digest
    from datacomp.board import overview
    from datacomp.cli import run_tables

    found = [run for folder in folders or [Path("build")] for run in overview.below(folder)]
    if json:
        typer.echo(digest.canonical([run.plain() for run in found]), nl=False)
    else:
        run_tables.show_runs(found)


@group.command(epilog="Example: datacomp runs show build/demo/runs/no_filter/seed0")
def show(run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.", parser=places.here, metavar="RUN")]) -> None:
    """Show all that is known of one run: inputs, sources, checkpoints, loss curve, speed, packages, results."""
    from datacomp.artifacts import run_folder
    from datacomp.board import evaluated, overview
    from datacomp.cli import run_tables, tables
    from datacomp.declared import suite as suites

    found = run_folder.read(run)
    run_tables.show_run(found)
    for results, mean in zip(found.evaluated, overview.means(found).values(), strict=True):
        if mean is None:
            typer.echo(f"evaluated on another suite {results.suite} than today's, version {results.suite_version}")
        else:
            suite = suites.load(results.suite)
            tables.show_results(suite, evaluated.summary(suite, [results.tasks]))


def trace(
    path: Annotated[Path, typer.Argument(metavar="RUN|ENTRY", help="Folder of a finished run, or an entry, .json.", parser=places.here)],
    run: Annotated[list[Path] | None, typer.Option("--run", help="The entry's run, if not beside it; one for each seed.", show_default=False)] = None,
    pool: Annotated[Path | None, typer.Option("--pool", help="Folder of the pool, to check it as well.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Print every artefact, digest and command from an entry or a run back to the pool, and check what is here: OK, FAIL or not here."""
    from datacomp import digest
    from datacomp.board import trace as tracing
    from datacomp.errors import StageError

    links = tracing.trace(path, run or (), pool)
    if json:
        typer.echo(digest.canonical([link.plain() for link in links]), nl=False)
    else:
        for link in links:
            typer.echo(f"{link.artefact:9}{link.about}")
            for known in link.digests:
                typer.echo(
                    f"         {known.what:19} {known.sha256}  {known.state}{': ' if known.note and known.state == 'FAIL' else '  '}{known.note}".rstrip()
                )
            typer.echo(f"         {link.command}\n")
    failed = [f"{known.what} of the {link.artefact}" for link in links for known in link.digests if known.state == "FAIL"]
    if failed:
        raise StageError(
            f"the chain from {path} is broken: {', '.join(failed)}", repair="look at the lines that say FAIL; restore those files or make them again"
        )
