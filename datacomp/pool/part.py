"""One tar of somebody's own pictures made into one file of a pool: its tar, metadata, features, ledger and stats."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import pydantic
from PIL import Image

from datacomp import files, tables, tars
from datacomp.errors import PoolError, TarError
from datacomp.launch import local
from datacomp.network import choose, embed
from datacomp.network.choose import Network
from datacomp.network.embed import Encoder
from datacomp.pool import pairs
from datacomp.pool.pairs import Pair, Reason
from datacomp.records import Count, Digest, Line, Record

SUCCESS = "success"
_METADATA: dict[str, pl.DataType | type[pl.DataType]] = {
    "uid": pl.String,
    "url": pl.String,
    "text": pl.String,
    "original_width": pl.Int64,
    "original_height": pl.Int64,
    "face_bboxes": pl.List(pl.List(pl.Float64)),
    "sha256": pl.String,
}


@dataclass(frozen=True, slots=True)
class Part:
    """One tar and the files that are made of it."""

    source: Path
    out: Path
    number: int
    networks: tuple[Network, ...]
    device: str

    @property
    def stem(self) -> str:
        """The name of all its files."""
        return f"{self.number:08d}"

    @property
    def stats(self) -> Path:
        """Written last: the part is complete."""
        return self.out / "shards" / f"{self.stem}_stats.json"


class PartStats(Record):
    """What became of one tar, as img2dataset's stats files say it; written last, so that the part is complete."""

    count: Count
    successes: Count
    failed_to_download: Count
    failed_to_resize: Count
    status_dict: dict[Line, Count]
    content_sha256: Digest
    given_uids: Count
    left_out_members: Count

    @pydantic.model_validator(mode="after")
    def _adds_up(self) -> Self:
        if sum(self.status_dict.values()) != self.count or self.status_dict.get(SUCCESS, 0) != self.successes:
            raise ValueError(f"{self.count} samples came, {self.status_dict} are accounted for")
        return self


def make(task: tuple[Part, pl.DataFrame]) -> PartStats:
    """Make one part unless it is complete. The table says of each sample of its tar whether it is to be dropped."""
    part, looked = task
    if part.stats.is_file():
        return PartStats.read(part.stats)
    local.set_threads(1)  # so that the scores' last bits do not depend on the number of processes
    taken = _Taken([_Features(network.prefix, choose.load(network, part.device)) for network in part.networks])
    tar = part.out / "shards" / f"{part.stem}.tar"
    with files.whole(tar) as temporary, tars.TarWriter(temporary) as writer:
        dropped = _copy(part, looked, writer, taken)
    if taken.rows:
        taken.write(part)
    else:
        tar.unlink()
    ledger = looked.select("key", pl.when(dropped.is_null()).then("uid").alias("uid"), dropped.alias("dropped"))
    tables.write_parquet(part.out / "sources" / f"{part.stem}.parquet", ledger)
    stats = PartStats(
        count=len(looked),
        successes=len(taken.rows),
        failed_to_download=0,
        failed_to_resize=0,
        status_dict=dict(Counter(dropped.fill_null(SUCCESS))),
        content_sha256=taken.content.hexdigest(),
        given_uids=looked.filter(dropped.is_null() & looked["is_given"]).height,
        left_out_members=taken.left_out_members,
    )
    stats.write(part.stats)
    return stats


def _copy(part: Part, looked: pl.DataFrame, writer: tars.TarWriter, taken: "_Taken") -> pl.Series:
    """Copy what is not dropped; return for each sample why it was, null if it was not."""
    rows = looked.select("key", "pair", "dropped").rows()
    dropped: list[str | None] = []
    for sample, found in pairs.go_through(part.source):
        key, digest, reason = rows[len(dropped)] if len(dropped) < len(rows) else (None, None, None)
        if pairs.label(sample.key) != key or (found.digest().hex() if isinstance(found, Pair) else None) != digest:
            raise _changed(part)
        if isinstance(found, Pair) and reason is None:
            decoded = _decode(found)
            if isinstance(decoded, Reason):
                reason = str(decoded)
            else:
                taken.add(found, decoded, f"{part.source.name}#{key}", f"{part.stem}{len(taken.rows):06d}", writer)
                taken.left_out_members += len(sample.members.keys() - {found.extension, "txt", "json"})
        dropped.append(reason)
    if len(dropped) != len(rows):
        raise _changed(part)
    return pl.Series(dropped, dtype=pl.String)


