"""A bundle: a folder with an entry and all that bears it out, as it can be handed to anybody. Its record is written last.

It is laid out as `datacomp run` lays out its results, so that `verify` and `trace` find in it what they look for.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import pydantic

from datacomp import digest, files
from datacomp.artifacts.entry import Entry
from datacomp.errors import StageError
from datacomp.records import Count, Digest, Record

FORMAT: Literal["datacomp-bundle/1"] = "datacomp-bundle/1"
RECORD = "bundle.json"
ENTRY = "entry.json"
CARD = "README.md"
PUSHED = "pushed.json"  # stays here
TEXTS = {".md", ".json", ".toml"}

_Place = Annotated[str, pydantic.Field(max_length=400, pattern=r"^([A-Za-z0-9][\w.-]*/)*[A-Za-z0-9][\w.-]*$")]  # below the bundle, wherever it comes from


class File(Record):
    """One file of a bundle."""

    bytes: Count
    sha256: Digest


class Bundle(Record):
    """Everything that a bundle holds."""

    format: Literal["datacomp-bundle/1"]
    files: dict[_Place, File]

    @property
    def id(self) -> str:
        """What it is called: the beginning of its entry's digest."""
        return self.files[ENTRY].sha256[:16]


class Pushed(Record):
    """Where a bundle was uploaded to."""

    repository: str
    commit: str


def write(out: Path, content: Mapping[str, bytes | Path]) -> Bundle:
    """Write a bundle of texts and of files to copy; what was killed goes on when it is started again.

    Raises StageError where `out` holds anything else.
    """
    foreign = sorted({path.name for path in files.held(out)} - {name.split("/")[0] for name in content} - {RECORD, PUSHED})
    if foreign:
        raise StageError(f"{out} holds {foreign[0]}, which is no part of this bundle", allowed="a new or an empty folder", repair="choose another --out")
    made = {name: File(bytes=_size(one), sha256=_sha256(one)) for name, one in content.items()}
    bundle = Bundle.of({"format": FORMAT, "files": made}, "what the bundle holds")
    with files.writing(out, leave_lock=False):
        if (out / RECORD).is_file() and Bundle.read(out / RECORD) != bundle:
            raise StageError(f"{out} holds another bundle", repair="choose another --out, or remove it")
        for name, one in content.items():
            if not (out / name).is_file() or digest.of_file(out / name) != made[name].sha256:
                with files.whole(out / name) as temporary:
                    shutil.copyfile(one, temporary) if isinstance(one, Path) else temporary.write_bytes(one)
        bundle.write(out / RECORD)
    return bundle


def read(folder: Path) -> Bundle:
    """Open a finished bundle with an entry. Its files are not looked at."""
    if not (folder / RECORD).is_file():
        raise StageError(f"{folder} holds no finished bundle: {RECORD} is missing", repair="write one with: datacomp submit prepare")
    bundle = Bundle.read(folder / RECORD)
    if ENTRY not in bundle.files:
        raise StageError(f"the bundle {folder} has no {ENTRY}", repair="write it again with: datacomp submit prepare")
    return bundle


def problem(folder: Path, name: str, file: File) -> str:
    """What is wrong with a file of a bundle, empty if nothing is."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        return "it is not there"
    return "" if digest.of_file(path) == file.sha256 else f"it is not the file that {RECORD} names"


def texts(folder: Path, bundle: Bundle) -> dict[str, str]:
    """Every text of a bundle, its record as well."""
    return {name: text(folder / name) for name in (*bundle.files, RECORD) if Path(name).suffix in TEXTS}


def text(path: Path) -> str:
    """A text of somebody's, also where it is none."""
    return path.read_bytes().decode(errors="replace")


def place(entry: Entry, id_: str) -> str:
    """Where an entry goes on the board."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in entry.method.lower())
    name = "-".join(part for part in plain.split("-") if part)[:60].strip("-")
    return f"leaderboard/entries/{entry.track}/{entry.scale}/{name or 'entry'}-{id_}.json"


def _size(one: bytes | Path) -> int:
    return one.stat().st_size if isinstance(one, Path) else len(one)


def _sha256(one: bytes | Path) -> str:
    return digest.of_file(one) if isinstance(one, Path) else digest.of_bytes(one)
