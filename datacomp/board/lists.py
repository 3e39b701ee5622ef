"""The uid lists behind an entry: that they are those which it names, and that the pool holds every uid."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datacomp import digest, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import shards
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.entry import Entry
from datacomp.artifacts.subset import Subset, SubsetRecord
from datacomp.errors import DatacompError

_IN_BUNDLE = "list*.npy"  # any that `in_bundle` gives


class Checked(NamedTuple):
    """What was found of some lists: a problem, or none, by the name of the check."""

    checks: dict[str, str]
    is_all: bool  # whether every list of the entry was among them


def in_bundle(number: int, count: int) -> str:
    """What the list of one of so many sources is called in a bundle."""
    return "list.npy" if count == 1 else f"list{number}.npy"


def of_runs(entry: Entry, folders: Iterable[Path]) -> tuple[Path, ...]:
    """The copies of an entry's lists beside its runs: in its training shards, or as a bundle has them."""
    folders = tuple(folders)
    named = [source.subset for source in entry.runs[0].sources]
    sources = [source for source in entry.runs[0].sources if "/" not in source.name and source.pool_uids_sha256]
    places = {folder.parent / source.name: source.shards_sha256 for folder in folders for source in sources}
    records = {place / shards.RECORD: sha256 for place, sha256 in places.items()}
    of_entry = [path.with_name(shards.LIST) for path, sha256 in records.items() if path.is_file() and digest.of_file(path) == sha256]
    of_entry += [path for parent in sorted({folder.parent for folder in folders}) for path in sorted(parent.glob(_IN_BUNDLE)) if _record(path) in named]
    return tuple(path for path in of_entry if path.is_file())


def _record(path: Path) -> SubsetRecord | None:
    """What is written beside a list; whether it is true is looked at later."""
    try:
        return SubsetRecord.read(subsets.sidecar(path))
    except DatacompError:
        return None


def check(entry: Entry, files: tuple[Path, ...], pool: Path | None = None) -> Checked:
    """Hold lists against an entry, and against the pool that it names if that is given."""
    named = {source.subset.uids_sha256 for source in entry.runs[0].sources if source.pool_uids_sha256}  # of other tars there is no list
    found: dict[str, str] = {}
    seen: set[str] = set()
    for file in files:
        name = f"list {file}"
        try:
            subset = subsets.read(file)
            seen.add(subset.record.uids_sha256)
            found[name] = "" if subset.record.uids_sha256 in named else f"it is no list of the entry: its digest is {subset.record.uids_sha256[:12]}…"
            if pool is not None:
                found[f"uids of {file} are in the pool"] = _outside(entry, subset, pool)
        except DatacompError as error:
            found[name] = str(error)
    return Checked(found, named <= seen)


def _outside(entry: Entry, subset: Subset, place: Path) -> str:
    """Why a list is not of the entry's pool; the pool is read in blocks, so that memory grows with the list alone."""
    pool = pools.read(place)
    if pool.record is not None and pool.record.uids_sha256 != entry.pool_uids_sha256:
        return f"the pool at {place} is not that of the entry"
    held = ~uids.firsts(subset.uids)  # a uid that is listed again is looked for once
    for block in pools.blocks(pool, ()):
        listed = block.uids[uids.count(block.uids, subset.uids) > 0]
        held[np.searchsorted(subset.uids, listed)] = True
    foreign = subset.uids[~held]
    return f"{len(foreign):,} of its uids are not in the pool, the first is {uids.text(foreign[:1])[0]}" if len(foreign) else ""
