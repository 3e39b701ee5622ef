"""Our first synset of a word against nltk's, for every lemma of WordNet with every ending that its rules detach, once and twice.

    NLTK_DATA=… PYTHONPATH=. python benchmarks/parity/words.py

Run it where nltk 3.8.1 is, together with pydantic and polars for the records of this project.
"""

import nltk
from nltk.corpus import wordnet

from datacomp.filters.wordnet import WordNet

ENDINGS = ("", "s", "es", "ies", "ves", "men", "ed", "ing", "er", "est", "ss", "ings")


def main() -> None:
    """Print how many words were asked and how many answers differ."""
    ours, words = WordNet(), set(wordnet.all_lemma_names())
    irregular = {form for forms in wordnet._exception_map.values() for form in forms}  # noqa: SLF001 - nltk has no public name for them
    asked = {word + ending for word in words for ending in ENDINGS} | irregular | {f"{form}s" for form in irregular}
    theirs = {word: found[0].offset() if (found := wordnet.synsets(word)) else None for word in asked}
    differ = [word for word, offset in theirs.items() if offset != ours.first_offset(word)]
    print(f"nltk {nltk.__version__}: {len(asked):,} words, {len(differ):,} differ {sorted(differ)[:5]}")


if __name__ == "__main__":
    main()
