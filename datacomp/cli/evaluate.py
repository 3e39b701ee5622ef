"""datacomp evaluate and datacomp evalsets."""

import typer

from datacomp.cli.options import Data, Device, Out, Run, Suite, Threads

group = typer.Typer(help="Test sets.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the command and the group."""
    app.command(epilog="Example: datacomp evaluate --run build/run --suite nano")(evaluate)
    app.add_typer(group, name="evalsets")


def evaluate(
    run: Run,
    suite: Suite = "nano",
    data: Data = None,
    device: Device = None,
    threads: Threads = None,
) -> None:
    """Evaluate a run's last checkpoint on a suite. Finished tasks are kept when it is started again."""
    from datacomp.artifacts import run as runs
    from datacomp.board import averages
    from datacomp.cli import tables
    from datacomp.declared import suite as suites
    from datacomp.evaluate import run as evaluation
    from datacomp.pipelines import miniature

    finished, measured = runs.read(run), suites.load(suite)
    results = evaluation.evaluate(finished, finished.record.inputs.recipe(), measured, miniature.test_data(measured, data), device=device, threads=threads)
    tables.show_results(measured, results, averages.aggregates(measured, [results.tasks]))


@group.command(epilog="Example: datacomp evalsets make --suite nano --out build/evalsets")
def make(out: Out, suite: Suite = "nano") -> None:
    """Draw the test sets of a generated suite, in the published layout."""
    from datacomp.declared import suite as suites
    from datacomp.pipelines import miniature

    measured = suites.load(suite)
    miniature.make_test_sets(measured, out)
    typer.echo(f"{len(measured.tasks)} test sets in {out}")
