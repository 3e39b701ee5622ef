"""Test sets on disk, in the published layout: classnames.txt, zeroshot_classification_templates.txt, test/nshards.txt, test/N.tar.

A tar holds key.(jpg|png|webp) with key.cls, a whole number in text, key.npy, one row of whole numbers, or key.txt, one caption a line.
Nothing in it is unpickled.
"""

import contextlib
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from datacomp import digest, files, tars
from datacomp.declared.suite import Family, PublishedData, Task
from datacomp.errors import StageError, TarError
from datacomp.records import Digest, Line, Record

MANIFEST = "manifest.json"  # ours, written last
CLASSES, TEMPLATES, EXAMPLES = "classnames.txt", "zeroshot_classification_templates.txt", "examples.jsonl"
COUNT = "test/nshards.txt"
_MAX_SHARDS = 100_000
SHARD_SAMPLES = 1000
_MAX_ROW_BYTES = 1 << 12
_MAX_DIGITS = 9  # of a label
_PROMPTS = {"retrieval": (), "winogavil": (EXAMPLES,)}  # the texts beside the tars; for all other families those of a classifier
AGAIN = "make or download the set again"

Split: TypeAlias = Literal["test", "train"]
Pixels: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]  # (H, W, 3)
Row: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]  # (columns,)


class Manifest(Record):
    """The digest of every file of a test set, and of what they hold: before encoding if it was generated, else names and digests of the files."""

    content_sha256: Digest
    files: dict[Line, Digest]
    revision: Line = ""  # of the Hub's repository that it was brought from


@dataclass(frozen=True, slots=True)
class TestSet:
    """An opened test set. Class names and templates are empty where there are no classes."""

    path: Path
    class_names: tuple[str, ...]
    templates: tuple[str, ...]  # {c} stands for the class
    content_sha256: str
    split: Split = "test"


class Sample(NamedTuple):
    """A picture, still encoded, and its other members by extension; `where` names it in errors."""

    where: str
    picture: bytes
    data: dict[str, bytes]


def write(folder: Path, texts: dict[str, tuple[str, ...]], samples: Iterator[tuple[Pixels, dict[str, bytes]]], encode: Callable[[Pixels], bytes]) -> TestSet:
    """Write a test set: the lines of the texts beside its tars, by file name, and its pictures, uint8 (H, W, 3), with what lies beside each, by extension.

    The manifest comes last.
    """
    content = hashlib.sha256(digest.canonical(texts).encode())
    written: dict[str, Path] = {}

    def note(name: str, lines: tuple[str, ...]) -> None:
        files.write_text(folder / name, "\n".join(lines) + "\n")
        written[name] = folder / name

    for name, lines in texts.items():
        note(name, lines)
    everything = list(samples)
    starts = range(0, len(everything), SHARD_SAMPLES)
    for number, start in enumerate(starts):
        name = f"test/{number}.tar"
        with files.whole(folder / name) as temporary, tars.TarWriter(temporary) as writer:
            for row, (pixels, members) in enumerate(everything[start : start + SHARD_SAMPLES], start=start):
                content.update(pixels.tobytes())
                for extension, data in members.items():
                    content.update(extension.encode() + data)
                    writer.add(f"s{row:07d}.{extension}", data)
                writer.add(f"s{row:07d}.jpg", encode(pixels))
        written[name] = folder / name
    note(COUNT, (str(len(starts)),))
    Manifest(content_sha256=content.hexdigest(), files={name: digest.of_file(path) for name, path in written.items()}).write(folder / MANIFEST)
    return read_folder(folder)


def read_folder(folder: Path) -> TestSet:
    """Open a test set and hold every file against its manifest."""
    if not (folder / MANIFEST).is_file():
        raise StageError(
            f"there is no test set at {folder}",
            allowed="the published layout with our manifest.json",
            repair="make the sets with: datacomp evalsets make --out DIR",
        )
    return _opened(folder, Manifest.read(folder / MANIFEST))


def _opened(folder: Path, manifest: Manifest) -> TestSet:
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file() or digest.of_file(path) != expected:
            raise StageError(f"test set {folder.name}: {name} is missing or was changed", repair=f"remove {folder} and make or download the set again")
    return _test_set(folder, manifest)


def _test_set(folder: Path, manifest: Manifest) -> TestSet:
    return TestSet(folder, _lines(folder / CLASSES), _lines(folder / TEMPLATES), manifest.content_sha256)


def file_names(family: Family, shards: int) -> list[str]:
    """The files of a published set with so many tars."""
    return [*_PROMPTS.get(family, (CLASSES, TEMPLATES)), COUNT, *(f"test/{number}.tar" for number in range(shards))]


def is_there(data: Path, task: Task) -> bool:
    """Whether a task's set has all its files; they are not opened."""
    folder = data / task.folder
    return (folder / COUNT).is_file() and all((folder / name).is_file() for name in file_names(task.family, _shards(folder)))


def read(data: Path, task: Task, *, revision: str = "") -> TestSet:
    """Open a task's test set, and refuse one that is not what the suite was defined on.

    A published set that has no manifest gets one, which names the revision if it is known: from then on, changed files are named.
    """
    folder = data / task.folder
    test_set = _published(folder, task.family, task.data, revision) if isinstance(task.data, PublishedData) else read_folder(folder)
    if task.pinned and test_set.content_sha256 != task.data.content_sha256:
        raise StageError(
            f"test set {task.folder} has content {test_set.content_sha256[:12]}…, task {task.name} is defined on {task.data.content_sha256[:12]}…",
            repair="make the sets again with the locked package versions (requirements.lock)" if task.data.kind == "generated" else "download the set again",
        )
    if task.classes is not None and len(test_set.class_names) != task.classes:
        raise StageError(f"test set {task.folder} has {len(test_set.class_names)} classes, task {task.name} has {task.classes}")
    return test_set


