"""Training shards of any origin: resharded here, by the published resharder, or any webdataset; the last two are indexed on first use."""

import json
import re
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datacomp import digest, places, progress, sorting, uids
from datacomp.artifacts import shards, tar_index
from datacomp.artifacts.shards import Reachable, Shard, ShardSet, ShardsRecord
from datacomp.artifacts.subset import SubsetRecord
from datacomp.errors import StageError
from datacomp.launch import local

INELIGIBLE = "its shards were not resharded here, so nothing ties them to a list"
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_PROCESS_TARS = 32  # fewer are indexed sooner than processes start
_ALLOWED = "a folder of shards or of folders of shards, a .tar file, or names as in DIR/{00000000..00000012}.tar, each with =WEIGHT behind it"


class Weighted(NamedTuple):
    """A source and its share of the samples drawn, relative to the others'."""

    shards: ShardSet
    weight: float


def read(text: str) -> Weighted:
    """Open what `--shards` names: SHARDS or SHARDS=WEIGHT.

    Raises StageError for a place without shards, and for tars that are named, or counted in a resharder's meta.json, and are not there.
    """
    place, _, stated = text.rpartition("=") if re.search(r"=[\d.]+$", text) else (text, "", "1")
    path = places.at(place)
    if (path / shards.RECORD).is_file() or (path / shards.ASKED).is_file():
        return Weighted(shards.read(path), float(stated))
    tars = _tars(place)
    counted = local.run_all(_count, tars, workers=None if len(tars) > _PROCESS_TARS else 1)
    found = list(progress.show(counted, total=len(tars), unit=" tars", title=f"index {path.name}"))
    return Weighted(_shard_set(path, tars, found), float(stated))


def _tars(place: str) -> tuple[Path, ...]:
    path = places.at(place)
    if path.suffix == ".tar":
        named = [places.at(text) for text in _expanded(place)]
        if missing := [str(tar) for tar in named if not tar.is_file()]:
            raise StageError(f"{len(missing):,} of the {len(named):,} tars named by {place} are not there, {missing[0]} the first", allowed=_ALLOWED)
        return tuple(named)
    folders = [path] if any(path.glob("*.tar")) else sorted(folder for folder in path.glob("*") if folder.is_dir())
    found = tuple(tar for folder in folders for tar in _whole_folder(folder))
    if not found:
        raise StageError(f"there are no training shards at {place}", allowed=_ALLOWED, repair="datacomp reshard makes some from a pool and a list")
    return found


def _expanded(text: str) -> list[str]:
    """Names for a range of numbers in braces, as wide as the first is written."""
    if (match := _RANGE.search(text)) is None:
        return [text]
    first, last = match.groups()
    numbers = range(int(first), int(last) + 1)
    return [name for number in numbers for name in _expanded(f"{text[: match.start()]}{number:0{len(first)}d}{text[match.end() :]}")]


def _whole_folder(folder: Path) -> list[Path]:
    """The tars of a folder, after a look at what should be there."""
    found = sorted(folder.glob("*.tar"))
    meta = folder / "meta.json"
    stated = json.loads(meta.read_bytes()).get("output_shard_count") if meta.is_file() else None
    if stated is not None and stated != len(found):
        raise StageError(f"{meta} counts {stated:,} shards, {len(found):,} are there", repair="reshard again")
    numbers = [int(tar.stem) for tar in found if tar.stem.isdigit()]
    if numbers and (gaps := sorted(set(range(min(numbers), max(numbers) + 1)) - set(numbers))):
        progress.say(
            f"{folder}: {len(gaps):,} numbers between {min(numbers)} and {max(numbers)} have no tar, {gaps[0]} the first; {len(found):,} tars are used"
        )
    return found


class _Counted(NamedTuple):
    shard: Shard
    uids: uids.UidArray
    unnamed: int
    cut_off: bool


def _count(path: Path) -> _Counted:
    found = tar_index.read(path)
    rows = found.rows
    state = digest.of_bytes(rows.tobytes())  # of uids and places: the pictures are not read
    shard = Shard(name=path.name, samples=len(rows), pairs=int(np.count_nonzero(rows["paired"])), uids_sha256=state, content_sha256="")
    return _Counted(shard, found.uids[rows["named"]], int(np.count_nonzero(~rows["named"])), bool(found.cut_off))


def _shard_set(path: Path, tars: tuple[Path, ...], found: list[_Counted]) -> ShardSet:
    with tempfile.TemporaryDirectory() as folder:
        count = sorting.count((one.uids for one in found), Path(folder))
    samples = sum(one.shard.samples for one in found)
    pairs = sum(one.shard.pairs for one in found)
    if not pairs:
        raise StageError(f"the tars at {path} hold no sample with a picture and a caption", allowed="members KEY.jpg (png, webp) and KEY.txt")
    record = ShardsRecord(
        pool="",
        pool_uids_sha256="",
        effective_pool=Reachable(samples=count.samples, uids_sha256=count.digest()),
        subset=SubsetRecord(uids_sha256=count.digest(), samples=count.samples, distinct_samples=count.distinct, ineligible=INELIGIBLE),
        asked_samples=samples,
        found_samples=samples,
        unpaired_samples=samples - pairs,
        missing_samples={},
        unnamed_samples=sum(one.unnamed for one in found),
        broken_tars=tuple(tar.name for tar, one in zip(tars, found, strict=True) if one.cut_off),
        shard_samples=max(one.shard.samples for one in found),
        shuffled=False,
        form=shards.NOT_HERE,
        shards=tuple(one.shard for one in found),
    )
    return ShardSet(path, record, digest.of_content(record.model_dump(mode="json")), tars)
