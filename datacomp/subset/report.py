"""The figures of an inspection that an entry may carry: counts and medians, nothing that somebody wrote."""

import re

from datacomp.artifacts import list_report
from datacomp.artifacts.list_report import Bars, ListReport, Spoken
from datacomp.subset import histograms
from datacomp.subset.histograms import Histogram
from datacomp.subset.inspect import Inspection

_PLAIN = re.compile(r"[a-z][a-z0-9_ ]{0,59}")  # a stranger's pool may call its columns anything


def report(numbers: Inspection) -> ListReport:
    """Take what `datacomp inspect --json` wrote; empty bins at both ends go, and histograms whose names are no plain words."""
    counted = (*(score.histogram for score in numbers.scores), *numbers.histograms)
    rows = {one.times: one.rows for one in numbers.times}
    spoken = numbers.languages.most if numbers.languages else ()
    return ListReport(
        uids_sha256=numbers.record.uids_sha256,
        kept=numbers.rows.kept,
        dropped=numbers.rows.dropped,
        times=tuple(rows.get(times, 0) for times in range(1, max(rows, default=0) + 1)),
        histograms=tuple(_bars(one) for one in counted if _PLAIN.fullmatch(one.name))[: list_report.MAX_HISTOGRAMS],
        languages=tuple(Spoken(language=one.name, kept=one.counted.kept, dropped=one.counted.dropped) for one in spoken),
    )


def _bars(histogram: Histogram) -> Bars:
    bins = histograms.filled(histogram.bins)
    last = bins[-1]
    width = last.start - bins[-2].start if len(bins) > 1 else 1.0  # to draw a last bin that has no end
    return Bars(
        name=histogram.name,
        edges=(*(one.start for one in bins), last.start + width if last.end is None else last.end),
        open=last.end is None,
        kept=tuple(one.counted.kept for one in bins),
        dropped=tuple(one.counted.dropped for one in bins),
        kept_missing=histogram.missing.kept,
        dropped_missing=histogram.missing.dropped,
        kept_median=histogram.median_kept,
        dropped_median=histogram.median_dropped,
    )
