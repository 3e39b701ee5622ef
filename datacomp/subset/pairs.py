"""Some pairs of a pool to look at: rows chosen while the pool streams by, then their pictures from the tars, made small."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from datacomp import draws, progress, tars
from datacomp.artifacts.pool import Pool
from datacomp.errors import TarError
from datacomp.subset.histograms import Mask

MAX_TARS = 64  # that are looked through for pictures
THUMBNAIL_PIXELS = 224  # longer side
_JPEG_QUALITY = 82


class Pair(NamedTuple):
    """One row of the pool."""

    uid: str
    stem: str  # its metadata file
    times: int  # how often the list names it
    columns: dict[str, Any]  # what the metadata says


class Lowest:
    """The rows with the smallest keys, in memory for `most` rows. Equal keys are settled by uid."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._chosen: list[tuple[Any, str, dict[str, Any]]] = []  # key, uid, row

    def add(self, rows: pl.DataFrame, keys: np.ndarray[Any, Any], wanted: Mask) -> None:
        """Offer the wanted rows of a block; `keys` and `wanted` have shape (N,)."""
        if len(self._chosen) == self._most:
            wanted = wanted & (keys <= self._chosen[-1][0])
        offered = rows.with_columns(pl.Series("key", keys)).filter(wanted).sort("key", "uid").head(self._most)
        self._chosen += [(row.pop("key"), row["uid"], row) for row in offered.iter_rows(named=True)]
        self._chosen = sorted(self._chosen, key=lambda chosen: chosen[:2])[: self._most]

    def pairs(self) -> tuple[Pair, ...]:
        """What was chosen, the smallest key first."""
        return tuple(Pair(uid, row.pop("stem"), row.pop("times"), row) for _, uid, row in ((key, uid, dict(row)) for key, uid, row in self._chosen))


class Place(NamedTuple):
    """Where a picture's bytes lie."""

    tar: Path
    member: tars.Member


class Found(NamedTuple):
    """Where pictures lie, by uid, and how many of the pool's tars were looked through for them."""

    places: dict[str, Place]
    searched_tars: int
    all_tars: int


def find(pool: Pool, wanted: Sequence[Pair], spare: Sequence[Pair], seed: int) -> Found:
    """Look through the pool's tars for the pictures of some pairs.

    Tars named after a wanted pair's metadata file come first, then others at random, until all wanted pairs are found or MAX_TARS
    were searched. `spare` pairs are taken along: they can stand in where wanted ones are out of reach.
    """
    paths = _ordered(pool.tars(), {pair.stem for pair in wanted}, seed)
    missing, known = {pair.uid for pair in wanted}, {pair.uid for pair in (*wanted, *spare)}
    places: dict[str, Place] = {}
    searched = 0
    for path in progress.show(paths[:MAX_TARS], total=min(len(paths), MAX_TARS), unit=" tars", title="find pictures"):
        if missing <= places.keys():
            break
        places |= {uid: Place(path, member) for uid, member in _members(path, known)}
        searched += 1
    return Found(places, searched, len(paths))


def _ordered(paths: Sequence[Path], stems: set[str], seed: int) -> list[Path]:
    at_random = draws.permutation(len(paths), seed, "tars").tolist()
    return [paths[place] for place in sorted(at_random, key=lambda place: paths[place].stem not in stems)]  # the sort is stable


def _members(path: Path, known: set[str]) -> Iterator[tuple[str, tars.Member]]:
    """The pictures of those samples of a tar that are known."""
    samples = tars.index(path)
    with tars.TarReader(path) as reader:
        for sample in samples:
            about, image = sample.members.get("json"), sample.image()
            if about is not None and image is not None and (uid := _uid(reader.read(about))) in known:
                yield uid, image


def _uid(about: bytes) -> str:
    """The uid that a sample's json states; what states none is nobody's picture here, and `reshard` refuses it."""
    try:
        return str(json.loads(about)["uid"])
    except (KeyError, ValueError, TypeError, RecursionError):
        return ""


def thumbnail(place: Place) -> str:
    """A picture made small, as a data: address; empty if it cannot be decoded."""
    from datacomp.network import embed

    try:
        with tars.TarReader(place.tar) as reader:
            picture = reader.read(place.member)
    except TarError:
        return ""
    return embed.thumbnail(picture, THUMBNAIL_PIXELS, _JPEG_QUALITY)
