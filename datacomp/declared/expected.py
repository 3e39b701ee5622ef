"""Scores to expect of a scale's baselines, so that a site can tell whether it measures what others do.

They are measured after a recipe is frozen. So they stand outside its digest and outside LOCK.toml, may be corrected and added to, and name the
recipe and the suite that they belong to.
"""

import math
import statistics
from typing import Annotated, Literal, Self

import pydantic

from datacomp import rooms
from datacomp.declared import lock
from datacomp.declared.suite import Suite
from datacomp.errors import RecordError
from datacomp.records import Count, Digest, Record

Score = Annotated[float, pydantic.Field(ge=0, le=1)]
Noise = Annotated[float, pydantic.Field(gt=0, le=1)]

FOLDER = "expected"


class Figures(Record):
    """What one baseline reached: for each average of the suite, one score a training run."""

    source: str
    scores: dict[str, Annotated[tuple[Score, ...], pydantic.Field(min_length=1)]]


class Spread(Record):
    """How much one training run differs from the mean of many that differ by their seeds alone."""

    deviation: Noise  # standard deviation
    freedom: Count  # degrees of freedom that it was estimated with; 0 where somebody states it


class Expected(Record):
    """The figures of one scale."""

    scale: str
    recipe_sha256: Digest
    suite: str
    suite_version: int
    suite_sha256: Digest | Literal[""]  # empty where others measured, with a program that knows no such digest
    source: str
    noise_source: str
    stated_noise: dict[str, Noise] = {}  # noqa: RUF012 - pydantic copies defaults; standard deviation of one run, by average
    baselines: dict[str, Figures]  # by their names in tracks/baselines/

    @pydantic.model_validator(mode="after")
    def _same_averages(self) -> Self:
        if len({frozenset(found.scores) for found in self.baselines.values()}) != 1:
            raise ValueError("the baselines have different averages")
        return self

    def measured_with(self, suite: Suite) -> bool:
        """Whether the figures are of this very suite, as far as they say."""
        return (self.suite, self.suite_version) == (suite.spec.name, suite.spec.version) and self.suite_sha256 in ("", suite.digest())

    def spread(self, average: str) -> Spread | None:
        """How much single runs differ in an average, None where nobody knows.

        It is what the source states, or else the standard deviation within the baselines, pooled over all that have several runs: each alone has
        too few.
        """
        if self.stated_noise:
            stated = self.stated_noise.get(average)
            return None if stated is None else Spread(deviation=stated, freedom=0)
        several = [scores for found in self.baselines.values() if len(scores := found.scores.get(average, ())) > 1]
        freedom = sum(len(scores) - 1 for scores in several)
        if not freedom:
            return None
        squares = sum((len(scores) - 1) * statistics.variance(scores) for scores in several)
        return Spread(deviation=math.sqrt(squares / freedom), freedom=freedom)


def load(scale: str) -> Expected:
    """Read the figures of one scale. Raises RecordError where there are none."""
    if scale not in names():
        raise RecordError(f"nobody has written down scores to expect at scale {scale}", allowed=", ".join(names()))
    path = rooms.tracks() / FOLDER / f"{scale}.toml"
    found = Expected.read(path)
    if found.scale != scale:
        raise RecordError(f"{path} holds figures of scale {found.scale!r}", allowed=f"the file's own name, {scale!r}")
    return found


def names() -> tuple[str, ...]:
    """The scales that have figures."""
    return lock.available(rooms.tracks(), FOLDER)
