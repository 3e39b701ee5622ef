"""Vectors brought together by cluster in a file, so that a cluster of any size can be read block by block."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from datacomp import files, tables
from datacomp.artifacts import clusters as made
from datacomp.artifacts.clusters import Clusters, Floats, Integers
from datacomp.artifacts.pool import Mask
from datacomp.cluster import embeddings
from datacomp.cluster.embeddings import Part, Vectors
from datacomp.errors import FilterError
from datacomp.launch import local

_AS_MEASURED = 2e-3  # cosines of the same vectors, perhaps stored once more in float16
_REPAIR = "give what was clustered"

Reader = Callable[[int, int], Vectors]  # unit vectors (M, D) of the rows from one to before another


@contextmanager
def written(given: Clusters, parts: Iterable[Part], order: Integers, upper: Integers) -> Iterator[Reader]:
    """Give a function that reads unit vectors by rows: row i is that of member order[i]. Several threads may call it.

    They lie as they are stored in a file beside the clusters that vanishes with the block. Raises FilterError where a member has no vector in the parts,
    or, when it is read, another than the one that was clustered.
    """
    parts, members, centroids = list(parts), given.members(), given.centroids()
    dtype = np.result_type(np.float16, *(tables.npz_dtype(part.features, given.record.inputs.key) for part in parts))
    shape = (len(order), given.record.dimensions)
    with files.scratch(given.path) as folder:
        path = folder / "vectors"
        _reserve(path, dtype.itemsize * shape[0] * shape[1])
        missing = np.count_nonzero(~_fill(np.memmap(path, dtype, "r+", shape=shape), given, parts, order, upper))
        if missing:
            raise FilterError(f"{missing:,} of {len(order):,} members of {given.path} have no vector", repair=_REPAIR)

        def read(first: int, last: int) -> Vectors:
            rows = members[order[first:last]]
            stored = np.fromfile(path, dtype, len(rows) * shape[1], offset=first * shape[1] * dtype.itemsize).reshape(len(rows), shape[1])
            vectors = embeddings.unit(stored, made.uids_of(rows), given.path)
            numbers, place = np.unique(rows["cluster"], return_inverse=True)
            _check(given.path, (vectors @ centroids[numbers].T)[np.arange(len(rows)), place], rows["cosine"])
            return vectors

        yield read


def _fill(grouped: Any, given: Clusters, parts: list[Part], order: Integers, upper: Integers) -> Mask:
    """Bring each member's vector to its row, some files at once; say which members had one, shape (N,).

    Nothing is flushed: threads of this process see the file as it is, and it never has to reach the disk.
    """
    members = given.members()
    row_of = np.empty(len(order), np.int64)
    row_of[order] = np.arange(len(order))
    found = np.zeros(len(members), bool)

    def bring(part: Part) -> None:
        for named, vectors in embeddings.stored(part, given.record.inputs.key):
            if vectors.shape[1] != grouped.shape[1]:
                raise FilterError(f"vectors of {vectors.shape[1]} numbers came, {given.path} was made of such of {grouped.shape[1]}", repair=_REPAIR)
            places = made.find(upper, members, named)
            here = np.flatnonzero(places >= 0)
            places = places[here]
            rows = row_of[places]
            ordered = np.argsort(rows)  # the disk likes it
            grouped[rows[ordered]] = vectors[here[ordered]]
            found[places] = True

    for _ in local.run_all(bring, parts, threads=True):
        pass
    return found


def _reserve(path: Path, size: int) -> None:
    """Make a file of a size. Its room is taken at once where that is possible, which halves the time of writing to it here and there."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate") and size:
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)


def _check(where: Path, cosines: Floats, measured: Floats) -> None:
    if len(cosines) and np.abs(cosines - measured).max() > _AS_MEASURED:
        raise FilterError(f"these are not the vectors of which {where} was made", repair="give what was clustered, or cluster again")
