"""Fetching a pool's pictures: img2dataset at work under a watch that never lets it hang, shard by shard into the pool."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from datacomp import files, hub, progress
from datacomp.errors import PoolError, StageError
from datacomp.pool import disk, harvest, reasons
from datacomp.pool.ledger import Ledger, Piece
from datacomp.pool.metadata import WORK
from datacomp.pool.settings import arguments

_POLL_S = 1.0
_RUN_SHARDS = 32  # for each process, before img2dataset is started anew
_RESERVE_BYTES = 1_000_000_000
_NO_NETWORK_SAMPLES = 100  # a shard of so many urls none of which answers means that there may be no network


@dataclass(frozen=True, slots=True)
class Part:
    """A share of a pool's pictures, for one machine."""

    pool: Path
    command: tuple[str, ...]  # the downloader; the path of its job is added
    part: int = 1
    parts: int = 1
    processes: int = 1
    threads: int = 128
    passes: int = 2
    stall_s: float = 180

    @property
    def work(self) -> Path:
        """Where img2dataset works."""
        return self.pool / WORK / f"{self.part}-of-{self.parts}"


def fetch(task: Part) -> None:
    """Fetch every picture of a part that is not there, and once more what may come at another try; a killed call goes on.

    Raises PoolError where there is no network or no room, StageError where img2dataset cannot work.
    """
    ledger = Ledger(task.pool)
    with ExitStack() as locks:
        others = (folder for folder in (task.pool / WORK).glob("*-of-*") if not folder.name.endswith(f"-of-{task.parts}"))
        for folder in (task.work, *others):  # another division of the same work must be over; what it left is taken
            locks.enter_context(files.writing(folder))
            _settle(task, ledger, folder / "out", given_up=False)
        mine = [piece for piece in ledger.pieces if piece.number % task.parts == task.part - 1]
        for again, title in ((False, "pictures"), (True, "further tries")):
            todo = [piece for piece in mine if len(ledger.wanted(piece, task.passes, again=again))]
            total = len(todo) if again else len(mine)
            for _ in progress.show(_shards(task, ledger, todo, again=again), total=total, start=total - len(todo), unit=" shards", title=title):
                pass


def _shards(task: Part, ledger: Ledger, todo: list[Piece], *, again: bool) -> Iterator[str]:
    """Fetch pieces, some hundred at a time; yield each shard that is complete."""
    size = _RUN_SHARDS * task.processes
    for start in range(0, len(todo), size):
        while names := _write_inputs(task, ledger, todo[start : start + size], again=again):
            yield from _run(task, ledger, names)


def _write_inputs(task: Part, ledger: Ledger, pieces: list[Piece], *, again: bool) -> list[str]:
    files.empty(task.work)
    (task.work / "in").mkdir()
    names = []
    for piece in pieces:
        rows = ledger.wanted(piece, task.passes, again=again)
        if len(rows):
            names.append(ledger.next_name(piece))
            rows.write_ipc(task.work / "in" / f"{names[-1]}.arrow", compat_level=pl.CompatLevel.oldest())
    return names


def _run(task: Part, ledger: Ledger, names: list[str]) -> Iterator[str]:
    """Run img2dataset over the inputs once; whatever it leaves is settled. Raises StageError if that is nothing at all."""
    out, log, settings = task.work / "out", task.work / "log.txt", ledger.settings
    options = arguments(settings.options) | {
        "url_list": str(task.work / "in"),
        "output_folder": str(out),
        "processes_count": min(task.processes, len(names)),
        "thread_count": task.threads,
        "number_sample_per_shard": settings.shard_samples,
    }
    job = {"options": options, "columns": list(ledger.columns), "url_limit_s": settings.url_limit_s, "max_url_bytes": settings.max_url_bytes}
    (task.work / "job.json").write_text(json.dumps(job))
    settled = 0
    with log.open("wb") as said:
        process = subprocess.Popen(  # noqa: S603 - our own words
            [*task.command, str(task.work / "job.json")],
            stdin=subprocess.PIPE,  # its end tells the driver that this process has died
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1"},  # it would ask the network for news at every start
        )
        try:
            for name in _watch(task, ledger, process):
                settled += 1
                yield name
        finally:
            _end(process)
    for name in _settle(task, ledger, out, given_up=True):
        settled += 1
        yield name
    if not settled:
        last = next((line for line in reversed(log.read_text(errors="replace").splitlines()) if line.strip()), "nothing")
        raise StageError(f"img2dataset ended without any picture or failure; it said: {last[:300]}", repair=f"look at {log}, then start the same command again")


def _watch(task: Part, ledger: Ledger, process: "subprocess.Popen[bytes]") -> Iterator[str]:
    """Take each shard as it is finished, until the downloader ends or has written nothing for `stall_s`."""
    out, seen, since = task.work / "out", -1, time.monotonic()
    while process.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_S)
        for name in harvest.finished(out):
            if int(name) < len(ledger.pieces):  # later tries are of what did not answer
                _check_network(out, name)
            _settle_one(task, ledger, out, name, given_up=True)
            seen = -1
            yield name
        if (written := _bytes_in(out)) != seen:
            seen, since = written, time.monotonic()
        elif time.monotonic() - since > task.stall_s:
            progress.say(f"img2dataset wrote nothing for {task.stall_s:.0f} s and is stopped; what it had is kept, and the rest goes on")
            return
        if (room := disk.free(out)) < _RESERVE_BYTES:
            raise PoolError(f"{task.pool} has {disk.gigabytes(room)} left", repair="make room, then start the same command again; it goes on where it stopped")


def _bytes_in(folder: Path) -> int:
    total = 0
    for entry in os.scandir(folder) if folder.is_dir() else ():
        try:
            total += entry.stat().st_size
        except FileNotFoundError:
            continue  # removed meanwhile
    return total


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # the group outlives its first process where workers hang
    process.wait()
    assert process.stdin is not None
    process.stdin.close()


def _check_network(out: Path, name: str) -> None:
    counts = harvest.reasons_of(out, name)
    if counts.total() >= _NO_NETWORK_SAMPLES and counts.keys() <= reasons.UNANSWERED and not hub.answers():
        said = ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())
        raise PoolError(
            f"none of the {counts.total():,} addresses of a shard answers ({said}), nor does the Hub",
            repair="check the network and the name resolver, then start the same command again; nothing of this was recorded",
        )


def _settle(task: Part, ledger: Ledger, out: Path, *, given_up: bool) -> list[str]:
    """Bring all that img2dataset left into the pool; with `given_up`, rows of a begun shard that have no answer have had their try."""
    names = sorted({*harvest.finished(out), *harvest.begun(out)})
    return [name for name in names if _settle_one(task, ledger, out, name, given_up=given_up)]


def _settle_one(task: Part, ledger: Ledger, out: Path, name: str, *, given_up: bool) -> bool:
    """Whether there is something to record of a shard: it is whole, or some of it is, or its rows have had their try."""
    is_finished = name in harvest.finished(out)
    if is_finished and harvest.is_whole(out, name):
        harvest.take(out, ledger.shards, name)
        return True
    asked = ledger.wanted(ledger.piece_of(name), task.passes, again=True).select("uid", "url") if given_up or is_finished else None
    return harvest.save(out, ledger.shards, name, asked) > 0
