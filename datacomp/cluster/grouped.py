"""Vectors brought together by cluster in a file, so that a cluster of any size can be read block by block."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from datacomp import files
from datacomp.artifacts import clusters as made
from datacomp.artifacts.clusters import Clusters, Integers
from datacomp.artifacts.pool import Mask
from datacomp.cluster import embeddings
from datacomp.cluster.embeddings import Part, Vectors
from datacomp.errors import FilterError
from datacomp.launch import local

_AS_MEASURED = 2e-3  # cosines of the same vectors, perhaps stored once more in float16


@contextmanager
def written(given: Clusters, parts: Iterable[Part], order: Integers, upper: Integers) -> Iterator[Path]:
    """Give a file of raw float32 unit vectors (N, D), that of member order[i] in row i; it vanishes with the block.

    The file lies beside the clusters and takes 4 N D bytes. Raises FilterError where a member has no vector in the parts, or another than the
    one that was clustered.
    """
    with files.scratch(given.path) as folder:
        path = folder / "vectors"
        _reserve(path, 4 * len(order) * given.record.dimensions)
        missing = np.count_nonzero(~_fill(path, given, parts, order, upper))
        if missing:
            raise FilterError(f"{missing:,} of {len(order):,} members of {given.path} have no vector", repair="give what was clustered")
        yield path


def _fill(path: Path, given: Clusters, parts: Iterable[Part], order: Integers, upper: Integers) -> Mask:
    """Bring each member's vector to its row, some files at once; say which members had one, shape (N,).

    Nothing is flushed: processes of this machine see the file as it is, and it never has to reach the disk.
    """
    members, centroids = given.members(), given.centroids()
    grouped: Any = np.memmap(path, np.float32, "r+", shape=(len(members), given.record.dimensions))
    row_of = np.empty(len(order), np.int64)
    row_of[order] = np.arange(len(order))
    found = np.zeros(len(members), bool)

    def bring(part: Part) -> None:
        for named, vectors in embeddings.blocks(part, given.record.inputs.key):
            places = made.find(upper, members, named)
            here = places >= 0
            places, inside = places[here], vectors[here]
            _check(given.path, inside, centroids[members["cluster"][places]], members["cosine"][places])
            rows = row_of[places]
            ordered = np.argsort(rows)  # the disk likes it
            grouped[rows[ordered]] = inside[ordered]
            found[places] = True

    for _ in local.run_all(bring, list(parts), threads=True):
        pass
    return found


def _reserve(path: Path, size: int) -> None:
    """Make a file of a size. Its room is taken at once where that is possible, which halves the time of writing to it here and there."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate") and size:
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)


def _check(where: Path, vectors: Vectors, centroids: Vectors, measured: Any) -> None:
    if vectors.shape != centroids.shape:
        raise FilterError(f"vectors of {vectors.shape[1]} numbers came, {where} was made of such of {centroids.shape[1]}", repair="give what was clustered")
    cosines = np.einsum("ij,ij->i", vectors, centroids)
    if len(cosines) and np.abs(cosines - measured).max() > _AS_MEASURED:
        raise FilterError(f"these are not the vectors of which {where} was made", repair="give what was clustered, or cluster again")


def reader(path: Path, dimensions: int, start: int, rows: int) -> Callable[[int, int], Vectors]:
    """A function that reads rows of a range of the file: from one to before another."""

    def read(first: int, last: int) -> Vectors:
        last = min(last, rows)
        flat = np.fromfile(path, np.float32, (last - first) * dimensions, offset=(start + first) * dimensions * 4)
        return flat.reshape(last - first, dimensions)

    return read
