"""datacomp run and datacomp demo: the whole chain."""

from pathlib import Path
from typing import Annotated

import typer

from datacomp.cli import options
from datacomp.cli.options import (
    AllowMissing,
    Author,
    Data,
    Description,
    Links,
    Method,
    Out,
    Pool,
    RunBy,
    Scale,
    Seeds,
    Sources,
    SubsetFile,
    Suite,
    Threads,
    Track,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: datacomp run --scale nano --pool build/pool --subset build/best.npy --method 'CLIP score' --author me --out build/mine")(run)
    app.command(epilog="Example: datacomp demo --out build/demo")(demo)


def run(
    scale: Scale,
    pool: Pool,
    subset: SubsetFile,
    method: Method,
    author: Author,
    out: Out,
    seed: Seeds = None,
    track: Track = "filtering",
    suite: Suite = "nano",
    data: Data = None,
    allow_missing: AllowMissing = 0.0,
    run_by: RunBy = "",
    description: Description = "",
    link: Links = None,
    sources: Sources = None,
    threads: Threads = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the list and say what would be done.")] = False,
) -> None:
    """Take one list through the whole chain to an entry. What is done is skipped; what was killed goes on."""
    from datacomp.cli import tables
    from datacomp.declared import scale as scales
    from datacomp.declared import suite as suites
    from datacomp.pipelines import run as chain

    recipe, measured, seeds = scales.load(scale), suites.load(suite), tuple(seed or (0,))
    if dry_run:
        for stage in chain.plan(recipe, pool, subset, out, suite=measured, seeds=seeds):
            typer.echo(f"{'done ' if stage.is_done else 'to do'}  {stage.what} -> {stage.record}")
        return
    about = options.about(method, author, run_by, description, link, sources, track)
    entry = chain.run(recipe, pool, subset, about, out, suite=measured, track=track, seeds=seeds, data=data, allow_missing=allow_missing, threads=threads)
    tables.show_entries([entry])
    typer.echo(f"entry: {out / chain.ENTRY}")


def demo(
    out: Annotated[Path, typer.Option("--out", help="Where everything goes.")] = Path("build/demo"),
    scale: Annotated[str, typer.Option("--scale", help="nano, or smoke for a quick look.")] = "nano",
    seed: Seeds = None,
) -> None:
    """Compare no filter, random, basic, CLIP score and the oracle on the generated pool, and build the board."""
    from datacomp.cli import tables
    from datacomp.pipelines import demo as demonstration

    shown = demonstration.demo(out, scale_name=scale, seeds=tuple(seed or (0,)))
    tables.show_entries(shown.entries)
    typer.echo(f"page: {shown.page.resolve().as_uri()}")
