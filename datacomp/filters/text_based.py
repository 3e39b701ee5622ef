"""DataComp's text-based filter: English captions that name something of ImageNet-21k (section 4.1).

A row is kept if fastText calls its caption English and any word between white space has a first WordNet synset whose offset is in the
list of ImageNet-21k's synsets. The part of speech is not compared, as in the published code: a few adjectives and verbs match by the number.
"""

from functools import lru_cache

import numpy as np

from datacomp.artifacts.pool import Block
from datacomp.declared import asset as assets
from datacomp.filters import language
from datacomp.filters.base import Provenance, RowFilter, Scores
from datacomp.filters.wordnet import WordNet

SYNSETS = "imagenet21k_wordnet_ids"
_REMEMBERED_WORDS = 1 << 20


class TextBased(RowFilter):
    """English captions with a word of ImageNet-21k."""

    columns = ("text",)

    def __init__(self, language_model: str) -> None:
        self.name = language.variant("text_based", language_model)
        self._language = language.FastText(language_model)
        self._words = WordNet()
        self._list = assets.load(SYNSETS)
        offsets = {int(line.strip()[1:]) for line in assets.locate(self._list).read_text().splitlines()}  # n02084071 is offset 2084071

        @lru_cache(_REMEMBERED_WORDS)
        def concept(word: str) -> int | None:
            offset = self._words.first_offset(word)
            return offset if offset in offsets else None

        self._concept = concept

    def concepts(self, caption: str) -> set[int]:
        """The synsets of ImageNet-21k that a caption names, as offsets."""
        return {found for word in caption.split() if (found := self._concept(word)) is not None}

    def score(self, block: Block) -> Scores:
        """Whether each row passes both rules; the words decide first, since they cost less."""
        captions = block.columns["text"].fill_null("").to_list()
        kept = np.fromiter((any(self._concept(word) is not None for word in caption.split()) for caption in captions), bool, len(captions))
        rows = np.flatnonzero(kept)
        kept[rows] = self._language.english([captions[row] for row in rows])
        return kept

    def provenance(self) -> Provenance:
        """The language model, WordNet and the list of synsets."""
        used = self._language.provenance()
        assets_used = {**used.assets, self._list.name: self._list.sha256, self._words.asset.name: self._words.asset.sha256}
        return Provenance(assets_used, (*used.external_resources, "WordNet 3.0", "ImageNet-21k's list of synsets"))


def make(*, language_model: str = "bin") -> TextBased:
    """Keep English captions that name something of ImageNet-21k."""
    return TextBased(language_model)
