"""Score tables: of a pass of a network over a pool, a table for each tar with embeddings beside it; or made of other tables, of embeddings, or elsewhere.

The record is written last. Tables that somebody else wrote, parquet with a column `uid`, have none.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Self

import polars as pl
import pydantic

from datacomp import digest, tables
from datacomp.errors import FilterError, StageError
from datacomp.records import Count, Digest, Line, Record

ASKED, RECORD, MADE = "asked.json", "scores.json", "made.json"
COLUMN = "score"

Option = float | int | Line | bool


class Used(NamedTuple):
    """What scores rest on besides the pool: files by name and digest, and models and data in words."""

    assets: dict[str, str]
    external_resources: tuple[str, ...]


class Preprocessing(Record):
    """What the network saw of a picture: its shorter side resized to `size`, then the centre, then normalised."""

    size: Count
    interpolation: Line
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Scorer(Record):
    """What scored. Without a network, kind and name are those of a plug-in, and the digests are of what it says of itself."""

    kind: Line
    name: Line
    config_sha256: Digest  # of architecture, preprocessing and tokenizer
    weights_sha256: Digest
    preprocessing: Preprocessing | None
    method: Line = "cosine"  # of the two embeddings; else another scorer's name
    options: dict[Line, Line] = {}  # noqa: RUF012 - pydantic copies defaults
    assets: dict[Line, Digest] = {}  # noqa: RUF012 - files that the method used besides the network
    precision: Line = "float32"
    external_resources: tuple[Line, ...] = ()  # behind the network and the method, where they say so


class Inputs(Record):
    """What scores are a function of."""

    scorer: Scorer
    pool: Line  # the name that the pool gives itself, empty for somebody else's
    pool_uids_sha256: Digest
    tombstones_sha256: Digest | Literal[""]
    device: Line  # its kind: another one rounds otherwise
    batch_samples: Count  # so does another batch
    embeddings: Line  # the prefix of their keys, empty where none were asked for


class Asked(Record):
    """What unfinished scores are to be, written first: a restart with something else is refused."""

    inputs: Inputs
    tars_sha256: Digest  # of names, sizes and times of change


class Counts(Record):
    """Samples = scored + dropped by reason."""

    samples: Count
    scored_samples: Count
    dropped_samples: dict[Line, Count]

    @pydantic.model_validator(mode="after")
    def _add_up(self) -> Self:
        if self.scored_samples + sum(self.dropped_samples.values()) != self.samples:
            raise ValueError(f"{self.samples} samples came, {self.scored_samples} were scored and {self.dropped_samples} dropped")
        return self


class PartScores(Counts):
    """What became of one file of a pool, written after its table: then the file is done."""

    table_sha256: Digest


class TarScores(PartScores):
    """What became of one tar."""

    embeddings_sha256: Digest | Literal[""]
    cut_off: bool  # the tar: it was read as far as it is whole


class ScoresRecord(Counts):
    """What a pass over a pool gave."""

    inputs: Inputs
    tars: Count
    broken_tars: tuple[Line, ...]
    by_metadata_file: bool  # whether the tables have the names of the pool's metadata files
    scores_sha256: Digest  # of all tables
    embeddings_sha256: Digest | Literal[""]

    def used(self) -> Used:
        """The network, and what it and the method rest on."""
        scorer = self.inputs.scorer
        name = f"{scorer.kind} {scorer.name}"[:150]
        by = f"scores by {name}" if scorer.method in ("cosine", scorer.name) else f"scores by {name}, {scorer.method}"
        return Used({name: scorer.weights_sha256, **scorer.assets}, (by[:200], *scorer.external_resources))


class Making(Record):
    """What a table that no network's pass gave is made by and of; written first as what unfinished ones are to be."""

    method: Line
    options: dict[Line, Option]
    pool: Line  # the name that the pool gives itself, empty for somebody else's
    pool_uids_sha256: Digest
    assets: dict[Line, Digest]
    external_resources: tuple[Line, ...]


class MadeRecord(Counts):
    """A table that was made of other tables, of embeddings, or elsewhere."""

    inputs: Making
    by_metadata_file: bool
    scores_sha256: Digest

    def used(self) -> Used:
        """What it was made of."""
        return Used(dict(self.inputs.assets), (f"scores by {self.inputs.method}"[:200], *self.inputs.external_resources))


