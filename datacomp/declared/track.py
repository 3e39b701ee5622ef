"""The rules of a track, as promised to participants."""

from typing import Literal

from datacomp import rooms
from datacomp.declared import lock
from datacomp.records import Record


class Rule(Record):
    """One numbered sentence that binds participants."""

    id: str
    text: str


class Question(Record):
    """One thing that a participant must answer when handing in."""

    id: str
    text: str


class Track(lock.Declared):
    """A track: what may be handed in and what may not."""

    title: str
    summary: str
    source: str
    hands_in: Literal["uid list", "sources"]
    outside_data: bool  # may training samples come from elsewhere than the pool
    uids_from_pool_only: bool
    repeated_uids: bool
    changes_to_training: bool
    test_images: bool  # may test images of the suite be used, directly or through predictions
    rules: tuple[Rule, ...]
    checklist: tuple[Question, ...]


def load(name: str) -> Track:
    """Read one track."""
    return lock.read(Track, rooms.tracks(), "rules", name)


def names() -> tuple[str, ...]:
    """All tracks."""
    return lock.available(rooms.tracks(), "rules")
