"""Where things lie: a path on this machine, or an address such as s3://bucket/folder, which behaves like a path."""

import hashlib
from pathlib import Path
from typing import Any, cast


def at(text: str) -> Path:
    """Make a path of what a user wrote.

    Addresses are those of fsspec; credentials and the endpoint of s3:// come from the environment (AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, …).
    """
    if "://" not in text:
        return Path(text)
    from upath import UPath

    return cast(Path, UPath(text))  # has the methods of a path that are used here


def is_remote(path: Path) -> bool:
    """Whether a place is in a store, and not on a disk of this machine."""
    return "://" in str(path)


def state(path: Path) -> tuple[int, int]:
    """What changes when a file does: its bytes, and the time of its last change in nanoseconds or what a store has in its place."""
    if not is_remote(path):
        found = path.stat()
        return found.st_size, found.st_mtime_ns
    about: dict[str, Any] = path.fs.info(path.path)  # type: ignore[attr-defined]
    mark = str(about.get("ETag") or about.get("LastModified") or about.get("mtime") or "")
    return int(about["size"]), int.from_bytes(hashlib.sha256(mark.encode()).digest()[:7], "big")
