"""The nearest centroid by inner product, and inner products of pairs that do not depend on what is computed beside them.

A matrix product may round an entry otherwise when the matrices around it are of another size or when other threads share the work. What decides
is therefore settled here by a sum of its own wherever two candidates are nearly equal: blocks, processes and the order of rows change nothing.
"""

from typing import Any

import numpy as np

from datacomp.artifacts.clusters import Floats, Integers
from datacomp.cluster.embeddings import Vectors

NEAR = 1e-5  # cosines of unit vectors in float32 are right to about 1e-6
_PRODUCTS = 1 << 22  # that are in memory at a time where near ones are settled
_PAIRS = 1 << 12


def dots(left: Vectors, right: Vectors) -> Floats:
    """Inner products of pairs (N, D), (N, D): (N,) in float64, each a sum of its own."""
    found = np.empty(len(left))
    for start in range(0, len(left), _PAIRS):
        part = slice(start, start + _PAIRS)
        found[part] = (left[part].astype(np.float64) * right[part]).sum(axis=1)
    return found


class Nearest:
    """A search among unit centroids of shape (k, D), by faiss: on all GPUs where its GPU package is installed, else with some threads."""

    def __init__(self, centroids: Vectors, threads: int) -> None:
        import faiss

        faiss.omp_set_num_threads(threads)  # it brings an OpenMP of its own, which asks no other library
        self.centroids = np.array(centroids, np.float32)  # not mapped
        index: Any = faiss.IndexFlatIP(self.centroids.shape[1])
        index.add(self.centroids)
        self._index = faiss.index_cpu_to_all_gpus(index) if faiss.get_num_gpus() else index

    def __call__(self, vectors: Vectors) -> Integers:
        """The place of the nearest centroid of each vector (N, D), of equally near ones the first: int32 (N,)."""
        products, places = self._index.search(vectors, min(2, len(self.centroids)))
        found: Integers = places[:, 0].astype(np.int32)
        if products.shape[1] == 2:
            close = np.flatnonzero(products[:, 0] - products[:, 1] < NEAR)
            step = max(1, _PRODUCTS // len(self.centroids))
            for start in range(0, len(close), step):
                rows = close[start : start + step]
                found[rows] = self._settle(vectors[rows])
        return found

    def _settle(self, vectors: Vectors) -> Integers:
        products = vectors @ self.centroids.T
        rows, candidates = np.nonzero(products >= products.max(axis=1, keepdims=True) - NEAR)
        exact = np.empty(len(rows))
        for start in range(0, len(rows), _PAIRS):
            part = slice(start, start + _PAIRS)
            exact[part] = dots(vectors[rows[part]], self.centroids[candidates[part]])
        order = np.lexsort((candidates, -exact, rows))
        first = np.unique(rows[order], return_index=True)[1]
        best: Integers = candidates[order][first].astype(np.int32)
        return best