@dataclass(frozen=True, slots=True)
class Scores:
    """The folder of finished scores."""

    path: Path
    record: ScoresRecord | MadeRecord

    def tables(self) -> list[Path]:
        """Each table, columns uid and score, in the order of the pool's files."""
        return sorted(self.path.glob("*.parquet"))

    def check(self) -> None:
        """Raise StageError unless the tables are those that the record names: nothing of another pass is among them."""
        if tables_sha256((path.stem, digest.of_file(path)) for path in self.tables()) != self.record.scores_sha256:
            name = RECORD if isinstance(self.record, ScoresRecord) else MADE
            raise StageError(f"the tables in {self.path} are not those that {name} names", repair="restore them, or score again into a new folder")

    def used(self) -> Used:
        """What they rest on: the tables, checked, and what these were made with."""
        self.check()
        used = self.record.used()
        return Used({f"scores {self.path.name}"[:200]: self.record.scores_sha256, **used.assets}, used.external_resources)


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """A column of scores, keyed by uid: finished scores of ours, or somebody else's parquet file or folder of one for each metadata file."""

    path: Path
    column: str
    given: Scores | None

    def look_up(self, stem: str, wanted: pl.Series) -> pl.DataFrame:
        """The uids that are wanted and have a score, those of the metadata file `stem`: columns uid and `column`, each uid once.

        Raises FilterError for a uid with several scores.
        """
        found = tables.look_up(self._paths(stem), [self.column], wanted)
        if found["uid"].is_duplicated().any():
            twice = found.filter(pl.col("uid").is_duplicated())["uid"][0]
            raise FilterError(f"{self.path} has several scores for uid {twice}", allowed="one row a uid")
        return found

    def _paths(self, stem: str) -> list[Path]:
        if self.given is not None and not self.given.record.by_metadata_file:
            return self.given.tables()
        return [self.path / f"{stem}.parquet" if self.path.is_dir() else self.path]

    def used(self) -> Used:
        """The table, and what is known of it."""
        if self.given is not None:
            return self.given.used()
        paths = sorted(self.path.glob("*.parquet")) if self.path.is_dir() else [self.path]
        return Used({self.path.name: digest.of_files({path.name: path for path in paths})}, (f"scores {self.path.name}",))


def open_table(path: Path, column: str = "") -> ScoreTable:
    """Open scores of any origin; the column need not be named where there is only one of numbers."""
    if (path / ASKED).is_file():
        return ScoreTable(path, column or COLUMN, read(path))
    return ScoreTable(path, column or _only_column(path), None)


def _only_column(table: Path) -> str:
    first = next(iter(sorted(table.glob("*.parquet"))), table) if table.is_dir() else table
    numeric = [name for name, dtype in tables.columns(first).items() if dtype.is_numeric() and name != "uid"]
    if len(numeric) != 1:
        raise FilterError(f"{first} has {len(numeric)} columns of numbers", allowed=", ".join(numeric), repair="name one with --score")
    return numeric[0]


def table(folder: Path, stem: str) -> Path:
    """Where the scores of a tar lie."""
    return folder / f"{stem}.parquet"


def embeddings(folder: Path, stem: str) -> Path:
    """Where the embeddings of a tar lie, row for row with its scores."""
    return folder / f"{stem}.npz"


def stats(folder: Path, stem: str) -> Path:
    """Where it says what became of a tar."""
    return folder / f"{stem}_stats.json"


def tables_sha256(digests: Iterable[tuple[str, str]]) -> str:
    """One digest of many files: the stem and the sha256 of each."""
    return digest.of_content(dict(digests))


def read(path: Path) -> Scores:
    """Open the folder of finished scores; its tables are not looked at."""
    if (path / MADE).is_file():
        return Scores(path, MadeRecord.read(path / MADE))
    if not (path / RECORD).is_file():
        raise StageError(
            f"{path} holds no finished scores: {RECORD} is missing",
            repair="start the command that makes them again, datacomp score or datacomp scores; it goes on where it stopped",
        )
    return Scores(path, ScoresRecord.read(path / RECORD))
