"""Showing the page on this machine: it is built, served on 127.0.0.1, and built again when an entry changed."""

import http.server
import threading
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from datacomp.board import page
from datacomp.errors import DatacompError, StageError

HOST = "127.0.0.1"
_HEADERS = {
    "Content-Security-Policy": f"{page.POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def serve(entries: Path, out: Path, port: int, ready: Callable[[str], None], *, names: str = "*.json") -> None:
    """Build the page of a folder of entries and serve it until interrupted; `ready` is told its address.

    Raises StageError when the port cannot be had.
    """
    with server(entries, out, port, names) as running:
        ready(f"http://{HOST}:{running.server_port}")
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            return


def server(entries: Path, out: Path, port: int, names: str = "*.json") -> http.server.ThreadingHTTPServer:
    """Build the page and bind the port (0: any free one), without serving yet."""
    site = _Site(entries, out, names)

    class Handler(_Handler):
        """Requests for this site."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.site = site
            super().__init__(*args, directory=str(out), **kwargs)

    site.refresh()
    try:
        return http.server.ThreadingHTTPServer((HOST, port), Handler)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "there are 65,535"
        allowed = "a free port from 1024 to 65535, or 0 for any"
        raise StageError(f"port {port} of {HOST} cannot be had: {reason}", allowed=allowed, repair="choose another with --port") from None


class _Site:
    """A folder of entries and its page, built again when a file changed."""

    def __init__(self, entries: Path, out: Path, names: str) -> None:
        self.entries, self.out, self.names = entries, out, names
        self._built: tuple[tuple[str, int, int], ...] | None = None
        self._building = threading.Lock()

    def refresh(self) -> None:
        """Build unless the page is of today's files."""
        with self._building:
            if (state := self._state()) != self._built:
                page.build(self.entries, self.out, names=self.names)
                self._built = state

    def _state(self) -> tuple[tuple[str, int, int], ...]:
        found = []
        for path in sorted(self.entries.rglob("*.json")):
            about = path.lstat()
            found.append((str(path), about.st_mtime_ns, about.st_size))
        return tuple(found)


class _Handler(http.server.SimpleHTTPRequestHandler):
    """GET and HEAD of files, nothing else: no listing of folders, no request logged."""

    site: _Site

    def send_head(self) -> Any:
        """Bring the page up to date before its index is read."""
        if self.path.partition("?")[0] in ("/", "/index.html"):
            try:
                self.site.refresh()
            except (DatacompError, OSError) as error:
                # The reason phrase may hold neither line breaks nor letters beyond Latin-1, so the error goes to the body.
                self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, explain=str(error))
                return None
        return super().send_head()

    def list_directory(self, path: Any) -> None:  # noqa: ARG002 - the base class calls it with the path
        """Show no listings."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        """Add what keeps a page to itself."""
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the terminal belongs to the command."""
