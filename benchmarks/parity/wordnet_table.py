"""Write tracks/wordnet-3.0.json.gz from WordNet 3.0's index.* and *.exc files, as nltk's `wordnet` data package carries them.

    python benchmarks/parity/wordnet_table.py ~/nltk_data/corpora/wordnet tracks/wordnet-3.0.json.gz

The text-based filter asks of a word only for the offset of its first synset. This table holds, for each part of speech in the order in
which nltk asks for them, the offset of every lemma's first synset, and the irregular forms. Debian's WordNet 3.0 has other offsets for
adjectives and verbs than nltk's package, which the published code downloads.
"""

import gzip
import json
import sys
from pathlib import Path

PARTS_OF_SPEECH = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}


def first_offsets(path: Path) -> dict[str, int]:
    """The offset of each lemma's first synset, from an index file."""
    found = {}
    for line in path.read_text().splitlines():
        if not line.startswith(" "):  # the licence
            lemma, _, _, pointers, *rest = line.split()
            found[lemma] = int(rest[int(pointers) + 2])
    return found


def irregular_forms(path: Path) -> dict[str, list[str]]:
    """The lemmas of each irregular form, from an exception list."""
    return {form: lemmas for form, *lemmas in (line.split() for line in path.read_text().splitlines())}


def main(source: Path, target: Path) -> None:
    """Write the table; the same files give the same bytes."""
    table = {
        "first": {part: first_offsets(source / f"index.{name}") for part, name in PARTS_OF_SPEECH.items()},
        "irregular": {part: irregular_forms(source / f"{name}.exc") for part, name in PARTS_OF_SPEECH.items()},
    }
    text = json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    target.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{sum(map(len, table['first'].values())):,} lemmas, {sum(map(len, table['irregular'].values())):,} irregular forms, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
