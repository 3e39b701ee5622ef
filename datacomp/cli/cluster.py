"""datacomp cluster: clusters of a pool's pictures, and what the image-based filter compares."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datacomp import places
from datacomp.cli import options
from datacomp.cli.options import Out, Profile

if TYPE_CHECKING:
    from datacomp.artifacts.clusters import Clusters
    from datacomp.artifacts.subset import Subset
    from datacomp.cluster.density import Quotas
    from datacomp.cluster.embeddings import Embeddings

group = typer.Typer(help="Clusters of a pool's pictures, for semdedup, density and cluster_sample.", no_args_is_help=True)
MaybePool = Annotated[
    Path | None, typer.Option("--pool", "--metadata_dir", help="Folder of the pool, or s3://…", parser=places.at, metavar="FOLDER", show_default=False)
]
Scores = Annotated[Path | None, typer.Option("--scores", help="Instead: what datacomp score --embeddings wrote.", show_default=False)]
Key = Annotated[str, typer.Option("--embedding-key", "--embedding_key", help="Of the arrays in the npz files; by default l14_img, or the pass' pictures.")]
File = Annotated[Path, typer.Option("--out", "--save_path", help="Where the array goes, .npy.", show_default=False)]
Folder = Annotated[Path, typer.Argument(help="What cluster make wrote.", metavar="CLUSTERS", show_default=False)]
Processes = Annotated[int | None, typer.Option("--workers", "--num_workers", help="Processes; by default one a core. The clusters are the same.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="cluster")


@group.command(epilog="Example: datacomp cluster make --pool build/pool --k 100 --out build/clusters")
def make(
    out: Out,
    k: Annotated[int, typer.Option("--k", min=1, help="How many clusters.", show_default=False)],
    pool: MaybePool = None,
    scores: Scores = None,
    embedding_key: Key = "",
    subset: Annotated[Path | None, typer.Option("--subset", help="Cluster the samples of this list alone, .npy.", show_default=False)] = None,
    sample: Annotated[int, typer.Option("--sample", min=0, help="Make the centroids of so many samples; 0 for 256 a cluster.")] = 0,
    iterations: Annotated[int, typer.Option("--iterations", min=1, help="Of k-means.")] = 100,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the sample and of k-means.")] = 1234,
    workers: Processes = None,
    profile: Profile = "",
) -> None:
    """Cluster embeddings by spherical k-means; write centroids, and each sample's cluster and cosine. Started again, it goes on."""
    from datacomp.cluster import run
    from datacomp.subset.check import check

    given = _embeddings(pool, scores, embedding_key, out)
    settings = run.Settings(k, sample, iterations, seed, options.workers(profile, "cluster", out, workers))
    record = run.make(given, check(subset) if subset else None, out, settings).record
    for reason, count in record.dropped_samples.items():
        typer.echo(f"{count:,} dropped: {reason}")
    empty = f", {record.empty_clusters:,} more were empty" if record.empty_clusters else ""
    typer.echo(f"{record.clustered_samples:,} of {record.samples:,} samples in {record.clusters:,} clusters{empty}, in {out}")


@group.command(epilog="Example: datacomp cluster report build/clusters --pool build/pool --subset build/kept.npy --out build/clusters.html")
def report(
    clusters: Folder,
    out: Annotated[Path, typer.Option("--out", help="The page, .html; a table goes beside it, .csv.", show_default=False)],
    pool: MaybePool = None,
    subset: Annotated[Path | None, typer.Option("--subset", help="Say what this list keeps; quotas too, if density made it.", show_default=False)] = None,
) -> None:
    """Show clusters: size, complexity, quota and how much a list keeps of each, and the pictures nearest to and farthest from each centroid."""
    from datacomp.artifacts import clusters as made
    from datacomp.artifacts import pool as pools
    from datacomp.cluster import report as reports
    from datacomp.subset.check import check

    found = made.read(clusters)
    kept = check(subset) if subset else None
    reports.write(found, kept, _quotas(found, kept), pools.read(pool) if pool else None, out)
    typer.echo(f"{found.record.clusters:,} clusters of {found.record.clustered_samples:,} samples; look at {out}")


@group.command(epilog="Example: datacomp cluster centroids --pool build/pool --k 1000 --out build/centroids.npy")
def centroids(
    pool: Annotated[Path, typer.Option("--pool", "--metadata_dir", help="Folder of the pool, or s3://…", parser=places.at, metavar="FOLDER")],
    out: File,
    k: Annotated[int, typer.Option("--k", "--num_clusters", min=1, help="How many centroids.")] = 100_000,
    embedding_key: Key = "l14_img",
    sample_ratio: Annotated[
        float, typer.Option("--sample-ratio", "--sample_ratio", help="Share of each file's rows, drawn with replacement; all if it is not above 0.")
    ] = -1.0,
    all_captions: Annotated[
        bool, typer.Option("--all-captions", "--disable_caption_filtering", help="Pictures with any caption, not English ones only.")
    ] = False,
    language_model: Annotated[str, typer.Option("--language-model", help="Which calls captions English: bin (as published), ftz.")] = "bin",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the sample and of k-means.")] = 0,
    workers: Processes = None,
) -> None:
    """Make centroids for the image-based filter as DataComp made its own: k-means by L2 distance, 20 iterations."""
    from datacomp.artifacts import pool as pools
    from datacomp.pipelines import centroids as pipeline

    model = "" if all_captions else language_model
    ratio = max(sample_ratio, 0.0)
    done = pipeline.make(pools.read(pool), out, key=embedding_key, clusters=k, sample_ratio=ratio, seed=seed, language_model=model, workers=workers)
    typer.echo(f"{done.clusters:,} centroids of {done.sample_samples:,} rows in {out}")


@group.command(epilog="Example: datacomp cluster features --pool build/targets --out build/targets.npy")
def features(out: File, pool: MaybePool = None, scores: Scores = None, embedding_key: Key = "") -> None:
    """Write the vectors of a pool's pictures as one array: targets for image_based and cluster_sample."""
    from datacomp.cluster import centroids

    rows, dimensions = centroids.write_features(_embeddings(pool, scores, embedding_key, out), out)
    typer.echo(f"{rows:,} vectors of {dimensions:,} numbers in {out}")


def _embeddings(pool: Path | None, scores: Path | None, key: str, out: Path) -> "Embeddings":
    from datacomp.artifacts import pool as pools
    from datacomp.cluster import embeddings
    from datacomp.errors import StageError

    if (pool is None) == (scores is None):
        raise StageError("one source of embeddings is needed", allowed="--pool FOLDER, or --scores FOLDER")
    if scores is not None:
        return embeddings.of_scores(scores, key)
    assert pool is not None
    return embeddings.of_pool(pools.read(pool), key or embeddings.KEY, out.parent)


def _quotas(clusters: "Clusters", kept: "Subset | None") -> "Quotas | None":
    """The quotas by which a list was made, if it was by these clusters alone."""
    from datacomp.cluster import density

    if kept is None or kept.record.filter != "density" or clusters.record.members_sha256 not in kept.record.assets.values():
        return None
    given = kept.record.options | {"clusters": str(clusters.path)}
    return density.make(**given).quotas()  # type: ignore[arg-type]
