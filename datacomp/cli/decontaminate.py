"""datacomp decontaminate: test pictures in a pool."""

from pathlib import Path
from typing import Annotated

import typer

from datacomp.cli.options import Data, Pool, Suite


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: datacomp decontaminate --pool build/mine --suite nano --out build/clean.npy")(decontaminate)


def decontaminate(
    pool: Pool,
    out: Annotated[Path, typer.Option("--out", help="Where the list goes, .npy; the page goes beside it, .html.", show_default=False)],
    subset: Annotated[Path | None, typer.Option("--subset", help="The list to take copies out of; by default all that the pool's tars hold.")] = None,
    suite: Suite = "nano",
    data: Data = None,
    threshold: Annotated[float, typer.Option(help="Cosine of two layouts from which on they count as copies.")] = 0.85,
    workers: Annotated[int | None, typer.Option("--workers", help="Processes; by default one a core.", show_default=False)] = None,
) -> None:
    """Find copies of a suite's test pictures in a pool, and write a list without them and a page that shows them."""
    from datacomp.artifacts import pool as pools
    from datacomp.declared import suite as suites
    from datacomp.pipelines import decontaminate as pipeline
    from datacomp.pipelines import test_sets
    from datacomp.subset.check import check

    measured = suites.load(suite)
    listed = check(subset) if subset else None
    done = pipeline.decontaminate(pools.read(pool), listed, measured, test_sets.locate(measured, data), out, threshold=threshold, workers=workers)
    found = f"{len(done.found.copies):,} copies among {done.found.compared_samples:,} pictures"
    typer.echo(f"{found}; {len(done.subset.uids):,} uids in {out}; look at {done.page}")
