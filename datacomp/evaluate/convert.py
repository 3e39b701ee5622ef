"""Making a test set of the published layout from what there is of it: a folder of pictures for each class, or the parquet tables of a data set on the Hub."""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from datacomp import files, progress, tables, tars
from datacomp.declared.suite import Task
from datacomp.errors import StageError, TarError
from datacomp.evaluate import sets
from datacomp.evaluate.check import check, check_label
from datacomp.evaluate.sets import Split, TestSet

_FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_ROWS = 100  # of a table, at once in memory
_LAYOUT = (
    "a folder of pictures for each class beside zeroshot_classification_templates.txt and, if classes are called otherwise than their folders,"
    " classnames.txt in the folders' order; or *.parquet with columns image and label beside these two texts, or image and caption for retrieval"
)


class _Found(NamedTuple):
    """A picture, still encoded, and what is said of it: a label in text, or captions, one a line."""

    where: str
    picture: bytes
    said: str


def convert(source: Path, task: Task, data: Path) -> TestSet:
    """Write a task's test set into `data` from a folder, pictures byte for byte; it is looked through before it takes its name.

    Raises StageError for families that need more than labels or captions, for what is no such folder, and for what `check` would refuse.
    """
    if task.family not in ("classification", "retrieval"):
        raise StageError(f"sets of family {task.family} are not converted", allowed="tasks of families classification, retrieval")
    parquet = sorted(source.glob("*.parquet"))
    if task.family == "retrieval" and not parquet:
        raise StageError(f"{source} holds no *.parquet", allowed=_LAYOUT)
    if files.held(data / task.folder):
        raise StageError(f"{data / task.folder} holds something", repair="remove it, or choose another --out")
    with files.writing(data, wait=True), files.scratch(data) as scratch:
        folder = scratch / task.folder
        if task.family == "classification":
            _texts(source, folder, [] if parquet else _classes(source))
        _write(folder, "test", _rows(parquet, task) if parquet else _pictures(source, _classes(source)), task)
        check(scratch, task)
        folder.rename(data / task.folder)
    return sets.read(data, task)


def convert_train(source: Path, task: Task, data: Path) -> TestSet:
    """Write the training split of a task's set beside its test set, from the same kinds of folder.

    Folders that are called as the test set's classes are those; else their places are the labels, as in the test set.

    Raises StageError for tasks without classes, for what is no such folder, and where there is no test set, or a training split already.
    """
    if task.classes is None:
        raise StageError(f"sets of family {task.family} have no training split here", allowed="tasks whose pictures have one label each")
    test_set, parquet = sets.read(data, task), sorted(source.glob("*.parquet"))
    names = [] if parquet else _classes(source)
    if not parquet and len(names) != task.classes:
        raise StageError(f"{source} holds {len(names)} folders", allowed=f"one for each of the {task.classes} classes of {task.name}, in their order")
    if sorted(test_set.class_names) == names:
        names = list(test_set.class_names)
    if files.held(test_set.path / "train"):
        raise StageError(f"{test_set.path / 'train'} holds something", repair="remove it first")
    with files.writing(data, wait=True), files.scratch(data) as scratch:
        _write(scratch, "train", _rows(parquet, task) if parquet else _pictures(source, names), task)
        for sample in sets.samples(sets.read_train(scratch)):
            check_label(sample, task)
        (scratch / "train").rename(test_set.path / "train")
    return sets.read_train(test_set.path)


def _classes(source: Path) -> list[str]:
    """The folders of the classes; their places are the labels."""
    found = sorted(path.name for path in source.iterdir() if path.is_dir() and not path.name.startswith(".")) if source.is_dir() else []
    if not found:
        raise StageError(f"{source} holds no folders of pictures", allowed=_LAYOUT)
    return found


def _texts(source: Path, folder: Path, classes: list[str]) -> None:
    """Class names and templates; folders' names are those of the classes where nothing else is said."""
    for name, text in ((sets.CLASSES, "".join(f"{name}\n" for name in classes)), (sets.TEMPLATES, "")):
        path = source / name
        if not (path.is_file() or text):
            raise StageError(f"{source} lacks {name}", allowed=_LAYOUT)
        if path.is_file() and classes and name == sets.CLASSES and len(path.read_bytes().splitlines()) != len(classes):
            raise StageError(
                f"{path} has another number of lines than there are folders, {len(classes)}", repair="name each folder's class, in the folders' order"
            )
        files.write_bytes(folder / name, path.read_bytes() if path.is_file() else text.encode())


def _pictures(source: Path, names: list[str]) -> Iterator[_Found]:
    for label, name in enumerate(names):
        for path in sorted((source / name).rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                yield _Found(str(path), path.read_bytes(), str(label))


def _rows(parquet: list[Path], task: Task) -> Iterator[_Found]:
    """The rows of tables: `image` is a picture's bytes, or a struct that holds them, as the Hub writes it."""
    said = "caption" if task.family == "retrieval" else "label"
    for path in parquet:
        if absent := {"image", said} - set(tables.columns(path)):
            raise StageError(f"{path} has no column {', '.join(sorted(absent))}", allowed=_LAYOUT)
        for start in range(0, tables.count_rows(path, said), _ROWS):
            block = tables.read_parquet(path, ["image", said], start=start, rows=_ROWS)
            for row, (image, value) in enumerate(block.iter_rows(), start=start):
                picture = image.get("bytes") if isinstance(image, dict) else image
                yield _Found(f"{path}: row {row}", picture if isinstance(picture, bytes) else b"", _text(value))


def _text(value: object) -> str:
    """A label or captions in text, without those that are missing; a line feed within a caption would make two of it."""
    return "\n".join(" ".join(str(part).split()) for part in (value if isinstance(value, list) else [value]) if part is not None)


def _write(folder: Path, split: Split, found: Iterator[_Found], task: Task) -> None:
    """Write tars of a thousand samples and their number."""
    shown = progress.show(found, total=task.samples, unit=" samples", title="convert") if split == "test" else found
    (folder / split).mkdir(parents=True)
    said, number = "txt" if task.family == "retrieval" else "cls", 0
    while samples := list(itertools.islice(shown, sets.SHARD_SAMPLES)):
        with tars.TarWriter(folder / split / f"{number}.tar") as writer:
            for row, sample in enumerate(samples, start=number * sets.SHARD_SAMPLES):
                for extension, content in sorted({said: sample.said.encode(), _extension(sample): sample.picture}.items()):
                    writer.add(f"s{row:07d}.{extension}", content)
        number += 1
    files.write_text(folder / sets.count(split), f"{number}\n")


def _extension(found: _Found) -> str:
    """What kind of picture it is, by its first bytes."""
    try:
        with Image.open(io.BytesIO(found.picture), formats=tuple(_FORMATS)) as opened:
            return _FORMATS[str(opened.format)]
    except (OSError, ValueError, Image.DecompressionBombError):
        raise TarError(f"{found.where} is no picture", allowed=", ".join(_FORMATS), repair="remove it, or store it as PNG") from None
