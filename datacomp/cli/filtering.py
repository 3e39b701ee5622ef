"""datacomp filter: from a pool to a list of uids."""

from pathlib import Path
from typing import Annotated

import typer

from datacomp import places
from datacomp.cli import options as common

_LANGUAGE = "Language model: bin (fastText's, as published), ftz (smaller, another filter), gcld3 (laion2b only)."
_SCALE = "Published centroids of small, medium, large or xlarge, and ImageNet-1k as the target."


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("filter", epilog="Example: datacomp filter 'basic_filter & clip_score(l14, 0.3)' --pool build/pool --out build/best.npy")(filter_pool)


def filter_pool(
    pool: Annotated[
        Path, typer.Option("--pool", "--metadata_dir", help="Folder of the pool, or s3://…", parser=places.at, metavar="FOLDER", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "--save_path", help="Where the list goes, .npy.", show_default=False)],
    name: Annotated[str, typer.Argument(help="A filter, or several joined by & | and -.", show_default=False)] = "",
    fraction: Annotated[float | None, typer.Option(help="Share of the pool to keep.", show_default=False)] = None,
    threshold: Annotated[float | None, typer.Option(help="Lowest score to keep.", show_default=False)] = None,
    skip_fraction: Annotated[float | None, typer.Option(help="Share of the best to leave out: a band.", show_default=False)] = None,
    arch: Annotated[str | None, typer.Option(help="clip_score: b32 or l14.", show_default=False)] = None,
    score: Annotated[str | None, typer.Option(help="Column to rank by.", show_default=False)] = None,
    scores: Annotated[str | None, typer.Option(help="score: a table of scores with a column uid, .parquet, or a folder of them.", show_default=False)] = None,
    exact_count: Annotated[bool, typer.Option("--exact-count", help="Keep floor(N x fraction) samples instead of one more and all ties.")] = False,
    penalty: Annotated[float | None, typer.Option(help="soft_cap: how much a sample's score falls with each copy of it.", show_default=False)] = None,
    round_samples: Annotated[int | None, typer.Option(help="soft_cap: samples drawn before scores fall.", show_default=False)] = None,
    language_model: Annotated[str | None, typer.Option(help=_LANGUAGE, show_default=False)] = None,
    centroids: Annotated[str | None, typer.Option(help="image_based: the pool's centroids, .npy or .pt.", show_default=False)] = None,
    targets: Annotated[str | None, typer.Option(help="image_based: features of target pictures, .npy or .pt.", show_default=False)] = None,
    image_based_scale: Annotated[str | None, typer.Option("--image-based-scale", "--image_based_scale", help=_SCALE, show_default=False)] = None,
    device: Annotated[str | None, typer.Option(help="image_based: cpu, cuda or cuda:N.", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help="random, soft_cap: seed of the choice.", show_default=False)] = None,
    workers: Annotated[int | None, typer.Option("--workers", "--num_workers", help="Processes; by default one a core.", show_default=False)] = None,
    profile: common.Profile = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    published_name: Annotated[str, typer.Option("--name", hidden=True)] = "",
    batch_size: Annotated[int | None, typer.Option("--batch_size", hidden=True)] = None,
    num_gpus: Annotated[int | None, typer.Option("--num_gpus", hidden=True)] = None,
) -> None:
    """Filter a pool; write the list of kept uids, sorted, with a record of how it was made beside it.

    Filters: no_filter, random, basic_filter, clip_score, score, soft_cap, laion2b, text_based, image_based, image_based_intersect_clip_score,
    and those of installed plug-ins. Options in parentheses belong to one filter, as in "clip_score(l14, fraction=0.3) & text_based(ftz)".
    """
    from datacomp.artifacts import pool as pools
    from datacomp.errors import FilterError
    from datacomp.filters import apply as applying
    from datacomp.filters import catalog

    if bool(name) == bool(published_name):
        raise FilterError("a filter's name came twice" if name else "no filter was named", repair="name one, as in: datacomp filter no_filter --pool …")
    if batch_size is not None or num_gpus is not None:
        typer.echo("--batch_size and --num_gpus are not needed here and do nothing", err=True)
    if arch is not None:
        if arch not in ("b32", "l14") or score is not None:
            raise FilterError(f"--arch {arch} came{' together with --score' if score else ''}", allowed="--arch b32, --arch l14, or --score COLUMN")
        score = f"clip_{arch}_similarity_score"
    given: dict[str, catalog.Option | None] = {
        "fraction": fraction,
        "threshold": threshold,
        "skip_fraction": skip_fraction,
        "score": score,
        "scores": scores,
        "exact_count": exact_count or None,
        "penalty": penalty,
        "round_samples": round_samples,
        "language_model": language_model,
        "centroids": centroids,
        "targets": targets,
        "image_based_scale": image_based_scale,
        "device": device,
        "seed": seed,
    }
    chosen = name or published_name
    options = {key: value for key, value in given.items() if value is not None}
    if dry_run:
        common.show_array(profile, "filter")
        plan = applying.plan(chosen, options, pools.read(pool))
        typer.echo(f"{plan.tree} over {plan.rows:,} rows in {len(plan.pool.stems):,} files; it would write {out} and its record")
        return
    subset = applying.apply(chosen, options, pools.read(pool), out, workers=common.workers(profile, "filter", out, workers))
    typer.echo(f"{len(subset.uids):,} uids in {out}")
