"""Looking through test sets without a network: files, members, numbers of samples."""

from pathlib import Path

from datacomp.declared.suite import Family, Task
from datacomp.errors import StageError
from datacomp.evaluate import faces, grouped, sets, winogavil
from datacomp.evaluate.sets import Manifest, Sample, TestSet

COLUMNS: dict[Family, tuple[str, ...]] = {
    "iwildcam": grouped.IWILDCAM,
    "camelyon17": grouped.CAMELYON17,
    "fmow": grouped.FMOW,
    "dollar_street": grouped.DOLLAR_STREET,
    "geode": grouped.GEODE,
    "faces": faces.COLUMNS,
}
_CAPTIONED: tuple[Family, ...] = ("retrieval", "winogavil")


def check(data: Path, task: Task) -> TestSet:
    """Open a task's test set and go through all its samples; pictures are not decoded.

    Raises StageError, or TarError with the sample's name, for the first thing that an evaluation would refuse.
    """
    test_set, count = sets.read(data, task), 0
    for sample in sets.samples(test_set):
        count += 1
        if task.family in _CAPTIONED:
            sets.captions(sample)
        else:
            check_label(sample, task)
        if columns := COLUMNS.get(task.family):
            sets.row(sample, columns)
    check_samples(task, len(winogavil.examples(test_set)) if task.family == "winogavil" else count)
    return test_set


def check_label(sample: Sample, task: Task) -> None:
    """Raise StageError for a sample of a class that the task does not have."""
    if task.classes is not None and sets.label(sample) >= task.classes:
        raise StageError(f"{sample.where} has a label outside the {task.classes} classes", repair=sets.AGAIN)


def check_samples(task: Task, found: int) -> None:
    """Raise StageError for another number of samples than the suite's."""
    if found != task.samples:
        raise StageError(f"test set {task.folder} has {found:,} samples, task {task.name} has {task.samples:,}", repair=sets.AGAIN)


def size(data: Path, task: Task) -> int | None:
    """The bytes of a set's files by its manifest, or of all that lies in its folder; None where there is none."""
    folder = data / task.folder
    if not folder.is_dir():
        return None
    path = folder / sets.MANIFEST
    files = [folder / name for name in Manifest.read(path).files] if path.is_file() else [file for file in folder.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files if file.is_file())
