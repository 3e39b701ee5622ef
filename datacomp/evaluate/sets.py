"""Test sets on disk, in the published layout: classnames.txt, zeroshot_classification_templates.txt, test/nshards.txt, test/N.tar."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from datacomp import digest, files, tars
from datacomp.declared.suite import Task
from datacomp.errors import StageError, TarError
from datacomp.records import Digest, Line, Record

MANIFEST = "manifest.json"  # ours, written last
_SHARD_SAMPLES = 1000

Pixels: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]  # (H, W, 3)


class Manifest(Record):
    """The digest of every file of a test set, and of what they hold before encoding."""

    content_sha256: Digest
    files: dict[Line, Digest]


@dataclass(frozen=True, slots=True)
class TestSet:
    """An opened test set. `content_sha256` covers class names, templates, labels and pixels before encoding."""

    path: Path
    class_names: tuple[str, ...]
    templates: tuple[str, ...]  # {c} stands for the class
    content_sha256: str


def write(
    folder: Path,
    class_names: tuple[str, ...],
    templates: tuple[str, ...],
    samples: Iterator[tuple[Pixels, int]],
    encode: Callable[[Pixels], bytes],
) -> TestSet:
    """Write a test set from pictures, uint8 (H, W, 3), and labels; the manifest comes last."""
    content = hashlib.sha256(digest.canonical({"classes": class_names, "templates": templates}).encode())
    written: dict[str, Path] = {}

    def note(name: str, text: str) -> None:
        files.write_text(folder / name, text)
        written[name] = folder / name

    note("classnames.txt", "\n".join(class_names) + "\n")
    note("zeroshot_classification_templates.txt", "\n".join(templates) + "\n")
    everything = list(samples)
    starts = range(0, len(everything), _SHARD_SAMPLES)
    for number, start in enumerate(starts):
        name = f"test/{number}.tar"
        with files.whole(folder / name) as temporary, tars.TarWriter(temporary) as writer:
            for row, (pixels, label) in enumerate(everything[start : start + _SHARD_SAMPLES], start=start):
                content.update(pixels.tobytes() + str(label).encode())
                writer.add(f"s{row:07d}.cls", str(label).encode())
                writer.add(f"s{row:07d}.jpg", encode(pixels))
        written[name] = folder / name
    note("test/nshards.txt", f"{len(starts)}\n")
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
    manifest = Manifest.read(folder / MANIFEST)
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file() or digest.of_file(path) != expected:
            raise StageError(f"test set {folder.name}: {name} is missing or was changed", repair=f"remove {folder} and make the set again")
    return TestSet(folder, _lines(folder / "classnames.txt"), _lines(folder / "zeroshot_classification_templates.txt"), manifest.content_sha256)


def read(data: Path, task: Task) -> TestSet:
    """Open a task's test set, and refuse one that is not what the suite was defined on."""
    test_set = read_folder(data / task.folder)
    if test_set.content_sha256 != task.data.content_sha256:
        raise StageError(
            f"test set {task.folder} has content {test_set.content_sha256[:12]}…, task {task.name} is defined on {task.data.content_sha256[:12]}…",
            repair="make the sets again with the locked package versions (requirements.lock)",
        )
    if len(test_set.class_names) != task.classes:
        raise StageError(f"test set {task.folder} has {len(test_set.class_names)} classes, task {task.name} has {task.classes}")
    return test_set


def _lines(path: Path) -> tuple[str, ...]:
    return tuple(line for line in path.read_text().splitlines() if line.strip())


def samples(test_set: TestSet) -> Iterator[tuple[bytes, int]]:
    """Go through the pictures, encoded, with their labels."""
    shards = int((test_set.path / "test" / "nshards.txt").read_text())
    for number in range(shards):
        path = test_set.path / "test" / f"{number}.tar"
        for sample, data in tars.read_all(path):
            image = next((data[extension] for extension in tars.IMAGE_EXTENSIONS if extension in data), None)
            if image is None or "cls" not in data:
                raise TarError(f"{path}: sample {sample.key!r} lacks its picture or its label", repair="make or download the set again")
            if not data["cls"].strip().isdigit():
                raise TarError(f"{path}: sample {sample.key!r} has the label {data['cls'][:20]!r}", allowed="a whole number")
            yield image, int(data["cls"])
