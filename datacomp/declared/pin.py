"""Pinning: a record's lines that a first checked download fills in."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from datacomp import files, rooms
from datacomp.errors import RecordError


@dataclass(frozen=True, slots=True)
class Pinned:
    """What a record's lines are now, or are to be."""

    path: Path
    lines: tuple[str, ...]
    written: bool


def pin(path: Path, before: dict[str, str], values: dict[str, str]) -> Pinned:
    """Write values into a record where `before` has none: into the lines of their keys, else at its end; only say so where records are read-only.

    Raises RecordError for a record that is pinned to something else.
    """
    if other := [key for key in values if before[key] not in {"", values[key]}]:
        raise RecordError(f"{path} is pinned to another {other[0]}", repair="a pinned record never changes: give what has changed a new name")
    lines = tuple(f'{key} = "{value}"' for key, value in values.items())
    writable = os.access(path, os.W_OK) and (rooms.tracks().parent / "pyproject.toml").is_file()  # a checkout's, not an installed package's
    if writable:
        text = path.read_text()
        for key, line in zip(values, lines, strict=True):
            text, found = re.subn(rf"^{key} = .*$", line, text, flags=re.MULTILINE)
            text += "" if found else f"{line}\n"
        files.write_text(path, text)
    return Pinned(path, lines, writable)
