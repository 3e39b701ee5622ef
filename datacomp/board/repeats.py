"""Entries and runs that are others once more: the same run, checkpoint, results or metrics under another name."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from datacomp import digest
from datacomp.artifacts.entry import Entry, SeedRun
from datacomp.board import withdrawals
from datacomp.errors import DatacompError, StageError

_SAME = {"run_sha256": "run", "weights_sha256": "checkpoint", "results_sha256": "results", "tasks": "metrics", "loss_curve": "loss curve"}


def read(folder: Path, but: Path) -> dict[str, Entry]:
    """Every entry below a folder by its file's name, but for the one that is looked at and those that were withdrawn; what is no entry repeats nothing.

    Raises StageError where there is no such folder.
    """
    if not folder.is_dir():
        raise StageError(f"there is no folder {folder}", repair="name the folder of the entries that are there already")
    return dict(_read(folder, but))


def _read(folder: Path, but: Path) -> Iterator[tuple[str, Entry]]:
    withdrawn, _ = withdrawals.read(folder)
    for path in sorted(folder.rglob("*.json")):
        if path.is_file() and not path.is_symlink() and path.resolve() != but.resolve() and digest.of_file(path) not in withdrawn:
            try:
                yield path.relative_to(folder).as_posix(), Entry.read(path)
            except DatacompError:
                continue


def within(entry: Entry) -> list[str]:
    """Runs of an entry that are one run twice, in words."""
    return [
        f"seeds {first.seed} and {second.seed} have the same {' and the same '.join(same)}"
        for first, second in combinations(entry.runs, 2)
        if (same := _same(first, second))
    ]


def of_earlier(entry: Entry, earlier: Mapping[str, Entry]) -> list[str]:
    """Runs of an entry that stand in an earlier one, in words."""
    return [
        f"the run with seed {ours.seed} has the same {' and the same '.join(same)} as that with seed {theirs.seed} of {name}"
        for name, other in earlier.items()
        for ours in entry.runs
        for theirs in other.runs
        if (same := _same(ours, theirs))
    ]


def same_list(entry: Entry, earlier: Mapping[str, Entry]) -> list[str]:
    """The earlier entries of the same lists: to be told, for whoever trains somebody's list again does well to enter it."""
    return [name for name, other in earlier.items() if _lists(other) == _lists(entry)]


def split(entry: Entry, earlier: Mapping[str, Entry]) -> list[str]:
    """The earlier entries that are of the same lists and recipe and were run by the same: their seeds belong into one entry, so that none is left out."""
    same = [name for name in same_list(entry, earlier) if _measured(earlier[name]) == _measured(entry)]
    return [name for name in same if earlier[name].run_by.strip().casefold() == entry.run_by.strip().casefold()]


def of_same_recipe(entries: Sequence[Entry]) -> list[tuple[int, ...]]:
    """For each entry the places of the others of the same lists and recipe, whoever ran them, measured by the same suite."""
    groups: dict[tuple[object, ...], list[int]] = {}
    keys = [(frozenset(_lists(entry)), *_measured(entry)) for entry in entries]
    for place, key in enumerate(keys):
        groups.setdefault(key, []).append(place)
    return [tuple(other for other in groups[key] if other != place) for place, key in enumerate(keys)]


def _measured(entry: Entry) -> tuple[str, ...]:
    return entry.track, entry.recipe_sha256, entry.suite_sha256


def _lists(entry: Entry) -> set[tuple[str, float]]:
    return {(source.subset.uids_sha256, source.weight) for source in entry.runs[0].sources}


def _same(first: SeedRun, second: SeedRun) -> list[str]:
    return [what for field, what in _SAME.items() if getattr(first, field) is not None and getattr(first, field) == getattr(second, field)]
