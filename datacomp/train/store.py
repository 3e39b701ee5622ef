"""A run in a store: it is computed in a folder of this machine, and its files are copied when a point to go on from is written.

A lease in the store keeps other machines away. It is no lock: of two that begin in the same second, the one that finds another name in it at its
next copy gives up.
"""

import re
import socket
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from datacomp import digest, files, places
from datacomp.artifacts import run as runs
from datacomp.artifacts.run_folder import INPUTS, LOG
from datacomp.declared import asset as assets
from datacomp.errors import BusyError, DatacompError
from datacomp.records import Line, Record

LEASE: Final = "writer.json"
_MINE = ".writer"  # in the folder of this machine: who it is in the lease
_POINT = re.compile(r"resume/step_\d{8}\.safetensors")
_COPIED = re.compile(rf"{_POINT.pattern}|checkpoints/step_\d{{8}}/{re.escape(runs.WEIGHTS)}|tensorboard/[\w.-]+|{INPUTS}|{LOG}|{runs.RECORD}", re.ASCII)
_LEAST_LEASE_S = 300.0
_LEASE_SAVES = 3  # so many points may fail to come before others take the run for dead


class Lease(Record):
    """Who writes a run in a store."""

    owner: Line
    token: Line  # a random one for each folder that a run is computed in
    until_s: float  # by the clock; others wait until then


class Store:
    """A run's place in a store, and the folder where it is computed."""

    def __init__(self, out: Path, save_every_s: float) -> None:
        self.work = assets.cache_folder() / "runs" / digest.of_bytes(str(out).encode())[:16] / out.name
        self._out, self._lease_s = out, _LEAST_LEASE_S + _LEASE_SAVES * save_every_s
        self._copied: dict[str, tuple[int, int]] = {}  # what the store has of this folder: bytes and time of change by name

    def begin(self) -> None:
        """Be the writer, and have here what the store has. What lies here is kept only if nobody else wrote since.

        Raises BusyError, naming the owner, where another machine writes.
        """
        if runs.RECORD in self._there():
            files.empty(self.work)
            self.fetch()
            return
        lease, mine = self._lease(), self._token()
        if lease is not None and lease.token != mine:
            self._check_free(lease)
        if lease is None or lease.token != mine:
            files.empty(self.work)
            files.write_text(self.work / _MINE, uuid.uuid4().hex)
        self._write_lease(self._lease_s)
        self.fetch()
        self.copy()

    def fetch(self) -> None:
        """Bring what is not here: the newest point to go on from and all that stays; of a finished run its records."""
        there = self._there()
        points = sorted(filter(_POINT.fullmatch, there))
        wanted = {INPUTS, runs.RECORD} if runs.RECORD in there else there - set(points[:-1])
        for name in sorted(wanted & there):
            path = self.work / name
            if not path.is_file():
                with files.whole(path) as temporary:
                    self._ask(name, "get_file", self._address(name), str(temporary))

    def copy(self) -> None:
        """Bring to the store what is new here, the record last, then remove what is no longer here. Raises BusyError where another machine took over."""
        lease = self._lease()
        if lease is None or lease.token != self._token():
            owner = lease.owner if lease else "somebody who removed the lease"
            raise BusyError(f"{self._out} was taken over by {owner}", repair="let only one machine write to it; what it has written is whole")
        self._write_lease(self._lease_s)
        here = {name: path for path in sorted(self.work.rglob("*")) if _COPIED.fullmatch(name := path.relative_to(self.work).as_posix())}
        for name in sorted(here, key=lambda name: (name == runs.RECORD, name)):
            about = here[name].stat()
            state = about.st_size, about.st_mtime_ns
            if self._copied.get(name) != state:
                self._ask(name, "put_file", str(here[name]), self._address(name))
                self._copied[name] = state
        for name in self._there() - here.keys():
            if _POINT.fullmatch(name):
                self._ask(name, "rm_file", self._address(name))

    def leave(self) -> None:
        """Let others write: the work here has stopped, perhaps because the store does not answer."""
        with suppress(DatacompError):
            lease = self._lease()
            if lease is not None and lease.token == self._token():
                self._write_lease(0.0)

    def end(self) -> None:
        """Leave the finished run in the store alone, and nothing here."""
        if runs.RECORD not in self._there():
            self.copy()
        for name in self._there():
            if _POINT.fullmatch(name):
                self._ask(name, "rm_file", self._address(name))
        if self._lease() is not None:
            self._ask(LEASE, "rm_file", self._address(LEASE))
        files.empty(self.work)

    def _check_free(self, lease: Lease) -> None:
        left_s = lease.until_s - time.time()
        if left_s > 0:
            raise BusyError(
                f"{self._out} is being written by {lease.owner}",
                repair=f"wait for it; if it has ended, this command takes over in {left_s / 60:.0f} minutes, or at once when {self._out / LEASE} is removed",
            )

    def _write_lease(self, lasts_s: float) -> None:
        lease = Lease(owner=f"a process on {socket.gethostname()}"[:200], token=self._token(), until_s=time.time() + lasts_s)
        self._ask(LEASE, "pipe_file", self._address(LEASE), digest.canonical(lease.plain()).encode())

    def _lease(self) -> Lease | None:
        try:
            return Lease.parse(self._ask(LEASE, "cat_file", self._address(LEASE)), str(self._out / LEASE))
        except FileNotFoundError:
            return None

    def _token(self) -> str:
        path = self.work / _MINE
        return path.read_text() if path.is_file() else ""

    def _there(self) -> set[str]:
        """The names of a run's files that the store has."""
        store, folder = self._out.fs, self._address("")  # type: ignore[attr-defined]
        store.invalidate_cache()
        return {name for path in self._ask("", "find", folder) if _COPIED.fullmatch(name := path.removeprefix(folder))}

    def _address(self, name: str) -> str:
        return f"{self._out.path.rstrip('/')}/{name}"  # type: ignore[attr-defined]

    def _ask(self, name: str, what: str, *arguments: Any) -> Any:
        return places.patiently(self._out / name, lambda: getattr(self._out.fs, what)(*arguments))  # type: ignore[attr-defined]
