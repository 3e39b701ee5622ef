"""An entry: one canonical JSON file that holds everything the board shows, and the digests that lead back to the pool."""

from typing import Annotated, ClassVar, Literal

import pydantic

from datacomp.artifacts.list_report import ListReport
from datacomp.artifacts.loss_curve import LossCurve
from datacomp.artifacts.results import TaskResult
from datacomp.artifacts.run import Code, Division, Source
from datacomp.declared import scale as scales
from datacomp.declared.scale import Scale
from datacomp.records import Count, Digest, Line, Record

FORMAT: Literal["datacomp-entry/1"] = "datacomp-entry/1"
WITHDRAWAL, VERIFICATION = ".withdrawal.json", ".verification.json"  # what the file of one ends in

Name = Annotated[str, pydantic.Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
Link = Annotated[str, pydantic.Field(max_length=500, pattern=r"^https?://[^\s\x00-\x1f\x7f]+$")]


Description = Annotated[str, pydantic.Field(max_length=4000)]


class DataSource(Record):
    """What the participant says of one source of training samples (track byod)."""

    name: Name  # of the training shards
    url: Link | Literal[""] = ""  # where the samples, or their addresses, can be had
    origin: Description  # where they come from
    text: Description  # where their captions come from
    licence: Name
    weight: float  # the run's


class SeedRun(Record):
    """One training run of the entry with its raw results."""

    seed: int
    run_sha256: Digest
    results_sha256: Digest
    weights_sha256: Digest
    samples_seen: Count
    corrupt_samples: Count
    sources: tuple[Source, ...]
    code: Code
    packages: dict[Line, Line]
    device: Line
    tasks: tuple[TaskResult, ...]
    loss_curve: LossCurve | None = None  # of the run's log; entries of before have none


class SeedLeftOut(Record):
    """A seed that the list was trained with and whose run is not in the entry."""

    seed: int
    reason: Name


class Aggregate(Record):
    """A mean over tasks and seeds with its standard error (docs/guide.md, "Standard errors")."""

    value: float
    standard_error: float


class Entry(Record):
    """What is handed in."""

    max_bytes: ClassVar[int] = 8 << 20  # a seed's results on forty tasks have some 30,000
    format: Literal["datacomp-entry/1"]
    track: Line
    rules_sha256: Digest
    scale: Line
    recipe_sha256: Digest
    suite: Line
    suite_version: int
    suite_sha256: Digest
    division: Division
    changes: dict[Line, Line] = {}  # noqa: RUF012 - pydantic copies defaults; to the scale's recipe, in the open division
    method: Name
    description: Description
    proposed_by: Name
    run_by: Name
    links: tuple[Link, ...]
    pool: Line
    pool_uids_sha256: Digest | Literal[""]
    external_resources: tuple[Line, ...]
    data_sources: tuple[DataSource, ...] = ()
    answers: dict[Line, Description] = {}  # noqa: RUF012 - pydantic copies defaults; to the track's checklist
    marks: tuple[Line, ...]  # what a reader must know: drafts, open division, no valid entry
    runs: Annotated[tuple[SeedRun, ...], pydantic.Field(min_length=1)]
    aggregates: dict[Line, Aggregate]
    seeds_left_out: Annotated[tuple[SeedLeftOut, ...], pydantic.Field(max_length=100)] = ()
    list_reports: Annotated[tuple[ListReport, ...], pydantic.Field(max_length=100)] = ()  # what `datacomp inspect` found of the lists

    def recipe(self) -> Scale:
        """The scale's recipe with the entry's changes."""
        return scales.changed(scales.load(self.scale), self.changes)


class Verification(Record):
    """Says that somebody held an entry against its artefacts, or made part of it again; the entry's own file stays as it is."""

    format: Literal["datacomp-verification/1"]
    entry_sha256: Digest  # of the entry's file
    level: Literal["artefacts checked", "re-run"]
    verified_by: Name
    code: Code  # of the program that looked
    tasks: tuple[Line, ...] = ()  # that were evaluated again
    steps: Count = 0  # of training that were taken again


class Withdrawal(Record):
    """Takes an entry off every table; the entry's own file stays as it is."""

    format: Literal["datacomp-withdrawal/1"]
    entry_sha256: Digest  # of the entry's file
    reason: Annotated[str, pydantic.Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
    replaced_by: Line = ""  # the file of the entry that corrects it
