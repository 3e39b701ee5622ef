"""What papers claim, as studies of the generated world can test it: a claim judges a study's rows, and says with the numbers whether it shows.

A study is run by `reproduce`. What it measured stands in a record that can be kept in the repository, and every verdict is computed anew from its rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from datacomp.records import Count, Digest, Line, Record

Row = TypeVar("Row")


class Paper(NamedTuple):
    """Where a claim is made."""

    short: str
    title: str
    arxiv: str


PAPERS = {
    "datacomp": Paper("DataComp", "DataComp: In search of the next generation of multimodal datasets", "2304.14108"),
    "dfn": Paper("DFN", "Data Filtering Networks", "2309.17425"),
    "dbp": Paper("DBP", "Effective pruning of web-scale datasets based on complexity of concept clusters", "2401.04578"),
    "qqt": Paper("QQT", "Scaling Laws for Data Filtering: Data Curation cannot be Compute Agnostic", "2404.07177"),
}


class Verdict(NamedTuple):
    """Whether a claim shows in some rows, and the numbers that say so."""

    shows: bool | None  # None where rows are missing that it needs
    told: str

    @property
    def says(self) -> str:
        """The verdict in words."""
        return "not measured" if self.shows is None else "it shows" if self.shows else "it does not show"


MISSING = Verdict(None, "rows are missing that it needs")


@dataclass(frozen=True)
class Claim(Generic[Row]):
    """A claim of a paper as it is tested here."""

    key: str  # as it is called on the command line
    paper: str  # a key of PAPERS
    place: str  # in the paper: a table, a section
    text: str
    judge: Callable[[Sequence[Row]], Verdict]
    arms: tuple[str, ...] = ()  # of the study, which it needs; all of them if none is named


class Settings(NamedTuple):
    """What may be said of every study."""

    scale: str = "nano"
    suite: str = "nano"
    seeds: tuple[int, ...] = (0, 1, 2)
    at_once: int | None = None  # runs; by default one a core


class Where(NamedTuple):
    """Where a study works, and the file that keeps what it measured, which may be committed and taken up elsewhere."""

    out: Path
    record: Path


@dataclass(frozen=True)
class Study(Generic[Row]):
    """A measurement that claims rest on. Arms are what it compares; none named are all."""

    name: str
    says: str
    command: str  # that measures it
    minutes: Mapping[str, float]  # of each arm with three seeds, on two cores, about
    claims: tuple[Claim[Row], ...]
    plan: Callable[[Where, Settings, tuple[str, ...]], Sequence[str]]  # what would be done, a line each
    run: Callable[[Where, Settings, tuple[str, ...]], None]  # do what the record does not hold
    read: Callable[[Path], Sequence[Row]]  # the rows of a record, as far as they are of today's recipe and suite; none of a file that is not there
    table: Callable[[Sequence[Row]], str]  # in Markdown
    seeds: Callable[[Sequence[Row], Sequence[str]], str]  # with which some arms were measured, in words
    pages: Callable[[Sequence[Row], "Measurement | None"], Mapping[str, str]] = lambda _rows, _of: {}  # of its own in the documents, by their names

    @property
    def arms(self) -> tuple[str, ...]:
        """Everything that it compares."""
        return tuple(self.minutes)

    def cost(self, arms: Sequence[str]) -> float:
        """The minutes of some arms."""
        return sum(self.minutes[arm] for arm in arms or self.arms)

    def record(self, folder: Path) -> Path:
        """Its record among those of all studies."""
        return folder / self.name / "runs.json"


class Measurement(Record):
    """How a study's record was measured; it stands beside it."""

    command: Line
    scale: Line
    suite: Line
    seeds: tuple[Count, ...]
    code_sha256: Digest
    device: Line
    minutes: float  # of all calls that added to the record and ended by themselves, by a failure or by an interruption


def needed(study: Study[Any], claims: Sequence[Claim[Any]]) -> tuple[str, ...]:
    """The arms of a study that some claims need, in its order."""
    if any(not claim.arms for claim in claims):
        return study.arms
    wanted = {arm for claim in claims for arm in claim.arms}
    return tuple(arm for arm in study.arms if arm in wanted)
