"""Released versions of this program, by the digest of their code: what an entry's runs were made with, or something else."""

from functools import cache

import pydantic

from datacomp import rooms
from datacomp.records import Digest, Line, Record

FILE = "releases.toml"


class Releases(Record):
    """tracks/releases.toml."""

    sha256: dict[Line, Digest] = pydantic.Field(default={})  # by version; of all Python files, as runs state it


@cache
def known() -> dict[str, str]:
    """The digest of each released version's code."""
    return dict(Releases.read(rooms.tracks() / FILE).sha256)
