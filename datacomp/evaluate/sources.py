"""What a test set can be made of: folders of pictures, parquet tables of the Hub, or a table in text with an archive of the pictures. Nothing in it is run."""

import csv
import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from datacomp import progress, tables
from datacomp.errors import StageError
from datacomp.evaluate.winogavil import Example

LAYOUT = (
    "a folder of pictures for each class beside zeroshot_classification_templates.txt and, if classes are called otherwise than their folders,"
    " classnames.txt in the folders' order; or *.parquet with columns image and label beside these two texts, image and caption for retrieval,"
    " cue, candidates, associations and candidate_images for WinoGAViL; or for these two one .csv and one .zip as the Hub has them"
)
_ROWS = 100  # of a parquet table, at once in memory
_MAX_PICTURE_BYTES = 1 << 28
_JUNK = "__MACOSX"  # a folder that some archivers add, with files named as the pictures


class Found(NamedTuple):
    """A picture, still encoded, and what is said of it: a label in text, or captions, one a line; `where` names it in errors."""

    where: str
    picture: bytes
    said: str


def classes(source: Path) -> list[str]:
    """The folders of the classes; their places are the labels."""
    found = sorted(path.name for path in source.iterdir() if path.is_dir() and not path.name.startswith(".")) if source.is_dir() else []
    if not found:
        raise StageError(f"{source} holds no folders of pictures", allowed=LAYOUT)
    return found


def parquet(source: Path) -> list[Path]:
    """The tables of a folder, in their order."""
    return sorted(source.glob("*.parquet"))


def labelled(source: Path, names: Sequence[str]) -> Iterator[Found]:
    """Pictures with labels: of tables, else the places of the folders among `names`."""
    if parquet(source):
        return (Found(where, _picture(image), _text(label)) for where, (image, label) in _rows(source, "image", "label"))
    return _in_folders(source, names)


def _in_folders(source: Path, names: Sequence[str]) -> Iterator[Found]:
    found = [(path, label) for label, name in enumerate(names) for path in sorted((source / name).rglob("*"))]
    pictures = [(path, label) for path, label in found if path.is_file() and not path.name.startswith(".")]
    for path, label in progress.show(pictures, total=len(pictures), unit=" pictures", title="convert"):
        yield Found(str(path), path.read_bytes(), str(label))


def captioned(source: Path) -> Iterator[Found]:
    """Pictures with captions: rows of tables, or of a text whose columns are a picture's file name and its captions as a list in JSON."""
    if parquet(source):
        for where, (image, captions) in _rows(source, "image", "caption"):
            yield Found(where, _picture(image), _text(captions))
        return
    with _archive(source) as read:
        for where, (name, captions) in _lines(source, "filename", "raw"):
            yield Found(where, read(name, where), _text(_list(captions, where)))


def riddles(source: Path, examples: list[Example]) -> Iterator[Found]:
    """WinoGAViL's pictures, each once, under the name of its candidate; the riddles are added to `examples` on the way.

    Raises StageError where one name has several pictures in parquet tables, which hold them again in each row.
    """
    columns = ("cue", "candidates", "associations")
    if parquet(source):
        digests: dict[str, bytes] = {}
        for where, (*said, images) in _rows(source, *columns, "candidate_images"):
            example = _example(where, said)
            examples.append(example)
            if len(images or ()) != len(example.candidates):
                raise StageError(f"{where} has {len(images or ())} pictures for {len(example.candidates)} candidates", repair="make or download it again")
            for name, picture in zip(example.candidates, map(_picture, images), strict=True):
                digest = hashlib.sha256(picture).digest()
                if name not in digests:
                    yield Found(where, picture, name)
                elif digests[name] != digest:
                    raise StageError(f"{where}: candidate {name!r} has another picture than in a row before", allowed="one picture for each name")
                digests[name] = digest
        return
    with _archive(source) as read:
        named: set[str] = set()
        for where, (cue, candidates, associations) in _lines(source, *columns):
            example = _example(where, (cue, _list(candidates, where), _list(associations, where)))
            examples.append(example)
            for name in dict.fromkeys(example.candidates):
                if name not in named:
                    yield Found(where, read(f"{name}.jpg", where), name)
            named.update(example.candidates)


