"""A recipe for a data filtering network: a scale's recipe with stated changes, and how the network is tuned afterwards."""

from datacomp import rooms
from datacomp.declared import lock, scale
from datacomp.declared.scale import Scale, Share
from datacomp.records import Line, Record


class Tuning(Record):
    """Training on from the base weights, on other sets; the two are then averaged."""

    sets: tuple[Line, ...]  # in words
    changes: dict[Line, Line]  # of the base's recipe
    tuned_share: Share  # of the average: w = share * tuned + (1 - share) * base


class FilterRecipe(lock.Declared):
    """One recipe. What its source does not state is our choice, and named as such."""

    summary: str
    source: str
    scale: Line
    initial: Line  # the weights that it begins with, in words; empty: fresh ones
    sets: tuple[Line, ...]  # in words
    not_stated: tuple[Line, ...]
    changes: dict[Line, Line]  # of the scale's recipe, as `declared.scale.changed` takes them
    tuning: Tuning | None = None

    def base(self) -> Scale:
        """The recipe of the base."""
        return scale.changed(scale.load(self.scale), self.changes)

    def tuning_changes(self) -> dict[str, str]:
        """What tuning changes of the scale's recipe: as the base, but for its own."""
        return {**self.changes, **(self.tuning.changes if self.tuning else {})}


def load(name: str) -> FilterRecipe:
    """Read one recipe."""
    return lock.read(FilterRecipe, rooms.tracks(), "dfn", name)


def names() -> tuple[str, ...]:
    """All recipes."""
    return lock.available(rooms.tracks(), "dfn")
