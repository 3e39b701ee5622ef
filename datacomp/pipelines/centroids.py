"""Centroids for the image-based filter: its caption rules, then k-means on what they keep; stages that know nothing of each other."""

from pathlib import Path

from datacomp import files
from datacomp.artifacts.pool import Pool
from datacomp.cluster import centroids, embeddings
from datacomp.filters import apply as applying
from datacomp.launch.local import Workers


def make(
    pool: Pool, out: Path, *, key: str, clusters: int, sample_ratio: float, seed: int, language_model: str, workers: Workers = None
) -> centroids.CentroidsRecord:
    """Make centroids of a pool's features as DataComp did; without a language model of the pictures of all captions."""
    with files.scratch(out.parent) as scratch:
        given = embeddings.of_pool(pool, key, scratch)
        if not language_model:
            return centroids.make(given, None, "", out, clusters=clusters, sample_ratio=sample_ratio, seed=seed)
        kept = applying.apply("image_based_captions", {"language_model": language_model}, pool, scratch / "captions.npy", workers=workers)
        return centroids.make(given, kept.uids, kept.record.filter, out, clusters=clusters, sample_ratio=sample_ratio, seed=seed)
