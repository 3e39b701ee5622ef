"""Writing one shard: samples are read as they lie in the pool's tars, get new names, and are written; nothing is decoded or parsed.

Threads read and rename pieces of a shard while others write: both spend their time outside the interpreter.
"""

import hashlib
import itertools
import os
import struct
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import xxhash

from datacomp import files, tar_blocks, tars, uids
from datacomp.artifacts import shards
from datacomp.artifacts.shards import Planned, Shard
from datacomp.errors import TarError
from datacomp.reshard.faces import NO_BOXES, Faces, blurred
from datacomp.tar_blocks import BLOCK_BYTES

_PIECE_BYTES = 4 << 20
_PIECE_SAMPLES = 1 << 12
_OPEN_TARS = 256
_HEADER = struct.Struct("100s24x12s")  # name and size
_ZEROS = bytes(BLOCK_BYTES)


@dataclass(frozen=True, slots=True)
class Task:
    """One shard: rows `start` to `stop` of the plan in `work`."""

    out: Path
    work: Path
    number: int
    start: int
    stop: int
    tars: Path  # the folder of the pool's tars
    threads: int
    blur: bool


class Source:
    """A pool's tars, of which some are held open, and the faces in their pictures, if these are to be blurred."""

    def __init__(self, paths: tuple[Path, ...], faces: Faces | None) -> None:
        self.paths, self.faces = paths, faces
        self.reader = lru_cache(_OPEN_TARS)(lambda number: tars.opened(paths[number]))

    def samples(self, row: np.void) -> Iterator[dict[str, bytes]]:
        """What lies where a planned sample is: one sample, as its members' bytes by extension, with blurred faces."""
        path = self.paths[row["tar"]]
        buffer = bytearray(int(row["bytes"]))
        self.reader(int(row["tar"])).read_into(memoryview(buffer), int(row["start"]))
        piece = tars.Piece(path, bytes(buffer))
        boxes = self.faces.of((int(row["f1"]), int(row["lower"]))) if self.faces else NO_BOXES
        for sample in tars.samples(piece):
            data = {extension: piece.read(member) for extension, member in sample.members.items()}
            if len(boxes) and (image := sample.image_extension()):
                data["webp"] = blurred(data.pop(image), boxes)
            yield data

    def keeps_length(self, rows: Planned) -> bool:
        """Whether all these samples take up as many bytes under their new names."""
        return bool(rows["plain"].all()) and not (self.faces and self.faces.some_of(shards.uids_of(rows)))


def describe(task: Task) -> Shard:
    """A shard that is not copied: as many samples of the pool's tars."""
    return _described(task, _planned(task))


def _planned(task: Task) -> Planned:
    return shards.read_plan(task.work / shards.PLAN)[task.start : task.stop]


def _described(task: Task, planned: Planned) -> Shard:
    pairs = int(np.count_nonzero(planned["paired"]))
    return Shard(name=shards.name(task.number), samples=len(planned), pairs=pairs, uids_sha256=uids.digest_of(shards.uids_of(planned)), content_sha256="")


def write(task: Task) -> Shard:
    """Write a shard unless it is there; one that is there is whole."""
    path = task.out / shards.name(task.number)
    planned = _planned(task)
    found = _described(task, planned)
    if path.is_file():
        return found.model_copy(update={"content_sha256": content_sha256(path)})
    source = Source(tuple(sorted(task.tars.glob("*.tar"))), Faces(task.work) if task.blur else None)
    content = hashlib.sha256()
    with files.whole(path) as temporary, temporary.open("wb") as file, ThreadPoolExecutor(task.threads) as threads:
        length = 0
        copying: deque[Future[bytes]] = deque()
        for rows in _pieces(planned):
            if source.keeps_length(rows):
                copying.append(threads.submit(_copy, source, rows, file.fileno(), length))
                length += int(rows["bytes"].sum())
            else:
                data = b"".join(parts := _rebuilt(source, rows))
                copying.append(threads.submit(_write, file.fileno(), memoryview(data), length, b"".join(map(xxhash.xxh3_128_digest, parts))))
                length += len(data)
            if len(copying) > 2 * task.threads:
                content.update(copying.popleft().result())
        for piece in copying:
            content.update(piece.result())
        _write(file.fileno(), memoryview(tar_blocks.end_mark(length)), length)
    return found.model_copy(update={"content_sha256": content.hexdigest()})


