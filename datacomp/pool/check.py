"""Looking through a whole pool, ours or made by the published downloader: what is broken, and what one should know."""

import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from datacomp import digest, progress, tables, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import tar_index
from datacomp.artifacts.pool import Pool, PoolFile, PoolRecord
from datacomp.declared import pool as declared
from datacomp.errors import PoolError, TarError
from datacomp.launch import local
from datacomp.pool.audit import AUDIT, Audit

_NUMBERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Float32, pl.Float64)
_COLUMNS: dict[str, tuple[Any, ...]] = {  # what filters and the downloader rely on
    "uid": (pl.String,),
    "url": (pl.String,),
    "text": (pl.String,),
    "original_width": _NUMBERS,
    "original_height": _NUMBERS,
    "clip_b32_similarity_score": (pl.Float32, pl.Float64),
    "clip_l14_similarity_score": (pl.Float32, pl.Float64),
    "face_bboxes": (pl.List,),
    "sha256": (pl.String,),
}
_NEEDED = ("uid", "text")


@dataclass(slots=True)
class Found:
    """One line for each finding."""

    broken: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: tuple[PoolFile, ...] = ()
    uids_sha256: str = ""


@dataclass(frozen=True, slots=True)
class _Tar:
    """What one tar holds: the uids of its samples, none where they were not read."""

    path: Path
    samples: int
    uids: uids.UidArray
    broken: tuple[str, ...]
    has_stats: bool


def check(folder: Path, *, quick: bool = False) -> Found:
    """Look through a pool; with `quick`, tars are seen to be whole but their samples are not opened."""
    pool, found = pools.read(folder), Found()
    everything = _metadata(pool, found)
    _features(pool, found)
    tombstones = pool.tombstones()
    in_tars = _tars(pool, found, everything, quick=quick)
    if len(tombstones):
        listed, there = (int(np.count_nonzero(uids.count(array, tombstones))) for array in (everything, in_tars))
        found.notes.append(f"{listed:,} rows were taken down; {there:,} of them still lie in the tars, and every stage drops them")
    if pool.record is not None:
        _record(pool, pool.record, found, None if quick or not pool.tars() else in_tars[uids.count(in_tars, tombstones) == 0])
    return found


def adopt(folder: Path, found: Found) -> str:
    """Write the record of a pool that somebody else's program made; return what was done."""
    path = folder / "pool.json"
    if path.is_file():
        return "nothing, there is a pool.json"
    known = {spec.uids_sha256: spec.name for spec in map(declared.load, declared.names()) if spec.uids_sha256}
    name = known.get(found.uids_sha256, folder.resolve().name)
    samples = sum(file.samples for file in found.files)
    PoolRecord(name=name, samples=samples, partial=False, uids_sha256=found.uids_sha256, files=found.files).write(path)
    return f"{path}, pool {name}"


def _metadata(pool: Pool, found: Found) -> uids.UidArray:
    """Columns, types and uids; returns every uid that could be read, sorted."""
    parts, counts, lacking = [np.empty(0, uids.UID)], [], set()
    for stem in progress.show(pool.stems, total=len(pool.stems), unit=" files", title="metadata"):
        path = pool.metadata(stem)
        try:
            schema = tables.columns(path)
            read = uids.parse(tables.read_parquet(path, ["uid"])["uid"], str(path))
        except PoolError as error:
            found.broken.append(error.what)
            continue
        lacking |= _COLUMNS.keys() - schema.keys()
        for column, kinds in _COLUMNS.items():
            if column in schema and schema[column].base_type() not in kinds:
                found.broken.append(f"{path}: column {column} is {schema[column]}, not {kinds[-1].__name__}")
        parts.append(read)
        counts.append(PoolFile(stem=stem, samples=len(read)))
    found.broken += [f"no column {column} in the metadata" for column in _NEEDED if column in lacking - {"uid"}]
    found.notes += [f"some metadata have no column {column}" for column in sorted(lacking - {*_NEEDED})]
    everything: uids.UidArray = np.concatenate(parts)
    everything = everything[uids.order(everything)]
    found.files, found.uids_sha256 = tuple(counts), uids.digest_of(everything)
    found.notes.append(f"{len(everything):,} rows in {len(pool.stems):,} files")
    if repeats := len(everything) - uids.distinct(everything):
        found.notes.append(f"{repeats:,} rows repeat the uid of another")
    return everything


