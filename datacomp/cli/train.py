"""datacomp reshard and datacomp train."""

from pathlib import Path
from typing import Annotated

import typer

from datacomp import places
from datacomp.cli.options import AllowMissing, Device, Out, Pool, Scale, Seed, SubsetFile, Threads


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: datacomp reshard --pool build/pool --subset build/best.npy --out build/shards")(reshard)
    app.command(epilog="Example: datacomp train --scale nano --shards build/shards --out build/run")(train)


def reshard(
    pool: Pool,
    subset: SubsetFile,
    out: Annotated[Path, typer.Option("--out", help="Where the shards go, or s3://…", parser=places.at, metavar="FOLDER", show_default=False)],
    scale: Annotated[str, typer.Option("--scale", help="The scale whose shard size is used.")] = "nano",
    allow_missing: AllowMissing = 0.0,
    shuffle: Annotated[bool, typer.Option("--shuffle/--no-shuffle", help="Spread the list over all shards, or keep the pool's order.")] = True,
    virtual: Annotated[bool, typer.Option("--virtual", help="Copy nothing: list where the samples lie in the pool's tars.")] = False,
    blur: Annotated[bool, typer.Option("--blur", help="Blur faces where the metadata say that they are.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Empty the folder first.")] = False,
    workers: Annotated[int | None, typer.Option("--workers", help="By default one a core; the shards do not depend on them.", show_default=False)] = None,
) -> None:
    """Copy the listed samples of a pool into training shards. Started again, it goes on where it was stopped."""
    from datacomp.artifacts import pool as pools
    from datacomp.declared import scale as scales
    from datacomp.reshard import run
    from datacomp.subset.check import check

    shard_samples = scales.load(scale).sampling.shard_samples
    form = run.Form(shard_samples, shuffled=shuffle, virtual=virtual, blur=blur)
    done = run.reshard(pools.read(pool), check(subset), out, form, allow_missing=allow_missing, overwrite=overwrite, workers=workers)
    lost = sum(done.record.missing_samples.values())
    typer.echo(f"{done.record.found_samples:,} samples in {len(done.record.shards)} {'virtual ' * virtual}shards in {out}, {lost:,} missing")


def train(
    scale: Scale,
    shards: Annotated[
        list[str], typer.Option("--shards", help="Training shards, or any webdataset; several may be given, each as SHARDS=WEIGHT.", show_default=False)
    ],
    out: Out,
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Loader processes; the batches do not depend on them.", show_default=False)] = None,
) -> None:
    """Train a scale's model by its frozen recipe. Started again, it goes on from the last checkpoint."""
    from datacomp.declared import scale as scales
    from datacomp.train import run, webdataset

    recipe = scales.load(scale)
    sources, weights = zip(*map(webdataset.read, shards), strict=True)
    done = run.train(recipe, sources, out, seed=seed, weights=weights, device=device, threads=threads, workers=workers)
    typer.echo(f"{done.record.samples_seen:,} samples seen, weights in {done.weights()}")
