"""Near duplicates within one cluster, exactly, in memory that does not grow with the cluster (SemDeDup, Abbas et al. 2023)."""

from collections.abc import Callable

import numpy as np
from scipy.linalg.blas import ssyrk

from datacomp.artifacts.clusters import Integers
from datacomp.artifacts.pool import Mask
from datacomp.cluster.embeddings import Vectors
from datacomp.cluster.nearest import NEAR, dots

CHAINS = ("published", "kept")
BLOCK_ROWS = 2048
_PAIRS = 1 << 14

Read = Callable[[int, int], Vectors]  # unit vectors (M, D) from a row to before another, the last block perhaps shorter


def duplicates(read: Read, rows: int, epsilon: float, chains: str = "published") -> Mask:
    """Whether each of a cluster's rows, those to keep first, has an earlier one with a cosine above 1 - epsilon: shape (rows,).

    As published, an earlier one counts although it is a duplicate itself, so that of a chain only the first is left. With chains="kept" only
    earlier ones that are kept count: more is left, and everything that is dropped is near something that is kept.
    """
    dropped = np.zeros(rows, bool)
    edge = 1.0 - epsilon
    for start in range(0, rows, BLOCK_ROWS):
        block = read(start, start + BLOCK_ROWS)
        near = np.zeros(len(block), bool)
        for before in range(0, start, BLOCK_ROWS):
            counted = ~dropped[before : before + BLOCK_ROWS] if chains == "kept" else np.ones(BLOCK_ROWS, bool)
            if near.all() or not counted.any():
                continue
            left = np.flatnonzero(~near)
            near[left] = _any_near(read(before, before + BLOCK_ROWS)[counted], block[left], edge)
        dropped[start : start + len(block)] = _within(block, near, edge, chains)
    return dropped


def _any_near(earlier: Vectors, block: Vectors, edge: float) -> Mask:
    """Whether each vector of a block has an earlier one beyond the edge."""
    products = earlier @ block.T
    nearest = products.max(axis=0)
    found: Mask = nearest > edge + NEAR
    unsure = np.flatnonzero(~found & (nearest > edge - NEAR))
    if len(unsure):
        rows, columns = np.nonzero(products[:, unsure] > edge - NEAR)
        found[unsure[columns[_beyond(earlier, block[unsure], rows, columns, edge)]]] = True
    return found


def _beyond(earlier: Vectors, later: Vectors, rows: Integers, columns: Integers, edge: float) -> Mask:
    """Whether pairs are beyond the edge, by sums of their own."""
    found = np.empty(len(rows), bool)
    for start in range(0, len(rows), _PAIRS):
        part = slice(start, start + _PAIRS)
        found[part] = dots(earlier[rows[part]], later[columns[part]]) > edge
    return found


def _within(block: Vectors, near: Mask, edge: float, chains: str) -> Mask:
    """Add to what is near an earlier block what is near an earlier row of its own."""
    products = ssyrk(1.0, block.T, trans=1).T  # each pair once: those of a row with earlier ones, the others are 0
    columns, rows = np.divmod(np.flatnonzero(products > edge - NEAR), len(block))  # one look at all pairs; what follows is about few
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
