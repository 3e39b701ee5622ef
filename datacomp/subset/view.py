"""What the page of a list shows, as plain values: numbers formatted, places in charts computed, strangers' words cut and made harmless."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from datacomp.subset import histograms
from datacomp.subset.charts import place_of
from datacomp.subset.frequent import Name, Names
from datacomp.subset.histograms import Split
from datacomp.subset.inspect import Compared, Inspected, Inspection, Shown, Wall
from datacomp.subset.languages import Languages
from datacomp.subset.wording import NOTHING, apart, clean, number, score_title

_CAPTION_CHARACTERS, _ADDRESS_CHARACTERS = 300, 160  # of a card
_LANGUAGES = {
    "ar": "Arabic",
    "bg": "Bulgarian",
    "bn": "Bengali",
    "ca": "Catalan",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "eo": "Esperanto",
    "es": "Spanish",
    "et": "Estonian",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hr": "Croatian",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "la": "Latin",
    "lt": "Lithuanian",
    "ms": "Malay",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sk": "Slovak",
    "sl": "Slovene",
    "sr": "Serbian",
    "sv": "Swedish",
    "ta": "Tamil",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "ceb": "Cebuano",
    "zh": "Chinese",
}


class NameView(NamedTuple):
    """One caption, domain or language, with its bar in percent of the longest."""

    name: str
    code: str
    counted: Split
    kept_width: str
    dropped_width: str


class Table(NamedTuple):
    """Some names under a heading."""

    key: str
    title: str
    rows: tuple[NameView, ...]
    none: str  # what to say without any
    other: Split | None = None  # rows with other names
    missing: Split | None = None  # rows without one


class PairView(NamedTuple):
    """A pair as a card."""

    uid: str
    caption: str
    characters: int
    picture: str | None
    size: str
    scores: tuple[tuple[str, str], ...]
    times: int
    address: str
    order: dict[str, float]  # what it can be ordered by


class EdgeView(NamedTuple):
    """The pairs around a score list's edge."""

    key: str
    title: str
    lowest_kept: str
    highest_dropped: str
    kept: tuple[PairView, ...]
    dropped: tuple[PairView, ...]


class OverlapView(NamedTuple):
    """Another list, with its bar: only the list, both, only the other."""

    compared: Compared
    name: str
    of_list: float
    of_other: float
    widths: tuple[str, str, str]


def languages(found: Languages) -> Table:
    """The languages by name, and the rest."""
    return Table("languages", "Language of the caption", _names(found.most, _LANGUAGES), "No row has a caption.", found.other, found.missing)


def _names(names: Sequence[Name], titles: Mapping[str, str] | None = None) -> tuple[NameView, ...]:
    longest = max((name.counted.rows for name in names), default=0)
    return tuple(
        NameView(
            name=clean((titles or {}).get(name.name, name.name)),
            code=name.name if titles else "",
            counted=name.counted,
            kept_width=place_of(name.counted.kept, longest),
            dropped_width=place_of(name.counted.dropped, longest),
        )
        for name in names
    )


def tables(names: Names, key: str, kind: str) -> tuple[Table, ...]:
    """What stands out among captions or domains."""
    return (
        Table(f"{key}-kept", "Most frequent among the kept", _names(names.most_kept), f"No kept row has a {kind}."),
        Table(f"{key}-dropped", "Most frequent among the dropped", _names(names.most_dropped), f"No dropped row has a {kind}."),
        Table(f"{key}-over", "Kept far more often than the rest", _names(names.over), f"No {kind} is."),
        Table(f"{key}-under", "Kept far less often than the rest", _names(names.under), f"No {kind} is."),
    )


def wall(shown: Wall) -> tuple[tuple[PairView, ...], tuple[PairView, ...]]:
    """Kept and dropped pairs as cards."""
    kept, dropped = (tuple(_pair(pair, place) for place, pair in enumerate(side)) for side in shown)
    return kept, dropped


def _pair(shown: Shown, place: int) -> PairView:
    columns = shown.pair.columns
    width, height = (columns.get(f"original_{side}", math.nan) for side in ("width", "height"))
    scores = {name: value for name, value in columns.items() if name.startswith("clip_")}
    caption = columns.get("text")
    return PairView(
        uid=shown.pair.uid,
        caption=clean(caption or "", _CAPTION_CHARACTERS),
        characters=columns.get("characters") or 0,
        picture=shown.picture,
        size=f"{number(width)} \N{MULTIPLICATION SIGN} {number(height)}" if math.isfinite(width + height) else "",
        scores=tuple((score_title(name), f"{value:.3f}" if math.isfinite(value) else NOTHING) for name, value in scores.items()),
        times=shown.pair.times,
        address=clean(columns.get("url") or "", _ADDRESS_CHARACTERS),
        order={"drawn": place, "length": columns.get("characters") or 0, "side": _known(min(width, height))}
        | {f"s{n}": _known(value) for n, value in enumerate(scores.values())},
    )


def _known(value: float) -> float:
    """A number to order by; what is none comes last."""
    return value if math.isfinite(value) else -histograms.MAX_NUMBER


def edges(found: Inspected) -> tuple[EdgeView, ...]:
    """The pairs around the edge of each score by which the list is a top part."""
    views = []
    for place, score in enumerate(found.numbers.scores):
        if score.has_edge and score.lowest_kept is not None and score.highest_dropped is not None:
            kept, dropped = wall(found.at_edges[score.histogram.name])
            views.append(EdgeView(f"edge{place}", score_title(score.histogram.name), *apart(score.lowest_kept, score.highest_dropped), kept, dropped))
    return tuple(views)


def overlaps(found: Inspected) -> tuple[OverlapView, ...]:
    """The other lists."""
    views = []
    for compared in found.numbers.overlaps:
        one, two, both = found.numbers.record.distinct_samples, compared.record.distinct_samples, compared.shared_distinct
        either = one + two - both
        widths = tuple(place_of(part, either) for part in (one - both, both, two - both))
        views.append(OverlapView(compared, clean(compared.name), both / one, both / two, (widths[0], widths[1], widths[2])))
    return tuple(views)


def orders(numbers: Inspection) -> tuple[tuple[str, str], ...]:
    """What pairs can be ordered by: key and words."""
    scores = [(f"s{place}", f"CLIP score {score_title(score.histogram.name)}") for place, score in enumerate(numbers.scores)]
    return (("drawn", "As drawn"), *scores, ("length", "Caption length"), ("side", "Picture size"))
