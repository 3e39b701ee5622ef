"""k-means by faiss, from a sample of the stream that its seed and the uids alone decide on."""

from typing import Any

import numpy as np

from datacomp import draws, uids
from datacomp.artifacts import clusters as made
from datacomp.artifacts.clusters import Floats, Members
from datacomp.cluster import embeddings
from datacomp.cluster.embeddings import Embeddings, Vectors
from datacomp.errors import StageError
from datacomp.launch import local
from datacomp.uids import UidArray

PER_CENTROID = 256  # samples for each centroid, beyond which faiss itself sees no gain
_DRAWN = np.dtype([("f0", "<u8"), ("f1", "<u8"), ("key", "<u8"), ("part", "<i4"), ("row", "<i8")])  # a uid, its hash, and where it stands


def check(clusters: int, sample: int, samples: int) -> None:
    """Refuse more clusters than there are samples to make them of."""
    if not 1 <= clusters <= samples:
        raise StageError(f"{clusters:,} clusters were asked for of {samples:,} samples", allowed=f"1 to {samples:,}")
    if sample < clusters:
        raise StageError(f"{clusters:,} centroids were to be made of a sample of {sample:,}", allowed=f"a sample of {clusters:,} or more")


def sample(given: Embeddings, listed: UidArray | None, most: int, seed: int) -> tuple[UidArray, Vectors]:
    """Uids (n,), sorted, and unit vectors (n, D) of `most` of the stream's samples, or of all: those whose hash of seed and uid is lowest."""

    def candidates(part: int) -> Members:
        named = embeddings.read_uids(given.parts[part])
        rows = np.arange(len(named)) if listed is None else np.flatnonzero(uids.count(named, listed))
        found = np.empty(len(rows), _DRAWN)
        found["f0"], found["f1"], found["part"], found["row"] = named["f0"][rows], named["f1"][rows], part, rows
        found["key"] = draws.bits(seed, "k-means sample", found["f0"], found["f1"])
        return _lowest(found, most)

    def vectors(part: int) -> Vectors:
        inside = drawn[slice(*np.searchsorted(drawn["part"], (part, part + 1)))]
        return embeddings.of_rows(given.parts[part], given.key, inside["row"], made.uids_of(inside))

    drawn: Members = np.empty(0, _DRAWN)
    for more in local.run_all(candidates, range(len(given.parts)), threads=True):
        drawn = _lowest(np.concatenate([drawn, more]), most)
    found = np.concatenate([*local.run_all(vectors, np.unique(drawn["part"]).tolist(), threads=True)])
    named = made.uids_of(drawn)
    order = uids.order(named)  # so that the order of a pool's files changes nothing
    return named[order], found[order]


def _lowest(drawn: Members, most: int) -> Members:
    """Those with the `most` lowest keys, all of equal ones."""
    return drawn if len(drawn) <= most else drawn[drawn["key"] <= np.partition(drawn["key"], most - 1)[most - 1]]


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
