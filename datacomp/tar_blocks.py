"""The blocks that a tar is made of, as they are written here: no clock, no owner, the same bytes for the same names and sizes."""

import tarfile
from typing import Any

import numpy as np

BLOCK_BYTES = 512
NAME_BYTES, _OCTAL_BYTES = 100, 8**11  # what a plain header has room for
_RECORD_BYTES = 20 * BLOCK_BYTES  # a tar's length is a multiple of it
_BLANK = tarfile.TarInfo().tobuf(tarfile.USTAR_FORMAT)  # the header of an empty file without a name
_OWNER, _CLOCK, _REST = _BLANK[100:124], _BLANK[136:148], _BLANK[156:]
_BLANK_SUM = sum(_OWNER + _CLOCK + _REST) + 8 * ord(" ")


def padded(size: int) -> int:
    """How many bytes a member of that size takes up."""
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def header(name: str, size: int) -> bytes:
    """What stands before the bytes of a regular member: one block, or several where the name is too long or not ASCII for one."""
    field = name.encode("utf-8", "surrogateescape")
    if len(field) > NAME_BYTES or size >= _OCTAL_BYTES or not field.isascii():
        info = tarfile.TarInfo(name)
        info.size = size
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    digits = b"%011o\0" % size
    total = b"%06o\0 " % (_BLANK_SUM + sum(field) + sum(digits))
    return b"".join((field.ljust(NAME_BYTES, b"\0"), _OWNER, digits, _CLOCK, total, _REST))


def headers(names: list[bytes], sizes: list[int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """What `header` gives for each of many short ASCII names, shape (N, 512), in a fifth of the time."""
    table = np.tile(np.frombuffer(_BLANK, np.uint8), (len(names), 1))
    table[:, :NAME_BYTES] = np.array(names, f"S{NAME_BYTES}").view(np.uint8).reshape(-1, NAME_BYTES)
    table[:, 124:135] = _octal(np.array(sizes), 11)
    table[:, 148:156] = ord(" ")
    table[:, 148:154] = _octal(table.sum(axis=1, dtype=np.int64), 6)
    table[:, 154] = 0
    return table


def _octal(numbers: np.ndarray[Any, np.dtype[np.int64]], digits: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """ASCII digits of numbers, shape (N, digits)."""
    return (numbers[:, None] >> 3 * np.arange(digits - 1, -1, -1) & 7) + ord("0")


def end_mark(length: int) -> bytes:
    """What stands after the members, which take up `length` bytes."""
    return bytes(2 * BLOCK_BYTES + -(length + 2 * BLOCK_BYTES) % _RECORD_BYTES)
