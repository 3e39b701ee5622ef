"""Runs img2dataset in its own environment: on our shards, under our numbers, and no url takes longer or more than it may.

The one module that datacomp's own Python does not run (datacomp.pool.isolated has the one that does). Usage: python -I driver.py JOB.json
"""

from __future__ import annotations

import contextlib
import http.client
import importlib
import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

JOB: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
_url = threading.local()  # of each downloading thread: when its url's time is over, and the connections made for it
_open: dict[socket.socket, float] = {}


class _Response(http.client.HTTPResponse):
    """An answer that is not read beyond the largest size allowed."""

    def read(self, amt: int | None = None) -> bytes:
        largest = JOB["max_url_bytes"]
        if amt is None and self.length is None:
            amt = largest + 1
        elif amt is None and (self.length or 0) > largest:
            raise ValueError(f"too large: {self.length} bytes")
        data = super().read(amt)
        if len(data) > largest:
            raise ValueError(f"too large: more than {largest} bytes")
        return data


class _Limits:
    """A connection that ends with its url's time, whatever it waits for."""

    response_class: type[http.client.HTTPResponse] = _Response
    sock: socket.socket

    def connect(self) -> None:
        if time.monotonic() >= _url.ends:
            raise TimeoutError("timed out")
        super().connect()  # type: ignore[misc]
        _url.sockets.append(self.sock)
        _open[self.sock] = _url.ends


class _Connection(_Limits, http.client.HTTPConnection):
    """Without TLS."""


class _SecureConnection(_Limits, http.client.HTTPSConnection):
    """With TLS."""


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_Connection, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_SecureConnection, req, context=self._context)  # type: ignore[attr-defined]


class _Shards:
    """Stands in for img2dataset's reader: one shard for each file of the input folder, under the number that is its name."""

    def __init__(self, folder: str, *_: object) -> None:
        self.folder = Path(folder)
        self.column_list = JOB["columns"]

    def __iter__(self) -> Iterator[tuple[int, str]]:
        yield from ((int(path.stem), str(path)) for path in sorted(self.folder.glob("*.arrow")))


def _end_overdue() -> None:
    while True:
        time.sleep(1)
        for connection, ends in list(_open.items()):
            if time.monotonic() >= ends:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)  # what waits for it gets an error


def limit(plain: Any) -> Any:
    """Give a function that fetches one url, with retries and redirects, an end in time."""

    def fetch(row: Any, **options: Any) -> Any:
        _url.ends, _url.sockets = time.monotonic() + JOB["url_limit_s"], []
        key, stream, error = plain(row, **options)
        for connection in _url.sockets:
            _open.pop(connection, None)
        if time.monotonic() >= _url.ends:
            return key, None, "timed out: its time is over"  # also where the cut looks like the end of a picture
        return key, stream, error

    return fetch


def _end_with_parent() -> None:
    sys.stdin.buffer.read()  # ends when the process that started this one does
    os.killpg(0, signal.SIGKILL)


def _install() -> None:
    """Runs in each of img2dataset's processes, which import this module anew."""
    downloader = importlib.import_module("img2dataset.downloader")
    vars(downloader)["download_image_with_retry"] = limit(downloader.download_image_with_retry)
    urllib.request.install_opener(urllib.request.build_opener(_Http, _Https))
    threading.Thread(target=_end_overdue, daemon=True).start()


_install()

if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    importlib.import_module("img2dataset")
    module = sys.modules["img2dataset.main"]  # the package's own attribute of that name is a function
    vars(module)["Reader"] = _Shards
    module.download(**JOB["options"])
