"""datacomp scaling: which pools to train on at which budget, by laws that are fitted to small runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datacomp.scaling.fit import Fit
    from datacomp.scaling.points import Measured

group = typer.Typer(help="Scaling laws for data filtering: what to keep at which budget.", no_args_is_help=True)
Points = Annotated[
    Path, typer.Argument(help="A CSV: pool, samples, seen, error or accuracy, and deviation if it is known; pools by falling score.", metavar="CSV")
]
Seen = Annotated[float, typer.Option("--seen", help="The budget: samples seen in training, such as 128e6.", min=1)]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="scaling")


@group.command(epilog="Example: datacomp scaling fit points.csv")
def fit(points: Points) -> None:
    """Fit utilities and half-lives of all pools at once; show intervals, warnings, and how well a budget that is left out is predicted."""
    from rich.console import Console

    from datacomp.cli import tables
    from datacomp.scaling import choose as choosing
    from datacomp.scaling import fit as fitting

    measured, fitted = _fitted(points)
    table = tables.plain("parameter", "value", "from", "to", right=("value", "from", "to"))
    for name, interval in fitting.intervals(fitted).items():
        low, high = (f"{value:.4g}" for value in (interval.low, interval.high))
        table.add_row(name, f"{interval.value:.4g}", low, high + (" or beyond" if interval.is_open else ""))
    Console().print(table)
    typer.echo("a: normaliser, d: irreducible error, b: utility, tau: half-life in repetitions; intervals of 95 % by profile")
    left = list(choosing.leave_one_budget_out(measured.samples, measured.points))
    table = tables.plain("budget left out", "law", "nearest point", "plain power", right=("law", "nearest point", "plain power"))
    for each in left:
        table.add_row(f"{each.seen:,.0f}", f"{each.law:.4f}", f"{each.nearest:.4f}", f"{each.power:.4f}")
    if left:
        Console().print(table)
        typer.echo("mean absolute error of what is predicted for the budget from all others")


@group.command(epilog="Example: datacomp scaling choose points.csv --seen 640e6")
def choose(
    points: Points,
    seen: Seen,
    unions: Annotated[
        str, typer.Option("--unions", help="Which to compare: score (prefixes of the CSV's order), utility (of the fitted order), all.")
    ] = "score",
    up_to: Annotated[float | None, typer.Option("--up-to", help="Also the budgets up to this one at which the choice changes.", show_default=False)] = None,
) -> None:
    """Predict the error of unions of pools at a budget, the best first; none of them need have been trained on."""
    from rich.console import Console

    from datacomp.cli import tables
    from datacomp.errors import StageError
    from datacomp.scaling import choose as choosing

    kinds = ("score", "utility", "all")
    if unions not in kinds:
        raise StageError(f"--unions {unions} came", allowed=", ".join(kinds))
    measured, fitted = _fitted(points)
    names = list(measured.samples)
    compared = choosing.subsets(names) if unions == "all" else choosing.prefixes(names if unions == "score" else choosing.by_utility(fitted))
    table = tables.plain("train on", "error", "from", "to", right=("error", "from", "to"))
    for found in choosing.choose(fitted, seen, compared):
        table.add_row(" + ".join(found.union), f"{found.error:.4f}", f"{found.low:.4f}", f"{found.high:.4f}")
    Console().print(table)
    for each in choosing.crossovers(fitted, compared, seen, up_to) if up_to else ():
        typer.echo(f"from {each.seen:,.0f} samples seen on, {' + '.join(each.after)} instead of {' + '.join(each.before)}")


def _fitted(path: Path) -> "tuple[Measured, Fit]":
    """Read points and fit them; what the fit cannot tell is said."""
    from datacomp.scaling import fit as fitting
    from datacomp.scaling import points

    measured = points.read(path)
    fitted = fitting.fit(measured.samples, measured.points, is_known=measured.is_known)
    for warning in fitted.warnings:
        typer.echo(f"note: {warning}", err=True)
    return measured, fitted
