"""A list against a pool's tars: each tar by itself, so that memory grows with neither."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datacomp import draws, sorting, uids
from datacomp.artifacts import subset as subsets
from datacomp.artifacts import tar_index
from datacomp.artifacts.shards import PLANNED
from datacomp.uids import UidArray


@dataclass(frozen=True, slots=True)
class Task:
    """One tar to match."""

    path: Path
    number: int  # its place among the pool's tars
    subset: Path
    tombstones: UidArray
    seed: str  # of the order; empty for the pool's own
    scratch: Path


class Matched(NamedTuple):
    """What one tar gave."""

    unnamed: int  # samples whose json states no uid
    unpaired: int  # of the planned ones, without a picture or a caption
    cut_off: str


def planned_run(scratch: Path, number: int) -> Path:
    """Where the samples to write of a tar are kept, in their order."""
    return scratch / f"planned-{number}"


def uids_run(scratch: Path, number: int) -> Path:
    """Where all uids of a tar are kept, sorted."""
    return scratch / f"uids-{number}"


def corrupt_run(scratch: Path, number: int) -> Path:
    """Where the uids of samples that cannot be copied are kept, sorted."""
    return scratch / f"corrupt-{number}"


def match(task: Task) -> Matched:
    """Find which samples of a tar are listed, and how often."""
    found = tar_index.read(task.path)
    usable = found.rows["named"].copy()
    broken = np.zeros(len(usable), bool)
    if found.cut_off:  # in the last sample
        broken[-1] = usable[-1]
        usable[-1] = False
    sorting.write_run(corrupt_run(task.scratch, task.number), found.uids[broken])
    sorting.write_run(uids_run(task.scratch, task.number), found.uids[usable])
    rows = np.flatnonzero(usable)
    if len(task.tombstones):
        rows = rows[uids.count(found.uids[rows], task.tombstones) == 0]
    times = uids.count(found.uids[rows], subsets.map_file(task.subset))
    planned = _planned(task, found.rows, np.repeat(rows, times), _copies(times))
    sorting.write_run(planned_run(task.scratch, task.number), planned)
    return Matched(int(np.count_nonzero(~found.rows["named"])), int(np.count_nonzero(planned["paired"] == 0)), found.cut_off)


def _copies(times: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """0, 1, … for each sample, as often as it is listed."""
    ends = np.cumsum(times)
    return np.asarray(np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - times, times))


def _planned(task: Task, samples: np.ndarray[Any, Any], rows: np.ndarray[Any, Any], copies: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.void]]:
    planned = np.zeros(len(rows), PLANNED)
    for name in ("start", "bytes", "paired", "plain"):
        planned[name] = samples[name][rows]
    upper, lower = samples["uid"]["f0"][rows], samples["uid"]["f1"][rows]
    planned["f1"], planned["lower"], planned["copy"], planned["tar"] = upper, lower, copies, task.number
    if task.seed:
        planned["f0"] = draws.bits(0, f"reshard {task.seed}", upper, lower, copies)
    else:
        planned["f0"] = np.uint64(task.number << 32) + rows.astype(np.uint64)
    return planned
