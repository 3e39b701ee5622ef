"""A task under somebody's own templates or class names."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pydantic

from datacomp import digest, files, progress
from datacomp.declared.suite import Task
from datacomp.errors import StageError
from datacomp.evaluate import aside, sets
from datacomp.evaluate.aside import Aside, How
from datacomp.evaluate.check import check_samples
from datacomp.evaluate.run import FAMILIES
from datacomp.evaluate.sets import TestSet
from datacomp.evaluate.subject import Subject
from datacomp.launch.local import Workers

_CLASS = "{c}"
_Lines = Annotated[tuple[str, ...], pydantic.Field(min_length=1)]


class Prompted(Aside):
    """What was found with these prompts, which are in part the test set's own."""

    class_names: _Lines
    templates: _Lines


class Prompts(NamedTuple):
    """One's own; what is None is the test set's."""

    templates: tuple[str, ...] | None
    class_names: tuple[str, ...] | None


class _Job(NamedTuple):
    subject: Subject
    task: Task
    test_set: TestSet
    said: dict[str, Any]
    path: Path
    how: How


def read(task: Task, templates: Path | None, class_names: Path | None) -> Prompts:
    """Read prompts for a task from texts of one's own. Raises StageError for what cannot be its templates or its classes."""
    aside.check_classes(task)
    found = Prompts(_lines(templates) if templates else None, _lines(class_names) if class_names else None)
    for number, line in enumerate(found.templates or (), 1):
        if _CLASS not in line:
            raise StageError(f"{templates} line {number} lacks {_CLASS}", allowed=f"one template a line, such as: a photo of a {_CLASS}.")
    if found.class_names is not None:
        if "" in found.class_names:
            raise StageError(f"{class_names} line {found.class_names.index('') + 1} is empty", allowed="one class name a line")
        if len(found.class_names) != task.classes:
            raise StageError(
                f"{class_names} has {len(found.class_names)} lines, task {task.name} has {task.classes} classes",
                repair="name each class on a line of its own, in the order of the set's classnames.txt",
            )
    return found


def _lines(path: Path) -> tuple[str, ...]:
    try:
        found = tuple(line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    except OSError as error:
        raise StageError(f"{path} cannot be read: {error.strerror}", repair="check the path") from None
    except UnicodeDecodeError:
        raise StageError(f"{path} is no text in UTF-8", repair="save it as UTF-8") from None
    if not any(found):
        raise StageError(f"{path} is empty", allowed="a text with something on every line")
    return found


def place(subject: Subject, task: Task, test_set: TestSet) -> Path:
    """Where what these prompts give goes: their digest tells it from what others give."""
    return subject.folder / f"prompts-{digest.of_content([test_set.class_names, test_set.templates])[:8]}" / f"{task.folder}.json"


def evaluate(subject: Subject, task: Task, prompts: Prompts, data: Path, *, how: How | None = None, workers: Workers = None) -> tuple[Prompted, Path]:
    """Measure a task with prompts of one's own; return what was found, and the file that has it."""
    own = sets.read(data, task)
    test_set = replace(own, class_names=prompts.class_names or own.class_names, templates=prompts.templates or own.templates)
    said = aside.about(subject, task, own.content_sha256) | {"class_names": test_set.class_names, "templates": test_set.templates}
    path = place(subject, task, test_set)
    with files.writing(subject.home):
        return aside.measured(Prompted, path, said, _measure, _Job(subject, task, test_set, said, path, how or How()), workers), path


def _measure(job: _Job) -> None:
    model = job.how.model(job.subject)
    with progress.counter(total=job.task.samples, unit=" samples", title=f"evaluate {job.task.name}") as bar:
        model.seen = bar.update
        found = FAMILIES[job.task.family](model, job.test_set)
    check_samples(job.task, found.samples)
    Prompted.model_validate(job.said | aside.values(found)).write(job.path)
