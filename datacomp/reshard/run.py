"""The reshard stage: a pool and a list in, training shards out. Asked = found + missing by reason, or it fails."""

import shutil
from pathlib import Path
from typing import NamedTuple

from datacomp import digest, files, places, progress
from datacomp.artifacts import shards
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.shards import Shard, ShardSet, ShardsRecord
from datacomp.artifacts.subset import Subset
from datacomp.declared import asset as assets
from datacomp.errors import StageError
from datacomp.launch import local
from datacomp.launch.local import Workers
from datacomp.reshard import account, copy, faces, plan

META = "meta.json"  # what the published trainer reads besides the tars and the list
_PROCESS_BYTES = 8 << 30  # fewer are copied sooner than processes start


class Form(NamedTuple):
    """What the shards are to be like."""

    shard_samples: int
    shuffled: bool = True  # else in the pool's order
    virtual: bool = False  # list places in the pool's tars and copy nothing
    blur: bool = False  # faces, where the metadata say that they are


def reshard(pool: Pool, subset: Subset, out: Path, form: Form, *, allow_missing: float = 0.0, overwrite: bool = False, workers: Workers = None) -> ShardSet:
    """Copy the listed samples into shards in `out`; members are named uid-copy.extension.

    A killed run goes on after its last whole shard, finished shards of the same list and pool are returned as they are.
    Raises StageError when a larger share than `allow_missing` of the list cannot be found, and for a virtual resharding of pictures whose
    faces are not blurred. Samples that were taken down are left out and counted as "tombstoned"; nobody can restore them, so they do not
    count against `allow_missing`.
    """
    work = assets.cache_folder() / "reshard" / digest.of_bytes(str(out).encode())[:16] if places.is_remote(out) else out
    with files.writing(work):
        if overwrite:
            for folder in {work, out}:
                files.empty(folder)
        elif (out / shards.RECORD).is_file():
            finished = _same(shards.read(out), pool, subset, form, allow_missing)
            _tidy(work, form)
            return finished
        if form.virtual and (form.blur or faces.are_bare(pool)):
            raise StageError(
                f"a virtual resharding cannot blur faces, and those in {pool.path} are not known to be blurred",
                repair="leave out --virtual and add --blur",
            )
        if form.virtual and work != out:
            raise StageError(f"a virtual resharding cannot lie at {out}", repair="choose a folder of this machine")
        asked = plan.ask(pool, subset, form._asdict(), work)
        plan.claim(work, out, asked)
        found = plan.make(pool, subset, work, asked, workers)
        _check_missing(found.missing_samples, len(subset.uids), allow_missing, found.broken_tars)
        if form.blur and not (work / faces.INDEX).is_file():
            faces.write(pool, work)
        written = _write(pool, out, work, found, form, workers)
        if not (out / shards.LIST).is_file():  # a restart goes on after what is there
            with files.whole(out / shards.LIST) as temporary:
                shutil.copyfile(subset.path, temporary)
        if form.virtual:
            shards.PoolTars.now(pool.path / "shards").write(out / shards.POOL_TARS)
        elif not (out / META).is_file():
            meta = {"output_shard_count": len(written), "output_shard_format": "{:08d}.tar", "shard_size": form.shard_samples}
            files.write_text(out / META, digest.canonical(meta))
        ShardsRecord(
            pool=pool.record.name if pool.record else "",
            pool_uids_sha256=asked.pool_uids_sha256,
            effective_pool=found.effective_pool,
            subset=subset.record,
            asked_samples=len(subset.uids),
            found_samples=found.samples,
            unpaired_samples=found.unpaired_samples,
            missing_samples=found.missing_samples,
            tombstones_sha256=asked.tombstones_sha256,
            unnamed_samples=found.unnamed_samples,
            broken_tars=found.broken_tars,
            shard_samples=form.shard_samples,
            shuffled=form.shuffled,
            form="virtual" if form.virtual else "copied",
            blurred=form.blur,
            shards=tuple(written),
        ).write(out / shards.RECORD)
        _tidy(work, form)
    return shards.read(out)


def _tidy(work: Path, form: Form) -> None:
    """Remove what was needed on the way, also if the call that wrote the record was killed just then."""
    for name in (plan.FOUND, shards.ASKED, faces.INDEX, faces.BOXES, *([] if form.virtual else [shards.PLAN])):
        (work / name).unlink(missing_ok=True)


def _same(finished: ShardSet, pool: Pool, subset: Subset, form: Form, allow_missing: float) -> ShardSet:
    """Return finished shards if they are what is asked for."""
    record = finished.record
    same_pool = pool.record is None or pool.record.uids_sha256 == record.pool_uids_sha256
    there = Form(record.shard_samples, record.shuffled, record.form == "virtual", record.blurred)
    if not same_pool or there != form or record.subset.uids_sha256 != subset.record.uids_sha256:
        raise StageError(f"{finished.path} holds shards of another list, pool or form", repair="choose another --out, or give --overwrite")
    if record.tombstones_sha256 != pool.tombstones_sha256():
        raise StageError(f"{finished.path} was written before the list of taken-down samples changed", repair="write the shards again with --overwrite")
    _check_missing(record.missing_samples, record.asked_samples, allow_missing, record.broken_tars)
    return finished


def _check_missing(missing: dict[str, int], asked: int, allow_missing: float, broken_tars: tuple[str, ...]) -> None:
    lost = sum(n for reason, n in missing.items() if reason != account.TOMBSTONED)
    if lost > allow_missing * asked or sum(missing.values()) == asked:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in missing.items())
        broken = f"; {len(broken_tars):,} of the pool's tars are cut off or broken, {broken_tars[0]} the first" if broken_tars else ""
        raise StageError(
            f"{lost:,} of the {asked:,} listed samples cannot be found: {reasons}{broken}",
            allowed=f"a share of {allow_missing:g} missing",
            repair="use the pool that the list was made from, or say how much may be missing with --allow-missing FRACTION",
        )


def _write(pool: Pool, out: Path, work: Path, found: plan.Found, form: Form, workers: Workers) -> list[Shard]:
    is_here = local.is_here(workers) or form.virtual
    cores = local.here(workers) or local.cores()
    starts = range(0, found.samples, form.shard_samples)
    threads = -(-cores // min(cores, len(starts)))  # of each shard
    tasks = [
        copy.Task(out, work, number, start, min(start + form.shard_samples, found.samples), pool.path / "shards", threads, form.blur)
        for number, start in enumerate(starts)
    ]
    writing = copy.describe if form.virtual else copy.write
    in_threads = form.virtual or (found.bytes < _PROCESS_BYTES and not form.blur)
    done = local.run_all(writing, tasks, workers=cores if is_here else workers, threads=in_threads)
    return list(progress.show(done, total=len(tasks), unit=" shards", title="reshard"))
