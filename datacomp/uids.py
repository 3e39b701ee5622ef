"""uids: 128 bits, 32 lowercase hex digits outside, two unsigned 64-bit numbers (upper, lower) inside.

An array of them is always of dtype `UID`; its digest is the sha256 of its bytes in sorted order, whoever computed it.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from datacomp import digest
from datacomp.errors import PoolError

UID = np.dtype([("f0", "<u8"), ("f1", "<u8")])  # numpy.dtype("u8,u8"), as DataComp writes it
HEX_DIGITS = 32
BLOCK_UIDS = 1 << 20
_PARSED_AT_ONCE = 1 << 14  # half a megabyte of digits, which stays in the processor's cache
_NO_BYTE = 1 << 8
_HEX = f"^[0-9a-f]{{{HEX_DIGITS}}}$"

UidArray: TypeAlias = np.ndarray[Any, np.dtype[np.void]]


def _bytes_of_digits() -> np.ndarray[Any, np.dtype[np.uint16]]:
    """For two hex digits, read as one little-endian number, the byte that they write: numpy looks up millions while other threads run."""
    table = np.full(1 << 16, _NO_BYTE, np.uint16)
    table[np.frombuffer(bytes(range(256)).hex().encode(), "<u2")] = np.arange(256)
    return table


_BYTES = _bytes_of_digits()


def parse(column: pl.Series | list[str], where: str = "the list") -> UidArray:
    """Read uids from their hex form; upper-case digits and other lengths are refused.

    Raises PoolError that names the first string that is no uid.
    """
    strings = pl.Series(column, dtype=pl.String) if isinstance(column, list) else column
    lengths = strings.str.len_bytes()
    if len(strings) and (strings.null_count() or lengths.min() != HEX_DIGITS or lengths.max() != HEX_DIGITS):
        raise _no_uid(strings.filter(lengths.ne_missing(HEX_DIGITS))[0], where)
    parsed: UidArray = np.empty(len(strings), UID)
    for start in range(0, len(strings), _PARSED_AT_ONCE):
        digits = str(strings.slice(start, _PARSED_AT_ONCE).str.join("").item()).encode()
        packed = _BYTES.take(np.frombuffer(digits, "<u2"))
        if packed.max() == _NO_BYTE:
            raise _no_uid(strings.filter(~strings.str.contains(_HEX))[0], where)
        parsed[start : start + _PARSED_AT_ONCE] = packed.astype(np.uint8).view(">u8").astype("<u8").view(UID)
    return parsed


def text(uids: UidArray) -> list[str]:
    """Write uids in hex."""
    packed = np.stack([uids["f0"], uids["f1"]], axis=1).astype(">u8").tobytes().hex()
    return [packed[start : start + HEX_DIGITS] for start in range(0, len(packed), HEX_DIGITS)]


def raw(uids: UidArray) -> memoryview:
    """The bytes of an array, as they stand in files."""
    return np.ascontiguousarray(uids).view(np.uint8).data


def order(uids: UidArray, *, in_runs: bool = False) -> np.ndarray[Any, np.dtype[np.intp]]:
    """The stable permutation that sorts uids; the same sooner for an array of sorted runs, if one says so."""
    found = np.argsort(uids["f0"], kind="stable" if in_runs else None)  # uids are hashes: their upper halves alone nearly always decide
    upper = uids["f0"][found]
    if (upper[1:] == upper[:-1]).any():
        return np.lexsort((uids["f1"], uids["f0"]))
    return found


def blocks(uids: UidArray) -> Iterator[UidArray]:
    """Cut an array into pieces, so that a mapped file stays on disk."""
    for start in range(0, len(uids), BLOCK_UIDS):
        yield uids[start : start + BLOCK_UIDS]


def first_unsorted(uids: UidArray) -> int | None:
    """The index of the first uid that is smaller than the one before it."""
    for start in range(0, max(len(uids) - 1, 0), BLOCK_UIDS):
        block = uids[start : start + BLOCK_UIDS + 1]
        upper, lower = block["f0"], block["f1"]
        falls = (upper[1:] < upper[:-1]) | ((upper[1:] == upper[:-1]) & (lower[1:] < lower[:-1]))
        if falls.any():
            return start + 1 + int(np.argmax(falls))
    return None


def count(needles: UidArray, haystack: UidArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How many times each needle stands in a sorted haystack."""
    found = np.zeros(len(needles), np.int64)
    if 0 < len(haystack) <= BLOCK_UIDS:  # upper halves are compared ten times as fast; a longer haystack may lie on disk and is not copied
        upper = np.ascontiguousarray(haystack["f0"])
        likely = np.flatnonzero(upper[np.searchsorted(upper[:-1], needles["f0"])] == needles["f0"])
    else:
        likely = np.arange(len(needles))
    wanted = needles[likely]
    found[likely] = np.searchsorted(haystack, wanted, side="right") - np.searchsorted(haystack, wanted, side="left")
    return found


def firsts(sorted_uids: UidArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether each uid of a sorted array differs from the one before it."""
    first = np.ones(len(sorted_uids), bool)
    first[1:] = sorted_uids[1:] != sorted_uids[:-1]
    return first


def distinct(sorted_uids: UidArray) -> int:
    """The number of different uids in a sorted array."""
    return int(np.count_nonzero(firsts(sorted_uids)))


class Count:
    """What is known of a sorted list that comes in blocks: how many uids, how many different ones, and the digest."""

    def __init__(self) -> None:
        self.samples, self.distinct = 0, 0
        self._hash = hashlib.sha256()
        self._last: object = None

    def add(self, block: UidArray) -> memoryview:
        """Count a block; return its bytes."""
        data = raw(block)
        self._hash.update(data)
        if len(block):
            self.samples += len(block)
            self.distinct += distinct(block) - (block[0].item() == self._last)
            self._last = block[-1].item()
        return data

    def digest(self) -> str:
        """The sha256 of all blocks' bytes."""
        return self._hash.hexdigest()


def digest_of(sorted_uids: UidArray) -> str:
    """The sha256 by which a sorted uid array is known everywhere."""
    return digest.of_bytes(raw(sorted_uids))


def _no_uid(found: object, where: str) -> PoolError:
    return PoolError(f"{where} holds {str(found)[:80]!r}, which is no uid", allowed="32 lowercase hex digits")
