"""What the image-based filter compares, made of one's own pool and target pictures: centroids as DataComp made them, and arrays of features.

As in the published script, centroids come from k-means by L2 distance on the features as they are stored, of rows that are drawn from each file
with replacement, although the filter then assigns by inner product. The draws are a seed's, not numpy's.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from datacomp import digest, draws, files, progress, tables
from datacomp.artifacts.clusters import Floats
from datacomp.cluster import embeddings, kmeans
from datacomp.cluster.embeddings import Embeddings
from datacomp.errors import StageError
from datacomp.launch import local
from datacomp.records import Count, Digest, Line, Record
from datacomp.uids import UidArray

ITERATIONS = 20


class CentroidsRecord(Record):
    """Where centroids come from, written beside them and last."""

    source: Line
    source_sha256: Digest
    key: Line
    network: Line
    captions: Line  # the filter whose rows alone were taken, empty for all
    sample_ratio: float  # of each file's rows, drawn with replacement; 0 for all of them once
    seed: Count
    iterations: Count
    sample_samples: Count
    clusters: Count
    centroids_sha256: Digest


def make(given: Embeddings, listed: UidArray | None, captions: str, out: Path, *, clusters: int, sample_ratio: float, seed: int) -> CentroidsRecord:
    """Write centroids (k, D) to a .npy file, with a record beside it.

    Raises StageError for a ratio that is none, more centroids than sampled rows and vectors that are not finite.
    """
    if not 0 <= sample_ratio <= 1 or out.suffix != ".npy":
        raise StageError(f"a sample ratio of {sample_ratio:g} and {out} came", allowed="a ratio above 0 and up to 1, or 0 for all rows; a .npy file")
    drawn = list(_sample(given, listed, sample_ratio, seed))
    kmeans.check(clusters, sum(map(len, drawn)), sum(map(len, drawn)))
    sampled = np.concatenate(drawn)
    progress.say(f"k-means: {clusters:,} centroids of {len(sampled):,} rows")
    centroids = kmeans.train(sampled, clusters, iterations=ITERATIONS, seed=seed, threads=local.cores(), spherical=False)
    record_path = out.with_suffix(".json")
    record_path.unlink(missing_ok=True)  # it would describe what is no longer there
    tables.write_npy(out, np.dtype("<f4"), centroids.shape, [centroids])
    record = CentroidsRecord(
        source=given.source,
        source_sha256=given.source_sha256,
        key=given.key,
        network=given.network,
        captions=captions,
        sample_ratio=sample_ratio,
        seed=seed,
        iterations=ITERATIONS,
        sample_samples=len(sampled),
        clusters=clusters,
        centroids_sha256=digest.of_file(out),
    )
    record.write(record_path)
    return record


def _sample(given: Embeddings, listed: UidArray | None, ratio: float, seed: int) -> Iterator[Floats]:
    """Each file's rows, in float32."""
    for number, part in enumerate(given.parts):
        parts = []
        for named, vectors in embeddings.stored(part, given.key, listed):
            if not np.isfinite(vectors).all():
                embeddings.unit(vectors, named, part.features)  # which names the uid
            parts.append(vectors)
        if not parts:
            continue
        rows = np.concatenate(parts)
        if ratio:
            rows = rows[draws.below(len(rows), seed, "centroid sample", number, np.arange(int(len(rows) * ratio)))]
        yield rows.astype(np.float32)


def write_features(given: Embeddings, out: Path) -> tuple[int, int]:
    """Write all vectors (N, D) of a stream to one .npy file, as they are stored; return its shape. These can be the filter's targets."""
    first = next((vectors for part in given.parts for _, vectors in embeddings.stored(part, given.key)), None)
    if first is None or out.suffix != ".npy":
        raise StageError(f"{out} cannot be made of {len(given.parts)} files", allowed="a .npy file, and vectors to write to it")
    shape = (sum(map(embeddings.count, given.parts)), first.shape[1])
    with files.writing(out.parent, leave_lock=False):
        tables.write_npy(out, first.dtype, shape, (vectors.astype(first.dtype) for part in given.parts for _, vectors in embeddings.stored(part, given.key)))
    return shape
