"""Training runs as tables in the terminal, the loss as a line of bars."""

import statistics
import sys
from collections.abc import Sequence

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from datacomp.artifacts.run import Source
from datacomp.artifacts.run_folder import Logged, RunFolder
from datacomp.board.overview import Listed
from datacomp.cli import tables

_SPARKS = "▁▂▃▄▅▆▇█"
_SPARK_COLUMNS = 50
_FILE_COLUMNS = 400


def show_runs(found: Sequence[Listed]) -> None:
    """Print runs in short."""
    if not found:
        typer.echo("no runs")
        return
    table = tables.plain("run", "scale", "seed", "list", "state", "loss", "average, %", right=("seed", "loss", "average, %"))
    for run in found:
        if run.state == "broken":
            table.add_row(Text(run.path), "", "", "", Text(f"broken: {run.problem}"))
            continue
        state = run.state if run.state == "finished" else _how_far(run.step, run.steps)
        means = ", ".join(f"{suite} {'?' if mean is None else f'{100 * mean:.1f}'}" for suite, mean in run.averages.items())
        scale = run.scale if run.division == "closed" else f"{run.scale}, {run.division}"
        lists = Text(", ".join(name or "unknown" for name in run.lists))
        table.add_row(Text(run.path), Text(scale), str(run.seed), lists, state, "" if run.loss is None else f"{run.loss:.3f}", Text(means))
    _wide().print(table)


def show_run(found: RunFolder) -> None:
    """Print what is known of one run, its results aside."""
    inputs, record, log = found.inputs, found.record, found.log
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0), pad_edge=False)
    rows = [
        ("run", str(found.path)),
        ("state", "finished" if record else f"unfinished, {_how_far(found.step, found.steps)}"),
        ("scale", f"{inputs.scale}, {inputs.division} division, recipe {_short(inputs.recipe_sha256)}"),
        ("seed", str(inputs.seed)),
        *(("source", _source(source)) for source in inputs.sources),
    ]
    if log:
        rows += [
            ("loss", f"{log[0].loss:.3f} {sparkline(log)} {log[-1].loss:.3f}"),
            ("", f"steps {log[0].step:,} to {log[-1].step:,}, lowest {min(line.loss for line in log):.3f}, highest {max(line.loss for line in log):.3f}"),
            ("speed", f"{statistics.median(line.samples_per_s for line in log):,.0f} samples/s (median of {len(log):,} lines of the log)"),
        ]
    if record:
        rows += [("checkpoint", f"step {one.step:,}, {one.samples_seen:,} samples seen, sha256 {_short(one.sha256)}") for one in record.checkpoints]
        rows += [
            ("corrupt", f"{record.corrupt_samples:,} samples"),
            ("hardware", f"{record.device}, threads: {record.threads}"),
            ("code", f"version {record.code.version}, sha256 {_short(record.code.sha256)}"),
            ("packages", ", ".join(f"{name} {version}" for name, version in sorted(record.packages.items()))),
        ]
    for name, value in rows:
        table.add_row(name, Text(value))
    _wide().print(table)


def _source(source: Source) -> str:
    """Three lines: shards, list, pool."""
    subset = source.subset
    options = f" ({', '.join(f'{key}={value}' for key, value in sorted(subset.options.items()))})" if subset.options else ""
    missing = "".join(f", {count:,} {reason}" for reason, count in source.missing_samples.items())
    counted = f"{subset.samples:,} samples, {subset.distinct_samples:,} different{missing}"
    lines = (
        f"{source.name}, weight {source.weight:g}: {source.samples:,} samples, sha256 {_short(source.shards_sha256)}",
        f"list {subset.filter or 'of unknown origin'}{options}, {counted}, sha256 {_short(subset.uids_sha256)}",
        f"pool {source.pool or 'without a name'}, {source.effective_pool.samples:,} samples reached",
    )
    return "\n".join(lines)


def _how_far(step: int, steps: int | None) -> str:
    """How far a run came."""
    return f"step {step:,} of {steps:,}" if steps else f"step {step:,}"


def sparkline(log: Sequence[Logged]) -> str:
    """The loss over the steps, each column the mean of its lines; the lowest bar is the lowest loss."""
    columns: dict[int, list[float]] = {}
    first, span = log[0].step, max(log[-1].step - log[0].step, 1)
    for line in log:
        columns.setdefault(min((line.step - first) * _SPARK_COLUMNS // span, _SPARK_COLUMNS - 1), []).append(line.loss)
    means = [statistics.fmean(losses) for losses in columns.values()]
    low, high = min(means), max(means)
    return "".join(_SPARKS[min(int((mean - low) / ((high - low) or 1) * len(_SPARKS)), len(_SPARKS) - 1)] for mean in means)


def _wide() -> Console:
    """The terminal as it is; for a file or another program lines are not folded."""
    return Console(width=None if sys.stdout.isatty() else _FILE_COLUMNS)


def _short(sha256: str) -> str:
    return f"{sha256[:12]}…"
