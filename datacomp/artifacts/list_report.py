"""What `datacomp inspect` found of a list, in the few numbers that an entry may carry: no caption, no address, no picture and no markup of anybody's.

Rows are those of the pool's metadata, counted once however often the list repeats them.
"""

from itertools import pairwise
from typing import Annotated, Self

import pydantic

from datacomp.records import Digest, Record

MAX_TIMES = 10  # multiplicities from here on are counted as one
MAX_BINS, MAX_HISTOGRAMS, MAX_LANGUAGES = 80, 12, 12
_MOST = 10**12  # more than any pool has, few enough to be drawn

Rows = Annotated[int, pydantic.Field(ge=0, le=_MOST)]
Number = Annotated[float, pydantic.Field(ge=-_MOST, le=_MOST)]
Quantity = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_ ]{0,59}$")]  # a column of scores, or one of the four that inspect measures
Language = Annotated[str, pydantic.Field(pattern=r"^[a-z]{2,3}$")]


class Bars(Record):
    """How one quantity is spread over the rows that are kept and those that are dropped: bin i reaches from edge i up to edge i + 1."""

    name: Quantity
    edges: Annotated[tuple[Number, ...], pydantic.Field(min_length=2, max_length=MAX_BINS + 1)]
    open: bool  # the last bin goes on beyond its edge
    kept: Annotated[tuple[Rows, ...], pydantic.Field(max_length=MAX_BINS)]
    dropped: Annotated[tuple[Rows, ...], pydantic.Field(max_length=MAX_BINS)]
    kept_missing: Rows  # rows without the quantity
    dropped_missing: Rows
    kept_median: Number | None
    dropped_median: Number | None

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Self:
        if not len(self.kept) == len(self.dropped) == len(self.edges) - 1:
            raise ValueError("a histogram has an edge more than bins")
        if any(later <= earlier for earlier, later in pairwise(self.edges)):
            raise ValueError("the edges of a histogram rise")
        return self


class Spoken(Record):
    """Rows whose captions are in one language, of those that were looked at."""

    language: Language
    kept: Rows
    dropped: Rows


class ListReport(Record):
    """The figures of one list."""

    uids_sha256: Digest  # of the list
    kept: Rows
    dropped: Rows
    times: Annotated[tuple[Rows, ...], pydantic.Field(max_length=MAX_TIMES)]  # rows listed once, twice, …; the tenth: so often or more often
    histograms: Annotated[tuple[Bars, ...], pydantic.Field(max_length=MAX_HISTOGRAMS)]
    languages: Annotated[tuple[Spoken, ...], pydantic.Field(max_length=MAX_LANGUAGES)]

    def problems(self, samples: int, distinct_samples: int) -> list[str]:
        """What in it cannot be of a list of so many samples, in words; empty when nothing is."""
        found = []
        if self.kept != distinct_samples:
            found.append(f"{self.kept:,} rows are kept, the list has {distinct_samples:,} different samples")
        listed = sum(times * rows for times, rows in enumerate(self.times, 1))
        if sum(self.times) != self.kept or listed > samples or (listed < samples and len(self.times) < MAX_TIMES):
            found.append("how often rows are listed does not add up to the list's samples")
        for name, kept, dropped in self._counted():
            if (kept, dropped) != (self.kept, self.dropped):
                found.append(f"the histogram {name!r} has {kept + dropped:,} rows of {self.kept + self.dropped:,}")
        spoken = sum(one.kept for one in self.languages), sum(one.dropped for one in self.languages)
        if spoken[0] > self.kept or spoken[1] > self.dropped:
            found.append("more rows have a language than there are")
        names = [bars.name for bars in self.histograms], [one.language for one in self.languages]
        if any(len(set(given)) < len(given) for given in names):
            found.append("a histogram or a language is there twice")
        return found

    def _counted(self) -> list[tuple[str, int, int]]:
        return [(bars.name, sum(bars.kept) + bars.kept_missing, sum(bars.dropped) + bars.dropped_missing) for bars in self.histograms]
