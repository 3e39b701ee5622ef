"""What comparisons of filters measured: one row for each scale, arm and seed, in a small file that can be committed, or of another kind in another one.

A row names by digest everything that it is a function of, so that it is taken up on another machine, where its run never was, and is measured again
as soon as recipe, suite, pool or list are others.
"""

import json
from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, TypeVar

from datacomp import digest, files
from datacomp.artifacts.results import TaskScores
from datacomp.artifacts.run import Code
from datacomp.declared import asset as assets
from datacomp.errors import RecordError
from datacomp.records import Count, Digest, Line, Record, read_bytes


class MainScore(TaskScores):
    """One task's main metric with its standard error from the test samples."""

    samples: Count


class About(Record):
    """What a row is a function of, besides its seed."""

    recipe_sha256: Digest
    suite: Line
    suite_version: Count
    suite_sha256: Digest
    pool: Line
    pool_uids_sha256: Digest
    pool_content_sha256: Digest | Literal[""]  # empty where the pictures lie on the web
    list_sha256: Digest


class Keyed(Record):
    """What such a file holds one of for each key."""

    keyed_by: ClassVar[str]  # in words

    @property
    @abstractmethod
    def key(self) -> tuple[str | int, ...]:
        """Its place in the file."""


class Key(NamedTuple):
    """What there is one row of."""

    scale: str
    arm: str
    seed: int


class Row(Keyed):
    """One run: a list, trained on with one seed and evaluated."""

    keyed_by = "scale, arm and seed"

    scale: Line
    arm: Line
    seed: int
    about: About
    samples: Count  # of the list
    distinct_samples: Count
    note: Line = ""  # why the list could not be entered
    tasks: tuple[MainScore, ...]
    weights_sha256: Digest
    code: Code

    @property
    def key(self) -> Key:
        """The row's place in the file."""
        return Key(self.scale, self.arm, self.seed)


Kind = TypeVar("Kind", bound=Keyed)


def read(path: Path) -> dict[Key, Row]:
    """The rows of runs in a file, in its order; none where there is no file."""
    return {row.key: row for row in read_all(path, Row)}


def read_all(path: Path, kind: type[Kind]) -> list[Kind]:
    """The rows of a file of one kind, in its order; none where there is no file.

    Raises RecordError for what is no such file, and for two rows with one key.
    """
    if not path.is_file():
        return []
    try:
        found = json.loads(read_bytes(path))
    except ValueError as error:
        raise RecordError(f"{path} is no JSON: {error}", repair="restore the file; what was measured stays in it") from None
    if not isinstance(found, list):
        raise RecordError(f"{path} holds no list of rows", repair="restore the file; what was measured stays in it")
    rows = [kind.parse(json.dumps(row), f"{path}, row {number}") for number, row in enumerate(found, 1)]
    if len({row.key for row in rows}) < len(rows):
        raise RecordError(f"{path} has two rows of one {kind.keyed_by}", allowed="one", repair="remove the older one")
    return rows


def add(path: Path, row: Keyed) -> None:
    """Put a row into a file, in place of the one that was there; several processes of a machine may do so at once."""
    lock = assets.cache_folder() / "compared" / digest.of_bytes(str(path.resolve()).encode())[:16]  # beside the file it would be committed with it
    with files.writing(lock, wait=True):
        others = [other for other in read_all(path, type(row)) if other.key != row.key]
        files.write_text(path, text([*others, row]))


def text(rows: Iterable[Keyed]) -> str:
    """The one text of some rows: JSON with a line for each, in order, so that a commit shows which runs it adds."""
    lines = [json.dumps(row.plain(), sort_keys=True, ensure_ascii=False, allow_nan=False) for row in sorted(rows, key=lambda row: row.key)]
    return "[\n" + ",\n".join(lines) + "\n]\n"
