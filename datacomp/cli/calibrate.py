"""datacomp calibrate: whether this site reproduces the known numbers."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: datacomp calibrate --run build/demo/runs/no_filter/seed0")(calibrate)


def calibrate(
    run: Annotated[list[Path], typer.Option("--run", help="Folder of an evaluated run of a baseline's list; one for each seed.", show_default=False)],
    baseline: Annotated[
        str, typer.Option("--baseline", help="Which of tracks/baselines/ the list is, where its record does not say.", show_default=False)
    ] = "",
) -> None:
    """Compare a baseline's run with tracks/expected/: within seed noise, exit code 0; outside, 1.

    Noise is how much runs differ by their seeds alone. A difference is noise where it is no larger than 99 of 100 such differences.
    """
    from datacomp.artifacts import run as runs
    from datacomp.board import calibrate as calibrating
    from datacomp.cli import tables
    from datacomp.declared import baseline as baselines
    from datacomp.declared import expected as figures
    from datacomp.declared import suite as suites
    from datacomp.errors import StageError
    from datacomp.filters import named

    finished = [runs.read(folder) for folder in run]
    inputs = finished[0].record.inputs
    expected = figures.load(inputs.scale)
    found = baselines.load(baseline) if baseline else named.baseline_of(inputs.sources[0].subset)
    if found is None:
        raise StageError(
            f"the list of {run[0]} is no baseline by its record",
            allowed=", ".join(expected.baselines),
            repair="filter with a baseline's parameters (tracks/baselines/), or say which one it is with --baseline",
        )
    done = calibrating.compare(finished, suites.load(expected.suite), expected, found.name)
    typer.echo(f"baseline {found.name}, scale {expected.scale}, suite {expected.suite} version {expected.suite_version}, {_count(len(run))}; in percent")
    tables.show_calibration(done)
    for note in done.notes:
        typer.echo(note)
    if done.outside:
        worst = max(done.outside, key=lambda one: abs(one.errors))
        side = "above" if worst.errors > 0 else "below"
        raise StageError(
            f"this is not what is expected of {found.name} at scale {expected.scale}: {worst.name} is {100 * worst.seen:.2f} %,"
            f" {abs(worst.errors):.1f} standard errors {side} {100 * worst.expected:.2f} %",
            allowed=f"{worst.limit:.1f} standard errors",
            repair="run another seed; where that agrees with the first, compare pool, list, packages and hardware",
        )
    typer.echo(f"within noise, which is up to {max(one.limit for one in done.averages):.1f} standard errors of a difference")


def _count(runs: int) -> str:
    return "one run" if runs == 1 else f"mean of {runs} runs"