def _decode(pair: Pair) -> Image.Image | Reason:
    try:
        decoded = embed.decode(pair.picture)
    except TarError:
        return Reason.BROKEN_PICTURE
    return Reason.EXTREME_SHAPE if embed.is_extreme(decoded) else decoded


def _changed(part: Part) -> PoolError:
    return PoolError(f"{part.source} was changed while it was read", repair="start again with another --out, and leave the originals alone meanwhile")


class _Features:
    """What one network says of the pictures, taken in as they come."""

    def __init__(self, prefix: str, network: Encoder) -> None:
        self.prefix, self.network = prefix, network
        self._crops: list[np.ndarray[Any, np.dtype[np.uint8]]] = []
        self._images: list[np.ndarray[Any, np.dtype[np.float32]]] = []

    def add(self, picture: Image.Image) -> None:
        """Take one picture."""
        self._crops.append(self.network.crop_decoded(picture))
        if len(self._crops) == self.network.batch_samples:
            self._embed()

    def _embed(self) -> None:
        if self._crops:
            self._images.append(self.network.images(np.stack(self._crops)))
            self._crops = []

    def pairs(self, captions: list[str]) -> tuple[np.ndarray[Any, np.dtype[np.float32]], np.ndarray[Any, np.dtype[np.float32]]]:
        """The unit vectors of all pictures and of their captions, each of shape (N, D)."""
        self._embed()
        return np.concatenate(self._images), self.network.texts(captions)


@dataclass
class _Taken:
    """The samples of a part that are kept."""

    features: list[_Features]
    rows: list[dict[str, Any]] = field(default_factory=list)
    content: Any = field(default_factory=hashlib.sha256)  # of uids, captions and pictures
    left_out_members: int = 0

    def add(self, pair: Pair, decoded: Image.Image, origin: str, key: str, writer: tars.TarWriter) -> None:
        """Take a pair; its members in the new tar are called `key`."""
        width, height = pair.original_size(decoded.size)
        uid, url = pair.uid(), pair.about.get("url")
        row = {"uid": uid, "url": pairs.label(url) if isinstance(url, str) else origin, "original_width": width, "original_height": height}
        about = pair.about | row | {"caption": pair.caption, "key": key, "status": SUCCESS}
        writer.add(f"{key}.{pair.extension}", pair.picture)
        writer.add(f"{key}.json", json.dumps(about).encode())
        writer.add(f"{key}.txt", pair.caption.encode())
        self.content.update(uid.encode() + pair.digest())
        self.rows.append(row | {"text": pair.caption, "face_bboxes": pair.face_boxes(), "sha256": pair.picture_sha256().hex()})
        for features in self.features:
            features.add(decoded)

    def write(self, part: Part) -> None:
        """Write metadata and features, row for row."""
        table = pl.DataFrame(self.rows, schema=_METADATA)
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for features in self.features:
            images, texts = features.pairs(table["text"].to_list())
            arrays |= {f"{features.prefix}_img": images.astype(np.float16), f"{features.prefix}_txt": texts.astype(np.float16)}
            table = table.with_columns(pl.Series(f"clip_{features.prefix}_similarity_score", (images * texts).sum(axis=1)))
        if arrays:
            tables.write_npz(part.out / "metadata" / f"{part.stem}.npz", arrays)
        tables.write_parquet(part.out / "metadata" / f"{part.stem}.parquet", table)
