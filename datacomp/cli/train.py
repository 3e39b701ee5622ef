"""datacomp reshard and datacomp train."""

from pathlib import Path
from typing import Annotated, Any

import typer

from datacomp import places
from datacomp.cli import options
from datacomp.cli.options import AllowMissing, Data, Device, Pool, Profile, Scale, Seed, SubsetFile, Suite, Threads
from datacomp.errors import StageError


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
    profile: Profile = "",
) -> None:
    """Copy the listed samples of a pool into training shards. Started again, it goes on where it was stopped."""
    from datacomp.artifacts import pool as pools
    from datacomp.declared import scale as scales
    from datacomp.reshard import run
    from datacomp.subset.check import check

    shard_samples = scales.load(scale).sampling.shard_samples
    form = run.Form(shard_samples, shuffled=shuffle, virtual=virtual, blur=blur)
    who = options.workers(profile, "reshard", out, workers)
    done = run.reshard(pools.read(pool), check(subset), out, form, allow_missing=allow_missing, overwrite=overwrite, workers=who)
    lost = sum(done.record.missing_samples.values())
    typer.echo(f"{done.record.found_samples:,} samples in {len(done.record.shards)} {'virtual ' * virtual}shards in {out}, {lost:,} missing")


def train(
    scale: Scale,
    shards: Annotated[
        list[str], typer.Option("--shards", help="Training shards, or any webdataset; several may be given, each as SHARDS=WEIGHT.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="Where the run goes, or s3://…", parser=places.at, metavar="FOLDER", show_default=False)],
    seed: Seed = 0,
    division: Annotated[str, typer.Option("--division", help="closed: the frozen recipe; open: with --set, on a board of its own.")] = "closed",
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipe in the open division, as optimizer.learning_rate=1e-3.", show_default=False)
    ] = None,
    initial: Annotated[
        Path | None, typer.Option("--initial", help="Open division: weights to begin with, .safetensors of the same model; no entry.", show_default=False)
    ] = None,
    device: Device = None,
    devices: Annotated[int, typer.Option("--devices", min=1, help="Processes of this machine, a GPU each; a launcher's are found by themselves.")] = 1,
    threads: Threads = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Loader processes; the batches do not depend on them.", show_default=False)] = None,
    accumulate: Annotated[int, typer.Option("--accumulate", min=1, help="Parts of each process's batch, one after another in the GPU's memory.")] = 1,
    spare_memory: Annotated[
        bool | None,
        typer.Option(help="Compute activations twice instead of keeping them; by default where a GPU's memory asks for it.", show_default=False),
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the model: minutes at the start, faster steps.")] = False,
    save_every: Annotated[float, typer.Option("--save-every", min=0, help="Minutes between the points from which a killed run goes on.")] = 10.0,
    allow_corrupt: Annotated[float, typer.Option("--allow-corrupt", help="Share of the samples seen that may be unreadable; others stand in.")] = 0.001,
    max_days: Annotated[float | None, typer.Option("--max-days", help="Refuse a run that would take longer.", show_default=False)] = None,
    wandb: Annotated[str, typer.Option("--wandb", help="A project of Weights & Biases to log to as well.", show_default=False)] = "",
    rehearse: Annotated[
        int | None, typer.Option("--rehearse", help="Take so many steps into OUT-rehearsal, be killed, go on, evaluate: no entry.", show_default=False)
    ] = None,
    suite: Suite = "nano",
    data: Data = None,
) -> None:
    """Train a scale's model by its frozen recipe. Started again, it goes on where it was stopped.

    --suite and --data are for --rehearse.
    """
    from datacomp.declared import scale as scales
    from datacomp.declared import suite as suites
    from datacomp.launch import ranks
    from datacomp.train import run, webdataset
    from datacomp.train.hardware import Hardware

    if data is not None and rehearse is None:
        raise StageError("--data came without --rehearse: only a rehearsal evaluates", repair="leave it out, or evaluate the run with: datacomp evaluate")
    recipe = scales.load(scale)
    sources, weights = zip(*map(webdataset.read, shards), strict=True)
    said: dict[str, Any] = {
        "seed": seed,
        "changes": _changes(division, changes or [], initial),
        "initial": initial,
        "weights": weights,
        "hardware": Hardware(device, devices, threads, workers, accumulate, spare_memory, compiled),
        "keeping": run.Keeping(save_every * 60, allow_corrupt, max_days, wandb),
    }
    if rehearse is not None:
        if said.pop("initial") is not None:
            raise StageError("--initial came with --rehearse", repair="rehearse without it: the steps are the same")
        from datacomp.pipelines import rehearse as rehearsing

        done = rehearsing.rehearse(recipe, sources, out, rehearse, suites.load(suite), data, **said)
        typer.echo("\n".join(rehearsing.report(done)))
        return
    trained = run.train(recipe, sources, out, **said)
    if ranks.is_first():
        typer.echo(f"{trained.record.samples_seen:,} samples seen, weights in {trained.weights()}")


def _changes(division: str, changes: list[str], initial: Path | None) -> dict[str, str]:
    if division not in ("closed", "open") or (division == "closed") != (not changes and initial is None):
        raise StageError(
            f"--division {division} came with {len(changes)} changes of the recipe",
            allowed="--division closed, which follows the frozen recipe, or --division open with at least one --set, or with --initial",
            repair="write --division open --set optimizer.learning_rate=1e-3, or leave out both",
        )
    if unclear := [change for change in changes if "=" not in change]:
        raise StageError(f"--set {unclear[0]} has no value", allowed="PLACE=VALUE, as optimizer.learning_rate=1e-3")
    return dict(change.split("=", 1) for change in changes)
