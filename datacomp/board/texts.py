"""Texts of strangers that pages and terminals would show otherwise than they are: control characters and those that turn the direction of writing."""

import re
from collections.abc import Iterator, Mapping, Sequence

# Controls but tab and newline; marks, embeddings, overrides and isolates of direction; line and paragraph separators; invisible characters; tags.
# Joiners (U+200C, U+200D) stay: Persian, Indic scripts and emoji are written with them.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")


def printable(text: str) -> str:
    """A text, of one line, without what a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text)


def hidden(content: object, place: str = "entry") -> list[str]:
    """Where in a record's plain values such characters stand, in words; empty where there are none."""
    return [f"{where} holds {', '.join(sorted({f'U+{ord(found):04X}' for found in _HIDDEN.findall(text)}))}" for where, text in _hidden(content, place)]


def _hidden(content: object, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(content, str):
        if _HIDDEN.search(content):
            yield place, content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _hidden(key, f"a key of {place}")
            yield from _hidden(value, f"{place}.{_HIDDEN.sub('?', key)}")
    elif isinstance(content, Sequence):
        for number, value in enumerate(content):
            yield from _hidden(value, f"{place}.{number}")
