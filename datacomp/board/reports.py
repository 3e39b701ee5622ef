"""What `datacomp inspect` found of an entry's lists, as words and as bars on a canvas, drawn from its numbers alone."""

from typing import NamedTuple

from datacomp.artifacts.list_report import MAX_TIMES, Bars, ListReport

_WIDTH, _FLOOR, _HEIGHT = 320, 96, 116
_LABELS = 4  # numbers under the bars, about
_LANGUAGES = 6
_TITLES = {
    "shorter side": "Picture size, shorter side in pixels",
    "aspect ratio": "Picture shape, longer side over shorter",
    "caption characters": "Caption length in characters",
    "caption words": "Caption length in words",
}
_NETWORKS = {"l14": "L/14", "b32": "B/32", "b16": "B/16"}
_TIMES = ("once", "twice", *(f"{times} times" for times in range(3, MAX_TIMES)), f"{MAX_TIMES} times or more")


class Bar(NamedTuple):
    """One bin: what is kept stands on the floor, what is dropped on that."""

    x: str
    width: str
    kept_y: str
    kept_height: str
    dropped_y: str
    dropped_height: str
    title: str


class Label(NamedTuple):
    """A number under the bars."""

    at: str
    text: str
    side: str  # which end of the text stands there


class Chart(NamedTuple):
    """One quantity."""

    key: str
    title: str
    note: str
    description: str
    bars: tuple[Bar, ...]
    labels: tuple[Label, ...]
    floor: int = _FLOOR
    size: tuple[int, int] = (_WIDTH, _HEIGHT)


class Report(NamedTuple):
    """One list."""

    list_name: str
    facts: tuple[tuple[str, str], ...]
    charts: tuple[Chart, ...]


def report(found: ListReport, list_name: str, key: str) -> Report:
    """Everything that is shown of one list; `key` makes the names of its parts unique on a page."""
    rows = found.kept + found.dropped
    times = "; ".join(f"{count:,} {_TIMES[place]}" for place, count in enumerate(found.times) if count)
    facts = [("Rows kept", f"{found.kept:,} of {rows:,},{_percent(found.kept, rows)}"), ("Listed", times)]
    if found.languages:
        kept, dropped = sum(one.kept for one in found.languages), sum(one.dropped for one in found.languages)
        most = sorted(found.languages, key=lambda one: (-one.kept, one.language))[:_LANGUAGES]
        said = "; ".join(f"{one.language}{_percent(one.kept, kept)} of the kept,{_percent(one.dropped, dropped)} of the dropped" for one in most)
        facts.append(("Languages", said))
    return Report(list_name, tuple(facts), tuple(_chart(bars, f"{key}-{place}") for place, bars in enumerate(found.histograms)))


def _chart(bars: Bars, key: str) -> Chart:
    count = len(bars.kept)
    highest = max(*(kept + dropped for kept, dropped in zip(bars.kept, bars.dropped, strict=True)), 1)
    drawn = []
    for place, (kept, dropped) in enumerate(zip(bars.kept, bars.dropped, strict=True)):
        low, high = (_FLOOR * rows / highest for rows in (kept, kept + dropped))
        drawn.append(
            Bar(
                x=f"{_WIDTH * place / count:.1f}",
                width=f"{max(_WIDTH / count - 1, 0.5):.1f}",
                kept_y=f"{_FLOOR - low:.1f}",
                kept_height=f"{low:.1f}",
                dropped_y=f"{_FLOOR - high:.1f}",
                dropped_height=f"{high - low:.1f}",
                title=f"{_span(bars, place)}: {kept:,} kept, {dropped:,} dropped",
            )
        )
    title = _title(bars.name)
    medians = (("kept", bars.kept_median), ("dropped", bars.dropped_median))
    note = "median " + ", ".join(f"{'none' if median is None else _number(median)} {side}" for side, median in medians)
    missing = bars.kept_missing + bars.dropped_missing
    note += f"; {missing:,} rows without" * bool(missing)
    return Chart(key, title, note, f"{title} in {count} bins from {_number(bars.edges[0])} on. {note}.", tuple(drawn), _labels(bars))


def _labels(bars: Bars) -> tuple[Label, ...]:
    """Numbers at the first edge, the last one, and some between."""
    count = len(bars.kept)
    places = sorted({round(count * part / (_LABELS - 1)) for part in range(_LABELS)})
    sides = {0: "start", count: "end"}
    beyond = {count: "+"} if bars.open else {}
    return tuple(Label(f"{_WIDTH * place / count:.1f}", _number(bars.edges[place]) + beyond.get(place, ""), sides.get(place, "middle")) for place in places)


def _span(bars: Bars, place: int) -> str:
    start, end = bars.edges[place], bars.edges[place + 1]
    return f"from {_number(start)} on" if bars.open and place == len(bars.kept) - 1 else f"{_number(start)} to {_number(end)}"


def _title(name: str) -> str:
    """What a quantity is called; a score column of a network that we do not know keeps its name."""
    if name.startswith("clip_") and name.endswith("_similarity_score"):
        network = name.removeprefix("clip_").removesuffix("_similarity_score")
        return f"CLIP score {_NETWORKS.get(network, network)}"
    return _TITLES.get(name, name)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"


def _percent(part: int, whole: int) -> str:
    return f" {100 * part / whole:.1f} %" if whole else " –"  # noqa: RUF001 - nothing
