"""Several scores made one, by rank or by weight. What lacks one of them has none.

By weight: the weighted mean of scores, as they are, or brought to [0, 1] (`minmax`; SIEVE joins its score with the CLIP score like that, half and half: Mahmoud
et al. 2023, arXiv 2310.02110), or to mean 0 and deviation 1 (`standard`; M-FLYT weighs such scores: Shechter and Carmon 2025, arXiv 2503.08805). By rank: the
weighted mean of each score's rank, the share of all that score lower (equal scores have the same): as in Borda's count, only the order of scores has
a say. Inputs: score tables of one pool, each with a weight.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from datacomp import files, sorting, tables, uids
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.scores import Scores, ScoreTable, Used
from datacomp.errors import StageError
from datacomp.score import made
from datacomp.score.base import Vectors
from datacomp.score.made import Part

BY_RANK, BY_WEIGHT = "rank", "weight"
NORMALISE = ("none", "minmax", "standard")


class Weighted(NamedTuple):
    """A table and what its score counts."""

    table: ScoreTable
    weight: float


class _Line(NamedTuple):
    """What a score is brought to: (score - zero) / one."""

    zero: float
    one: float


def make(pool: Pool, scores: Sequence[Weighted], out: Path, *, by: str, normalise: str = "none") -> Scores:
    """Write the table. Raises StageError for fewer than two scores, weights that are none, and a normalisation of ranks."""
    _check(scores, by, normalise)
    weights = np.array([score.weight for score in scores])
    with files.writing(out), files.scratch(out) as scratch:
        options = {"by": by, "normalise": normalise} | {f"weight_{place}": score.weight for place, score in enumerate(scores, 1)}
        used = [score.table.used() for score in scores]
        assets = {name: sha256 for one in used for name, sha256 in one.assets.items()}
        resources = tuple(dict.fromkeys(resource for one in used for resource in one.external_resources))
        order = {f"table_{place}": _digest(one) for place, one in enumerate(used, 1)}  # which weight is whose
        inputs = made.making(pool, scratch, "fused scores", options | order, Used(assets, resources))
        read = _Read(pool, scores, scratch)
        if by == BY_RANK:
            ranked = [_ranks(read, place, scratch) for place in range(len(scores))]
        else:
            lines = [_line(read, place, normalise) for place in range(len(scores))]
        starts = dict(zip(pool.stems, np.cumsum([0, *(len(read.uids(stem)) for stem in pool.stems)])[:-1].tolist(), strict=True))

        def answer(group: Sequence[str]) -> list[Part]:
            parts = []
            for stem in group:
                columns = read.columns(stem)  # (tables, N)
                if by == BY_RANK:
                    place = slice(starts[stem], starts[stem] + columns.shape[1])
                    columns = np.where(np.isnan(columns), np.nan, np.stack([ranks[place] for ranks in ranked]))
                else:
                    columns = np.stack([(column - line.zero) / line.one for column, line in zip(columns, lines, strict=True)])
                parts.append(Part(stem, read.uids(stem), weights @ columns / weights.sum()))
            return parts

        return made.write(out, inputs, [(stem,) for stem in pool.stems], answer, by_metadata_file=True)


def _check(scores: Sequence[Weighted], by: str, normalise: str) -> None:
    if by not in (BY_RANK, BY_WEIGHT) or normalise not in NORMALISE or (by == BY_RANK and normalise != "none"):
        raise StageError(f"--by {by} --normalise {normalise} came", allowed=f"--by {BY_RANK}, or --by {BY_WEIGHT} --normalise {', '.join(NORMALISE)}")
    if len(scores) < 2 or not all(np.isfinite(score.weight) for score in scores) or not sum(score.weight for score in scores) > 0:
        raise StageError(
            f"{len(scores)} scores came, of weights {', '.join(f'{score.weight:g}' for score in scores)}",
            allowed="two or more, whose weights add up to more than 0",
        )


def _digest(used: Used) -> str:
    return next(iter(used.assets.values()))


class _Read:
    """All scores of a pool's files."""

    def __init__(self, pool: Pool, scores: Sequence[Weighted], scratch: Path) -> None:
        self._pool, self._scores, self.scratch = pool, scores, scratch

    def uids(self, stem: str) -> Any:
        """The uids of a metadata file."""
        return tables.read_parquet(self._pool.metadata(stem), ["uid"])["uid"]

    def column(self, place: int, stem: str) -> Vectors:
        """One table's scores of a metadata file, NaN where there is none."""
        table = self._scores[place].table
        wanted = self.uids(stem).to_frame()
        found = wanted.join(table.look_up(stem, wanted["uid"]), on="uid", how="left", maintain_order="left")[table.column]
        if not found.dtype.is_numeric():
            raise StageError(f"column {table.column} of {table.path} holds {found.dtype}", allowed="a column of numbers")
        numbers: Vectors = found.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return numbers

    def columns(self, stem: str) -> Vectors:
        """All tables' scores of a metadata file, (tables, N)."""
        return np.stack([self.column(place, stem) for place in range(len(self._scores))])

    def whole(self, place: int) -> Iterator[Vectors]:
        """One table's scores, file by file."""
        return (self.column(place, stem) for stem in self._pool.stems)


