"""Pinning a pool of the web: its record names the commit, and the digest of its uids, that a first checked download found."""

from pathlib import Path

from datacomp import rooms
from datacomp.declared import pin as pinning
from datacomp.declared import pool as declared
from datacomp.declared.pin import Pinned
from datacomp.declared.pool import UNPINNED, HubSource
from datacomp.errors import PoolError
from datacomp.pool.metadata import CONTENTS, Contents


def pin(pool: Path) -> Pinned:
    """Write the commit into the pool's record, and the digest of all uids if they are all there; only say so where records are read-only.

    Raises PoolError for a folder without checked metadata of a pool of tracks/pools/, RecordError for a record that is pinned to something else.
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
    return pinning.pin(path, {"revision": source.revision.replace(UNPINNED, ""), "uids_sha256": spec.uids_sha256}, values)
