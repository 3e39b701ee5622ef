"""Making a test set of the published layout from what there is of it (sources.py)."""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from datacomp import files, tars
from datacomp.declared.suite import Task
from datacomp.errors import StageError, TarError
from datacomp.evaluate import sets, sources
from datacomp.evaluate.check import check, check_label
from datacomp.evaluate.sets import Split, TestSet
from datacomp.evaluate.sources import Found
from datacomp.evaluate.winogavil import Example

_FORMATS = ("JPEG", "PNG", "WEBP")
_EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}  # MPO: a JPEG with others behind it, as some cameras write


def convert(source: Path, task: Task, data: Path) -> TestSet:
    """Write a task's test set into `data` from a folder; it is looked through before it takes its name. Raises StageError as `make` does."""
    if files.held(data / task.folder):
        raise StageError(f"{data / task.folder} holds something", repair="remove it, or choose another --out")
    with files.writing(data, wait=True), files.scratch(data) as scratch:
        make(source, task, scratch).rename(data / task.folder)
    return sets.read(data, task)


def make(source: Path, task: Task, data: Path) -> Path:
    """Write a task's test set, pictures byte for byte, below an empty folder, and look through it; return where it lies.

    Raises StageError for families that need more than labels, captions or riddles, for what is no such folder, and for what `check` would refuse.
    """
    folder = data / task.folder
    if task.family == "classification":
        names = [] if sources.parquet(source) else sources.classes(source)
        _texts(source, folder, names)
        _write(folder, "test", "cls", sources.labelled(source, names))
    elif task.family == "retrieval":
        _write(folder, "test", "txt", sources.captioned(source))
    elif task.family == "winogavil":
        examples: list[Example] = []
        _write(folder, "test", "txt", sources.riddles(source, examples))
        files.write_text(folder / sets.EXAMPLES, "".join(f"{example.model_dump_json()}\n" for example in examples))
    else:
        raise StageError(f"sets of family {task.family} are not converted", allowed="tasks of families classification, retrieval, winogavil")
    check(data, task)
    return folder


def convert_train(source: Path, task: Task, data: Path) -> TestSet:
    """Write the training split of a task's set beside its test set, from the same kinds of folder.

    Folders that are called as the test set's classes are those; else their places are the labels, as in the test set.

    Raises StageError for tasks without classes, for what is no such folder, and where there is no test set, or a training split already.
    """
    if task.classes is None:
        raise StageError(f"sets of family {task.family} have no training split here", allowed="tasks whose pictures have one label each")
    test_set, is_table = sets.read(data, task), bool(sources.parquet(source))
    names = [] if is_table else sources.classes(source)
    if not is_table and len(names) != task.classes:
        raise StageError(f"{source} holds {len(names)} folders", allowed=f"one for each of the {task.classes} classes of {task.name}, in their order")
    if sorted(test_set.class_names) == names:
        names = list(test_set.class_names)
    if files.held(test_set.path / "train"):
        raise StageError(f"{test_set.path / 'train'} holds something", repair="remove it first")
    with files.writing(data, wait=True), files.scratch(data) as scratch:
        _write(scratch, "train", "cls", sources.labelled(source, names))
        for sample in sets.samples(sets.read_train(scratch)):
            check_label(sample, task)
        (scratch / "train").rename(test_set.path / "train")
    return sets.read_train(test_set.path)


def _texts(source: Path, folder: Path, classes: list[str]) -> None:
    """Class names and templates; folders' names are those of the classes where nothing else is said."""
    for name, text in ((sets.CLASSES, "".join(f"{name}\n" for name in classes)), (sets.TEMPLATES, "")):
        path = source / name
        if not (path.is_file() or text):
            raise StageError(f"{source} lacks {name}", allowed=sources.LAYOUT)
        if path.is_file() and classes and name == sets.CLASSES and len(path.read_bytes().splitlines()) != len(classes):
            raise StageError(
                f"{path} has another number of lines than there are folders, {len(classes)}", repair="name each folder's class, in the folders' order"
            )
        files.write_bytes(folder / name, path.read_bytes() if path.is_file() else text.encode())


def _write(folder: Path, split: Split, said: str, found: Iterator[Found]) -> None:
    """Write tars of a thousand samples, what is said of each under that extension, and their number; one picture is in memory at a time."""
    rows, number = enumerate(found), 0
    for number, first in enumerate(rows, start=1):
        with files.whole(folder / split / f"{number - 1}.tar") as temporary, tars.TarWriter(temporary) as writer:
            for row, sample in itertools.chain((first,), itertools.islice(rows, sets.SHARD_SAMPLES - 1)):
                for extension, content in sorted({said: sample.said.encode(), _extension(sample): sample.picture}.items()):
                    writer.add(f"s{row:07d}.{extension}", content)
    files.write_text(folder / sets.count(split), f"{number}\n")


def _extension(found: Found) -> str:
    """What kind of picture it is, by its first bytes."""
    try:
        with Image.open(io.BytesIO(found.picture), formats=_FORMATS) as opened:
            return _EXTENSIONS[str(opened.format)]
    except (OSError, ValueError, Image.DecompressionBombError):
        raise TarError(f"{found.where} is no picture", allowed=", ".join(_FORMATS), repair="remove it, or store it as PNG") from None
