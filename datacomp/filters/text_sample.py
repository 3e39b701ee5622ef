"""DataComp's text-based sampling: samples drawn with replacement, each as likely as its caption's concepts are rare (section 4.1, appendix).

A caption's concepts are the synsets of ImageNet-21k that it names, as the text-based filter finds them. With N_j samples that name concept j, a
sample's weight is the mean, or the largest, of N_j^(alpha - 1) over its concepts: alpha 0 balances concepts, alpha 1 draws all alike. A sample is
drawn at most 100 times, as in the paper.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from datacomp import draws, tables, uids
from datacomp.artifacts.pool import Block
from datacomp.errors import FilterError
from datacomp.filters.base import Column, Multiplicity, Provenance, Scores
from datacomp.filters.text_based import TextBased

MOST_TIMES = 100
AVERAGES = ("mean", "max")
MOST_ALPHA = 5  # powers beyond it leave what a number can hold


class TextSample:
    """An exact number of draws among the captions that name something."""

    columns = ("text",)

    def __init__(self, count: int, alpha: float, average: str, most: int, seed: int, language_model: str) -> None:
        self._matched = TextBased(language_model)
        self.name = self._matched.name.replace("text_based", "text_sample")
        self.count, self.alpha, self.average, self.most, self.seed = count, alpha, average, most, seed

    def score(self, block: Block) -> Scores:
        """Whether the text-based filter keeps a row."""
        return self._matched.score(block)

    def select(self, columns: Sequence[Column]) -> Iterator[Multiplicity]:
        """Draw among the rows that it keeps."""
        named, row, concept = self._concepts(columns)
        if self.count > self.most * len(named):
            raise FilterError(f"{self.count:,} draws were asked for of {len(named):,} samples up to {self.most} times each", repair="lower --count")
        order = uids.order(named)
        drawn = np.empty(len(named), np.int64)  # in the order of uids: that of the pool's files changes nothing
        drawn[order] = draws.repeats(self._weights(row, concept, len(named))[order], self.count, self.most, self.seed, "text sample")
        return _spread(columns, drawn)

    def _concepts(self, columns: Sequence[Column]) -> tuple[uids.UidArray, np.ndarray, np.ndarray]:
        """The uids of the rows that take part, and for each pair of such a row and a concept of it the row and the concept."""
        named, rows, concepts = [np.empty(0, uids.UID)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        start = 0
        for column in columns:
            span, kept = column.block.span, np.asarray(column.scores, bool)
            captions = tables.read_parquet(column.block.table, ["text"], start=span.start, rows=span.rows)["text"].gather(np.flatnonzero(kept)).to_list()
            found = [sorted(self._matched.concepts(caption)) for caption in captions]
            rows.append(start + np.repeat(np.arange(len(found)), [len(one) for one in found]))
            concepts.append(np.array([concept for one in found for concept in one], np.int64))
            named.append(column.uids[kept])
            start += len(found)
        return np.concatenate(named), np.concatenate(rows), np.concatenate(concepts)

    def _weights(self, row: np.ndarray, concept: np.ndarray, count: int) -> np.ndarray:
        _, place, samples = np.unique(concept, return_inverse=True, return_counts=True)
        rarity = (samples ** (self.alpha - 1.0))[place]
        if self.average == "mean":
            return np.asarray(np.bincount(row, weights=rarity, minlength=count) / np.bincount(row, minlength=count))
        weights = np.zeros(count)
        np.maximum.at(weights, row, rarity)
        return weights

    def provenance(self) -> Provenance:
        """What the text-based filter uses."""
        return self._matched.provenance()


def _spread(columns: Sequence[Column], drawn: Multiplicity) -> Iterator[Multiplicity]:
    start = 0
    for column in columns:
        times = np.zeros(len(column.scores), np.int64)
        rows = np.flatnonzero(column.scores)
        times[rows] = drawn[start : start + len(rows)]
        start += len(rows)
        yield times


def make(
    *, count: int | None = None, alpha: float = 0.0, average: str = "mean", most_times: int = MOST_TIMES, seed: int = 0, language_model: str = "bin"
) -> TextSample:
    """Draw samples with replacement, those with rare concepts more often."""
    if count is None or count < 1 or most_times < 1:
        raise FilterError(f"text_sample draws --count samples, each up to {most_times} times; {count} came", repair="add --count, as in: --count 30000")
    if average not in AVERAGES or not 0 <= alpha <= MOST_ALPHA:
        raise FilterError(f"--average {average} and --alpha {alpha:g} came", allowed=f"{', '.join(AVERAGES)}; 0 to {MOST_ALPHA}")
    return TextSample(count, alpha, average, most_times, seed, language_model)