def _features(pool: Pool, found: Found) -> None:
    rows = {file.stem: file.samples for file in found.files}
    there = [stem for stem in rows if pool.features(stem).is_file()]
    if there and len(there) < len(rows):
        missing = next(stem for stem in rows if stem not in there)
        found.broken.append(f"{len(rows) - len(there):,} tables have no npz beside them, {missing}.parquet the first")
    for stem in there:
        try:
            wrong = {key: count for key, count in tables.npz_rows(pool.features(stem)).items() if count != rows[stem]}
        except PoolError as error:
            found.broken.append(error.what)
            continue
        found.broken += [f"{pool.features(stem)}: {key} has {count:,} rows, the table {rows[stem]:,}" for key, count in wrong.items()]


def _tars(pool: Pool, found: Found, everything: uids.UidArray, *, quick: bool) -> uids.UidArray:
    """Every tar and its stats; returns the uids in the tars, sorted."""
    paths = pool.tars()
    if deeper := next((pool.path / "shards").glob("*/*.tar"), None):
        found.broken.append(f"tars lie in {deeper.parent}, where no stage looks for them: move them to {pool.path / 'shards'}")
    if not paths:
        found.notes.append("there are no pictures")
        return np.empty(0, uids.UID)
    looked = local.run_all(partial(_look, quick=quick), paths, workers=None if len(paths) > 16 else 1)
    seen = list(progress.show(looked, total=len(paths), unit=" tars", title="tars"))
    for tar in seen:
        found.broken += tar.broken
    in_tars: uids.UidArray = np.concatenate([tar.uids for tar in seen])
    in_tars = in_tars[uids.order(in_tars)]
    found.notes.append(f"{sum(tar.samples for tar in seen):,} samples in {len(paths):,} tars")
    if without := sum(not tar.has_stats for tar in seen):
        found.notes.append(f"{without:,} tars have no _stats.json")
    if repeats := len(in_tars) - uids.distinct(in_tars):
        found.broken.append(f"{repeats:,} samples in the tars repeat the uid of another")
    if strangers := int(np.count_nonzero(uids.count(in_tars, everything) == 0)):
        found.broken.append(f"{strangers:,} samples in the tars have a uid that the metadata do not name")
    return in_tars


def _look(path: Path, *, quick: bool) -> _Tar:
    """Open one tar and the stats beside it."""
    nothing, stats = np.empty(0, uids.UID), path.with_name(f"{path.stem}_stats.json")
    try:
        found = tar_index.read(path)
    except TarError as error:
        return _Tar(path, 0, nothing, (error.what,), stats.is_file())
    samples, read = found.rows, nothing if quick else found.uids[found.rows["named"]]
    broken = [found.cut_off] if found.cut_off else []
    if unpaired := int(np.count_nonzero(~samples["paired"])):
        broken.append(f"{path}: {unpaired:,} samples have no picture or no caption")
    if unnamed := int(np.count_nonzero(~samples["named"])):
        broken.append(f"{path}: {unnamed:,} samples have no json with a uid")
    if stats.is_file():
        try:
            said = json.loads(stats.read_bytes())
            parts = said["successes"] + said["failed_to_download"] + said["failed_to_resize"]
            if said["count"] != parts or said["successes"] != len(samples):
                broken.append(f"{stats}: {said['successes']} + {parts - said['successes']} of {said['count']}, and {len(samples)} samples in the tar")
        except (ValueError, KeyError, TypeError):
            broken.append(f"{stats} cannot be read")
    return _Tar(path, len(samples), read, tuple(broken), stats.is_file())


def _record(pool: Pool, record: PoolRecord, found: Found, effective: uids.UidArray | None) -> None:
    """Hold pool.json and audit.json against what is there; `effective` are the uids that can be had, None where they were not read."""
    if (record.uids_sha256, record.files) != (found.uids_sha256, found.files) or record.samples != sum(file.samples for file in found.files):
        found.broken.append("pool.json does not describe these metadata")
    if record.pictures is None:
        return
    path = pool.path / AUDIT
    if not path.is_file() or digest.of_file(path) != record.pictures.audit_sha256:
        found.broken.append("audit.json is not the one that pool.json names")
        return
    audit = Audit.read(path)
    if sum(audit.reasons.values()) != audit.samples or audit.samples != record.samples:
        found.broken.append("the audit does not add up to the pool's rows")
    if audit.tombstones_sha256 != pool.tombstones_sha256():
        found.notes.append("samples were taken down since the audit; start datacomp pool download again for a new one")
    elif effective is not None and uids.digest_of(effective) != audit.effective_pool.uids_sha256:
        found.broken.append(f"the tars hold {len(effective):,} samples that can be used, and not the {audit.effective_pool.samples:,} of the audit")
