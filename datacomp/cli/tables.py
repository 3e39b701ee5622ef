"""Entries and results as tables in the terminal, each value with its standard error."""

from collections.abc import Sequence

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from datacomp.artifacts.entry import Aggregate, Entry
from datacomp.board import averages
from datacomp.board.calibrate import Calibration
from datacomp.board.compare import Comparison
from datacomp.board.evaluated import Score, Summary
from datacomp.declared import suite as suites
from datacomp.declared.suite import Group, Suite

_METHOD_WIDTH = 20  # at least, over several lines if need be
_UNBOUNDED = 1 << 16  # columns: a table tells its least width only if it is not asked about a narrower terminal


def show_entries(entries: Sequence[Entry]) -> None:
    """Print entries of one suite, the best average first; means of groups as far as the terminal is wide enough."""
    suite = suites.load(entries[0].suite, entries[0].suite_version)
    shared = [mark for mark in entries[0].marks if all(mark in entry.marks for entry in entries)]
    about = (entries[0].track, f"scale {entries[0].scale}", f"suite {suite.spec.name} version {suite.spec.version}", *shared)
    typer.echo(f"{', '.join(about)}; in percent ± standard error")
    ordered = sorted(entries, key=lambda found: -found.aggregates[averages.AVERAGE].value)
    console, groups = Console(), list(suite.spec.groups)
    unbounded = console.options.update(width=_UNBOUNDED)
    while console.measure(table := _of_entries(ordered, groups, shared), options=unbounded).minimum > console.width and groups:
        groups.pop()
    console.print(table)
    if missing := [group.title.lower() for group in suite.spec.groups[len(groups) :]]:
        typer.echo(f"left out in {console.width} columns: {', '.join(missing)}")


def _of_entries(entries: Sequence[Entry], groups: Sequence[Group], shared: Sequence[str]) -> Table:
    """A table whose least width cuts no number off."""
    columns = {"samples": [f"{sum(source.samples for source in entry.runs[0].sources):,}" for entry in entries]}
    names = {averages.AVERAGE: "average"} | {group.name: group.title.lower() for group in groups}
    columns |= {title: [_percent(entry.aggregates[name]) for entry in entries] for name, title in names.items()}
    table = plain(right=())
    table.add_column("method", min_width=_METHOD_WIDTH)
    for title, cells in columns.items():
        table.add_column(title, justify="right", no_wrap=True, min_width=max(map(len, (title, *cells))))
    for entry, *cells in zip(entries, *columns.values(), strict=True):
        own = [mark.split(":")[0] for mark in entry.marks if mark not in shared]
        table.add_row(Text(f"{entry.method} ({', '.join(own)})" if own else entry.method), *cells)
    return table


def show_results(suite: Suite, found: Summary) -> None:
    """Print the tasks that were evaluated, and the means."""
    table = Table(title=f"suite {suite.spec.name} version {suite.spec.version}", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("task", "metric", "value", "chance"):
        table.add_column(heading, justify="left" if heading in ("task", "metric") else "right")
    told = {task.name: task for task in suite.tasks}
    for score in found.tasks:
        task = told[score.name]
        table.add_row(task.title, task.main_metric or "outside the average", _text(score), "" if task.chance is None else f"{task.chance:.4f}")
    table.add_section()
    for mean in found.means:
        table.add_row(mean.name, "mean", _text(mean), "")
    Console().print(table)
    if not found.means:
        typer.echo(f"{len(found.tasks)} of {len(suite.tasks)} tasks: no average")


def show_comparison(suite: Suite, found: Comparison) -> None:
    """Print each difference with its interval, in percent."""
    titles = {task.name: task.title for task in suite.tasks}
    headings = ("", "A", "B", "B - A", "99 % interval", "verdict")
    table = plain(*headings, right=headings[1:-1])
    for place, one in enumerate(found.differences):
        if one.is_mean and not found.differences[place - 1].is_mean:
            table.add_section()
        interval = "?" if one.interval is None else f"{100 * one.interval[0]:+.2f} to {100 * one.interval[1]:+.2f}{' ' if one.has_seeds else '*'}"
        name = one.name if one.is_mean else titles[one.name]
        table.add_row(name, f"{100 * one.first:.2f}", f"{100 * one.second:.2f}", f"{100 * one.difference:+.2f}", interval, one.verdict)
    Console().print(table)
    if any(one.interval and not one.has_seeds for one in found.differences):
        typer.echo("* of the test samples alone: how much these differ from seed to seed is not known")


def show_calibration(found: Calibration) -> None:
    """Print each average beside what is expected of it, in percent. The noise is the standard deviation of one run."""
    headings = ("", "expected ± noise", "seen", "difference", "in standard errors", "verdict")
    table = plain(*headings, right=headings[1:-1])
    for one in found.averages:
        noise = f"± {100 * one.spread.deviation:.2f}" if one.spread else "± ?   "
        errors = f"{one.errors:+.1f}" if one.spread else ""
        table.add_row(one.name, f"{100 * one.expected:.2f} {noise}", f"{100 * one.seen:.2f}", f"{100 * (one.seen - one.expected):+.2f}", errors, one.verdict)
    Console().print(table)


def show_claims(found: Sequence[tuple[str, str, str, float, str]]) -> None:
    """Print claims with their papers, their places there, and the minutes that measuring each takes."""
    table = plain("claim", "paper", "where", "minutes", "what it says", right=("minutes",))
    table.columns[0].no_wrap = True
    for key, paper, place, minutes, text in found:
        table.add_row(Text(key), paper, place, f"{minutes:.0f}", text)
    Console().print(table)
    typer.echo("minutes with three seeds on two cores; claims of one study share runs")


def plain(*headings: str, right: Sequence[str]) -> Table:
    """An empty table with these columns."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return table


def _text(score: Score) -> str:
    if score.value is None:
        return "in the file"
    return f"{score.value:.4f} ± {'?' if score.standard_error is None else f'{score.standard_error:.4f}'}"


def _percent(aggregate: Aggregate) -> str:
    return f"{100 * aggregate.value:.1f} ± {100 * aggregate.standard_error:.1f}"
