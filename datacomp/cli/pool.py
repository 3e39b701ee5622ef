"""datacomp pool: making and looking at candidate pools."""

from pathlib import Path
from typing import Annotated

import typer

from datacomp.cli import download
from datacomp.cli.old_names import Commands
from datacomp.cli.options import Device, Out, Pool

group = typer.Typer(help="Candidate pools.", no_args_is_help=True, cls=Commands)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="pool")


@group.command(epilog="Example: datacomp pool make nano --out build/pool")
def make(
    name: Annotated[str, typer.Argument(help="A generated pool of tracks/pools/: smoke, nano, micro.")],
    out: Out,
    seed: Annotated[int | None, typer.Option(help="Seed of the world; entries need the pool's own.", show_default=False)] = None,
    samples: Annotated[int | None, typer.Option(help="Only the first so many samples.", show_default=False)] = None,
) -> None:
    """Draw a generated pool in CommonPool's format. Started again, it goes on where it was stopped."""
    from datacomp.declared import pool as declared
    from datacomp.pool import synthetic

    made = synthetic.make(declared.load(name), out, seed=seed, samples=samples)
    assert made.record is not None
    typer.echo(f"{made.record.samples:,} samples in {out}")


@group.command(epilog="Example: datacomp pool build --shards my/tars --network l14=build/run --out build/own")
def build(
    shards: Annotated[Path, typer.Option("--shards", help="Folder of webdataset tars: a picture and a caption (txt, or in json) a key.", show_default=False)],
    out: Out,
    network: Annotated[
        list[str] | None,
        typer.Option(
            "--network",
            help="PREFIX=NETWORK fills the columns of prefix b32 or l14: reference (the default; the generated pools' small networks), none,"
            " the folder of a run, or ARCHITECTURE[/TAG]:FILE, open_clip's names and a file of weights. May be given for each prefix.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What the pool calls itself.")] = "own",
    device: Device = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Processes; one a core if not given. The pool is the same.", show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read the samples, say what would be done, write nothing.")] = False,
) -> None:
    """Make a pool of your own pictures; the originals are only read. Started again, it goes on where it was stopped."""
    from datacomp.network import choose
    from datacomp.pool import build as own

    networks = choose.choose(network or [])
    columns = [f"{chosen.prefix} columns by {chosen.title()} ({chosen.sha256[:12]})" for chosen in networks] or ["no scores and no features"]
    if dry_run:
        planned = own.plan(shards, out, networks=networks, name=name, workers=workers)
        found, dropped = planned.samples, planned.dropped
        left = f"{planned.tars:,} tars, {planned.done:,} of them done; at most {found - sum(dropped.values()):,} samples to keep, pictures not decoded yet"
    else:
        built = own.build(shards, out, networks=networks, name=name, device=device, workers=workers).record
        assert built is not None
        assert built.built is not None
        found, dropped = built.built.found_samples, built.built.dropped_samples
        left = f"{built.samples:,} samples in {out}"
    for line in (*columns, f"{found:,} samples found", *(f"{count:,} dropped: {reason}" for reason, count in dropped.items()), left):
        typer.echo(line)


@group.command(epilog="Example: datacomp pool oracle --pool build/pool --out build/oracle.npy")
def oracle(pool: Pool, out: Out) -> None:
    """List what is sound and faithful in a generated pool, from its truth: what filters are held against, and no valid entry."""
    from datacomp.artifacts import pool as pools
    from datacomp.pipelines import miniature

    found = miniature.oracle(pools.read(pool), out)
    typer.echo(f"{len(found.uids):,} uids in {out}; {found.record.ineligible}")


download.add_to(group)