def _example(where: str, said: Any) -> Example:
    names = ("cue", "candidates", "associations")
    example = Example.of({name: tuple(value) if isinstance(value, list) else value for name, value in zip(names, said, strict=True)}, where)
    if odd := [name for name in example.candidates if name.splitlines() != [name]]:
        raise StageError(f"{where} calls a candidate {odd[0]!r}", allowed="names of one line")
    return example


def _rows(source: Path, *columns: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The rows of all parquet tables of a folder, and where each stands; a picture is its bytes, or a struct that holds them, as the Hub writes it."""
    for path in parquet(source):
        if absent := set(columns) - set(tables.columns(path)):
            raise StageError(f"{path} has no column {', '.join(sorted(absent))}", allowed=LAYOUT)
    counts = {path: tables.count_rows(path, columns[0]) for path in parquet(source)}
    starts = [(path, start) for path, count in counts.items() for start in range(0, count, _ROWS)]
    blocks = ((path, start, tables.read_parquet(path, list(columns), start=start, rows=_ROWS)) for path, start in starts)
    for path, start, block in progress.show(blocks, total=sum(counts.values()), unit=" rows", title="convert", step=lambda found: found[2].height):
        for number, row in enumerate(block.iter_rows(), start=start):
            yield f"{path}: row {number}", row


def _lines(source: Path, *columns: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The rows of the one text of a folder, and where each stands."""
    path = _only(source, "csv")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            found = list(csv.DictReader(file, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise StageError(f"{path} cannot be read as a table in text: {error}", repair="make or download this file again") from None
    for number, row in enumerate(progress.show(found, total=len(found), unit=" rows", title="convert")):
        if absent := [column for column in columns if row.get(column) is None]:
            raise StageError(f"{path}: row {number} has no column {', '.join(absent)}", allowed=", ".join(columns), repair="make or download this file again")
        yield f"{path}: row {number}", tuple(row[column] for column in columns)


@contextmanager
def _archive(source: Path) -> Iterator[Callable[[str, str], bytes]]:
    """Give a function that reads a picture from the one archive of a folder by its name, wherever in it; what asks for it is named in errors."""
    path = _only(source, "zip")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {PurePosixPath(member.filename).name: member for member in archive.infolist() if _JUNK not in member.filename}

            def read(name: str, where: str) -> bytes:
                member = members.get(name)
                if member is None:
                    raise StageError(f"{path} has no picture {name!r}, which {where} asks for", repair="make or download both files again")
                if member.file_size > _MAX_PICTURE_BYTES:
                    raise StageError(f"{path}: picture {name!r} has {member.file_size:,} bytes", allowed=f"up to {_MAX_PICTURE_BYTES:,}")
                return archive.read(member)

            yield read
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise StageError(f"{path} cannot be read as a zip archive: {error}", repair="make or download this file again") from None


def _only(source: Path, suffix: str) -> Path:
    found = sorted(source.glob(f"*.{suffix}"))
    if len(found) != 1:
        raise StageError(f"{source} holds no *.parquet, and {len(found) or 'no'} *.{suffix}", allowed=LAYOUT)
    return found[0]


def _list(text: str, where: str) -> list[Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise StageError(f"{where}: {text[:40]!r} is no list in JSON", repair="make or download this file again")
    return found


def _picture(image: Any) -> bytes:
    """A picture's bytes; none where there is no picture, which is refused when its format is asked for."""
    picture = image.get("bytes") if isinstance(image, dict) else image
    return picture if isinstance(picture, bytes) else b""


def _text(value: Any) -> str:
    """A label or captions in text, without those that are missing; a line feed within a caption would make two of it."""
    return "\n".join(" ".join(str(part).split()) for part in (value if isinstance(value, list) else [value]) if part is not None)
