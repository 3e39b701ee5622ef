"""Pinning a pool of the web: its record names the commit, and the digest of its uids, that a first checked download found."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from datacomp import files, rooms
from datacomp.declared import pool as declared
from datacomp.declared.pool import HubSource
from datacomp.errors import PoolError
from datacomp.pool.hub import UNPINNED
from datacomp.pool.metadata import CONTENTS, Contents


@dataclass(frozen=True, slots=True)
class Pinned:
    """What a record's lines are now, or are to be."""

    path: Path
    lines: tuple[str, ...]
    written: bool


def pin(pool: Path) -> Pinned:
    """Write the commit into the pool's record, and the digest of all uids if they are all there; only say so where records are read-only.

    Raises PoolError for a folder without checked metadata of a pool of tracks/pools/, and for a record that is pinned to something else.
    """
    if not (pool / CONTENTS).is_file():
        raise PoolError(f"{pool} holds no checked metadata", repair=f"datacomp pool download SCALE --metadata-only --out {pool}")
    contents = Contents.read(pool / CONTENTS)
    if contents.origin is None or contents.name not in declared.names():
        raise PoolError(f"pool {contents.name} is no pool of tracks/pools/", repair="nothing needs to be pinned")
    spec, path = declared.load(contents.name), rooms.tracks() / "pools" / f"{contents.name}.toml"
    values = {"revision": contents.origin.revision} | ({} if contents.partial else {"uids_sha256": contents.uids_sha256})
    source = spec.origin
    assert isinstance(source, HubSource)
    before = {"revision": source.revision.replace(UNPINNED, ""), "uids_sha256": spec.uids_sha256}
    if other := [key for key in values if before[key] not in {"", values[key]}]:
        raise PoolError(f"{path} is pinned to another {other[0]}", repair="a pinned record never changes: give a new pool a new name")
    lines = tuple(f'{key} = "{value}"' for key, value in values.items())
    writable = os.access(path, os.W_OK) and (rooms.tracks().parent / "pyproject.toml").is_file()  # a checkout's, not an installed package's
    if writable:
        text = path.read_text()
        for key, line in zip(values, lines, strict=True):
            text = re.sub(rf"^{key} = .*$", line, text, flags=re.MULTILINE)
        files.write_text(path, text)
    return Pinned(path, lines, writable)
