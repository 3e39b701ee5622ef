"""The filter of LAION-2B as DataComp reproduces it (section 4.1): English captions by gcld3, CLIP score B/32 of at least 0.28."""

from typing import Any

import numpy as np

from datacomp.artifacts.pool import Block, Mask
from datacomp.errors import FilterError
from datacomp.filters import language
from datacomp.filters.base import Provenance, RowFilter, Scores

SCORE, THRESHOLD = "clip_b32_similarity_score", 0.28
MAX_CAPTION_BYTES = 1000  # what gcld3 looks at, as the published code asks it
_MODELS = ("gcld3", *language.MODELS)


class Gcld3:
    """Google's compact language detector, version 3, if its package is installed."""

    def __init__(self) -> None:
        try:
            import gcld3
        except ImportError:
            raise FilterError(
                "laion2b needs the package gcld3, which is not installed",
                repair="apt-get install protobuf-compiler libprotobuf-dev, then pip install gcld3; or take the similar filter 'laion2b[ftz]'",
            ) from None
        self._model: Any = gcld3.NNetLanguageIdentifier(min_num_bytes=0, max_num_bytes=MAX_CAPTION_BYTES)

    def english(self, captions: list[str]) -> Mask:
        """Whether each caption is called English, shape (N,)."""
        return np.array([self._model.FindLanguage(text=caption.replace("\n", " ")).language == "en" for caption in captions], bool)

    def provenance(self) -> Provenance:
        """The model, which the package carries."""
        return Provenance(external_resources=("gcld3",))


class Laion2b(RowFilter):
    """English by one of three models, and similar enough."""

    columns = ("text", SCORE)

    def __init__(self, language_model: str) -> None:
        self.name = "laion2b" if language_model == "gcld3" else f"laion2b[{language_model}]"
        self._language: Gcld3 | language.FastText = Gcld3() if language_model == "gcld3" else language.FastText(language_model)

    def score(self, block: Block) -> Scores:
        """Whether each row passes both rules; the score decides first, since it costs nothing."""
        kept = (block.numbers(SCORE) >= THRESHOLD) & block.columns["text"].is_not_null().to_numpy()
        rows = np.flatnonzero(kept)
        captions = block.columns["text"].gather(rows).to_list()
        kept[rows] = self._language.english(captions)
        return np.asarray(kept)

    def provenance(self) -> Provenance:
        """The language model."""
        return self._language.provenance()


def make(*, language_model: str = "gcld3") -> Laion2b:
    """Keep English captions whose pictures are similar enough."""
    if language_model not in _MODELS:
        raise FilterError(f"{language_model!r} is no language model of laion2b", allowed=", ".join(_MODELS))
    return Laion2b(language_model)