def _published(folder: Path, family: Family, data: PublishedData, revision: str) -> TestSet:
    """Open a published set, whose files must all be there; write its manifest if there is none, unless its folder may only be read."""
    if not folder.is_dir():
        raise StageError(
            f"there is no test set at {folder}",
            allowed="a folder in the published layout",
            repair=f"bring it with datacomp evalsets download, or from {data.address}",
        )
    names = file_names(family, _shards(folder))
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise StageError(f"test set {folder.name} lacks {missing[0]}", repair=AGAIN)
    path = folder / MANIFEST
    if path.is_file():
        manifest = Manifest.read(path)
        if sorted(manifest.files) != sorted(names) or digest.of_content(manifest.files) != manifest.content_sha256:
            raise StageError(f"{path} is not the manifest of the files beside it", repair=f"remove it if {folder} is as it was downloaded; it is made again")
        return _opened(folder, manifest)
    found = {name: digest.of_file(folder / name) for name in names}
    manifest = Manifest.model_validate({"content_sha256": digest.of_content(found), "files": found} | ({"revision": revision} if revision else {}))
    if os.access(folder, os.W_OK):
        manifest.write(path)
    return _test_set(folder, manifest)


def count(split: Split) -> str:
    """The name of the text that says how many tars a split has."""
    return COUNT.replace("test", split)


def has_train(data: Path, task: Task) -> bool:
    """Whether a training split lies beside a task's test set."""
    return (data / task.folder / count("train")).is_file()


def read_train(folder: Path) -> TestSet:
    """Open a set's training split, whose files lie under train/ as those of the test set lie under test/. Its classes are those of the test set.

    It has no manifest: its digest is that of its files as they are now.
    """
    names = [count("train"), *(f"train/{number}.tar" for number in range(_shards(folder, "train")))]
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise StageError(f"set {folder.name} lacks {missing[0]}", repair="make its training split again")
    return TestSet(folder, (), (), digest.of_files({name: folder / name for name in names}), "train")


def _shards(folder: Path, split: Split = "test") -> int:
    """How many tars a set says that it has."""
    path = folder / count(split)
    said = path.read_bytes()[:20].decode(errors="replace").strip() if path.is_file() else "nothing"
    if not (said.isascii() and said.isdigit() and 1 <= int(said) <= _MAX_SHARDS):
        raise StageError(f"test set {folder.name}: {count(split)} says {said!r}", allowed=f"the number of tars, {split}/0.tar and so on", repair=AGAIN)
    return int(said)


def _lines(path: Path) -> tuple[str, ...]:
    """The lines of a text as the published evaluator reads them: stripped, empty ones included; none where there is no such file."""
    try:
        return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()
    except UnicodeDecodeError:
        raise StageError(f"{path} is no text in UTF-8", repair=AGAIN) from None


def samples(test_set: TestSet) -> Iterator[Sample]:
    """Go through the pictures of a set, in the order of its tars."""
    for number in range(_shards(test_set.path, test_set.split)):
        path = test_set.path / test_set.split / f"{number}.tar"
        if not path.is_file():
            raise StageError(f"test set {test_set.path.name} lacks {test_set.split}/{number}.tar", repair=AGAIN)
        for sample, data in tars.read_all(path):
            image = sample.image_extension()
            where = f"{path}: sample {sample.key!r}"
            if image is None:
                raise TarError(f"{where} lacks its picture", repair=AGAIN)
            yield Sample(where, data.pop(image), data)


def label(sample: Sample) -> int:
    """The number of a sample's class."""
    text = _member(sample, "cls").strip()
    if not text.isdigit() or len(text) > _MAX_DIGITS:
        raise TarError(f"{sample.where} has the label {text[:20]!r}", allowed="a whole number")
    return int(text)


def row(sample: Sample, columns: tuple[str, ...]) -> Row:
    """A sample's row of numbers, one for each of the columns."""
    data, found = _member(sample, "npy"), None
    if len(data) <= _MAX_ROW_BYTES:
        with contextlib.suppress(ValueError, EOFError, MemoryError, OverflowError):
            found = np.load(io.BytesIO(data), allow_pickle=False)
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iu" or found.shape != (len(columns),):
        raise TarError(f"{sample.where} has no row of metadata", allowed=f"a .npy of whole numbers, one each for {', '.join(columns)}", repair=AGAIN)
    return found.astype(np.int64)


def captions(sample: Sample) -> list[str]:
    """A sample's captions, one a line."""
    try:
        found = _member(sample, "txt").decode().splitlines()
    except UnicodeDecodeError:
        found = []
    if not found:
        raise TarError(f"{sample.where} has no captions", allowed="a text in UTF-8, one caption a line", repair=AGAIN)
    return found


def _member(sample: Sample, extension: str) -> bytes:
    if extension not in sample.data:
        raise TarError(f"{sample.where} lacks its .{extension}", repair=AGAIN)
    return sample.data[extension]
