"""Webdataset tars, read through an index and written the same way every time.

Nothing in a tar is run or unpacked: only regular members are seen, only their bytes are handed out, and a member is never
larger than the file that holds it. Names are labels here, never paths. Formats: ustar, PAX and GNU, uncompressed.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Protocol, Self

import numpy as np

from datacomp import places
from datacomp.errors import TarError
from datacomp.tar_blocks import BLOCK_BYTES, NAME_BYTES, end_mark, header, padded

IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp")
MAX_ASPECT = 1000  # a picture of 1 x 60,000 pixels would be resized to gigabytes
MAX_MEMBERS = 1 << 20  # a shard of 10,000 samples has 30,000
_MAX_HEADER_BYTES = 1 << 20  # of one long name or PAX record
_BATCH_HEADERS = 1024
_REGULAR, _PAX, _GNU_NAME = b"0\x007", ord("x"), ord("L")
_ABOUT = re.compile(r"__[^/]*__(/|$)")
_FETCH_AGAIN = "make or download this file again"


class Member(NamedTuple):
    """Where the bytes of one regular file lie."""

    name: str
    offset: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Members of one key that follow each other, by lower-case extension; the key is the name up to the first dot of its last part.

    With their headers they take up the bytes from `start` to `end`.
    """

    key: str
    start: int
    end: int
    members: dict[str, Member]

    def image(self) -> Member | None:
        """The picture, whatever its format."""
        return self.members.get(self.image_extension() or "")

    def is_pair(self) -> bool:
        """Whether there are a picture and a caption."""
        return "txt" in self.members and self.image_extension() is not None

    def image_extension(self) -> str | None:
        """The extension of the picture."""
        return next((extension for extension in IMAGE_EXTENSIONS if extension in self.members), None)


def split_name(name: str) -> tuple[str, str]:
    """Split a member's name into key and lower-case extension, as webdataset does."""
    folder, slash, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return folder + slash + stem, extension.lower()


def members(path: Path) -> Iterator[Member]:
    """Go through the regular members of a tar by its headers alone."""
    with opened(path) as reader:
        for _, member in _members(reader):
            yield member


def index(path: Path) -> list[Sample]:
    """List the samples of a tar in their order.

    Raises TarError for what is no tar, for one that is cut off, and for a member that claims more than the file holds.
    """
    with opened(path) as reader:
        return list(samples(reader))


def samples(reader: "Reader") -> Iterator[Sample]:
    """Group the members of a tar into samples, as webdataset does.

    A sample ends where a name has another key or where an extension comes again. Names without a key or an extension, and __names__ of
    files and folders about the tar, belong to no sample. Where the tar is broken, what came before is given first.
    """
    key, start, end = "", 0, 0
    found: dict[str, Member] = {}
    try:
        for first, member in _members(reader):
            name, offset, size = member
            its_key, extension = split_name(name)
            if not extension or not its_key or its_key[-1] == "/" or (name[:2] == "__" and _ABOUT.match(name)):
                continue
            if its_key != key or extension in found:
                if found:
                    yield Sample(key, start, end, found)
                key, start, found = its_key, first, {}
            found[extension] = member
            end = offset + size + -size % BLOCK_BYTES
    except TarError:
        if found:
            yield Sample(key, start, end, found)
        raise
    if found:
        yield Sample(key, start, end, found)


def _members(reader: "Reader") -> Iterator[tuple[int, Member]]:
    """The regular members of a tar, each with the offset of its first header.

    Checksums are looked at in batches: numpy sums a thousand headers in the time in which Python sums a few.
    """
    chain, path = _chain(reader), reader.path
    ended, error, seen = False, None, 0
    while not ended and error is None:
        batch: list[tuple[bytes, int, int, Member | None]] = []
        try:
            for link in chain:
                batch.append(link)
                if len(batch) == _BATCH_HEADERS:
                    break
            else:
                ended = True
        except TarError as found:
            error = found
        broken = first_broken(np.frombuffer(b"".join(block for block, *_ in batch), np.uint8).reshape(-1, BLOCK_BYTES))
        yield from ((first, member) for _, _, first, member in batch[:broken] if member is not None)
        if broken < len(batch):
            raise _broken(path, batch[broken][1])
        seen += len(batch)
        if seen > MAX_MEMBERS:
            raise TarError(f"{path} has more than {MAX_MEMBERS:,} members", repair="cut it into several tars")
    if error is not None:
        raise error


