"""Where things lie: a path on this machine, or an address such as s3://bucket/folder, which behaves like a path."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from datacomp.errors import DatacompError, StageError

WAITS_S = (0.5, 2.0, 8.0, 30.0)  # before a store is asked again
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, TypeError, AttributeError, LookupError, AssertionError, DatacompError)

Answer = TypeVar("Answer")


def at(text: str) -> Path:
    """Make a path of what a user wrote.

    Addresses are those of fsspec; credentials and the endpoint of s3:// come from the environment (AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, …).
    """
    if "://" not in text:
        return Path(text)
    from upath import UPath

    return cast(Path, UPath(text))  # has the methods of a path that are used here


def here(given: str | Path) -> Path:
    """Make a path of what a user wrote, or of an option's default, where only this machine will do.

    Raises StageError for an address.
    """
    text = str(given)
    if "://" in text:
        raise StageError(
            f"{text} is in a store, and this command works on folders of this machine", repair=f"copy it here first, as in: aws s3 sync {text} build/copy"
        )
    return Path(text)


def patiently(place: Path, ask: Callable[[], Answer]) -> Answer:
    """Ask a store for something, again after growing waits where an error may pass: a lost connection, a busy server, an answer that is cut off.

    Raises StageError that names the place when it never comes; what is not there or not allowed is an error at once.
    """
    for wait_s in (*WAITS_S, None):
        try:
            return ask()
        except _LASTING:
            raise
        except Exception as error:  # the libraries of stores have errors of their own
            if wait_s is None:
                raise StageError(
                    f"{place} failed {len(WAITS_S) + 1} times, at last with {type(error).__name__}: {str(error)[:200]}",
                    repair="look whether the store and the way to it are in order, and start the same command again",
                ) from error
            time.sleep(wait_s)
    raise AssertionError


def is_remote(path: Path) -> bool:
    """Whether a place is in a store, and not on a disk of this machine."""
    return "://" in str(path)


def state(path: Path) -> tuple[int, int]:
    """What changes when a file does: its bytes, and the time of its last change in nanoseconds or what a store has in its place."""
    if not is_remote(path):
        found = path.stat()
        return found.st_size, found.st_mtime_ns
    about: dict[str, Any] = patiently(path, lambda: path.fs.info(path.path))  # type: ignore[attr-defined]
    mark = str(about.get("ETag") or about.get("LastModified") or about.get("mtime") or "")
    return int(about["size"]), int.from_bytes(hashlib.sha256(mark.encode()).digest()[:7], "big")
