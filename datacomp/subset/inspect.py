"""What a list did to a pool, in numbers and in some pairs to look at.

The pool streams by, so memory grows with neither pool nor list. Pool, lists and seed determine every number and every chosen pair.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datacomp import progress
from datacomp.artifacts import pool as pools
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.subset import Subset, SubsetRecord
from datacomp.errors import PoolError, SubsetError
from datacomp.records import Count, Record
from datacomp.subset import algebra, counting, pairs
from datacomp.subset.counting import Counting
from datacomp.subset.frequent import Names
from datacomp.subset.histograms import Histogram, Split
from datacomp.subset.languages import Languages
from datacomp.subset.pairs import Found, Pair

WALL_PAIRS = 24  # of each side


class Score(Record):
    """A score column against the list."""

    histogram: Histogram
    lowest_kept: float | None
    highest_dropped: float | None

    @property
    def has_edge(self) -> bool:
        """Whether the list is a top part by this score: nothing dropped is above anything kept."""
        if self.lowest_kept is None or self.highest_dropped is None or self.histogram.missing.kept:
            return False
        return self.lowest_kept >= self.highest_dropped


class Compared(Record):
    """What the list shares with another; `expected_distinct` is what it would share if both were drawn from the pool at random."""

    name: str
    record: SubsetRecord
    shared_samples: Count
    shared_distinct: Count
    expected_distinct: float
    jaccard: float


class Times(Record):
    """How many rows the list names so often, the last of all so often or more often."""

    times: Count
    rows: Count


class Inspection(Record):
    """The numbers. Rows are the pool's, counted once however often the list repeats them."""

    name: str
    pool: str
    seed: int
    record: SubsetRecord
    rows: Split
    times: tuple[Times, ...]
    scores: tuple[Score, ...]
    more_scores: Count  # columns that are not shown
    histograms: tuple[Histogram, ...]
    languages: Languages | None
    captions: Names | None
    domains: Names | None
    overlaps: tuple[Compared, ...]


class Shown(NamedTuple):
    """A pair with its small picture: a data: address, empty if it is broken, None if it was not found."""

    pair: Pair
    picture: str | None


class Wall(NamedTuple):
    """Pairs that belong together."""

    kept: tuple[Shown, ...]
    dropped: tuple[Shown, ...]


class Inspected(NamedTuple):
    """Everything the page shows."""

    numbers: Inspection
    at_random: Wall
    at_edges: dict[str, Wall]  # by score column, nearest to the edge first
    searched_tars: int
    all_tars: int
    lacking_pictures: bool  # some pair's picture was not found there


def inspect(pool: Pool, listed: Subset, others: Sequence[Subset] = (), *, seed: int = 0) -> Inspected:
    """Look at what a list keeps of a pool and what it drops.

    Raises SubsetError for a list with uids that the pool does not hold, PoolError for a pool that holds a uid twice.
    """
    counted = Counting(counting.survey(pool), seed)
    for span in progress.show(pools.spans(pool), total=len(pool.stems), unit=" files", title="inspect"):
        counted.add(pool, span, listed.uids)
    _check_belongs(pool, listed, counted)
    numbers = _numbers(pool, listed, others, counted, seed)
    random = {side: counted.at_random[side].pairs() for side in (True, False)}
    edged = [score.histogram.name for score in numbers.scores if score.has_edge]
    edges = {(name, side): counted.at_edge[name, side].pairs() for name in edged for side in (True, False)}
    wanted = [pair for chosen in (*edges.values(), *(candidates[:WALL_PAIRS] for candidates in random.values())) for pair in chosen]
    found = pairs.find(pool, wanted, [pair for candidates in random.values() for pair in candidates], seed)
    return Inspected(
        numbers=numbers,
        at_random=Wall(*(_shown(_found_first(random[side], found), found) for side in (True, False))),
        at_edges={name: Wall(*(_shown(edges[name, side], found) for side in (True, False))) for name in edged},
        searched_tars=found.searched_tars,
        all_tars=found.all_tars,
        lacking_pictures=any(pair.uid not in found.places for pair in wanted),
    )


def _check_belongs(pool: Pool, listed: Subset, counted: Counting) -> None:
    """Every uid of the list is one row of the pool."""
    if (foreign := len(listed.uids) - counted.named_samples) > 0:
        mended = listed.path.with_stem(f"{listed.path.stem}-mended")
        raise SubsetError(
            f"{foreign:,} of the {len(listed.uids):,} uids of {listed.path} are not in the pool at {pool.path}",
            allowed="uids of that pool",
            repair=f"give the pool that the list was made from, or: datacomp subset repair {listed.path} --pool {pool.path} --out {mended}",
        )
    if foreign or int(counted.rows_by_times[1:].sum()) > listed.record.distinct_samples:
        raise PoolError(f"the pool at {pool.path} has several rows with one uid", allowed="each uid once", repair="make or download the pool again")


def _numbers(pool: Pool, listed: Subset, others: Sequence[Subset], counted: Counting, seed: int) -> Inspection:
    dropped, *kept = (int(rows) for rows in counted.rows_by_times)
    rows = Split(kept=sum(kept), dropped=dropped)
    return Inspection(
        name=_name(listed.path),
        pool=pool.record.name if pool.record else _name(pool.path.resolve()),
        seed=seed,
        record=listed.record,
        rows=rows,
        times=tuple(Times(times=times, rows=found) for times, found in enumerate(kept, 1) if found),
        scores=tuple(
            Score(histogram=counter.histogram(), lowest_kept=_finite(counted.lowest_kept[name]), highest_dropped=_finite(counted.highest_dropped[name]))
            for name, counter in counted.scores.items()
        ),
        more_scores=counted.survey.more_scores,
        histograms=tuple(counter.histogram() for counter in counted.counters.values()),
        languages=counted.languages.languages() if counted.languages else None,
        captions=counted.captions.names() if counted.captions else None,
        domains=counted.domains.names() if counted.domains else None,
        overlaps=tuple(_compare(listed, other, rows.rows) for other in others),
    )


def _name(path: Path) -> str:
    """A file's name without its ending; it may hold bytes that are no text."""
    return path.stem.encode("utf-8", "replace").decode()


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _compare(listed: Subset, other: Subset, pool_rows: int) -> Compared:
    found = algebra.overlap(listed, other)
    return Compared(
        name=_name(other.path),
        record=other.record,
        shared_samples=found.shared_samples,
        shared_distinct=found.shared_distinct,
        expected_distinct=found.first_distinct * found.second_distinct / pool_rows,
        jaccard=found.jaccard,
    )


def _found_first(candidates: Sequence[Pair], found: Found) -> list[Pair]:
    """The first pairs whose pictures were found; without enough of them, others fill up."""
    return sorted(candidates, key=lambda pair: pair.uid not in found.places)[:WALL_PAIRS]


def _shown(chosen: Sequence[Pair], found: Found) -> tuple[Shown, ...]:
    return tuple(Shown(pair, pairs.thumbnail(found.places[pair.uid]) if pair.uid in found.places else None) for pair in chosen)
