"""k-means by faiss, from a sample of the stream that its seed and the uids alone decide on."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from datacomp import draws, sorting, uids
from datacomp.artifacts.clusters import Floats
from datacomp.cluster import embeddings
from datacomp.cluster.embeddings import Embeddings, Part, Vectors
from datacomp.errors import StageError
from datacomp.launch import local
from datacomp.sorting import Keys
from datacomp.uids import UidArray

PER_CENTROID = 256  # samples for each centroid, beyond which faiss itself sees no gain


def check(clusters: int, sample: int, samples: int) -> None:
    """Refuse more clusters than there are samples to make them of."""
    if not 1 <= clusters <= samples:
        raise StageError(f"{clusters:,} clusters were asked for of {samples:,} samples", allowed=f"1 to {samples:,}")
    if sample < clusters:
        raise StageError(f"{clusters:,} centroids were to be made of a sample of {sample:,}", allowed=f"a sample of {clusters:,} or more")


def sample(given: Embeddings, listed: UidArray | None, most: int, samples: int, seed: int) -> tuple[UidArray, Vectors]:
    """Uids (n,), sorted, and unit vectors (n, D) of `most` of the stream's samples, or of all: those whose hash of seed and uid is lowest."""
    edge: np.uint64 | None = None
    if most < samples:
        edge = sorting.smallest(partial(_all_keys, given, listed, seed), most - 1)

    def drawn(part: Part) -> list[tuple[UidArray, Vectors]]:
        blocks = []
        for block, found in embeddings.stored(part, given.key, listed):
            kept = slice(None) if edge is None else _keys(block, seed) <= edge
            blocks.append((block[kept], embeddings.unit(found[kept], block[kept], part.features)))
        return blocks

    named, vectors = zip(*(block for blocks in local.run_all(drawn, given.parts, threads=True) for block in blocks), strict=True)
    everything: UidArray = np.concatenate(named)
    order = uids.order(everything)  # so that the order of a pool's files changes nothing
    return everything[order], np.concatenate(vectors)[order]


def _keys(named: UidArray, seed: int) -> Keys:
    return draws.bits(seed, "k-means sample", named["f0"], named["f1"])


def _all_keys(given: Embeddings, listed: UidArray | None, seed: int) -> Iterator[Keys]:
    def of(part: Part) -> Keys:
        named = embeddings.read_uids(part)
        return _keys(named if listed is None else named[uids.count(named, listed) > 0], seed)

    return local.run_all(of, given.parts, threads=True)


def train(vectors: Floats, clusters: int, *, iterations: int, seed: int, threads: int, spherical: bool = True) -> Vectors:
    """Centroids (k, D) of vectors (n, D), float32.

    Spherical ones are unit vectors and belong to the largest inner product, others to the smallest L2 distance. faiss splits a cluster
    that runs empty on the way. All GPUs are used where faiss' GPU package is installed.
    """
    import faiss

    faiss.omp_set_num_threads(threads)
    clustering: Any = faiss.Clustering(vectors.shape[1], clusters)
    clustering.niter, clustering.seed, clustering.spherical = iterations, seed, spherical
    clustering.min_points_per_centroid, clustering.max_points_per_centroid = 1, len(vectors)  # the sample was drawn already, and its size is the caller's
    index: Any = (faiss.IndexFlatIP if spherical else faiss.IndexFlatL2)(vectors.shape[1])
    if faiss.get_num_gpus():
        index = faiss.index_cpu_to_all_gpus(index)
    clustering.train(np.ascontiguousarray(vectors, np.float32), index)
    centroids: Vectors = faiss.vector_to_array(clustering.centroids).reshape(clusters, -1)
    return centroids
