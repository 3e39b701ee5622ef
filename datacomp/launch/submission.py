"""What was submitted, as it stands in the jobs' folder: one folder for each chain or array, with scripts, logs and a record."""

import time
from collections.abc import Iterator
from pathlib import Path

from datacomp.errors import StageError
from datacomp.records import Count, Line, Record

RECORD = "submission.json"


class Job(Record):
    """One job of Slurm's."""

    id: Line
    what: Line
    record: str  # the file whose being there means that it is done; of an array none
    tasks: Count = 0  # of an array


class Submission(Record):
    """Jobs that were submitted together."""

    what: Line
    profile: Line
    out: str
    command: str
    jobs: tuple[Job, ...]


def folder(jobs: Path, what: str) -> Path:
    """A new folder for what is submitted now."""
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{what.replace(' ', '-').replace('/', '-')}"
    for number in range(1, 1000):
        path = (jobs / (stem if number == 1 else f"{stem}-{number}")).resolve()
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path
    raise StageError(f"{jobs} is full of folders called {stem}", repair="remove old ones")


def below(jobs: Path) -> Iterator[tuple[str, Submission]]:
    """Every submission, with its folder's name, the newest first."""
    for path in sorted(jobs.glob(f"*/{RECORD}"), reverse=True):
        yield path.parent.name, Submission.read(path)
