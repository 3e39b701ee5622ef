"""The reshard stage: a pool and a list in, training shards out. Asked = found + missing by reason, or it fails."""

from pathlib import Path

from datacomp import digest, files, progress, tars, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import shards
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.shards import Shard, ShardSet, ShardsRecord
from datacomp.artifacts.subset import Subset
from datacomp.errors import PoolError, StageError
from datacomp.launch import local
from datacomp.records import Record
from datacomp.reshard import plan

PLAN = "plan.json"


class Asked(Record):
    """What the shards are a function of, written first: a restart with another list or pool is refused."""

    pool_uids_sha256: str
    effective_uids_sha256: str
    uids_sha256: str
    shard_samples: int


def reshard(
    pool: Pool, subset: Subset, out: Path, *, shard_samples: int, allow_missing: float = 0.0, overwrite: bool = False, workers: int | None = None
) -> ShardSet:
    """Copy the listed samples into shards of `shard_samples` in `out`, shuffled; members are named uid-copy.extension.

    A killed run goes on after its last whole shard, finished shards of the same list and pool are returned as they are.
    Raises StageError when a larger share than `allow_missing` of the list cannot be found. Samples that were taken down are left out
    and counted as "tombstoned"; nobody can restore them, so they do not count against `allow_missing`.
    """
    with files.writing(out):
        if overwrite:
            files.empty(out)
        elif (out / shards.RECORD).is_file():
            return _same(shards.read(out), pool, subset, shard_samples, allow_missing)
        pool_uids = pools.all_uids(pool)
        indexed = _index(pool, workers)
        asked = Asked(
            pool_uids_sha256=uids.digest_of(pool_uids),
            effective_uids_sha256=uids.digest_of(indexed.uids),
            uids_sha256=subset.record.uids_sha256,
            shard_samples=shard_samples,
        )
        _claim(out, asked)
        chosen = plan.select(indexed, subset.uids, pool_uids)
        _check_missing(chosen.missing, len(subset.uids), allow_missing)
        written = _copy(indexed, chosen, out, shard_samples)
        ShardsRecord(
            pool=pool.record.name if pool.record else "",
            pool_uids_sha256=asked.pool_uids_sha256,
            effective_pool=indexed.reachable(),
            subset=subset.record,
            asked_samples=len(subset.uids),
            found_samples=len(chosen.rows),
            missing_samples=chosen.missing,
            tombstones_sha256=pool.tombstones_sha256(),
            shard_samples=shard_samples,
            shards=tuple(written),
        ).write(out / shards.RECORD)
    return shards.read(out)


def _same(finished: ShardSet, pool: Pool, subset: Subset, shard_samples: int, allow_missing: float) -> ShardSet:
    """Return finished shards if they are what is asked for."""
    record = finished.record
    same_pool = pool.record is None or pool.record.uids_sha256 == record.pool_uids_sha256
    if not same_pool or record.subset.uids_sha256 != subset.record.uids_sha256 or record.shard_samples != shard_samples:
        raise StageError(f"{finished.path} holds shards of another list, pool or size", repair="choose another --out, or give --overwrite")
    if record.tombstones_sha256 != pool.tombstones_sha256():
        raise StageError(f"{finished.path} was written before the list of taken-down samples changed", repair="write the shards again with --overwrite")
    _check_missing(record.missing_samples, record.asked_samples, allow_missing)
    return finished


def _claim(out: Path, asked: Asked) -> None:
    if not (out / PLAN).is_file():
        if leftover := next(out.glob("*.tar"), None):
            raise StageError(f"{out} already holds {leftover.name}", repair="choose an empty --out, or give --overwrite")
        asked.write(out / PLAN)
    elif Asked.read(out / PLAN) != asked:
        raise StageError(f"{out} holds unfinished shards of another list or pool", repair="choose another --out, or give --overwrite")


def _index(pool: Pool, workers: int | None) -> plan.Indexed:
    paths = pool.tars()
    if not paths:
        raise PoolError(f"{pool.path}/shards holds no tar", repair="make or download the pool's shards")
    found = local.run_all(pools.index_tar, paths, workers=workers if len(paths) > 16 else 1)
    indices = list(progress.show(found, total=len(paths), unit=" tars", title="index pool"))
    return plan.combine(paths, indices, pool.tombstones())


def _check_missing(missing: dict[str, int], asked: int, allow_missing: float) -> None:
    lost = sum(n for reason, n in missing.items() if reason != plan.TOMBSTONED)
    if lost > allow_missing * asked or sum(missing.values()) == asked:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in missing.items())
        raise StageError(
            f"{lost:,} of the {asked:,} listed samples cannot be found: {reasons}",
            allowed=f"a share of {allow_missing:g} missing",
            repair="use the pool that the list was made from, or say how much may be missing with --allow-missing FRACTION",
        )


def _copy(indexed: plan.Indexed, chosen: plan.Plan, out: Path, shard_samples: int) -> list[Shard]:
    readers = [tars.TarReader(path) for path in indexed.paths]
    starts = range(0, len(chosen.rows), shard_samples)
    written = []
    for number, start in enumerate(progress.show(starts, total=len(starts), unit=" shards", title="reshard")):
        path = out / f"{number:08d}.tar"
        rows = slice(start, start + shard_samples)
        if not path.is_file():  # one that is there is whole
            with files.whole(path) as temporary, tars.TarWriter(temporary) as writer:
                for row, copy in zip(chosen.rows[rows], chosen.copies[rows], strict=True):
                    tar, sample = indexed.place[row]
                    name = f"{uids.text(indexed.uids[row : row + 1])[0]}-{copy}"
                    for extension, member in indexed.samples[tar][sample].members.items():
                        writer.add(f"{name}.{extension}", readers[tar].read(member))
        written.append(Shard(name=path.name, samples=len(chosen.rows[rows]), sha256=digest.of_file(path)))
    for reader in readers:
        reader.close()
    return written
