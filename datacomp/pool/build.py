"""The pool stage for somebody's own pictures: webdataset tars in, a pool in CommonPool's format out. The originals are only read.

File NNNNNNNN of the pool is made of the tar at that place in the sorted list: its tar is a copy with new names, the pictures' bytes
unchanged, each json with the uid added; sources/NNNNNNNN.parquet says of every sample which uid it got or why it was dropped. A tar of
which nothing remains makes no file. Of samples with one uid the first in order is kept.

Everything is read twice: first to know uids and duplicates, then, tar by tar, to decode, embed and copy.
"""

import shutil
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import polars as pl

from datacomp import digest, files, progress, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts.pool import BuiltFrom, Pool, PoolFile, PoolRecord
from datacomp.declared import pool as declared
from datacomp.errors import PoolError
from datacomp.launch import local
from datacomp.network.choose import Network
from datacomp.pool import settle
from datacomp.pool.part import SUCCESS, Part, PartStats, make
from datacomp.records import Count, Digest, Line, Record

NAME = "own"


class Source(Record):
    """One tar of the user's."""

    name: Line
    bytes: Count


class Asked(Record):
    """What a pool is a function of, written first: a restart with other tars or networks is refused."""

    name: Line
    sources: tuple[Source, ...]
    networks: dict[Line, Line]
    weights: dict[Line, Digest]


def build(shards: Path, out: Path, *, networks: tuple[Network, ...], name: str = NAME, device: str | None = None, workers: int | None = None) -> Pool:
    """Make a pool in `out` of the tars in `shards`; a killed call goes on with the tars that are not complete.

    Raises PoolError for a tar that is broken, where nothing is left, and where `out` holds something else.
    """
    sources = _find(shards)
    parts = tuple(Part(source, out, number, networks, local.device(device)) for number, source in enumerate(sources))
    asked = _ask(name, sources, networks)
    _check_out(shards, out, asked)
    with files.writing(out):
        if not (out / pools.PLAN).is_file():
            asked.write(out / pools.PLAN)
        if not (out / "pool.json").is_file():
            made = _make(parts, out, workers)
            shutil.rmtree(_index(out), ignore_errors=True)
            _record(asked, made, out).write(out / "pool.json")
    return pools.read(out)


class Planned(NamedTuple):
    """What `build` would do: tars, those of them that are done, samples, and how many of these are dropped before pictures are decoded."""

    tars: int
    done: int
    samples: int
    dropped: dict[str, int]


def plan(shards: Path, out: Path, *, networks: tuple[Network, ...], name: str = NAME, workers: int | None = None) -> Planned:
    """Read all samples, decode no picture, and say what `build` would do; nothing is written."""
    sources = _find(shards)
    _check_out(shards, out, _ask(name, sources, networks))
    looked = progress.show(local.run_all(settle.look, sources, workers=workers), total=len(sources), unit=" tars", title="read tars")
    settled = pl.concat(settle.settle(list(looked)))
    done = sum(Part(source, out, number, networks, "").stats.is_file() for number, source in enumerate(sources))
    return Planned(len(sources), done, len(settled), dict(Counter(settled["dropped"].drop_nulls().sort())))


def _find(shards: Path) -> tuple[Path, ...]:
    sources = tuple(sorted(path for path in shards.glob("*.tar") if path.is_file()))
    if not sources:
        raise PoolError(f"{shards} holds no *.tar", allowed="a folder of uncompressed webdataset tars")
    return sources


def _ask(name: str, sources: tuple[Path, ...], networks: tuple[Network, ...]) -> Asked:
    if name in declared.names():
        raise PoolError(f"{name!r} is the name of a pool of tracks/pools/", repair="choose another --name")
    asked = {
        "name": name,
        "sources": tuple({"name": source.name, "bytes": source.stat().st_size} for source in sources),
        "networks": {network.prefix: network.title() for network in networks},
        "weights": {network.prefix: network.sha256 for network in networks},
    }
    return Asked.of(asked, "what is asked of the pool")


def _check_out(shards: Path, out: Path, asked: Asked) -> None:
    """Refuse a folder that holds anything but the beginning of this very pool; the originals' own folder above all."""
    if (out / pools.PLAN).is_file():
        if digest.of_file(out / pools.PLAN) != asked.digest():
            raise PoolError(f"{out} holds a pool of other tars, networks or another name", repair="choose another --out, or remove that folder")
    elif taken := next((path for path in (out / "shards", out / "metadata", out / "pool.json") if path.exists()), None):
        raise PoolError(f"{out} already holds {taken.name}", repair="choose an empty --out")
    if out.resolve() == shards.resolve() or (out / "shards").resolve() == shards.resolve():
        raise PoolError(f"{out} is where the originals are", allowed="originals are never changed", repair="choose another --out")


def _index(out: Path) -> Path:
    """Where what was looked at is kept while the pool is not finished."""
    return out / "index"


def _make(parts: tuple[Part, ...], out: Path, workers: int | None) -> list[PartStats]:
    if all(part.stats.is_file() for part in parts):
        return [PartStats.read(part.stats) for part in parts]
    places = [(part.source, _index(out) / f"{part.stem}.parquet") for part in parts]
    looked = progress.show(local.run_all(settle.look_once, places, workers=workers), total=len(parts), unit=" tars", title="read tars")
    tasks = list(zip(parts, settle.settle(list(looked)), strict=True))
    return list(progress.show(local.run_all(make, tasks, workers=workers), total=len(parts), unit=" tars", title=f"build {out.name}"))


def _record(asked: Asked, made: list[PartStats], out: Path) -> PoolRecord:
    statuses: Counter[str] = Counter()
    for stats in made:
        statuses.update(stats.status_dict)
    samples = statuses.pop(SUCCESS, 0)
    if not samples:
        raise PoolError(f"nothing is left of {statuses.total():,} samples: {dict(statuses)}", allowed="a picture and a caption of one key")
    kept = tuple(PoolFile(stem=f"{number:08d}", samples=stats.successes) for number, stats in enumerate(made) if stats.successes)
    return PoolRecord(
        name=asked.name,
        samples=samples,
        partial=False,
        uids_sha256=uids.digest_of(pools.all_uids(Pool(out, out / "metadata", tuple(file.stem for file in kept), None))),
        content_sha256=digest.of_content([stats.content_sha256 for stats in made]),
        files=kept,
        networks=dict(asked.weights),
        built=BuiltFrom(
            sources=tuple(source.name for source in asked.sources),
            found_samples=samples + statuses.total(),
            dropped_samples=dict(statuses),
            given_uids=sum(stats.given_uids for stats in made),
            left_out_members=sum(stats.left_out_members for stats in made),
            networks=dict(asked.networks),
        ),
    )
