"""Which samples are written, in which order, and what is missing: found once and kept, so that a killed run goes on from it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from datacomp import digest, files, progress, sorting, tables, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import shards
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.shards import PLANNED, Reachable
from datacomp.artifacts.subset import Subset
from datacomp.errors import PoolError, StageError
from datacomp.launch import local
from datacomp.launch.local import Workers
from datacomp.records import Count, Digest, Line, Record
from datacomp.reshard import account, match

FOUND = "found.json"
_PROCESS_TARS = 32  # fewer are indexed sooner than processes start
_BLOCK_RECORDS = 1 << 18


class Asked(Record):
    """What the shards are a function of, written first: a restart with something else is refused."""

    pool_uids_sha256: Digest
    tars_sha256: Digest  # of names, sizes and times of change
    uids_sha256: Digest
    tombstones_sha256: str
    form: dict[Line, int | bool]


class Found(Record):
    """What a pool's tars gave, written after the plan: then the plan is whole."""

    effective_pool: Reachable
    samples: Count
    bytes: Count
    unpaired_samples: Count
    unnamed_samples: Count
    missing_samples: dict[Line, Count]
    broken_tars: tuple[Line, ...]


def ask(pool: Pool, subset: Subset, form: dict[str, int | bool], work: Path) -> Asked:
    """State what is asked; `form` has an item `shuffled`."""
    tars = shards.PoolTars.now(pool.path / "shards").tars
    if not tars:
        raise PoolError(f"{pool.path}/shards holds no tar", repair="make or download the pool's shards")
    with files.scratch(work) as scratch:
        pool_uids_sha256 = pools.uids_sha256(pool, scratch)
    return Asked(
        pool_uids_sha256=pool_uids_sha256,
        tars_sha256=digest.of_content(tars),
        uids_sha256=subset.record.uids_sha256,
        tombstones_sha256=pool.tombstones_sha256(),
        form=form,
    )


def claim(work: Path, out: Path, asked: Asked) -> None:
    """Take a folder for what is asked, or check that it was taken for the same; `work` is where the plan lies."""
    if not (work / shards.ASKED).is_file():
        if leftover := next(out.glob("*.tar"), None):
            raise StageError(f"{out} already holds {leftover.name}", repair="choose an empty --out, or give --overwrite")
        asked.write(work / shards.ASKED)
    elif Asked.read(work / shards.ASKED) != asked and not any(out.glob("*.tar")):  # nothing was written yet
        files.empty(work)
        asked.write(work / shards.ASKED)
    elif Asked.read(work / shards.ASKED) != asked:
        raise StageError(f"{out} holds unfinished shards of another list or pool", repair="choose another --out, or give --overwrite")


def make(pool: Pool, subset: Subset, out: Path, asked: Asked, workers: Workers) -> Found:
    """Find every listed sample in the pool's tars and write the plan, unless both were done.

    With a shuffle, the order is that of a hash of list, uid and copy: neither the pool's cut into tars nor the number of workers changes it,
    and copies of one uid are spread over all shards.
    """
    if (out / FOUND).is_file():
        return Found.read(out / FOUND)
    paths, tombstones = pool.tars(), pool.tombstones()
    with files.scratch(out) as scratch:
        seed = asked.uids_sha256 if asked.form["shuffled"] else ""
        tasks = [match.Task(path, number, subset.path, tombstones, seed, scratch) for number, path in enumerate(paths)]
        matching = local.run_all(match.match, tasks, workers=1 if local.is_here(workers) and len(tasks) <= _PROCESS_TARS else workers)
        matched = list(progress.show(matching, total=len(tasks), unit=" tars", title="index pool"))
        of_uids, of_plan, of_corrupt = ([run(scratch, task.number) for task in tasks] for run in (match.uids_run, match.planned_run, match.corrupt_run))
        with (scratch / "lost").open("wb") as lost:
            effective = account.compare(of_uids, subset.uids, tombstones, lost)
        corrupt = np.concatenate([np.empty(0, uids.UID), *sorting.merge(of_corrupt)])
        missing = account.reasons(scratch / "lost", tombstones, corrupt, pool)
        samples, bytes_ = _write(out / shards.PLAN, of_plan)
    if samples + sum(missing.values()) != len(subset.uids):
        raise StageError(f"{len(subset.uids):,} samples were asked for, but {samples:,} found and {sum(missing.values()):,} missed", repair="report this")
    found = Found(
        effective_pool=effective,
        samples=samples,
        bytes=bytes_,
        unpaired_samples=sum(one.unpaired for one in matched),
        unnamed_samples=sum(one.unnamed for one in matched),
        missing_samples=missing,
        broken_tars=tuple(path.name for path, one in zip(paths, matched, strict=True) if one.cut_off),
    )
    found.write(out / FOUND)
    return found


def _write(path: Path, runs: list[Path]) -> tuple[int, int]:
    """Write the plan; return how many samples and bytes it has."""
    samples = sum(run.stat().st_size for run in runs) // PLANNED.itemsize
    bytes_ = 0

    def counted() -> Iterator[sorting.Records]:
        nonlocal bytes_
        for block in sorting.merge(runs, _BLOCK_RECORDS, PLANNED):
            bytes_ += int(block["bytes"].sum())
            yield block

    tables.write_npy(path, PLANNED, (samples,), counted())
    return samples, bytes_
