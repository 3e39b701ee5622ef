"""Webdataset tars, read through an index and written the same way every time.

Nothing in a tar is run or unpacked: only regular members are seen, only their bytes are handed out, and a member is never
larger than the file that holds it. Names are labels here, never paths. Formats: ustar, PAX and GNU, uncompressed.
"""

import io
import mmap
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from datacomp.errors import TarError

IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp")
_BLOCK_BYTES = 512
_MAX_HEADER_BYTES = 1 << 20  # of one long name or PAX record
_REGULAR, _PAX, _GNU_NAME = (b"0", b"\0", b"7"), b"x", b"L"
_FETCH_AGAIN = "make or download this file again"


@dataclass(frozen=True, slots=True)
class Member:
    """Where the bytes of one regular file lie."""

    name: str
    offset: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Sample:
    """The members that share a key, by lower-case extension; the key is the name up to the first dot of its last part."""

    key: str
    members: dict[str, Member]

    def image(self) -> Member | None:
        """The picture, whatever its format."""
        return next((self.members[extension] for extension in IMAGE_EXTENSIONS if extension in self.members), None)


def index(path: Path) -> list[Sample]:
    """List the samples of a tar in their order.

    Raises TarError for what is no tar, for one that is cut off, and for a member that claims more than the file holds.
    """
    samples: dict[str, Sample] = {}
    for member in members(path):
        key, extension = split_name(member.name)
        samples.setdefault(key, Sample(key, {})).members.setdefault(extension, member)
    return list(samples.values())


def split_name(name: str) -> tuple[str, str]:
    """Split a member's name into key and lower-case extension, as webdataset does."""
    folder, slash, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return folder + slash + stem, extension.lower()


def members(path: Path) -> Iterator[Member]:
    """Go through the regular members of a tar by its headers alone."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < _BLOCK_BYTES:
            raise TarError(f"{path} is no tar: it is shorter than one header", repair=_FETCH_AGAIN)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield from _members(data, path)


def _members(data: mmap.mmap, path: Path) -> Iterator[Member]:
    size, offset = len(data), 0
    long_name, long_size = "", -1  # what a PAX or GNU header says of the member after it
    while True:
        header = data[offset : offset + _BLOCK_BYTES]
        if len(header) < _BLOCK_BYTES:
            raise TarError(f"{path} is cut off: its end mark is missing", repair=_FETCH_AGAIN)
        if not header.strip(b"\0"):
            return
        kind, bytes_ = header[156:157], _checked_size(header, path, offset)
        body = offset + _BLOCK_BYTES
        if long_size >= 0 and kind not in (_PAX, _GNU_NAME):
            bytes_ = long_size
        if body + bytes_ > size:
            raise TarError(f"{path}: the member at byte {offset:,} claims {bytes_:,} bytes, more than the file has", repair=_FETCH_AGAIN)
        if kind in (_PAX, _GNU_NAME):
            if bytes_ > _MAX_HEADER_BYTES:
                raise TarError(f"{path}: the header at byte {offset:,} has {bytes_:,} bytes", allowed=f"up to {_MAX_HEADER_BYTES:,}")
            if kind == _PAX:
                long_name, long_size = _pax(data[body : body + bytes_], path, long_name)
            else:
                long_name = _decode(data[body : body + bytes_])
        else:
            if kind in _REGULAR:
                yield Member(long_name or _ustar_name(header), body, bytes_)
            long_name, long_size = "", -1
        offset = body + (bytes_ + _BLOCK_BYTES - 1) // _BLOCK_BYTES * _BLOCK_BYTES


def _checked_size(header: bytes, path: Path, offset: int) -> int:
    try:
        stated = _number(header[148:156])
        size = _number(header[124:136])
    except ValueError:
        stated = size = -1
    if size < 0 or stated != sum(header) - sum(header[148:156]) + 8 * ord(" "):
        raise TarError(f"{path} is no tar, or broken at byte {offset:,}: the header's checksum does not hold", repair=_FETCH_AGAIN)
    return size


def _number(field: bytes) -> int:
    if field[0] == 0x80:  # GNU's base-256 form of large numbers
        return int.from_bytes(field[1:], "big")
    return int(field.strip(b" \0") or b"0", 8)


def _ustar_name(header: bytes) -> str:
    name = _decode(header[:100])
    prefix = _decode(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _decode(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _pax(body: bytes, path: Path, name: str) -> tuple[str, int]:
    size = -1
    try:
        while body:
            length = max(1, int(body[: body.index(b" ")]))  # a length of 0 would never end
            key, _, value = body[body.index(b" ") + 1 : length - 1].partition(b"=")
            if key == b"path":
                name = value.decode("utf-8", "surrogateescape")
            elif key == b"size":
                size = int(value)
            body = body[length:]
    except ValueError:
        raise TarError(f"{path} has a broken PAX header", repair=_FETCH_AGAIN) from None
    return name, size


class TarReader:
    """An open tar whose members are read at their offsets."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY)

    def read(self, member: Member) -> bytes:
        """The bytes of one member."""
        data = os.pread(self._descriptor, member.bytes, member.offset)
        if len(data) != member.bytes:
            raise TarError(f"{self.path}: member {member.name[:200]!r} is cut off", repair=_FETCH_AGAIN)
        return data

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def read_all(path: Path) -> Iterator[tuple[Sample, dict[str, bytes]]]:
    """Go through a tar: each sample with its members' bytes by extension."""
    samples = index(path)
    with TarReader(path) as reader:
        for sample in samples:
            yield sample, {extension: reader.read(member) for extension, member in sample.members.items()}


class TarWriter:
    """A tar whose bytes depend on names and contents alone: no clock, no owner."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w:", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by __exit__

    def add(self, name: str, data: bytes) -> None:
        """Append one regular member."""
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self._tar.addfile(info, io.BytesIO(data))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._tar.close()