def _pieces(planned: Planned) -> Iterator[Planned]:
    ends = np.cumsum(planned["bytes"])
    start = 0
    while start < len(planned):
        before = ends[start - 1] if start else np.uint64(0)
        stop = max(start + 1, int(np.searchsorted(ends, before + np.uint64(_PIECE_BYTES), side="right")))
        stop = min(stop, start + _PIECE_SAMPLES)
        yield planned[start:stop]
        start = stop


_buffers = threading.local()  # a thread's piece; fresh memory for each would cost as much as reading it


def _copy(source: Source, rows: Planned, descriptor: int, offset: int) -> bytes:
    """Copy samples that keep their length; return the XXH3-128 of each."""
    length = int(rows["bytes"].sum())
    if length > len(getattr(_buffers, "data", b"")):
        _buffers.data = memoryview(bytearray(max(length, _PIECE_BYTES)))
    buffer = _buffers.data[:length]
    ends = np.cumsum(rows["bytes"]).tolist()
    samples = [buffer[start:end] for start, end in itertools.pairwise([0, *ends])]
    for sample, number, start in zip(samples, rows["tar"].tolist(), rows["start"].tolist(), strict=True):
        source.reader(number).read_into(sample, start)
    _rename(buffer, ends, rows, source.paths)
    return _write(descriptor, buffer, offset, b"".join(map(xxhash.xxh3_128_digest, samples)))


def _rebuilt(source: Source, rows: Planned) -> list[bytes]:
    """The bytes of samples of which some do not keep their length."""
    return [b"".join(_members(source.samples(row), name)) for row, name in zip(rows, _names(rows), strict=True)]


def _members(samples: Iterator[dict[str, bytes]], name: str) -> Iterator[bytes]:
    for sample in samples:
        for extension, data in sample.items():
            yield from (tar_blocks.header(f"{name}.{extension}", len(data)), data, bytes(-len(data) % BLOCK_BYTES))


def _write(descriptor: int, data: memoryview, offset: int, digests: bytes = b"") -> bytes:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written
    return digests


def _names(rows: Planned) -> list[str]:
    return [f"{uid}-{copy}" for uid, copy in zip(uids.text(shards.uids_of(rows)), rows["copy"].tolist(), strict=True)]


def _rename(piece: memoryview, ends: list[int], rows: Planned, paths: tuple[Path, ...]) -> None:
    """Write new headers over those of samples, which end at `ends`, and zeros over what pads their members."""
    blocks: list[int] = []
    names: list[bytes] = []
    sizes: list[int] = []
    place = 0
    for name, end, number in zip(_names(rows), ends, rows["tar"].tolist(), strict=True):
        stem = f"{name}.".encode()
        try:
            while place < end:
                old, digits = _HEADER.unpack_from(piece, place)
                size = int(digits.strip(b" \0") or b"0", 8)
                blocks.append(place // BLOCK_BYTES)
                names.append(stem + tars.split_name(old.partition(b"\0")[0].decode())[1].encode())
                sizes.append(size)
                body_end = place + BLOCK_BYTES + size
                place = body_end + -size % BLOCK_BYTES
                piece[body_end:place] = _ZEROS[: place - body_end]
        except (ValueError, struct.error):
            place = -1
        if place != end:
            raise TarError(f"{paths[number]}: no sample where its index says there is one", repair="start again when nothing writes to the pool")
    np.frombuffer(piece, np.uint8).reshape(-1, BLOCK_BYTES)[blocks] = tar_blocks.headers(names, sizes)


def content_sha256(path: Path) -> str:
    """What a shard's record states: the sha256 of the XXH3-128 of each sample's bytes, headers and padding included."""
    content = hashlib.sha256()
    with tars.opened(path) as reader:
        for sample in tars.samples(reader):
            content.update(xxhash.xxh3_128_digest(reader.read_at(sample.start, sample.end - sample.start)))
    return content.hexdigest()
