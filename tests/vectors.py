"""Pools of vectors for the tests of clusters: metadata and features, no pictures."""

import numpy as np
import polars as pl

from datacomp import tables, uids
from datacomp.artifacts import pool as pools

SCORE = "clip_l14_similarity_score"


def names(rows, seed=0):
    """Uids as hashes are: spread over all numbers, in no order."""
    numbers = np.random.default_rng(seed).integers(0, 2**63, size=(rows, 2), dtype=np.uint64)
    return [f"{upper:016x}{lower:016x}" for upper, lower in numbers.tolist()]


def write_pool(folder, vectors, *, named=None, files=3, scores=None):
    """A pool whose features are these vectors, in so many files."""
    named = named or names(len(vectors))
    scores = np.linspace(0, 1, len(vectors)) if scores is None else scores
    for number, rows in enumerate(np.array_split(np.arange(len(vectors)), files)):
        frame = {"uid": [named[row] for row in rows], SCORE: np.asarray(scores)[rows], "text": ["a photo of a red fox"] * len(rows)}
        tables.write_parquet(folder / "metadata" / f"{number:08}.parquet", pl.DataFrame(frame))
        tables.write_npz(folder / "metadata" / f"{number:08}.npz", {"l14_img": vectors[rows]})
    return pools.read(folder)


def blobs(rows, kinds=8, dimensions=12, spread=0.3, seed=0):
    """Vectors about some directions, some wider spread than others."""
    numbers = np.random.default_rng(seed)
    centres = numbers.normal(size=(kinds, dimensions))
    kind = numbers.integers(0, kinds, rows)
    return (centres[kind] + (spread * (1 + kind / kinds))[:, None] * numbers.normal(size=(rows, dimensions))).astype(np.float32)


def kept(subset):
    """The uids of a list as text, each as often as it is listed."""
    return uids.text(subset.uids)
