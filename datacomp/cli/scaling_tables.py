"""Fitted laws as tables in the terminal."""

import sys
from collections.abc import Mapping, Sequence

import typer
from rich.console import Console
from rich.text import Text

from datacomp import axes
from datacomp.cli import tables
from datacomp.pipelines.grid import Cost
from datacomp.pipelines.repetition import Pair, Possible, Told
from datacomp.pool.disk import gigabytes
from datacomp.scaling import choose
from datacomp.scaling.choose import Checked, Crossover, LeftOut, Predicted
from datacomp.scaling.fit import Interval
from datacomp.scaling.pictures import union_name

_FILE_COLUMNS = 200  # where no terminal says how wide it is


def show_cost(cost: Cost) -> None:
    """What a plan takes, in a few lines."""
    saved = f", {cost.apart_samples_seen:,} had each budget its own run" if cost.apart_samples_seen > cost.samples_seen else ""
    typer.echo(f"{cost.trainings:,} runs of {cost.samples_seen:,} samples seen in all{saved}; {cost.evaluations:,} evaluations")
    hours = "" if cost.evaluation_hours is None else f", evaluating about {cost.evaluation_hours:,.1f} h"
    if cost.device_hours is None:
        typer.echo(f"how long so small a model trains no card's peak tells: give --samples-per-s, as datacomp estimate --measure says it{hours}")
    else:
        typer.echo(f"training takes {cost.device_hours:,.2f} device-hours ({cost.source}){hours}")
    size = "" if cost.shards_bytes is None else f", up to {gigabytes(cost.shards_bytes)}"
    typer.echo(f"disk: lists of {cost.shards_samples:,} samples in all{size}; checkpoints {gigabytes(cost.checkpoint_bytes)}")


def show_parameters(intervals: Mapping[str, Interval]) -> None:
    """Parameters with their intervals."""
    table = tables.plain("parameter", "value", "from", "to", right=("value", "from", "to"))
    for name, interval in intervals.items():
        low, high = (f"{value:.4g}" for value in (interval.low, interval.high))
        table.add_row(Text(name), f"{interval.value:.4g}", low, high + (" or beyond" if interval.is_open else ""))
    Console().print(table)
    typer.echo("a: normaliser, d: irreducible error, b: utility, tau: half-life in repetitions; intervals of 95 % by profile")


def show_left_out(found: Sequence[LeftOut]) -> None:
    """How well each budget is predicted from the others."""
    if found:
        table = tables.plain("budget left out", "law", "nearest point", "plain power", right=("law", "nearest point", "plain power"))
        for each in found:
            table.add_row(f"{each.seen:,.0f}", f"{each.law:.4f}", f"{each.nearest:.4f}", f"{each.power:.4f}")
        Console().print(table)
        typer.echo("mean absolute error of what is predicted for the budget from all others")


def show_checked(found: Sequence[Checked], names: Sequence[str]) -> None:
    """What was measured and not fitted, beside what is predicted; and what the laws would have picked."""
    if not found:
        return
    numbers = ("samples seen", "runs", "measured", "law", "nearest point", "plain power")
    table = tables.plain("trained on", *numbers, right=numbers)
    for each in found:
        guesses = (each.measured, each.predicted.error, each.nearest, each.power)
        name = union_name(each.union, names) + (" (mid-schedule)" if each.is_mid else "")
        table.add_row(Text(name), f"{each.seen:,.0f}", str(each.runs), *(f"{value:.4f}" for value in guesses))
    Console().print(table)
    typer.echo("errors that were measured and not fitted, beside what is predicted for them")
    for picked in choose.picked(found):
        typer.echo(
            f"at {picked.best.seen:,.0f} samples seen the laws choose {union_name(picked.chosen.union, names)}, measured {picked.chosen.measured:.4f};"
            f" the best measured is {union_name(picked.best.union, names)}, {picked.best.measured:.4f}"
        )


def show_predicted(found: Sequence[Predicted], names: Sequence[str]) -> None:
    """Predicted errors with their intervals."""
    table = tables.plain("train on", "error", "from", "to", right=("error", "from", "to"))
    for each in found:
        table.add_row(Text(union_name(each.union, names)), f"{each.error:.4f}", f"{each.low:.4f}", f"{each.high:.4f}")
    Console().print(table)


def show_crossovers(found: Sequence[Crossover], names: Sequence[str]) -> None:
    """The budgets at which the choice changes."""
    for each in found:
        typer.echo(
            f"from {each.seen:,.0f} samples seen on (95 %: {each.low:,.0f} to {each.high:,.0f}), "
            f"{union_name(each.after, names)} instead of {union_name(each.before, names)}"
        )


def show_pairs(found: Sequence[Pair], family: Sequence[Possible]) -> None:
    """Lists with both errors, and the ranges of their parameters over all laws that agree with them."""
    numbers = ("samples", "looks", "error", "looks, longer", "error, longer", "utility", "half-life")
    table = tables.plain("list", *numbers, right=numbers)
    for place, pair in enumerate(found):
        utilities, half_lives = ([getattr(each.pools[place], name) for each in family] for name in ("utility", "half_life"))
        looks = [f"{seen / pair.samples:.1f}" for seen in pair.seen]
        ranges = [f"{min(values):.3g} to {max(values):.3g}" if values else "none" for values in (utilities, half_lives)]
        table.add_row(Text(pair.method), axes.short(pair.samples), looks[0], f"{pair.errors[0]:.3f}", looks[1], f"{pair.errors[1]:.3f}", *ranges)
    Console(width=None if sys.stdout.isatty() else _FILE_COLUMNS).print(table)
    shared = [(each.shared.normaliser, each.shared.irreducible) for each in family]
    if not shared:
        typer.echo("no law agrees with all of these lists")
        return
    (least, most), (low, high) = ((min(values), max(values)) for values in zip(*shared, strict=True))
    typer.echo(f"{len(shared)} laws of the grid agree with all: normaliser {least:.3g} to {most:.3g}, irreducible error {low:.3g} to {high:.3g}")


def show_told(found: Told) -> None:
    """Which lists are the best at a budget, by what share of the laws."""
    best = ", ".join(f"{name} ({share:.0%})" for name, share in found.best.items())
    widest = max(high - low for low, high in found.ranges)
    typer.echo(f"at {axes.short(found.seen)} samples seen the best is {best}; errors are open by up to {widest:.3f}")
