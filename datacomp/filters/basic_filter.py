"""DataComp's basic filter: English captions of a certain length, pictures of a certain size and shape (section 4.1).

A row is kept if fastText's lid.176 calls its caption English, the caption has more than 2 words and more than 5 characters, the
picture's shorter side has at least 200 pixels and its longer side is at most 3 times as long. The cheap rules come first.
"""

import numpy as np
import polars as pl

from datacomp.artifacts.pool import Block
from datacomp.filters import language
from datacomp.filters.base import Provenance, RowFilter, Scores

MIN_WORDS, MIN_CHARACTERS = 3, 6
MIN_SIDE_PIXELS, MAX_ASPECT = 200, 3.0


class BasicFilter(RowFilter):
    """The basic filter with one of fastText's language models."""

    columns = ("text", "original_width", "original_height")

    def __init__(self, language_model: str) -> None:
        self.name = language.variant("basic_filter", language_model)
        self._language = language.FastText(language_model)

    def score(self, block: Block) -> Scores:
        """Whether each row passes every rule."""
        width, height = pl.col("original_width"), pl.col("original_height")
        shorter, longer = pl.min_horizontal(width, height), pl.max_horizontal(width, height)
        sized = (
            width.is_not_null()
            & height.is_not_null()
            & (shorter >= MIN_SIDE_PIXELS)
            & (longer <= MAX_ASPECT * shorter)
            & (pl.col("text").str.len_chars() >= MIN_CHARACTERS)
        )
        kept = block.columns.select(sized.fill_null(value=False)).to_series().to_numpy().copy()
        rows = np.flatnonzero(kept)
        captions = block.columns["text"].gather(rows).to_list()
        worded = np.fromiter((len(caption.split()) >= MIN_WORDS for caption in captions), bool, len(captions))
        kept[rows] = worded
        kept[rows[worded]] = self._language.english([caption for caption, long in zip(captions, worded, strict=True) if long])
        return np.asarray(kept)

    def provenance(self) -> Provenance:
        """The language model."""
        return self._language.provenance()


def make(*, language_model: str = "bin") -> BasicFilter:
    """Keep English captions of a certain length with pictures of a certain size."""
    return BasicFilter(language_model)