def _chain(reader: "Reader") -> Iterator[tuple[bytes, int, int, Member | None]]:
    """Every header of a tar: its bytes, its offset, the offset of the first header that tells of the same member, and that member."""
    read, size, path, offset = reader.read_at, reader.size, reader.path, 0
    if size < BLOCK_BYTES:
        raise TarError(f"{path} is no tar: it is shorter than one header", repair=_FETCH_AGAIN)
    first, long_name, long_size = 0, "", -1  # what a PAX or GNU header says of the member after it
    while True:
        block = read(offset, BLOCK_BYTES)
        if len(block) < BLOCK_BYTES:
            break
        if not block[0] and not block.strip(b"\0"):
            return
        kind, body = block[156], offset + BLOCK_BYTES
        tells_more = kind in (_PAX, _GNU_NAME)
        bytes_ = long_size if long_size >= 0 and not tells_more else _size(block, path, offset)
        if body + bytes_ > size:
            yield block, offset, first, None  # its checksum comes first
            raise TarError(f"{path}: the member at byte {offset:,} claims {bytes_:,} bytes, more than the file has", repair=_FETCH_AGAIN)
        member = None
        if tells_more:
            if bytes_ > _MAX_HEADER_BYTES:
                raise TarError(f"{path}: the header at byte {offset:,} has {bytes_:,} bytes", allowed=f"up to {_MAX_HEADER_BYTES:,}")
            about = read(body, bytes_)
            long_name, long_size = _pax(about, path, long_name) if kind == _PAX else (_decode(about), long_size)
        elif kind in _REGULAR:
            member = Member(long_name or _ustar_name(block), body, bytes_)
        yield block, offset, first, member
        offset = body + bytes_ + -bytes_ % BLOCK_BYTES
        if not tells_more:
            first, long_name, long_size = offset, "", -1
    raise TarError(f"{path} is cut off: its end mark is missing", repair=_FETCH_AGAIN)


def _size(block: bytes, path: Path, offset: int) -> int:
    try:
        return int(block[124:135], 8)  # as nearly every writer states it
    except ValueError:
        pass
    try:
        return _number(block[124:136])
    except ValueError:
        raise _broken(path, offset) from None


def first_broken(table: np.ndarray[Any, np.dtype[np.uint8]]) -> int:
    """The row of the first header of a table of shape (N, 512) whose checksum does not hold, or N."""
    fields = table[:, 148:156]
    sums = table.sum(axis=1, dtype=np.int64) - fields.sum(axis=1, dtype=np.int64) + 8 * ord(" ")
    stated = (fields[:, :6].astype(np.int64) - ord("0")) @ (1 << np.arange(15, -1, -3))  # as nearly every writer states it
    doubtful = np.flatnonzero((stated != sums) | ((fields[:, :6] | 7) != ord("7")).any(axis=1))
    return next((place for place in doubtful.tolist() if not _states(fields[place].tobytes(), int(sums[place]))), len(table))


def _states(field: bytes, total: int) -> bool:
    try:
        return _number(field) == total
    except ValueError:
        return False


def _broken(path: Path, offset: int) -> TarError:
    return TarError(f"{path} is no tar, or broken at byte {offset:,}: the header's checksum does not hold", repair=_FETCH_AGAIN)


def _number(field: bytes) -> int:
    if field[0] == 0x80:  # GNU's base-256 form of large numbers
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0") or b"0"
    if not digits.isdigit():
        raise ValueError(digits)
    return int(digits, 8)


def _ustar_name(block: bytes) -> str:
    name = block[:NAME_BYTES].partition(b"\0")[0].decode("utf-8", "surrogateescape")
    return f"{_decode(block[345:500])}/{name}" if block[345] and block[257:263] == b"ustar\0" else name


