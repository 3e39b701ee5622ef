"""Soft cap sampling: good samples often, but not too often (FLYT, Shechter and Carmon 2025, arXiv 2503.08805).

Scores are logits. Samples are drawn in rounds, within a round each at most once, with the probabilities that softmax gives of the scores that are left; after
a round the scores of what was drawn fall by a penalty. Published: as many samples as the pool has, rounds of 100,000, a penalty of 0.15. Inputs: a score table.

A round is the largest sums of a logit and a Gumbel variate, which is the same as drawing one after the other without replacement. The variates are a hash of
seed, round and uid, so that the order of the pool's files does not matter. Memory grows with the pool, by some 100 bytes a row.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datacomp import draws, progress
from datacomp.artifacts import scores as passes
from datacomp.artifacts.pool import Block
from datacomp.artifacts.scores import ScoreTable
from datacomp.errors import FilterError
from datacomp.filters.base import Column, Multiplicity, Provenance, Scores
from datacomp.filters.clip_score import check_scored, read_scores
from datacomp.uids import UidArray


class SoftCap:
    """N * fraction samples, repetitions among them."""

    name = "soft_cap"
    columns = ("uid",)
    threaded = True

    def __init__(self, table: ScoreTable, fraction: float, penalty: float, round_samples: int, seed: int) -> None:
        self.table, self.fraction, self.penalty, self.round_samples, self.seed = table, fraction, penalty, round_samples, seed

    def score(self, block: Block) -> Scores:
        """The scores of the table."""
        return read_scores(self.table, block)

    def select(self, columns: Sequence[Column]) -> Iterator[Multiplicity]:
        """How often each row is drawn. N counts the rows that have a score."""
        check_scored(self.table, columns)
        logits = np.concatenate([np.asarray(column.scores, np.float64) for column in columns])
        uids = np.concatenate([column.uids for column in columns])
        there = np.flatnonzero(~np.isnan(logits))
        times = np.zeros(len(logits), np.int64)
        wanted = int(len(there) * self.fraction)
        if not wanted:
            raise FilterError(f"soft_cap would draw no sample of the {len(there):,} that have a score", repair="raise --fraction")
        times[there] = draw(logits[there], uids[there], wanted, self.round_samples, self.penalty, self.seed)
        ends = np.cumsum([len(column.scores) for column in columns])[:-1]
        return iter(np.split(times, ends))

    def provenance(self) -> Provenance:
        """The table and what it rests on."""
        return Provenance(*self.table.used())


def draw(logits: Scores, uids: UidArray, samples: int, round_samples: int, penalty: float, seed: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How often each of N rows is drawn, shape (N,); the sum is `samples`."""
    left, times = np.array(logits, np.float64), np.zeros(len(logits), np.int64)
    size = min(round_samples, len(logits))
    rounds = -(-samples // size)
    for number in progress.show(range(rounds), total=rounds, unit=" rounds", title="soft cap"):
        with np.errstate(divide="ignore"):
            keys = left - np.log(-np.log(draws.uniform(seed, "soft cap", number, uids["f0"], uids["f1"])))
        drawn = min(size, samples - number * size)
        picked = np.argpartition(-keys, drawn - 1)[:drawn]
        times[picked] += 1
        left[picked] -= penalty
    return times


def make(*, scores: str = "", score: str = "", fraction: float = 1.0, penalty: float = 0.15, round_samples: int = 100_000, seed: int = 0) -> SoftCap:
    """Draw a share of the pool with repetition, by a score table."""
    if not scores:
        raise FilterError("soft_cap needs scores", repair="add --scores TABLE")
    if not 0 < fraction < float("inf") or not 0 <= penalty < float("inf") or round_samples < 1:
        raise FilterError(
            f"fraction {fraction:g}, penalty {penalty:g} and rounds of {round_samples} came",
            allowed="a fraction above 0, a penalty of 0 or more, 1 sample or more a round",
        )
    return SoftCap(passes.open_table(Path(scores), score), fraction, penalty, round_samples, seed)
