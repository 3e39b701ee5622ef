"""A small Hub on this machine that one may write to: repositories, large files, commits, pull requests and what is said of them.

Its connections can be cut: before a request is read, in its middle, or after it was done and before it is answered.
"""

import base64
import contextlib
import hashlib
import json
import re
from urllib.parse import parse_qs, urlsplit

import web

TOKEN = "hf_neverToBeSeenAnywhere"
LARGE = (".npy", ".safetensors", ".gz")
CUTS = ("before", "middle", "after")


class _CutError(Exception):
    """The connection breaks."""


class _Hub(web._Hub):
    def do_POST(self):  # noqa: N802 - as http.server calls it
        self._write()

    def do_PUT(self):  # noqa: N802
        self._write()

    def _answer(self, *, body):
        with contextlib.suppress(_CutError):
            self._cut("before")
            self._cut("middle")
            self._read(urlsplit(self.path))

    def _write(self):
        self.server.authorized.append((self.path, self.headers.get("Authorization")))
        with contextlib.suppress(_CutError):
            self._cut("before")
            data = self._body()
            self._cut("middle")
            self._do(urlsplit(self.path), data)

    def _cut(self, moment):
        if moment == "before":
            self.cut = self.server.cut(self.command, self.path)
        if self.cut == moment:
            self.close_connection = True
            raise _CutError

    def _body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        size = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(size // 2 if self.cut == "middle" else size)

    def _json(self, content, status=200, **headers):
        self._cut("after")
        super()._json(content, status, **headers)

    def _do(self, address, data):
        if self.command == "PUT":
            if hashlib.sha256(data).hexdigest() == address.path.removeprefix("/large/"):
                self.server.large_files[address.path.removeprefix("/large/")] = data
                self.server.received += len(data)
            self._json({})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._json({"error": f"no {self.headers.get('Authorization')}"}, 401)  # one that repeats what it got
        elif address.path == "/api/validate-yaml":
            self._json({})
        elif address.path == "/api/repos/create":
            self._create(json.loads(data))
        elif found := re.fullmatch(r"/datasets/(.+)\.git/info/lfs/objects/batch", address.path):
            self._json({"transfer": "basic", "objects": [self._place(one) for one in json.loads(data)["objects"]]})
        elif found := re.fullmatch(r"/api/datasets/(.+/.+)/(preupload|commit)/main", address.path):
            repository = self.server.repositories.get(found[1])
            if repository is None:
                self._json({"error": "not found"}, 404, X_Error_Code="RepoNotFound")
            elif found[2] == "preupload":
                self._json({"files": [self._mode(repository, one) for one in json.loads(data)["files"]]})
            else:
                self._commit(found[1], repository, data, pull="create_pr" in parse_qs(address.query))

    def _create(self, said):
        name = f"{said['organization']}/{said['name']}"
        known = name in self.server.repositories
        self.server.repositories.setdefault(name, repository())
        self._json({"url": f"{self.server.address}/datasets/{name}"}, 409 if known else 200)

    def _place(self, one):
        known = one["oid"] in self.server.large_files
        return one if known else one | {"actions": {"upload": {"href": f"{self.server.address}/large/{one['oid']}"}}}

    def _mode(self, repository, one):
        large, data = one["path"].endswith(LARGE), repository["files"].get(one["path"])
        about = {"path": one["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
        if data is not None:
            about["oid"] = hashlib.sha256(data).hexdigest() if large else hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        return about

    def _commit(self, name, repository, data, *, pull):
        header, *lines = map(json.loads, data.splitlines())
        files = {}
        for line in lines:
            said = line["value"]
            files[said["path"]] = base64.b64decode(said["content"]) if line["key"] == "file" else self.server.large_files[said["oid"]]
        answer = {"commitUrl": f"{self.server.address}/datasets/{name}/commit/1"}
        repository["commits"].append({"files": sorted(files), **header["value"], "oid": hashlib.sha1(data).hexdigest(), "pull": pull})
        answer["commitOid"] = repository["commits"][-1]["oid"]
        if pull:
            repository["pulls"].append({"files": files, "status": "open", "said": [], **header["value"]})
            answer["pullRequestUrl"] = f"{self.server.address}/datasets/{name}/discussions/{len(repository['pulls'])}"
        else:
            repository["files"] |= files
        self._json(answer)

    def _read(self, address):
        found = re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/(revision/main|discussions)(?:/(\d+))?)?", address.path)
        repository = self.server.repositories.get(found[1]) if found else None
        if repository is None:
            self._json({"error": "not found"}, 404, X_Error_Code="RepoNotFound")
        elif found[2] != "discussions":
            self._json({"id": found[1], "sha": repository["commits"][-1]["oid"], "private": False, "tags": [], "downloads": 0})
        elif found[3]:
            self._json(self._discussion(found[1], repository, int(found[3])))
        else:
            pulls = [self._discussion(found[1], repository, number) for number in range(len(repository["pulls"]), 0, -1)]
            self._json({"count": len(pulls), "start": 0, "discussions": pulls})

    def _discussion(self, name, repository, number):
        pull = repository["pulls"][number - 1]
        when = {"createdAt": "2026-11-21T12:00:00.000Z"}
        said = [
            {"id": str(place), "type": "comment", **when, "author": {"name": by}, "data": {"edited": False, "hidden": False, "latest": {"raw": text}}}
            for place, (by, text) in enumerate(pull["said"])
        ]
        return {
            "title": pull["summary"],
            "num": number,
            "author": {"name": "somebody"},
            "status": pull["status"],
            "isPullRequest": True,
            **when,
            "repo": {"name": name, "type": "dataset"},
            "changes": {"base": "refs/heads/main"},
            "filesWithConflicts": [],
            "events": said,
        }


def repository():
    """An empty one."""
    return {"files": {}, "commits": [], "pulls": []}


@contextlib.contextmanager
def hub(*names):
    """Serve a Hub with some empty data sets. `cut(method, path)` says where a connection breaks, "" for not at all."""
    server = web._Server(("127.0.0.1", 0), _Hub)
    server.repositories = {name: repository() for name in names}
    server.large_files, server.received, server.authorized, server.asked = {}, 0, [], []
    server.cut = lambda method, path: ""
    with web._serving(server):
        yield server
