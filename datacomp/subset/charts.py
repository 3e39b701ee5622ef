"""Histograms as places in a chart: numbers formatted, bars computed, nothing drawn."""

from collections.abc import Sequence
from typing import NamedTuple

from datacomp.subset import counting, histograms
from datacomp.subset.histograms import Bin, Histogram, Split
from datacomp.subset.inspect import Inspection, Score
from datacomp.subset.wording import number, score_title

PLOT, STRIP = 132, 34  # pixels that the counts and the shares are high
_FEW_ROWS = 30  # a share of fewer is shown pale
_EVEN_LABELS = 5  # of a score's bins from one number to the next


class _Quantity(NamedTuple):
    title: str
    unit: str
    whole: bool  # whole numbers only
    labels: tuple[float, ...]  # the numbers to write under a chart


_QUANTITIES = {
    counting.SHORTER_SIDE: _Quantity("Picture size", "shorter side on the web in pixels, logarithmic", True, (50, 100, 200, 400, 800, 1600, 3200)),
    counting.ASPECT: _Quantity("Picture shape", "longer side over shorter", False, (1, 1.5, 2, 2.5, 3, 3.5, 4)),
    counting.CHARACTERS: _Quantity("Caption length", "in characters", True, tuple(range(0, 241, 30))),
    counting.WORDS: _Quantity("Caption length", "in words", True, tuple(range(0, 41, 5))),
}


class BinView(NamedTuple):
    """One bin: places in percent of the chart's width and in pixels of its height."""

    label: str
    counted: Split
    x: str
    width: str
    kept_y: str
    kept_height: str
    dropped_y: str
    dropped_height: str
    share_height: str
    few: bool


class Chart(NamedTuple):
    """One histogram."""

    key: str
    title: str
    unit: str
    bins: tuple[BinView, ...]
    labels: tuple[tuple[str, str, bool], ...]  # place in percent, number, whether it may be left out on a phone
    highest: int  # rows of the fullest bin
    medians: tuple[str, str]  # kept, dropped; empty without any
    missing: Split
    edge: tuple[str, str]  # place in percent and number; empty where the list has no edge


def of(numbers: Inspection) -> tuple[list[Chart], list[Chart]]:
    """All histograms: of scores, and of the rest."""
    scores = [_score_chart(score, f"s{place}") for place, score in enumerate(numbers.scores)]
    others = [_chart(histogram, f"h{place}", _QUANTITIES[histogram.name]) for place, histogram in enumerate(numbers.histograms)]
    return scores, others


def _score_chart(score: Score, key: str) -> Chart:
    starts = _starts(histograms.filled(score.histogram.bins))
    step = starts[1] - starts[0]
    labels = tuple(start for start in starts if round(start / step) % _EVEN_LABELS == 0)
    chart = _chart(score.histogram, key, _Quantity(f"CLIP score {score_title(score.histogram.name)}", "cosine of picture and caption", False, labels))
    if not score.has_edge or score.lowest_kept is None:
        return chart
    return chart._replace(edge=(place_of(score.lowest_kept - starts[0], starts[-1] - starts[0]), number(score.lowest_kept)))


def _chart(histogram: Histogram, key: str, quantity: _Quantity) -> Chart:
    bins = histograms.filled(histogram.bins)
    highest = max((found.counted.rows for found in bins), default=0)
    return Chart(
        key=key,
        title=quantity.title,
        unit=quantity.unit,
        bins=tuple(_bin(found, place, len(bins), highest, whole=quantity.whole) for place, found in enumerate(bins)),
        labels=_labels(bins, quantity.labels),
        highest=highest,
        medians=(_median(histogram.median_kept, histogram.bins[-1]), _median(histogram.median_dropped, histogram.bins[-1])),
        missing=histogram.missing,
        edge=("", ""),
    )


def _median(value: float | None, last: Bin) -> str:
    """A median in words; in a last bin without end only the least that it can be is known."""
    if value is None:
        return ""
    return f"{number(value)} or more" if last.end is None and value == last.start else number(value)


def _starts(bins: Sequence[Bin]) -> list[float]:
    """Where bins begin, and where the last one ends if it does."""
    return [found.start for found in bins] + [found.end for found in bins[-1:] if found.end is not None]


def _labels(bins: Sequence[Bin], wanted: Sequence[float]) -> tuple[tuple[str, str, bool], ...]:
    """The numbers under a chart; every second may be left out."""
    found = [(place, start) for place, start in enumerate(_starts(bins)) if start in wanted]
    return tuple(
        (place_of(place, len(bins)), f"{number(start)}{'+' if place < len(bins) and bins[place].end is None else ''}", n % 2 == 1)
        for n, (place, start) in enumerate(found)
    )


def _bin(found: Bin, place: int, count: int, highest: int, *, whole: bool) -> BinView:
    kept, dropped = (PLOT * rows / highest if highest else 0.0 for rows in (found.counted.kept, found.counted.dropped))
    return BinView(
        label=_label(found, whole=whole),
        counted=found.counted,
        x=place_of(place, count),
        width=place_of(1, count),
        kept_y=f"{PLOT - kept:.1f}",
        kept_height=f"{kept:.1f}",
        dropped_y=f"{PLOT - kept - dropped:.1f}",
        dropped_height=f"{dropped:.1f}",
        share_height=f"{STRIP * (found.counted.share or 0):.1f}",
        few=found.counted.rows < _FEW_ROWS,
    )


def _label(found: Bin, *, whole: bool) -> str:
    if found.end is None:
        return f"{number(found.start)} or more"
    if whole:
        return number(found.start) if found.end == found.start + 1 else f"{number(found.start)} to {number(found.end - 1)}"
    return f"{number(found.start)} to below {number(found.end)}"


def place_of(part: float, whole: float) -> str:
    """A place on a line, in percent of its length."""
    return f"{100 * part / whole:.3f}" if whole else "0"
