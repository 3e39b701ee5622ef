"""datacomp filter: from a pool to a list of uids."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datacomp import places
from datacomp.cli import options as common

if TYPE_CHECKING:
    from datacomp.pipelines.dbp import Recipe

_LANGUAGE = "Language model: bin (fastText's, as published), ftz (smaller, another filter), gcld3 (laion2b only)."
_SCALE = "Published centroids of small, medium, large or xlarge, and ImageNet-1k as the target."
_KEEP = "semdedup, density, dbp: which of a cluster come first: hard (far from its centroid), easy, random, score."
_CHAINS = "semdedup, dbp: published (a dropped earlier one still counts) or kept (it does not)."
_OTHERS = {"pool", "out", "name", "workers", "profile", "dry_run", "published_name", "batch_size", "num_gpus", "arch"}  # are no options of filters
_DBP = "dbp"

Pool = Annotated[Path, typer.Option("--pool", "--metadata_dir", help="Folder of the pool, or s3://…", parser=places.at, metavar="FOLDER", show_default=False)]
ImageScale = Annotated[str | None, typer.Option("--image-based-scale", "--image_based_scale", help=_SCALE, show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("filter", epilog="Example: datacomp filter 'basic_filter & clip_score(l14, 0.3)' --pool build/pool --out build/best.npy")(filter_pool)


def _text(help_: str) -> Any:
    return typer.Option(help=help_, show_default=False)


def filter_pool(
    context: typer.Context,
    pool: Pool,
    out: Annotated[Path, typer.Option("--out", "--save_path", help="Where the list goes, .npy.", show_default=False)],
    name: Annotated[str, typer.Argument(help="A filter, or several joined by & | and -.", show_default=False)] = "",
    fraction: Annotated[float | None, _text("Share of the pool to keep; density, dbp: of what was clustered.")] = None,
    count: Annotated[int | None, _text("density, dbp: how many to keep. cluster_sample, text_sample: how many to draw.")] = None,
    threshold: Annotated[float | None, _text("Lowest score to keep.")] = None,
    skip_fraction: Annotated[float | None, _text("Share of the best to leave out: a band.")] = None,
    arch: Annotated[str | None, _text("clip_score: b32 or l14.")] = None,
    score: Annotated[str | None, _text("Column to rank by.")] = None,
    scores: Annotated[str | None, _text("score, soft_cap: a table of scores with a column uid, .parquet, or a folder of them.")] = None,
    exact_count: Annotated[bool | None, typer.Option("--exact-count", help="Keep floor(N x fraction) samples instead of one more and all ties.")] = None,
    penalty: Annotated[float | None, _text("soft_cap: how much a sample's score falls with each copy of it.")] = None,
    round_samples: Annotated[int | None, _text("soft_cap: samples drawn before scores fall.")] = None,
    language_model: Annotated[str | None, _text(_LANGUAGE)] = None,
    centroids: Annotated[str | None, _text("image_based: the pool's centroids, .npy or .pt.")] = None,
    targets: Annotated[str | None, _text("image_based, cluster_sample: features of target pictures, .npy or .pt.")] = None,
    image_based_scale: ImageScale = None,
    embedding_key: Annotated[str | None, _text("image_based, dbp: of the pool's features; l14_img by default.")] = None,
    clusters: Annotated[str | None, _text("semdedup, density, cluster_sample: what datacomp cluster make wrote.")] = None,
    epsilon: Annotated[float | None, _text("semdedup, dbp: pairs with a cosine above 1 - epsilon are duplicates.")] = None,
    chains: Annotated[str | None, _text(_CHAINS)] = None,
    keep: Annotated[str | None, _text(_KEEP)] = None,
    embeddings: Annotated[str | None, _text("semdedup: what datacomp score --embeddings wrote, if that was clustered.")] = None,
    quota: Annotated[str | None, _text("density: density (by default), or uniform: the same share of each cluster.")] = None,
    preset: Annotated[str | None, _text("density, dbp: paper (by default) or authors_code_defaults.")] = None,
    temperature: Annotated[float | None, _text("density, dbp: of the softmax of complexities.")] = None,
    neighbours: Annotated[int | None, _text("density, dbp: nearest centroids whose distance counts.")] = None,
    balance: Annotated[float | None, _text("density, dbp: part of the count that is handed out evenly.")] = None,
    prefilter_fraction: Annotated[float | None, _text("dbp: share, without duplicates, that passes by its CLIP score; 1 for all.")] = None,
    dedup_k: Annotated[int | None, _text("dbp: clusters to look for duplicates in; by default one for 2,000 samples.")] = None,
    k: Annotated[int | None, _text("dbp: clusters to prune; 100 by default.")] = None,
    alpha: Annotated[float | None, _text("cluster_sample, text_sample: 0 balances concepts, 1 draws by their frequency.")] = None,
    average: Annotated[str | None, _text("text_sample: mean or max over a caption's concepts.")] = None,
    most_times: Annotated[int | None, _text("cluster_sample, text_sample: how often one sample is drawn at most; 100 by default.")] = None,
    device: Annotated[str | None, _text("image_based: cpu, cuda or cuda:N.")] = None,
    seed: Annotated[int | None, _text("Of what is chosen or drawn at random, and of dbp's clusters.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", "--num_workers", help="Processes; by default one a core.", show_default=False)] = None,
    profile: common.Profile = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    published_name: Annotated[str, typer.Option("--name", hidden=True)] = "",
    batch_size: Annotated[int | None, typer.Option("--batch_size", hidden=True)] = None,
    num_gpus: Annotated[int | None, typer.Option("--num_gpus", hidden=True)] = None,
) -> None:
    """Filter a pool; write the list of kept uids, sorted, with a record of how it was made beside it.

    Filters: no_filter, random, basic_filter, clip_score, score, soft_cap, laion2b, text_based, image_based,
    image_based_intersect_clip_score, semdedup, density, cluster_sample, text_sample, and those of installed plug-ins; dbp, which stands alone,
    is semdedup, a CLIP score, clusters and density in one. Options in parentheses belong to one filter, as in
    "clip_score(l14, fraction=0.3) & text_based(ftz)".
    """
    from datacomp.errors import FilterError

    if bool(name) == bool(published_name):
        raise FilterError("a filter's name came twice" if name else "no filter was named", repair="name one, as in: datacomp filter no_filter --pool …")
    if batch_size is not None or num_gpus is not None:
        typer.echo("--batch_size and --num_gpus are not needed here and do nothing", err=True)
    if arch is not None and (arch not in ("b32", "l14") or score is not None):
        raise FilterError(f"--arch {arch} came{' together with --score' if score else ''}", allowed="--arch b32, --arch l14, or --score COLUMN")
    given = {key: value for key, value in context.params.items() if key not in _OTHERS and value is not None}
    if arch is not None:
        given["score"] = f"clip_{arch}_similarity_score"
    _run(name or published_name, given, pool, out, workers, profile, dry_run=dry_run)


def _run(chosen: str, given: dict[str, Any], pool: Path, out: Path, workers: int | None, profile: str, *, dry_run: bool) -> None:
    from datacomp.artifacts import pool as pools
    from datacomp.filters import apply as applying

    recipe = _recipe(given) if chosen == _DBP else None
    if dry_run:
        common.show_array(profile, "filter")
        if recipe is not None:
            typer.echo(f"{_DBP} with {', '.join(f'{name} {value}' for name, value in recipe.given().items())}; it would write {out}")
            return
        plan = applying.plan(chosen, given, pools.read(pool))
        typer.echo(f"{plan.tree} over {plan.rows:,} rows in {len(plan.pool.stems):,} files; it would write {out} and its record")
        return
    who = common.workers(profile, "filter", out, workers)
    if recipe is None:
        subset = applying.apply(chosen, given, pools.read(pool), out, workers=who)
    else:
        from datacomp.pipelines import dbp

        subset = dbp.run(pools.read(pool), recipe, out, workers=who)
    typer.echo(f"{len(subset.uids):,} uids in {out}")


def _recipe(given: dict[str, Any]) -> "Recipe":
    """Options as dbp names them. Raises FilterError for one that it does not have, or lacks."""
    from datacomp.errors import FilterError
    from datacomp.pipelines.dbp import Recipe

    names = {"k": "clusters", "dedup_k": "dedup_clusters"}
    known = {name: name for name in Recipe.__dataclass_fields__ if name not in names.values()} | names
    if unknown := sorted(set(given) - set(known)):
        raise FilterError(f"{_DBP} has no option {unknown[0].replace('_', '-')!r}", allowed=", ".join(known).replace("_", "-"))
    options = {"count": None, "fraction": None} | {known[key]: value for key, value in given.items()}
    for needed in ("epsilon", "prefilter_fraction"):
        if needed not in options:
            raise FilterError(f"{_DBP} needs --{needed.replace('_', '-')}: the paper does not say it", repair="add --epsilon 0.05 --prefilter-fraction 1")
    return Recipe(**options)
