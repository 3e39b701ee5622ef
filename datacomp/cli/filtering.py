"""datacomp filter: from a pool to a list of uids."""

from typing import Annotated

import typer

from datacomp.cli.options import Out, Pool

_ARCHITECTURES = {"b32": "clip_b32_similarity_score", "l14": "clip_l14_similarity_score"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("filter", epilog="Example: datacomp filter clip_score --pool build/pool --fraction 0.3 --arch l14 --out build/best.npy")(filter_pool)


def filter_pool(
    name: Annotated[str, typer.Argument(help="no_filter, random, basic_filter, clip_score, or a plug-in's.")],
    pool: Pool,
    out: Out,
    fraction: Annotated[float | None, typer.Option(help="Share of the pool to keep.", show_default=False)] = None,
    threshold: Annotated[float | None, typer.Option(help="Lowest score to keep.", show_default=False)] = None,
    score: Annotated[str | None, typer.Option(help="Column to rank by.", show_default=False)] = None,
    arch: Annotated[str | None, typer.Option(help="b32 or l14: the CLIP score of that network.", show_default=False)] = None,
    exact_count: Annotated[bool, typer.Option("--exact-count", help="Keep floor(N x fraction) samples instead of one more and all ties.")] = False,
    language_model: Annotated[str | None, typer.Option(help="basic_filter: bin (DataComp's) or ftz (smaller, another filter).", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help="random: seed of the choice.", show_default=False)] = None,
) -> None:
    """Filter a pool; write the list of kept uids, sorted, with a record of how it was made beside it."""
    from datacomp.artifacts import pool as pools
    from datacomp.errors import FilterError
    from datacomp.filters.apply import apply

    if arch is not None:
        if arch not in _ARCHITECTURES or score is not None:
            raise FilterError(f"--arch {arch} came{' together with --score' if score else ''}", allowed="--arch b32, --arch l14, or --score COLUMN")
        score = _ARCHITECTURES[arch]
    given = {
        "fraction": fraction,
        "threshold": threshold,
        "score": score,
        "exact_count": exact_count or None,
        "language_model": language_model,
        "seed": seed,
    }
    subset = apply(name, {key: value for key, value in given.items() if value is not None}, pools.read(pool), out)
    typer.echo(f"{len(subset.uids):,} uids in {out}")
