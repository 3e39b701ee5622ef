"""Scores of a pool by a network: a table for each of its tars, and embeddings beside it if they were asked for. The record is written last."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import pydantic

from datacomp import digest
from datacomp.errors import StageError
from datacomp.records import Count, Digest, Line, Record

ASKED, RECORD = "asked.json", "scores.json"
COLUMN = "score"


class Preprocessing(Record):
    """What the network saw of a picture: its shorter side resized to `size`, then the centre, then normalised."""

    size: Count
    interpolation: Line
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Scorer(Record):
    """The network that scored, computed in float32."""

    kind: Line
    name: Line
    config_sha256: Digest  # of architecture, preprocessing and tokenizer
    weights_sha256: Digest
    preprocessing: Preprocessing


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


class TarScores(Counts):
    """What became of one tar, written after its table: then the tar is done."""

    table_sha256: Digest
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


@dataclass(frozen=True, slots=True)
class Scores:
    """The folder of a finished pass."""

    path: Path
    record: ScoresRecord

    def tables(self) -> list[Path]:
        """The table of each tar, columns uid and score, in the order of the pool's tars."""
        return sorted(self.path.glob("*.parquet"))

    def check(self) -> None:
        """Raise StageError unless the tables are those that the record names: nothing of another pass is among them."""
        if tables_sha256((path.stem, digest.of_file(path)) for path in self.tables()) != self.record.scores_sha256:
            raise StageError(f"the tables in {self.path} are not those that {RECORD} names", repair="restore them, or score again into a new folder")


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
    """Open the folder of a finished pass; its tables are not looked at."""
    if not (path / RECORD).is_file():
        raise StageError(
            f"{path} holds no finished scores: {RECORD} is missing", repair="start the same datacomp score command again; it goes on where it stopped"
        )
    return Scores(path, ScoresRecord.read(path / RECORD))
