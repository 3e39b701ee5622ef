"""A list of uids that others published."""

from typing import Literal

from datacomp import rooms
from datacomp.declared import lock
from datacomp.declared.pool import UNPINNED
from datacomp.records import Count, Digest, Line


class PublishedList(lock.Declared):
    """Where a list lies on the Hugging Face Hub, and what is known of it beforehand."""

    summary: str
    source: str
    licence: Line
    pool: Line
    repository: Line  # a data set
    file: Line
    revision: Line  # "unpinned" until the first checked download
    samples: Count  # 0 where nobody could count them yet
    uids_sha256: Digest | Literal[""]  # likewise
    external_resources: tuple[Line, ...]  # models and data behind it

    @property
    def commit(self) -> str:
        """The commit that it is taken from, empty for the newest."""
        return "" if self.revision == UNPINNED else self.revision


def load(name: str) -> PublishedList:
    """Read one record."""
    return lock.read(PublishedList, rooms.tracks(), "lists", name)


def names() -> tuple[str, ...]:
    """All lists."""
    return lock.available(rooms.tracks(), "lists")
