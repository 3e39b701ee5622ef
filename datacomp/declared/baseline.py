"""A baseline: a filter with its parameters, under the name by which papers know it."""

from datacomp import rooms
from datacomp.declared import lock


class Baseline(lock.Declared):
    """One named list of uids."""

    title: str
    source: str
    filter: str
    options: dict[str, float | int | str | bool]


def load(name: str) -> Baseline:
    """Read one baseline."""
    return lock.read(Baseline, rooms.tracks(), "baselines", name)


def names() -> tuple[str, ...]:
    """All baselines."""
    return lock.available(rooms.tracks(), "baselines")
