"""The first synset of a word in WordNet 3.0, as nltk 3.8.1 finds it, from a table that holds nothing else.

A word is looked up as it stands and by its base forms: irregular ones from a list, regular ones by detaching endings until something is
found. Later versions of nltk detach once only, which changes what DataComp's text-based filter keeps.
"""

import gzip
import json

from datacomp.declared import asset as assets

TABLE = "wordnet-3.0.json.gz"
PARTS_OF_SPEECH = ("n", "v", "a", "r")  # in the order in which nltk asks for them
_ENDINGS: dict[str, tuple[tuple[str, str], ...]] = {  # WordNet's rules of detachment (morphy(7WN))
    "n": (("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y")),
    "v": (("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
    "a": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "r": (),
}


class WordNet:
    """Lemmas with the offsets of their first synsets, and irregular forms, each by part of speech."""

    def __init__(self) -> None:
        self.asset = assets.load(TABLE)
        with gzip.open(assets.locate(self.asset), "rt", encoding="ascii") as file:
            table = json.load(file)
        self._first: dict[str, dict[str, int]] = table["first"]
        self._irregular: dict[str, dict[str, list[str]]] = table["irregular"]

    def first_offset(self, word: str) -> int | None:
        """The offset of a word's first synset, whatever its part of speech; None if WordNet has none."""
        lemma = word.lower()
        for part in PARTS_OF_SPEECH:
            for form in self._base_forms(lemma, part):
                return self._first[part][form]
        return None

    def _base_forms(self, word: str, part: str) -> list[str]:
        if word in self._irregular[part]:
            return self._known([word, *self._irregular[part][word]], part)
        detached = _detached([word], part)
        found = self._known([word, *detached], part)
        while detached and not found:
            detached = _detached(detached, part)
            found = self._known(detached, part)
        return found

    def _known(self, forms: list[str], part: str) -> list[str]:
        return [form for form in forms if form in self._first[part]]


def _detached(forms: list[str], part: str) -> list[str]:
    """Every form with one ending off. Each is listed once: otherwise a caption of "eseses…" would have more forms than atoms."""
    return list(dict.fromkeys(form.removesuffix(ending) + instead for form in forms for ending, instead in _ENDINGS[part] if form.endswith(ending)))
