"""datacomp reshard and datacomp train."""

from pathlib import Path
from typing import Annotated

import typer

from datacomp.cli.options import AllowMissing, Device, Out, Pool, Scale, Seed, SubsetFile, Threads


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: datacomp reshard --pool build/pool --subset build/best.npy --out build/shards")(reshard)
    app.command(epilog="Example: datacomp train --scale nano --shards build/shards --out build/run")(train)


def reshard(
    pool: Pool,
    subset: SubsetFile,
    out: Out,
    scale: Annotated[str, typer.Option("--scale", help="The scale whose shard size is used.")] = "nano",
    allow_missing: AllowMissing = 0.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Empty the folder first.")] = False,
) -> None:
    """Copy the listed samples of a pool into training shards. Started again, it goes on where it was stopped."""
    from datacomp.artifacts import pool as pools
    from datacomp.declared import scale as scales
    from datacomp.reshard import run
    from datacomp.subset.check import check

    shard_samples = scales.load(scale).sampling.shard_samples
    done = run.reshard(pools.read(pool), check(subset), out, shard_samples=shard_samples, allow_missing=allow_missing, overwrite=overwrite)
    lost = sum(done.record.missing_samples.values())
    typer.echo(f"{done.record.found_samples:,} samples in {len(done.record.shards)} shards in {out}, {lost:,} missing")


def train(
    scale: Scale,
    shards: Annotated[list[Path], typer.Option("--shards", help="Folder of training shards; may be given several times.", show_default=False)],
    out: Out,
    seed: Seed = 0,
    weight: Annotated[
        list[float] | None, typer.Option("--weight", help="Share of the samples drawn from each --shards, in their order.", show_default=False)
    ] = None,
    device: Device = None,
    threads: Threads = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Loader processes; the batches do not depend on them.", show_default=False)] = None,
) -> None:
    """Train a scale's model by its frozen recipe. Started again, it goes on from the last checkpoint."""
    from datacomp.artifacts import shards as shard_sets
    from datacomp.declared import scale as scales
    from datacomp.train import run

    done = run.train(
        scales.load(scale), tuple(map(shard_sets.read, shards)), out, seed=seed, weights=tuple(weight or ()), device=device, threads=threads, workers=workers
    )
    typer.echo(f"{done.record.samples_seen:,} samples seen, weights in {done.weights()}")