def _decode(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


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


class Reader(Protocol):
    """A tar's bytes, or a piece of them that begins with a header and ends with an end mark."""

    path: Path
    size: int

    def read_at(self, offset: int, size: int) -> bytes:
        """The bytes at an offset, fewer where they end."""

    def read(self, member: Member) -> bytes:
        """The bytes of one member."""


class Piece:
    """Some samples of a tar, read before."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path, self.data = path, data + end_mark(len(data))
        self.size = len(self.data)

    def read_at(self, offset: int, size: int) -> bytes:
        """The bytes at an offset of the piece."""
        return self.data[offset : offset + size]

    def read(self, member: Member) -> bytes:
        """The bytes of one member."""
        return self.read_at(member.offset, member.bytes)


class TarReader:
    """An open tar whose members are read at their offsets."""

    def __init__(self, path: Path) -> None:
        self.path, self._descriptor = path, -1
        self._descriptor = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self._descriptor).st_size

    def read_at(self, offset: int, size: int) -> bytes:
        """The bytes at an offset, fewer at the end of the file."""
        return os.pread(self._descriptor, size, offset)

    def read(self, member: Member) -> bytes:
        """The bytes of one member."""
        data = os.pread(self._descriptor, member.bytes, member.offset)
        if len(data) != member.bytes:
            raise TarError(f"{self.path}: member {member.name[:200]!r} is cut off", repair=_FETCH_AGAIN)
        return data

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill a buffer with the bytes from an offset on."""
        if os.preadv(self._descriptor, [buffer], offset) != len(buffer):
            raise TarError(f"{self.path} is cut off before byte {offset + len(buffer):,}", repair=_FETCH_AGAIN)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


class RemoteTar(TarReader):
    """A tar in a store: going through it reads it once from start to end, single samples are asked for by their places."""

    def __init__(self, path: Path) -> None:
        self.path, self._descriptor = places.at(str(path)), -1  # anew, for a connection is of no use in a loader process that was forked later
        self._file: IO[bytes] | None = None
        self.size = places.state(self.path)[0]

    def read_at(self, offset: int, size: int) -> bytes:
        """The bytes at an offset, with what follows read ahead."""
        wanted = max(0, min(size, self.size - offset))
        return places.patiently(self.path, lambda: self._asked(offset, wanted))

    def _asked(self, offset: int, wanted: int) -> bytes:
        self._file = self._file or self.path.open("rb")
        try:
            self._file.seek(offset)
            return _complete(self._file.read(wanted), wanted)
        except BaseException:
            self.close()  # what it has read ahead may be cut off
            raise

    def read(self, member: Member) -> bytes:
        """The bytes of one member."""
        return self.read_at(member.offset, member.bytes)

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill a buffer with the bytes from an offset on, and read no more than these."""
        store, end = self.path, offset + len(buffer)
        if end > self.size:
            raise TarError(f"{self.path} is cut off before byte {end:,}", repair=_FETCH_AGAIN)
        buffer[:] = places.patiently(store, lambda: _complete(store.fs.cat_file(store.path, start=offset, end=end), len(buffer)))  # type: ignore[attr-defined]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _complete(data: bytes, wanted: int) -> bytes:
    if len(data) != wanted:
        raise EOFError(f"{len(data):,} bytes came of {wanted:,}")
    return data


def opened(path: Path) -> TarReader:
    """Open a tar on a disk or in a store."""
    return RemoteTar(path) if places.is_remote(path) else TarReader(path)


def read_all(path: Path) -> Iterator[tuple[Sample, dict[str, bytes]]]:
    """Go through a tar: each sample with its members' bytes by extension."""
    with opened(path) as reader:
        for sample in samples(reader):
            yield sample, {extension: reader.read(member) for extension, member in sample.members.items()}


class TarWriter:
    """A tar whose bytes depend on names and contents alone: no clock, no owner."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def add(self, name: str, data: bytes) -> None:
        """Append one regular member."""
        self._file.write(header(name, len(data)))
        self._file.write(data)
        self._file.write(bytes(padded(len(data)) - len(data)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._file as file:
            file.write(end_mark(file.tell()))
