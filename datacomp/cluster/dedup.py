"""Near duplicates within one cluster, exactly, in memory that does not grow with the cluster (SemDeDup, Abbas et al. 2023)."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from datacomp.artifacts.clusters import Floats, Integers
from datacomp.artifacts.pool import Mask
from datacomp.cluster.embeddings import Vectors
from datacomp.cluster.nearest import NEAR, dots

CHAINS = ("published", "kept")
BLOCK_ROWS = 8192
STRIP_ROWS = 256  # of a block: they are multiplied with what comes before them, so that hardly a pair is multiplied twice
_PAIRS = 1 << 14
_UNSURE = 2 * np.arccos(1 - NEAR)  # of the difference of two angles whose cosines are right to NEAR

Read = Callable[[int, int], Vectors]  # unit vectors (M, D) from a row to before another, the last block perhaps shorter


class _Rows(NamedTuple):
    """Some rows of a cluster."""

    vectors: Vectors  # (M, D)
    angles: Floats  # (M,), with one direction
    ignored: Mask  # (M,), what does not make a later one a duplicate

    def part(self, rows: slice | Integers) -> "_Rows":
        """Some of them."""
        return _Rows(self.vectors[rows], self.angles[rows], self.ignored[rows])


def duplicates(read: Read, rows: int, epsilon: float, chains: str = "published") -> Mask:
    """Whether each of a cluster's rows, those to keep first, has an earlier one with a cosine above 1 - epsilon: shape (rows,).

    As published, an earlier one counts although it is a duplicate itself, so that of a chain only the first is left. With chains="kept" only
    earlier ones that are kept count: more is left, and everything that is dropped is near something that is kept.

    Vectors are not multiplied where their angles with a third one differ by more than theirs may: in a cluster that is dense here and sparse there
    these are many, if the hardest or the easiest come first.
    """
    dropped = np.zeros(rows, bool)
    ignored = dropped if chains == "kept" else np.zeros(rows, bool)
    edge, angles = 1.0 - epsilon, np.empty(rows)
    for start in range(0, rows, BLOCK_ROWS):
        block = read(start, start + BLOCK_ROWS)
        if not start:
            middle = _middle(block)
        here, near = slice(start, start + len(block)), np.zeros(len(block), bool)
        angles[here] = np.arccos(np.clip(block @ middle, -1, 1))
        own = _Rows(block, angles[here], ignored[here])
        strips = np.split(np.arange(len(block)), range(STRIP_ROWS, len(block), STRIP_ROWS))
        for first in range(0, start, BLOCK_ROWS):
            before = slice(first, first + BLOCK_ROWS)
            if near.all() or ignored[before].all():
                continue
            earlier = _Rows(read(before.start, before.stop), angles[before], ignored[before])
            for strip in strips:
                left = strip[~near[strip]]
                near[left] = _any_near(earlier, own.part(left), edge)
        for strip in strips:
            left = strip[~near[strip]]
            near[left] = _any_near(own.part(slice(strip[0])), own.part(left), edge)
            dropped[start + strip] = _within(block[strip], near[strip], edge, chains)
    return dropped


def _middle(vectors: Vectors) -> Vectors:
    """The direction of the sum of unit vectors (N, D): (D,), of length one; that of the first where they cancel out."""
    middle: Vectors = vectors.sum(axis=0)
    length = np.linalg.norm(middle)
    return middle / length if length > NEAR else vectors[0]


def _reach(earlier: Floats, later: Floats, edge: float) -> slice:
    """From the first to the last of some rows that may have a cosine above the edge with one of others, by the angles of both (N,), (M,) with a third."""
    most = np.arccos(edge) + _UNSURE
    within = np.flatnonzero((earlier >= later.min() - most) & (earlier <= later.max() + most))
    return slice(within[0], within[-1] + 1) if len(within) else slice(0)


def _any_near(earlier: _Rows, later: _Rows, edge: float) -> Mask:
    """Whether each of some rows has an earlier one beyond the edge that is not ignored."""
    found = np.zeros(len(later.vectors), bool)
    if not len(found):
        return found
    reached = earlier.part(_reach(earlier.angles, later.angles, edge))
    others = reached.vectors[~reached.ignored] if reached.ignored.any() else reached.vectors
    if not len(others):
        return found
    products = others @ later.vectors.T
    nearest = products.max(axis=0)
    found = np.asarray(nearest > edge + NEAR)
    unsure = np.flatnonzero(~found & (nearest > edge - NEAR))
    if len(unsure):
        rows, columns = np.nonzero(products[:, unsure] > edge - NEAR)
        found[unsure[columns[_beyond(others, later.vectors[unsure], rows, columns, edge)]]] = True
    return found


def _beyond(earlier: Vectors, later: Vectors, rows: Integers, columns: Integers, edge: float) -> Mask:
    """Whether pairs are beyond the edge, by sums of their own."""
    found = np.empty(len(rows), bool)
    for start in range(0, len(rows), _PAIRS):
        part = slice(start, start + _PAIRS)
        found[part] = dots(earlier[rows[part]], later[columns[part]]) > edge
    return found


def _within(block: Vectors, near: Mask, edge: float, chains: str) -> Mask:
    """Add to what is near something before a block what is near an earlier row of its own."""
    products = block @ block.T
    columns, rows = np.divmod(np.flatnonzero(products > edge - NEAR), len(block))
    rows, columns = rows[rows < columns], columns[rows < columns]
    alike = products[columns, rows] > edge + NEAR
    unsure = np.flatnonzero(~alike)
    if chains == "published":  # pairs that cannot change anything are not looked at
        settled = near.copy()
        settled[columns[alike]] = True
        unsure = unsure[~settled[columns[unsure]]]
    alike[unsure] = _beyond(block, block, rows[unsure], columns[unsure], edge)
    rows, columns = rows[alike], columns[alike]
    dropped = near.copy()
    if chains == "published":
        dropped[columns] = True
        return dropped
    order = np.argsort(columns, kind="stable")
    later, starts = np.unique(columns[order], return_index=True)
    for column, earlier in zip(later, np.split(rows[order], starts[1:]), strict=False):  # in order: whether a row counts must be known before those after it
        dropped[column] |= not dropped[earlier].all()
    return dropped