def _line(read: _Read, place: int, normalise: str) -> _Line:
    if normalise == "none":
        return _Line(0.0, 1.0)
    count, total, squares, least, most = 0, 0.0, 0.0, np.inf, -np.inf
    for column in read.whole(place):
        there = column[~np.isnan(column)]
        if len(there):
            count, total, squares = count + len(there), total + float(there.sum()), squares + float((there**2).sum())
            least, most = min(least, float(there.min())), max(most, float(there.max()))
    if not count or least == most:
        raise StageError(f"score {place + 1} has {'no number for this pool' if not count else 'the same number for all'}", repair="leave it out")
    mean = total / count
    return _Line(least, most - least) if normalise == "minmax" else _Line(mean, float(np.sqrt(max(squares / count - mean**2, 0.0))))


def _ranks(read: _Read, place: int, scratch: Path) -> Any:
    """For each row of the pool the share of scored rows that score lower, in a file that is mapped: sorted on the disk."""
    runs: list[Path] = []
    rows = 0
    for column in read.whole(place):
        there = np.flatnonzero(~np.isnan(column))
        records = np.empty(len(there), uids.UID)
        records["f0"], records["f1"] = _ascending(column[there]), there + rows
        rows += len(column)
        runs.append(scratch / f"run-{place}-{len(runs)}")
        sorting.write_run(runs[-1], records)
    ranks = np.memmap(scratch / f"ranks-{place}", np.float64, "w+", shape=(max(rows, 1),))
    before, last, lower = 0, None, 0
    for block in sorting.merge(runs):
        keys = block["f0"]
        firsts = np.flatnonzero(np.concatenate([[last is None or keys[0] != last], keys[1:] != keys[:-1]]))
        found = np.full(len(keys), lower, np.int64)
        for_each = np.searchsorted(firsts, np.arange(len(keys)), side="right") - 1
        found[for_each >= 0] = before + firsts[for_each[for_each >= 0]]
        ranks[block["f1"].astype(np.int64)] = found
        before, last, lower = before + len(keys), keys[-1], int(found[-1])
    if not before:
        raise StageError(f"score {place + 1} has no number for this pool", repair="leave it out")
    ranks /= before
    return ranks


def _ascending(scores: Vectors) -> Any:
    """Unsigned numbers in the order of the scores."""
    bits = np.add(scores, 0.0, dtype=np.float64).view(np.int64)  # -0 becomes 0, its equal
    return np.where(bits < 0, ~bits, bits ^ np.int64(-(2**63))).view(np.uint64)
