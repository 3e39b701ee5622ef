"""Going through a pool's metadata with a list in hand: what there is, then everything that is counted and chosen on the way."""

from typing import Any, NamedTuple

import numpy as np
import polars as pl

from datacomp import draws, progress, tables, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts.list_report import MAX_TIMES
from datacomp.artifacts.pool import Pool, Span
from datacomp.errors import PoolError
from datacomp.subset import histograms
from datacomp.subset.frequent import Tally
from datacomp.subset.histograms import Counter, Mask, Numbers
from datacomp.subset.languages import Detector
from datacomp.subset.pairs import Lowest

MAX_SCORES = 6  # columns, by name
CANDIDATE_PAIRS, EDGE_PAIRS = 600, 8  # of each side
_CAPTION_CHARACTERS, _URL_CHARACTERS = 2000, 400  # of a chosen pair are kept
_DOMAIN = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?:[wW]{3}\.)?([^/?#:]+)"

SHORTER_SIDE, ASPECT, CHARACTERS, WORDS = "shorter side", "aspect ratio", "caption characters", "caption words"
_EDGES = {
    SHORTER_SIDE: histograms.of_whole_numbers((0, *(round(200 * 2 ** (quarter / 4)) for quarter in range(-8, 17)))),  # 50 to 3,200, through 200
    ASPECT: histograms.of_hundredths(range(100, 401, 10)),
    CHARACTERS: histograms.of_whole_numbers(range(0, 241, 6)),
    WORDS: histograms.of_whole_numbers(range(41)),
}


class Survey(NamedTuple):
    """What a pool's metadata has: rows, score columns with the range of each, and of the other columns whether they are there."""

    rows: int
    scores: dict[str, tuple[float, float]]
    more_scores: int  # columns beyond MAX_SCORES
    text: bool
    url: bool
    size: bool

    def columns(self) -> tuple[str, ...]:
        """What to read."""
        return (*self.scores, *["text"] * self.text, *["url"] * self.url, *["original_width", "original_height"] * self.size)


def survey(pool: Pool) -> Survey:
    """Look at the first file's columns and at all files' scores."""
    there = tables.columns(pool.metadata(pool.stems[0]))
    numeric = {name for name, kind in there.items() if kind.is_numeric()}
    strings = {name for name, kind in there.items() if kind == pl.String}
    found = sorted(name for name in numeric if name.startswith("clip_") and name.endswith("_similarity_score"))
    ranges = dict.fromkeys(found[:MAX_SCORES], (np.inf, -np.inf))
    rows = 0
    for span in progress.show(pools.spans(pool), total=len(pool.stems), unit=" files", title="survey pool"):
        rows += span.rows
        frame = _typed(pools.read_columns(pool, span, tuple(ranges)), pool, span.stem)
        for name, (low, high) in ranges.items():
            values = frame[name].to_numpy()
            values = values[histograms.usable(values)]
            ranges[name] = (min(low, values.min(initial=np.inf)), max(high, values.max(initial=-np.inf)))
    return Survey(
        rows=rows,
        scores={name: (float(low), float(high)) if low <= high else (0.0, 1.0) for name, (low, high) in ranges.items()},
        more_scores=max(0, len(found) - MAX_SCORES),
        text="text" in strings,
        url="url" in strings,
        size={"original_width", "original_height"} <= numeric,
    )


def _typed(frame: pl.DataFrame, pool: Pool, stem: str) -> pl.DataFrame:
    """The frame with strings as they are, and all else as numbers; a missing number is NaN."""
    strings = {"uid", "text", "url"}
    casts = [pl.col(name) if name in strings else pl.col(name).cast(pl.Float64).fill_null(float("nan")) for name in frame.columns]
    try:
        return frame.select(casts).cast({name: pl.String for name in strings if name in frame.columns})
    except pl.exceptions.PolarsError:
        raise PoolError(
            f"a column of {pool.metadata(stem)} has another type than in {pool.stems[0]}.parquet", repair="make or download this file again"
        ) from None


def _times(ids: uids.UidArray, listed: uids.UidArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How often the list names each row; asked in the list's order, which a mapped file answers three times as fast."""
    order = uids.order(ids)
    times = np.empty(len(ids), np.int64)
    times[order] = uids.count(ids[order], listed)
    return times


class Counting:
    """Everything that is counted and chosen while a pool streams by."""

    def __init__(self, found: Survey, seed: int) -> None:
        self.survey, self._seed = found, seed
        self.rows_by_times = np.zeros(MAX_TIMES + 1, np.int64)
        self.named_samples = 0
        self.scores = {name: Counter(name, histograms.of_scores(*span)) for name, span in found.scores.items()}
        self.lowest_kept = dict.fromkeys(found.scores, np.inf)
        self.highest_dropped = dict.fromkeys(found.scores, -np.inf)
        measured = [SHORTER_SIDE, ASPECT] * found.size + [CHARACTERS, WORDS] * found.text
        self.counters = {name: Counter(name, _EDGES[name]) for name in measured}
        self.languages = Detector(found.rows, seed) if found.text else None
        self.captions, self.domains = Tally() if found.text else None, Tally() if found.url else None
        self.at_random = {side: Lowest(CANDIDATE_PAIRS) for side in (True, False)}
        self.at_edge = {(name, side): Lowest(EDGE_PAIRS) for name in found.scores for side in (True, False)}

    def add(self, pool: Pool, span: Span, listed: uids.UidArray) -> None:
        """Go through some rows of a metadata file."""
        block = pools.read_block(pool, span, ("uid", *self.survey.columns()))
        frame = _typed(block.columns, pool, span.stem)
        times = _times(block.uids, listed)
        kept = times > 0
        self.rows_by_times += np.bincount(np.minimum(times, MAX_TIMES), minlength=MAX_TIMES + 1)
        self.named_samples += int(times.sum())
        self._count(frame, block.uids, kept)
        self._choose(frame.with_columns(pl.Series("times", times), pl.lit(span.stem).alias("stem")), block.uids, kept)

    def _count(self, frame: pl.DataFrame, ids: uids.UidArray, kept: Mask) -> None:
        for name, values in self._quantities(frame).items():
            self.counters[name].add(values, kept)
        for name in self.scores:
            values = frame[name].to_numpy()
            self.scores[name].add(values, kept)
            there = histograms.usable(values)
            self.lowest_kept[name] = min(self.lowest_kept[name], values[there & kept].min(initial=np.inf))
            self.highest_dropped[name] = max(self.highest_dropped[name], values[there & ~kept].max(initial=-np.inf))
        if self.languages and self.captions:
            self.languages.add(ids, frame["text"], kept)
            stripped = frame["text"].str.strip_chars()
            self.captions.add(stripped.set(stripped == "", None), kept)
        if self.domains:
            self.domains.add(frame["url"].str.extract(_DOMAIN).str.to_lowercase(), kept)

    def _quantities(self, frame: pl.DataFrame) -> dict[str, Numbers]:
        found: dict[str, Any] = {}
        if self.survey.size:
            width, height = (frame[f"original_{side}"].to_numpy() for side in ("width", "height"))
            sized = (width > 0) & (height > 0)
            shorter = np.where(sized, np.minimum(width, height), np.nan)
            found |= {SHORTER_SIDE: shorter, ASPECT: np.maximum(width, height) / shorter}
        if self.survey.text:
            for name, lengths in ((CHARACTERS, frame["text"].str.len_chars()), (WORDS, frame["text"].str.count_matches(r"\S+"))):
                found[name] = lengths.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return found

    def _choose(self, frame: pl.DataFrame, ids: uids.UidArray, kept: Mask) -> None:
        if self.survey.text:
            frame = frame.with_columns(pl.col("text").str.slice(0, _CAPTION_CHARACTERS), pl.col("text").str.len_chars().alias("characters"))
        if self.survey.url:
            frame = frame.with_columns(pl.col("url").str.slice(0, _URL_CHARACTERS))
        keys = draws.bits(self._seed, "pairs", ids["f0"], ids["f1"])
        for side, mine in ((True, kept), (False, ~kept)):
            self.at_random[side].add(frame, keys, mine)
            for name in self.scores:
                values = frame[name].to_numpy()
                self.at_edge[name, side].add(frame, values if side else -values, mine & histograms.usable(values))
