"""Whether captions are English, by fastText's language models. The two of them disagree on some captions: with each, a filter is another one."""

from typing import Any

import numpy as np

from datacomp.artifacts.pool import Mask
from datacomp.declared import asset as assets
from datacomp.errors import FilterError
from datacomp.filters.base import Provenance

MODELS = {"bin": "lid.176.bin", "ftz": "lid.176.ftz"}
_ENGLISH = ["__label__en"]


def variant(name: str, model: str) -> str:
    """The name of a filter with a language model: its own with the published one, else with the model behind it."""
    if model not in MODELS:
        raise FilterError(f"{model!r} is no language model of {name}", allowed=", ".join(MODELS))
    return name if model == "bin" else f"{name}[{model}]"


class FastText:
    """One language model."""

    def __init__(self, model: str) -> None:
        import fasttext

        self.asset = assets.load(MODELS[model])
        self._model: Any = fasttext.load_model(str(assets.locate(self.asset)))

    def english(self, captions: list[str]) -> Mask:
        """Whether each caption is called English, shape (N,); equal captions are looked at once."""
        different = list(dict.fromkeys(captions))
        labels = self._model.f.multilinePredict([f"{caption.replace(chr(10), ' ')}\n" for caption in different], 1, 0.0, "strict")
        english = dict(zip(different, (found == _ENGLISH for found in labels), strict=True))
        return np.fromiter(map(english.__getitem__, captions), bool, len(captions))

    def provenance(self) -> Provenance:
        """The model."""
        return Provenance({self.asset.name: self.asset.sha256}, (f"fastText {self.asset.name}",))
