"""A small web of pictures on this machine, with everything that the large one does to a downloader; and a Hub with some files.

`python tests/web.py` serves until it is ended and prints its address, for benchmarks/download.py.
"""

import contextlib
import hashlib
import io
import json
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import huggingface_hub
from PIL import Image

KINDS = {  # path: what the audit calls it
    "picture": "success",
    "redirect": "success",
    "once": "success",  # only at the second pass: its server fails at first
    "gone": "http 404",
    "broken": "http 500",
    "hang": "timeout",
    "drip": "timeout",
    "endless": "timeout",
    "slowheaders": "timeout",
    "huge": "too large",
    "corrupt": "no image",
    "cut": "cut off",
    "optout": "opted out",
    "loop": "http 302",
}


def jpeg(seed, side=64):
    pixels = random.Random(seed).randbytes(12 * 9 * 3)
    buffer = io.BytesIO()
    Image.frombytes("RGB", (12, 9), pixels).resize((side * 4 // 3, side)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


class _Pictures(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self):
        _, kind, *rest = urlsplit(self.path).path.split("/")
        with contextlib.suppress(OSError):
            getattr(self, f"_{kind}")(rest[0] if rest else "")

    def _send(self, data, status=200, **headers):
        self.send_response(status)
        for name, value in ({"Content-Type": "image/jpeg", "Content-Length": len(data)} | headers).items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(data)

    def _picture(self, name):
        self._send(self.server.picture(name))

    def _redirect(self, name):
        self._send(b"", 302, Location=f"/picture/{name}")

    def _loop(self, name):
        self._send(b"", 302, Location=f"/loop/{name}")

    def _once(self, name):
        tried = self.server.tried[name] = self.server.tried.get(name, 0) + 1
        if tried <= self.server.failing:
            self._send(b"", 503)
        else:
            self._picture(name)

    def _gone(self, name):
        self._send(b"", 404)

    def _broken(self, name):
        self._send(b"", 500)

    def _hang(self, name):
        time.sleep(600)

    def _drip(self, name):
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        while True:
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.2)

    def _slowheaders(self, name):
        self.send_response(200)
        self.flush_headers()
        for number in range(10_000):
            self.wfile.write(b"X-Header-%d: x\r\n" % number)
            time.sleep(0.2)

    def _endless(self, name):
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(b"x" * 1000)
            time.sleep(0.05)

    def _huge(self, name):
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 40))
        self.end_headers()
        self.wfile.write(b"x")
        time.sleep(600)

    def _corrupt(self, name):
        self._send(self.server.picture(name)[:20] + b"\0" * 200)

    def _cut(self, name):
        data = self.server.picture(name)
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:100])

    def _optout(self, name):
        self._send(self.server.picture(name), X_Robots_Tag="noai")

    def log_message(self, *arguments):
        pass


class _Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, *, body):
        self.server.asked.append(f"{self.command} {self.path}")
        path = urlsplit(self.path).path
        repository, commit = self.server.repository, self.server.commit
        for name in self.server.others:  # several data sets
            if f"/{name}/" in f"{path}/":
                repository = name
        files = self.server.others.get(repository, self.server.files)
        if path in {f"/api/datasets/{repository}", f"/api/datasets/{repository}/revision/{commit}"}:
            self._json({"id": repository, "sha": commit, "private": False, "tags": [], "downloads": 0})
        elif path.startswith(f"/api/datasets/{repository}/tree/{commit}"):
            folder = path.removeprefix(f"/api/datasets/{repository}/tree/{commit}").strip("/")
            self._json([self._about(name, data) for name, data in files.items() if name.startswith(folder)])
        elif (name := path.removeprefix(f"/datasets/{repository}/resolve/{commit}/").removeprefix(f"/{repository}/resolve/main/")) in files:
            self._file(files[name], body=body)  # of a data set's commit, or of a model as it is now
        else:
            self._json({"error": "not found"}, 404, X_Error_Code="RepoNotFound" if repository not in path else "RevisionNotFound")

    def _about(self, name, data):
        about = {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}
        if self.server.large:
            about["lfs"] = {"oid": self.server.stated.get(name) or hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return about

    def _file(self, data, *, body):
        if body and self.server.failing:
            self.server.failing -= 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
            return
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        etag = hashlib.sha256(data).hexdigest()
        self.send_response(206 if start else 200)
        headers = {"Content-Length": len(data) - start, "ETag": f'"{etag}"', "X-Repo-Commit": self.server.commit, "Accept-Ranges": "bytes"}
        for key, value in headers.items():
            self.send_header(key, str(value))
        self.end_headers()
        if body:
            self.wfile.write(data[start:])

    def _json(self, content, status=200, **headers):
        data = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(data), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *arguments):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request, address):
        pass  # the other side went away

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def _serving(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def pictures(failing=3, port=0):
    """Serve pictures; `once` fails so often for each name before it gives its picture. One attempt of img2dataset is three requests."""
    server = _Server(("127.0.0.1", port), _Pictures)
    server.failing, server.tried = failing, {}
    server.picture = jpeg
    with _serving(server):
        yield server


@contextlib.contextmanager
def hub(files, repository="mlfoundations/datacomp_small", *, large=True, others=None):
    """Serve files of one data set or model as the Hub does, and of `others` by name. `failing` connections break; `stated` overrides a file's digest."""
    server = _Server(("127.0.0.1", 0), _Hub)
    server.files, server.repository, server.large, server.commit = files, repository, large, hashlib.sha1(repository.encode()).hexdigest()
    server.asked, server.failing, server.stated, server.others = [], 0, {}, others or {}
    with _serving(server):
        yield server


def point_at(address, patch):
    """What HF_ENDPOINT does when the client is imported."""
    patch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    patch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")


if __name__ == "__main__":
    picture = jpeg(0, 480)
    with pictures() as web:
        web.picture = lambda name: picture
        sys.stdout.write(f"{web.address}\n")
        sys.stdout.flush()
        threading.Event().wait()
