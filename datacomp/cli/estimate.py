"""datacomp estimate: what a scale costs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from datacomp.cli.options import Scale
from datacomp.errors import StageError

if TYPE_CHECKING:
    from datacomp.pipelines.estimate import Estimate

_MOST_SHOWN = 512


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: datacomp estimate --scale medium --devices 8 --card h100")(estimate)


def estimate(
    scale: Scale,
    devices: Annotated[int, typer.Option("--devices", min=1, help="Devices that train together.")] = 1,
    card: Annotated[str, typer.Option("--card", help="The device whose speed is assumed: v100, a100, l40s, h100, h200.")] = "a100",
    samples: Annotated[int | None, typer.Option("--samples", help="Samples in the list; by default the whole pool.", show_default=False)] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Take some steps on this machine's device instead of assuming a speed.")] = False,
    shards: Annotated[str, typer.Option("--shards", help="Training shards to measure with.", show_default=False)] = "",
) -> None:
    """Say what training by a scale's recipe takes: steps, device-hours, days, disk, memory, and the numbers of processes that are possible."""
    from datacomp.cli import tables
    from datacomp.declared import scale as scales
    from datacomp.pipelines import estimate as estimating
    from datacomp.train import webdataset

    if measure != bool(shards):
        raise StageError("--measure needs shards to read, and --shards is for measuring", repair="give both, as --measure --shards build/shards, or neither")
    found = estimating.estimate(
        scales.load(scale), devices=devices, card=card, list_samples=samples, shards=webdataset.read(shards).shards if measure else None
    )
    table = tables.plain("", f"scale {scale} on {devices} device{'s' * (devices > 1)}", right=())
    for name, text in _rows(found, devices):
        table.add_row(name, text)
    Console().print(table)


def _rows(found: "Estimate", devices: int) -> Iterator[tuple[str, str]]:
    from datacomp.pool.disk import gigabytes

    near = [size for size in found.processes if size <= _MOST_SHOWN or size == devices]
    yield "training", f"{found.steps:,} steps, {found.samples_seen:,} samples seen, {found.operations:.2g} operations"
    yield "a batch", f"{found.device_samples:,} samples on each device; processes that divide it: {', '.join(map(str, near))}"
    if speed := found.speed:
        yield "speed", f"{speed.samples_per_s:,.0f} samples/s, {speed.source}"
        yield "time", f"{speed.device_hours:,.2f} device-hours, {speed.days:,.2f} days"
    else:
        yield "speed", "no card's peak tells that of so small a model; measure it here with --measure --shards"
    yield "memory", f"about {gigabytes(found.device_bytes)} on each device, less with --accumulate or --spare-memory"
    yield (
        "disk",
        f"checkpoints {gigabytes(found.checkpoint_bytes)}"
        + (f"; shards of the list {gigabytes(found.shards_bytes)}; pool {found.pool.text()}" if found.pool else ""),
    )
