"""datacomp inspect: a page about what a list did to a pool."""

from pathlib import Path
from typing import Annotated

import typer

from datacomp.cli.options import Out, Pool


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: datacomp inspect build/best.npy --pool build/pool --compare build/other.npy --out build/best.html")(inspect)


def inspect(
    subset: Annotated[Path, typer.Argument(help="A list of uids, .npy.")],
    pool: Pool,
    out: Out,
    compare: Annotated[list[Path] | None, typer.Option("--compare", help="Another list, to compare; may be given several times.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Seed of the pairs to show.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Write the numbers as well, as .numbers.json beside the page.")] = False,
) -> None:
    """Show what a list keeps and drops of a pool on one page: pairs with pictures, histograms, captions, domains, other lists."""
    from datacomp import pages
    from datacomp.artifacts import pool as pools
    from datacomp.artifacts import subset as subsets
    from datacomp.subset import inspect as inspecting
    from datacomp.subset import page

    target = pages.target(out)
    lists = [subsets.read(path) for path in (subset, *(compare or ()))]
    found = inspecting.inspect(pools.read(pool), lists[0], lists[1:], seed=seed)
    rows = found.numbers.rows
    page.write(found, target, numbers=json)
    typer.echo(f"{rows.kept:,} of {rows.rows:,} rows kept; the page is {target}")
