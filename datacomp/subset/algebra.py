"""Arithmetic on uid lists as multisets. Lists are mapped and worked through by ranges of uids, so memory does not grow with them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from datacomp import draws, sorting, uids
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.subset import Subset
from datacomp.errors import SubsetError

Times: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]  # how often each list names each uid, shape (lists, uids)

OPERATIONS: dict[str, Callable[[Times], Any]] = {
    "union": lambda times: times.max(axis=0),
    "sum": lambda times: times.sum(axis=0),
    "intersect": lambda times: times.min(axis=0),
    "minus": lambda times: np.maximum(times[0] - times[1:].sum(axis=0), 0),
}


def combine(operation: str, lists: Sequence[Subset], out: Path) -> Subset:
    """Write the union, sum, intersection or difference of some lists.

    The union names each uid as often as the list that names it most often, the intersection as often as the one that names it least
    often; the difference is the first list less all the others.
    """
    found = OPERATIONS[operation]
    blocks = (np.repeat(names, found(times)) for names, times in ranges([listed.uids for listed in lists]))
    return subsets.write(out, blocks, _origin(operation, lists))


def _origin(operation: str, lists: Sequence[Subset]) -> dict[str, object]:
    """What a list made of others says: whatever one of them used or forbids holds for it as well."""
    records = [listed.record for listed in lists]
    pools = {record.pool_uids_sha256 for record in records}
    return {
        "pool_uids_sha256": pools.pop() if len(pools) == 1 else "",
        "filter": f"{operation}({', '.join(record.filter or 'a list from elsewhere' for record in records)})"[:200],
        "options": {f"list_{place}": record.uids_sha256 for place, record in enumerate(records, 1)},
        "assets": {name: sha256 for record in records for name, sha256 in record.assets.items()},
        "external_resources": tuple(sorted({resource for record in records for resource in record.external_resources})),
        "ineligible": next((record.ineligible for record in records if record.ineligible), ""),
    }


def ranges(arrays: Sequence[uids.UidArray], block_uids: int = uids.BLOCK_UIDS) -> Iterator[tuple[uids.UidArray, Times]]:
    """Walk through sorted lists side by side: the different uids of a range, sorted, and how often each list names them."""
    places = [0] * len(arrays)
    while any(place < len(array) for place, array in zip(places, arrays, strict=True)):
        lasts = [min(place + block_uids, len(array)) - 1 for place, array in zip(places, arrays, strict=True)]
        ends = [array[last : last + 1] for last, place, array in zip(lasts, places, arrays, strict=True) if place < len(array)]
        edge = min(ends, key=lambda end: end[0].item())  # no list has more than a block up to here, but for copies of this very uid
        stops = [place + int(np.searchsorted(array[place:], edge, side="right")[0]) for place, array in zip(places, arrays, strict=True)]
        yield _count([np.asarray(array[place:stop]) for place, stop, array in zip(places, stops, arrays, strict=True)])
        places = stops


def _count(parts: Sequence[uids.UidArray]) -> tuple[uids.UidArray, Times]:
    everything = np.concatenate(parts)
    everything = everything[uids.order(everything)]
    names = everything[uids.firsts(everything)]
    return names, np.stack([uids.count(names, part) for part in parts])


class Overlap(NamedTuple):
    """How much two lists share."""

    first_samples: int
    second_samples: int
    shared_samples: int  # of the multiset intersection
    first_distinct: int
    second_distinct: int
    shared_distinct: int

    @property
    def jaccard(self) -> float:
        """Different uids in both over different uids in either."""
        return self.shared_distinct / (self.first_distinct + self.second_distinct - self.shared_distinct)


def overlap(first: Subset, second: Subset) -> Overlap:
    """Count what two lists share."""
    shared = shared_distinct = 0
    for _, times in ranges([first.uids, second.uids]):
        both = times.min(axis=0)
        shared += int(both.sum())
        shared_distinct += int(np.count_nonzero(both))
    one, two = first.record, second.record
    return Overlap(one.samples, two.samples, shared, one.distinct_samples, two.distinct_samples, shared_distinct)


def sample(listed: Subset, samples: int, seed: int, out: Path) -> Subset:
    """Write a random part of a list: exactly `samples` of its rows, a uid that it names n times counting as n rows."""
    if not 0 < samples <= len(listed.uids):
        raise SubsetError(f"{samples:,} samples were asked of a list of {len(listed.uids):,}", allowed=f"1 to {len(listed.uids):,}")

    def numbers() -> Iterator[draws.Bits]:
        return (draws.bits(seed, "sample list", np.arange(start, min(start + uids.BLOCK_UIDS, len(listed.uids)))) for start in _starts(listed))

    limit = sorting.smallest(numbers, samples - 1)
    kept = (listed.uids[start : start + uids.BLOCK_UIDS][random <= limit] for start, random in zip(_starts(listed), numbers(), strict=True))
    return subsets.write(out, kept, _origin("sample", [listed]) | {"options": {"seed": seed, "samples": samples}})


def _starts(listed: Subset) -> range:
    return range(0, len(listed.uids), uids.BLOCK_UIDS)
