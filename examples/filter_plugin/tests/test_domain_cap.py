"""The filter on a few rows, without a pool on disk."""

from pathlib import Path

import numpy as np
import polars as pl
from datacomp_domain_cap import make

from datacomp.artifacts.pool import Block, Span
from datacomp.filters.base import Column

URLS = ["https://www.a.org/1", "http://a.org/2", "https://a.org:80/3", "https://b.net/1", "https://shutterstock.com/1", None]
SCORES = [0.1, 0.3, 0.2, 0.1, 0.9, 0.5]


def test_the_best_of_each_domain_are_kept():
    frame = pl.DataFrame({"uid": [f"{row:032x}" for row in range(len(URLS))], "url": URLS, "clip_l14_similarity_score": SCORES})
    block = Block(frame, Span("a", 0, len(frame), len(frame)), Path("no-table.parquet"))
    made = make(samples=2)
    (kept,) = made.select([Column(block, made.score(block))])
    assert np.flatnonzero(kept).tolist() == [1, 2, 3, 5]
