"""Near duplicates within one cluster, exactly, in memory that does not grow with the cluster (SemDeDup, Abbas et al. 2023)."""

from collections.abc import Callable

import numpy as np

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
    products = block @ block.T
    alike = np.triu(products > edge + NEAR, 1)
    rows, columns = np.nonzero(np.triu((products > edge - NEAR) & (products <= edge + NEAR), 1))
    if chains == "published":  # pairs that cannot change anything are not looked at
        open_ = ~(near | alike.any(axis=0))[columns]
        rows, columns = rows[open_], columns[open_]
    beyond = _beyond(block, block, rows, columns, edge)
    alike[rows[beyond], columns[beyond]] = True
    if chains == "published":
        return np.asarray(near | alike.any(axis=0))
    dropped = near.copy()
    for row in np.flatnonzero(alike.any(axis=0)):  # in order: whether a row counts must be known before those after it
        dropped[row] |= bool((alike[:row, row] & ~dropped[:row]).any())
    return dropped
