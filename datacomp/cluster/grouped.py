"""Vectors brought together by cluster in a file, so that a cluster of any size can be read block by block."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from datacomp import files
from datacomp.artifacts import clusters as made
from datacomp.artifacts.clusters import Clusters, Integers
from datacomp.cluster import embeddings
from datacomp.cluster.embeddings import Part, Vectors
from datacomp.errors import FilterError
from datacomp.uids import UidArray

_AS_MEASURED = 2e-3  # cosines of the same vectors, perhaps stored once more in float16


@contextmanager
def written(given: Clusters, parts: Iterable[Part], order: Integers, upper: Integers) -> Iterator[Path]:
    """Give a file of raw float32 unit vectors (N, D), that of member order[i] in row i; it vanishes with the block.

    The file lies beside the clusters and takes 4 N D bytes. Raises FilterError where a member has no vector in the parts, or another than the
    one that was clustered.
    """
    members, centroids = given.members(), given.centroids()
    shape = (len(members), given.record.dimensions)
    row_of = np.empty(len(order), np.int64)
    row_of[order] = np.arange(len(order))
    with files.scratch(given.path) as folder:
        path = folder / "vectors"
        grouped: Any = np.memmap(path, np.float32, "w+", shape=shape)
        found = np.zeros(len(members), bool)
        for named, vectors in _stream(parts, given.record.inputs.key):
            places = made.find(upper, members, named)
            here = places >= 0
            places, inside = places[here], vectors[here]
            _check(given.path, inside, centroids[members["cluster"][places]], members["cosine"][places])
            rows = row_of[places]
            ordered = np.argsort(rows)  # the disk likes it
            grouped[rows[ordered]] = inside[ordered]
            found[places] = True
        if not found.all():
            raise FilterError(f"{np.count_nonzero(~found):,} of {len(found):,} members of {given.path} have no vector", repair="give what was clustered")
        grouped.flush()
        del grouped
        yield path


def _stream(parts: Iterable[Part], key: str) -> Iterator[tuple[UidArray, Vectors]]:
    for part in parts:
        yield from embeddings.blocks(part, key)


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
