"""How a page writes numbers and the words of strangers."""

import unicodedata

_SCORE_CHARACTERS = 20  # of an unknown network's name
NOTHING = "\N{EN DASH}"
NAME_CHARACTERS = 80  # of a caption, a domain or a list's name
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # turn the words around them
_SPACES = frozenset("\t\n\r\v\f\u0085\u2028\u2029")


def clean(text: str, limit: int = NAME_CHARACTERS) -> str:
    """Cut a stranger's words and replace what is not to be seen, or turns other words around."""
    cut = text[:limit] + ("…" if len(text) > limit else "")
    return "".join(" " if letter in _SPACES else "\ufffd" if letter in _BIDI or unicodedata.category(letter) in {"Cc", "Cs"} else letter for letter in cut)


def number(value: float) -> str:
    """A number as it is, without noise behind it."""
    return f"{int(value):,}" if value == int(value) else f"{value:.4g}"


def percent(share: float | None) -> str:
    """A share in percent; what is little is not called nothing, and what is not all is not called all."""
    if share is None:
        return NOTHING
    if 0 < share < 0.0005:
        return "<0.1"
    return ">99.9" if 0.9995 <= share < 1 else f"{100 * share:.1f}"


def score_title(column: str) -> str:
    """The network behind a score column: `clip_l14_similarity_score` is of L/14. Others keep their own, which may be anything."""
    name = column.removeprefix("clip_").removesuffix("_similarity_score")
    return {"l14": "L/14", "b32": "B/32", "b16": "B/16"}.get(name, clean(name, _SCORE_CHARACTERS))


def apart(high: float, low: float) -> tuple[str, str]:
    """Two numbers with as many digits as it takes to tell them apart."""
    digits = next((digits for digits in range(3, 10) if f"{high:.{digits}f}" != f"{low:.{digits}f}"), 3)
    return f"{high:.{digits}f}", f"{low:.{digits}f}"
