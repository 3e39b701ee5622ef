"""What became of submitted jobs, in words: from the records of their submission, from what they left on the disk, and from Slurm."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from datacomp.errors import StageError
from datacomp.launch import queue, submission, work
from datacomp.launch.queue import State
from datacomp.launch.submission import Job, Submission

_LOG_BYTES = 20_000
_ERRORS = ("datacomp", "torch.", "RuntimeError", "slurmstepd: error", "srun: error", "OSError", "MemoryError")


class Seen(NamedTuple):
    """One job as it is now."""

    job: Job
    state: str  # done, runs, waits, failed, cancelled, ended, lost
    words: str


def listed(jobs: Path) -> Iterator[tuple[str, Submission, list[Seen]]]:
    """Every submission, the newest first, with what became of its jobs."""
    found = list(submission.below(jobs))
    states = queue.states(job.id for _, made in found for job in made.jobs)
    for name, made in found:
        yield name, made, [_seen(jobs / name, job, states) for job in made.jobs]


def one(jobs: Path, name: str) -> tuple[str, Submission]:
    """A submission by its folder's name, by the number of one of its jobs, or the newest where nothing is said.

    Raises StageError where there is none.
    """
    found = list(submission.below(jobs))
    for known, made in found:
        if name in ("", known) or any(job.id == name for job in made.jobs):
            return known, made
    names = ", ".join(known for known, _ in found[:5]) or "nothing was submitted"
    raise StageError(f"no jobs are called {name!r}" if name else f"{jobs} holds no jobs", allowed=names, repair="datacomp jobs list shows all")


def _seen(folder: Path, job: Job, states: dict[str, State]) -> Seen:
    own = [state for name, state in states.items() if name.partition("_")[0] == job.id]
    if job.record and Path(job.record).is_file():
        return Seen(job, "done", "")
    for name, kinds in (("runs", queue.RUNNING), ("waits", queue.WAITING)):
        if now := [state for state in own if state.name in kinds]:
            return Seen(job, name, (f"{len(now):,} of {job.tasks:,} tasks; " if job.tasks else "") + now[0].words())
    failed = [state for state in own if state.name not in {"COMPLETED", "CANCELLED"}]
    if not job.record:  # an array: whoever waited for it submitted what failed again
        return Seen(job, "failed" if failed else "ended", f"{len(failed):,} tasks; {failed[0].words()}" if failed else "")
    if why := _error(folder, job):
        return Seen(job, "failed", why)
    if failed:
        return Seen(job, "failed", failed[0].words())
    return Seen(job, "cancelled", "") if own else Seen(job, "lost", "Slurm does not know it any more, and it left nothing")


def _error(folder: Path, job: Job) -> str:
    """Why a job failed, as it said itself: its refusal, else the last line of its log."""
    try:
        if error := work.refused(folder, job.id):
            return str(error)
    except ValueError:
        pass
    for path in logs(folder, job, "err"):
        lines = [line.strip() for line in tail(path).splitlines() if line.strip()]
        if told := [line for line in lines if line.startswith(_ERRORS)]:
            return told[-1]
        if lines:
            return lines[-1]
    return ""


def logs(folder: Path, job: Job, stream: str = "*") -> list[Path]:
    """The logs of a job, of all its processes and tasks."""
    return sorted(path for pattern in (f"{job.id}_*_log.{stream}", f"{job.id}_log.{stream}") for path in folder.glob(pattern))


def tail(path: Path, size: int = _LOG_BYTES) -> str:
    """The end of a file as text."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read().decode("utf-8", "replace")
