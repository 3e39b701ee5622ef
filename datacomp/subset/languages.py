"""In which languages a pool's captions are, as fastText's small model sees it, on a random part of a large pool."""

import numpy as np
import polars as pl

from datacomp import draws, uids
from datacomp.declared import asset as assets
from datacomp.records import Count, Record
from datacomp.subset.frequent import Name, Tally
from datacomp.subset.histograms import Mask, Split

MODEL = "lid.176.ftz"
SAMPLED_ROWS = 200_000  # about so many rows are looked at
_LABEL = "__label__"
_SHOWN = 12


class Languages(Record):
    """The languages of captions."""

    model: str
    rows: Count  # that were looked at: all of them, or a random sample
    sampled: bool
    most: tuple[Name, ...]  # by their codes
    other: Split  # rows in less frequent ones
    missing: Split  # rows without a caption


class Detector:
    """Languages that are counted block by block; which rows are looked at depends on their uids and the seed alone."""

    def __init__(self, rows: int, seed: int) -> None:
        import fasttext

        self._model = fasttext.load_model(str(assets.locate(assets.load(MODEL))))
        self._share, self._seed = min(1.0, SAMPLED_ROWS / max(rows, 1)), seed
        self._tally = Tally()
        self._counted = np.zeros(2, np.int64)  # dropped, kept

    def add(self, ids: uids.UidArray, captions: pl.Series, kept: Mask) -> None:
        """Detect the languages of some rows' captions."""
        looked_at = draws.uniform(self._seed, "language", ids["f0"], ids["f1"]) < self._share
        self._tally.add(pl.Series([self._detect(caption) for caption in captions.filter(looked_at)], dtype=pl.String), kept[looked_at])
        self._counted += (np.count_nonzero(looked_at & ~kept), np.count_nonzero(looked_at & kept))

    def _detect(self, caption: str | None) -> str | None:
        if caption is None or not caption.strip():
            return None
        labels, _ = self._model.predict(caption.replace("\n", " "), k=1)
        return labels[0].removeprefix(_LABEL) if labels else None

    def languages(self) -> Languages:
        """What was found."""
        most, missing = self._tally.most(_SHOWN), self._tally.missing()
        dropped, kept = (int(number) for number in self._counted)
        return Languages(
            model=MODEL,
            rows=kept + dropped,
            sampled=self._share < 1,
            most=most,
            other=Split(
                kept=kept - missing.kept - sum(name.counted.kept for name in most),
                dropped=dropped - missing.dropped - sum(name.counted.dropped for name in most),
            ),
            missing=missing,
        )
