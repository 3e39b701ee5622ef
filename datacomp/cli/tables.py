"""Entries and results as tables in the terminal, each value with its standard error."""

from collections.abc import Mapping, Sequence

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from datacomp.artifacts.entry import Aggregate, Entry
from datacomp.artifacts.results import Results
from datacomp.board import averages
from datacomp.board.calibrate import Calibration
from datacomp.declared import suite as suites
from datacomp.declared.suite import Suite


def show_entries(entries: Sequence[Entry]) -> None:
    """Print entries of one suite, the best average first."""
    suite = suites.load(entries[0].suite)
    shared = [mark for mark in entries[0].marks if all(mark in entry.marks for entry in entries)]
    about = (entries[0].track, f"scale {entries[0].scale}", f"suite {suite.spec.name} version {suite.spec.version}", *shared)
    typer.echo(f"{', '.join(about)}; in percent ± standard error")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("method")
    table.add_column("samples", justify="right", no_wrap=True)
    names = {averages.AVERAGE: "average"} | {group.name: group.title for group in suite.spec.groups}
    for title in names.values():
        table.add_column(title.lower(), justify="right", no_wrap=True)
    for entry in sorted(entries, key=lambda found: -found.aggregates[averages.AVERAGE].value):
        samples = sum(source.samples for source in entry.runs[0].sources)
        own = [mark.split(":")[0] for mark in entry.marks if mark not in shared]
        method = f"{entry.method} ({', '.join(own)})" if own else entry.method
        table.add_row(Text(method), f"{samples:,}", *(_percent(entry.aggregates[name]) for name in names))
    Console().print(table)


def show_results(suite: Suite, results: Results, means: Mapping[str, Aggregate]) -> None:
    """Print the tasks that were evaluated, and averages, which there are none of unless all were."""
    table = Table(title=f"suite {suite.spec.name} version {suite.spec.version}", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("task", "metric", "value", "chance"):
        table.add_column(heading, justify="left" if heading in ("task", "metric") else "right")
    for task in suite.chosen(tuple(result.task for result in results.tasks)):
        value = _text(averages.task_aggregate(suite, task.name, [results.tasks])) if task.main_metric else "in the file"
        table.add_row(task.title, task.main_metric or "outside the average", value, "" if task.chance is None else f"{task.chance:.4f}")
    table.add_section()
    for name, mean in means.items():
        table.add_row(name, "mean", _text(mean), "")
    Console().print(table)


def show_calibration(found: Calibration) -> None:
    """Print each average beside what is expected of it, in percent. The noise is the standard deviation of one run."""
    headings = ("", "expected ± noise", "seen", "difference", "in standard errors", "verdict")
    table = plain(*headings, right=headings[1:-1])
    for one in found.averages:
        noise = f"± {100 * one.spread.deviation:.2f}" if one.spread else "± ?   "
        errors = f"{one.errors:+.1f}" if one.spread else ""
        table.add_row(one.name, f"{100 * one.expected:.2f} {noise}", f"{100 * one.seen:.2f}", f"{100 * (one.seen - one.expected):+.2f}", errors, one.verdict)
    Console().print(table)


def plain(*headings: str, right: Sequence[str]) -> Table:
    """An empty table with these columns."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return table


def _text(aggregate: Aggregate) -> str:
    return f"{aggregate.value:.4f} ± {aggregate.standard_error:.4f}"


def _percent(aggregate: Aggregate) -> str:
    return f"{100 * aggregate.value:.1f} ± {100 * aggregate.standard_error:.1f}"
