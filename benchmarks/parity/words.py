"""Our first synset of a word against nltk's, for every lemma of WordNet with every ending that its rules detach, once and twice.

    NLTK_DATA=… PYTHONPATH=. python benchmarks/parity/words.py

Run it where nltk 3.8.1 is, together with pydantic and polars for the records of this project.
"""

import nltk
from nltk.corpus import wordnet

from datacomp.filters.wordnet import WordNet

ENDINGS = ("", "s", "es", "ses", "ves", "xes", "zes", "ches", "shes", "men", "ies", "ed", "ing", "er", "est", "ss", "sing", "ers", "edest")


def main() -> None:
    """Print how many words were asked and how many answers differ."""
    ours, words = WordNet(), set(wordnet.all_lemma_names())
    irregular = {form for forms in wordnet._exception_map.values() for form in forms}  # noqa: SLF001 - nltk has no public name for them
    asked = {stem + ending for word in words for stem in (word, word[:-1]) for ending in ENDINGS} | irregular | {form + "s" for form in irregular}
    differ = [word for word in asked if (found := wordnet.synsets(word)) and found[0].offset() != ours.first_offset(word)]
    differ += [word for word in asked if not wordnet.synsets(word) and ours.first_offset(word) is not None]
    print(f"nltk {nltk.__version__}: {len(asked):,} words, {len(differ):,} differ {sorted(differ)[:5]}")


if __name__ == "__main__":
    main()
