"""sha256 of files, of records in canonical form, and of the code itself."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path


def of_bytes(data: bytes | memoryview) -> str:
    """The sha256 of some bytes, 64 lowercase hex digits."""
    return hashlib.sha256(data).hexdigest()


def of_file(path: Path) -> str:
    """The sha256 of a file's content, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical(content: object) -> str:
    """The one JSON text of a plain value: sorted keys, no NaN. A record's digest is that of its file."""
    return json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def of_content(content: object) -> str:
    """The sha256 of a plain value in canonical form, so that comments and order in a TOML file do not count."""
    return of_bytes(canonical(content).encode())


def of_files(files: Mapping[str, Path]) -> str:
    """One digest of several named files."""
    return of_content({name: of_file(path) for name, path in files.items()})


@cache
def of_code() -> str:
    """The digest of every Python file of this package: what a run was made with."""
    package = Path(__file__).resolve().parent
    return of_files({path.relative_to(package).as_posix(): path for path in package.rglob("*.py")})
