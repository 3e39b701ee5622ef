"""DataComp's basic filter: English captions of a certain length, pictures of a certain size and shape (section 4.1).

A row is kept if fastText's lid.176 calls its caption English, the caption has more than 2 words and more than 5 characters, the
picture's shorter side has at least 200 pixels and its longer side is at most 3 times as long. The cheap rules come first.
"""

import numpy as np
import polars as pl

from datacomp.artifacts.pool import Block
from datacomp.declared import asset as assets
from datacomp.errors import FilterError
from datacomp.filters.base import Provenance, RowFilter, Scores

MIN_WORDS, MIN_CHARACTERS = 3, 6
MIN_SIDE_PIXELS, MAX_ASPECT = 200, 3.0
LANGUAGE_MODELS = {"bin": "lid.176.bin", "ftz": "lid.176.ftz"}
_ENGLISH = "__label__en"


class BasicFilter(RowFilter):
    """The basic filter with one of fastText's two language models; they disagree on some captions, so each is a filter of its own."""

    columns = ("text", "original_width", "original_height")

    def __init__(self, language_model: str) -> None:
        import fasttext

        self.name = "basic_filter" if language_model == "bin" else f"basic_filter[{language_model}]"
        self._asset = assets.load(LANGUAGE_MODELS[language_model])
        self._model = fasttext.load_model(str(assets.locate(self._asset)))

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
        captions = block.columns["text"].to_list()
        for row in np.flatnonzero(kept):
            kept[row] = len(captions[row].split()) >= MIN_WORDS and self._is_english(captions[row])
        return np.asarray(kept)

    def _is_english(self, caption: str) -> bool:
        labels, _ = self._model.predict(caption.replace("\n", " "), k=1)
        return bool(labels) and labels[0] == _ENGLISH

    def provenance(self) -> Provenance:
        """The language model."""
        return Provenance({self._asset.name: self._asset.sha256}, (f"fastText {self._asset.name}",))


def make(*, language_model: str = "bin") -> BasicFilter:
    """Keep English captions of a certain length with pictures of a certain size."""
    if language_model not in LANGUAGE_MODELS:
        raise FilterError(f"{language_model!r} is no language model of basic_filter", allowed=", ".join(LANGUAGE_MODELS))
    return BasicFilter(language_model)
