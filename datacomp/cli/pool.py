"""datacomp pool: making and looking at candidate pools."""

from typing import Annotated

import typer

from datacomp.cli import download
from datacomp.cli.old_names import Commands
from datacomp.cli.options import Out, Pool

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


@group.command(epilog="Example: datacomp pool oracle --pool build/pool --out build/oracle.npy")
def oracle(pool: Pool, out: Out) -> None:
    """List what is sound and faithful in a generated pool, from its truth: an upper bound, and no valid entry."""
    from datacomp.artifacts import pool as pools
    from datacomp.pipelines import miniature

    found = miniature.oracle(pools.read(pool), out)
    typer.echo(f"{len(found.uids):,} uids in {out}; {found.record.ineligible}")


download.add_to(group)
