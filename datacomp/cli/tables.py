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
    """Print one run's tasks and averages."""
    table = Table(title=f"suite {suite.spec.name} version {suite.spec.version}", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("task", "metric", "value", "chance"):
        table.add_column(heading, justify="left" if heading in ("task", "metric") else "right")
    for task in suite.tasks:
        table.add_row(task.title, task.main_metric, _text(averages.task_aggregate(suite, task.name, [results.tasks])), f"{task.chance:.4f}")
    table.add_section()
    for name, mean in means.items():
        table.add_row(name, "mean", _text(mean), "")
    Console().print(table)


def _text(aggregate: Aggregate) -> str:
    return f"{aggregate.value:.4f} ± {aggregate.standard_error:.4f}"


def _percent(aggregate: Aggregate) -> str:
    return f"{100 * aggregate.value:.1f} ± {100 * aggregate.standard_error:.1f}"
