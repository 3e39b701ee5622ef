"""datacomp subset: looking at uid lists."""

from collections.abc import Callable
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


@group.command(epilog="Example: datacomp subset fetch dfn-medium --out build/dfn.npy")
def fetch(
    name: Annotated[str, typer.Argument(help="A list of tracks/lists/: dfn-medium, dfn-large, dfn-xlarge.")],
    out: Out,
    revision: Annotated[str, typer.Option("--revision", help="A commit of its repository; by default the recorded or newest one.", show_default=False)] = "",
    pool: OptionalPool = None,
) -> None:
    """Bring a list that others published from the Hub, checked, and with a pool also that this holds every uid."""
    from datacomp.artifacts import pool as pools
    from datacomp.declared import published_list
    from datacomp.subset import fetch as fetching

    found = fetching.fetch(published_list.load(name), out, revision=revision, pool=pools.read(pool) if pool else None)
    typer.echo(f"{len(found.uids):,} uids in {out}, from {found.record.options['repository']} at {str(found.record.options['revision'])[:12]}")


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
    from datacomp.subset import convert as converting

    mended = converting.to_list(file, out, pools.all_uids(pools.read(pool)) if pool else None)
    typer.echo(f"{len(mended.subset.uids):,} uids in {out}, {mended.dropped_samples:,} dropped")


@group.command(epilog="Example: datacomp subset convert uids.txt --out list.npy")
def convert(file: File, out: Out) -> None:
    """Turn text (one uid a line), parquet (a column uid) or a raw memmap into a list, or a list into one of these, by the endings."""
    from datacomp.artifacts import subset as subsets
    from datacomp.subset import convert as converting

    if out.suffix in converting.NUMPY:
        typer.echo(f"{len(converting.to_list(file, out).subset.uids):,} uids in {out}")
    else:
        converting.from_list(subsets.read(file), out)
        typer.echo(f"written to {out}")


@group.command(epilog="Example: datacomp subset sample build/best.npy --samples 1000 --out build/some.npy")
def sample(
    file: File,
    out: Out,
    samples: Annotated[int, typer.Option(help="How many uids to keep; one that is listed n times counts n times.", show_default=False)],
    seed: Annotated[int, typer.Option(help="Seed of the choice.")] = 0,
) -> None:
    """Choose a random part of a list, of exactly that size."""
    from datacomp.artifacts import subset as subsets
    from datacomp.subset import algebra

    typer.echo(f"{len(algebra.sample(subsets.read(file), samples, seed, out).uids):,} uids in {out}")


@group.command(epilog="Example: datacomp subset overlap build/best.npy build/other.npy")
def overlap(first: File, second: File) -> None:
    """Tell how much two lists share."""
    from datacomp.artifacts import subset as subsets
    from datacomp.subset import algebra

    found = algebra.overlap(subsets.read(first), subsets.read(second))
    typer.echo(f"{'':10}{'samples':>16}{'different':>16}")
    rows = {
        "first": (found.first_samples, found.first_distinct),
        "second": (found.second_samples, found.second_distinct),
        "shared": (found.shared_samples, found.shared_distinct),
    }
    for name, (samples, different) in rows.items():
        typer.echo(f"{name:10}{samples:>16,}{different:>16,}")
    typer.echo(f"Jaccard index of the different uids: {found.jaccard:.4f}")


def _combining(operation: str) -> Callable[[list[Path], Path], None]:
    def combine(files: Annotated[list[Path], typer.Argument(help="Two lists or more.")], out: Out) -> None:
        from datacomp.artifacts import subset as subsets
        from datacomp.subset import algebra

        typer.echo(f"{len(algebra.combine(operation, [subsets.read(file) for file in files], out).uids):,} uids in {out}")

    return combine


for _operation, _help in {
    "union": "Join lists; a uid is listed as often as in the list that has it most often.",
    "sum": "Join lists; a uid is listed as often as in all of them together.",
    "intersect": "Keep what all lists share; a uid is listed as often as in the list that has it least often.",
    "minus": "Take the other lists away from the first, copy by copy.",
}.items():
    group.command(_operation, help=_help, epilog=f"Example: datacomp subset {_operation} a.npy b.npy --out c.npy")(_combining(_operation))
