"""The index of a tar: where each sample lies, and which uid its json states. It is kept beside the tar and made again when the tar changes."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from datacomp import digest, places, tables, tars, uids
from datacomp.declared import asset as assets
from datacomp.errors import PoolError, TarError
from datacomp.tar_blocks import BLOCK_BYTES, padded
from datacomp.tars import Sample, TarReader
from datacomp.uids import UidArray

FORMAT = 1
ROW = np.dtype(
    [
        ("uid", uids.UID),  # zeros where none is stated
        ("start", "<u8"),  # of the first header
        ("bytes", "<u8"),  # headers and padding included
        ("named", "?"),  # whether the json states a uid
        ("paired", "?"),  # whether there are a picture and a caption
        ("plain", "?"),  # whether there is nothing but one header a member, so that names can be replaced in their place
    ]
)
_JSON = re.compile(rb"\.json\0", re.IGNORECASE)
_UID = re.compile(rb'"uid"\s*:\s*"([0-9a-f]{32})"')
_MAX_JSON_BYTES = 1 << 20
_AHEAD_BYTES = 1 << 12
_USUAL_MEMBERS, _USUAL_EXTENSION = 1 << 16, 8
_CODES = np.array([*tars.IMAGE_EXTENSIONS, "txt", "json"], "S8").view("<u8")  # extensions as numbers
_MAX_EXTENSION = 50  # characters of a name `uid-copy.extension` for which a plain header has room


Rows: TypeAlias = np.ndarray[Any, np.dtype[np.void]]


@dataclass(frozen=True, slots=True)
class TarIndex:
    """What is known of a tar: `rows` has dtype ROW, shape (N,), in the order of the samples."""

    path: Path
    rows: Rows
    cut_off: str  # why the tar could be read no further; empty for a whole one

    @property
    def uids(self) -> UidArray:
        """The uid of each sample, shape (N,)."""
        found: UidArray = self.rows["uid"]
        return found


def sidecar(path: Path) -> Path:
    """Where the index of a tar is kept: beside it, or in the cache for one in a store."""
    if places.is_remote(path):
        return assets.cache_folder() / "indexes" / f"{digest.of_bytes(str(path).encode())}.npz"
    return path.with_suffix(".index.npz")


def read(path: Path) -> TarIndex:
    """The index of a tar: the one beside it if it is of this very file, else a new one, which is kept if the folder can be written.

    Raises TarError for what is no tar at all. One that is cut off or broken has an index up to there.
    """
    state = _state(path)
    if (kept := _kept(path, state)) is not None:
        return kept
    made = _make(path)
    with suppress(OSError):  # others own the folder, or it is full: an index can be made again
        tables.write_npz(sidecar(path), {"state": np.array(state), "rows": made.rows, "cut_off": np.frombuffer(made.cut_off.encode(), np.uint8)})
    return made


def _state(path: Path) -> list[int]:
    """What changes when a tar does."""
    try:
        return [FORMAT, *places.state(path)]
    except FileNotFoundError:
        raise TarError(f"there is no tar at {path}", repair="check the path, or make or download it again") from None


def _kept(path: Path, state: list[int]) -> TarIndex | None:
    if not sidecar(path).is_file():
        return None
    try:
        if tables.read_npz(sidecar(path), "state").tolist() != state:
            return None
        rows, cut_off = tables.read_npz(sidecar(path), "rows"), tables.read_npz(sidecar(path), "cut_off")
    except PoolError:
        return None  # broken, or another version's
    return TarIndex(path, rows, cut_off.tobytes().decode()) if rows.dtype == ROW else None


def _make(path: Path) -> TarIndex:
    with tars.opened(path) as reader:
        if (usual := _usual_rows(reader)) is not None:
            return TarIndex(path, usual, "")
        found: list[tuple[str, int, int, bool, bool]] = []
        cut_off = ""
        try:
            for sample in tars.samples(reader):
                member = sample.members.get("json")
                uid = _uid(reader.read(member)) if member and member.bytes <= _MAX_JSON_BYTES else ""
                found.append((uid, sample.start, sample.end - sample.start, sample.is_pair(), _plain(sample)))
        except TarError as error:
            if not found:
                raise
            cut_off = error.what
    stated, *others = zip(*found, strict=True) if found else ((),) * 5
    rows = _rows(path, list(stated), *others)
    if cut_off:  # of the last sample there may have been more
        rows["paired"][-1] = False
    return TarIndex(path, rows, cut_off)


def _rows(path: Path, stated: list[str], start: Any, bytes_: Any, paired: Any, plain: Any) -> Rows:
    rows = np.zeros(len(stated), ROW)
    for name, column in (("start", start), ("bytes", bytes_), ("paired", paired), ("plain", plain)):
        rows[name] = column
    rows["named"] = named = np.array([bool(uid) for uid in stated], bool)
    rows["uid"][named] = uids.parse([uid for uid in stated if uid], str(path))
    return rows


def _usual_rows(reader: TarReader) -> Rows | None:
    """The rows of a tar as nearly every webdataset is, by numpy, in a third of the time; None for any other.

    In such a tar there are regular members only, whose names are ASCII without folders, each with an extension of up to eight bytes
    that comes once in its sample.
    """
    headers = _usual_headers(reader)
    if headers is None:
        return None
    table, offsets, sizes, stated_uids = headers
    names = table[:, :100]
    dots, ends = (names == ord(".")).argmax(axis=1), (names == 0).argmax(axis=1)
    usual = (
        np.isin(table[:, 156], (0, ord("0"))) & (table[:, 345] == 0) & (names < 128).all(axis=1) & (names != ord("/")).all(axis=1)
        & (dots > 0) & (ends > dots + 1) & (ends <= dots + 1 + _USUAL_EXTENSION) & (np.count_nonzero(names, axis=1) == ends) & (names[:, 0] != ord("_"))
    )  # fmt: skip
    if not usual.all() or tars.first_broken(table) < len(table):
        return None
    extensions = np.take_along_axis(names, dots[:, None] + 1 + np.arange(_USUAL_EXTENSION), axis=1)
    extensions = np.where((extensions >= ord("A")) & (extensions <= ord("Z")), extensions + 32, extensions)
    codes = np.ascontiguousarray(extensions).view("<u8")[:, 0]
    width = int(dots.max())
    same_key = ((names[1:, :width] == names[:-1, :width]) | (np.arange(width) >= dots[1:, None])).all(axis=1) & (dots[1:] == dots[:-1])
    firsts = np.flatnonzero(np.r_[True, ~same_key])
    sample_of = np.cumsum(np.r_[0, ~same_key])
    ordered = np.lexsort((codes, sample_of))
    if (same_key & (np.diff(codes[ordered]) == 0)).any():  # an extension comes again
        return None
    pictures, captions = np.isin(codes, _CODES[:-2]), codes == _CODES[-2]
    paired = np.logical_or.reduceat(pictures, firsts) & np.logical_or.reduceat(captions, firsts)
    stated = [""] * len(firsts)
    for row in np.flatnonzero(codes == _CODES[-1]).tolist():
        stated[sample_of[row]] = stated_uids[row]
    start = np.array(offsets)[firsts]
    end = np.r_[start[1:], offsets[-1] + BLOCK_BYTES + padded(sizes[-1])]
    return _rows(reader.path, stated, start, end - start, paired, plain=True)


def _usual_headers(reader: TarReader) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], list[int], list[int], list[str]] | None:
    """Header, offset and size of each member, and the uid that it states if it is a json.

    None unless the tar has members, though not very many, ends as it should and states sizes in plain octal digits. What follows a header is
    read with it: captions and jsons are small, so that a sample is mostly one read.
    """
    blocks = bytearray()
    offsets: list[int] = []
    sizes: list[int] = []
    stated: list[str] = []
    offset, read, ahead = 0, 0, b""  # `ahead` are the bytes from `read` on
    while len(offsets) < _USUAL_MEMBERS:
        start = offset - read
        if start + BLOCK_BYTES > len(ahead):
            start, read, ahead = 0, offset, reader.read_at(offset, _AHEAD_BYTES)
        block = ahead[start : start + BLOCK_BYTES]
        if len(block) < BLOCK_BYTES:
            return None
        if not block[0]:
            return (np.frombuffer(blocks, np.uint8).reshape(-1, BLOCK_BYTES), offsets, sizes, stated) if blocks and not block.strip(b"\0") else None
        digits = block[124:135]
        if not digits.isdigit() or b"8" in digits or b"9" in digits:
            return None
        size = int(digits, 8)
        blocks += block
        offsets.append(offset)
        sizes.append(size)
        body = start + BLOCK_BYTES
        if size <= _MAX_JSON_BYTES and _JSON.search(block, 0, 100):
            is_read = body + size <= len(ahead)
            stated.append(_uid(ahead[body : body + size] if is_read else reader.read_at(offset + BLOCK_BYTES, size)))
        else:
            stated.append("")
        offset += BLOCK_BYTES + size + -size % BLOCK_BYTES
    return None


def _uid(about: bytes) -> str:
    """The uid that a sample's json states, found without parsing the json where it can only be one."""
    match = _UID.search(about)
    if match is None or _UID.search(about, match.end()) is not None:
        return _parsed_uid(about)
    return match[1].decode()


def _parsed_uid(about: bytes) -> str:
    try:
        uid = json.loads(about)["uid"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return uid if isinstance(uid, str) and _UID.fullmatch(f'"uid":"{uid}"'.encode("utf-8", "replace")) else ""


def _plain(sample: Sample) -> bool:
    taken = 0
    for extension, member in sample.members.items():
        if len(extension) > _MAX_EXTENSION or not extension.isascii():
            return False
        taken += BLOCK_BYTES + member.bytes + -member.bytes % BLOCK_BYTES
    return taken == sample.end - sample.start
