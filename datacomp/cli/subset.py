"""datacomp subset: looking at uid lists."""

from pathlib import Path
from typing import Annotated

import typer

from datacomp.cli.options import Out

group = typer.Typer(help="Lists of uids.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="A list of uids, .npy.")]
OptionalPool = Annotated[Path | None, typer.Option("--pool", help="Folder of the pool.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="subset")


@group.command(epilog="Example: datacomp subset check build/best.npy --pool build/pool")
def check(file: File, pool: OptionalPool = None) -> None:
    """Check a list, with a pool also that the pool holds every uid; a list from elsewhere gets its record."""
    from datacomp.artifacts import pool as pools
    from datacomp.subset import check as checks

    found = checks.check(file, pools.read(pool) if pool else None)
    typer.echo(f"{file} is a list of {len(found.uids):,} uids" + (f", all in {pool}" if pool else ""))


@group.command(epilog="Example: datacomp subset info build/best.npy")
def info(file: File) -> None:
    """Tell what a list holds and where it comes from."""
    from datacomp.artifacts import subset as subsets

    record = subsets.read(file).record
    for field, value in record.plain().items():
        typer.echo(f"{field:18} {value:,}" if isinstance(value, int) else f"{field:18} {value}")


@group.command(epilog="Example: datacomp subset repair foreign.npy --pool build/pool --out mended.npy")
def repair(file: File, out: Out, pool: OptionalPool = None) -> None:
    """Sort a list and, with a pool, drop the uids that the pool does not hold. The new list states no origin."""
    from datacomp.artifacts import pool as pools
    from datacomp.subset import check as checks

    mended = checks.repair(file, out, pools.read(pool) if pool else None)
    typer.echo(f"{len(mended.subset.uids):,} uids in {out}, {mended.dropped_samples:,} dropped")
