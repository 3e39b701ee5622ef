"""Random numbers that are a pure function of what they are for.

A draw depends on a seed, a name and an index, and on nothing else: no generator to carry along, the same numbers in any order,
on any machine and under any version of numpy. The mixer is splitmix64's finaliser (Steele, Lea and Flood 2014).
"""

import hashlib
from typing import Any, TypeAlias

import numpy as np

Bits: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]
Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

_AT_ONCE = 1 << 22  # draws in memory
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(state: Bits) -> Bits:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def bits(seed: int, name: str, *indices: Any) -> Bits:
    """64 random bits for each (broadcast) combination of whole-number indices."""
    start = int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "little")
    state = np.array(start, np.uint64)
    with np.errstate(over="ignore"):
        for index in indices:
            state = _mix(state + _GOLDEN * (np.asarray(index).astype(np.uint64) + np.uint64(1)))
        return _mix(state + _GOLDEN)


def uniform(seed: int, name: str, *indices: Any) -> Floats:
    """Numbers in [0, 1)."""
    return (bits(seed, name, *indices) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def below(limit: int, seed: int, name: str, *indices: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Whole numbers in [0, limit); limit is far below 2**53, so that no number is favoured visibly."""
    return (uniform(seed, name, *indices) * limit).astype(np.int64)


def choice(shares: Any, seed: int, name: str, *indices: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Indices into `shares`, each as likely as its share of their sum."""
    edges = np.cumsum(np.asarray(shares, np.float64))
    picked = np.searchsorted(edges / edges[-1], uniform(seed, name, *indices), side="right")
    return np.minimum(picked, len(edges) - 1)


def permutation(length: int, seed: int, name: str, *indices: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A permutation of range(length)."""
    return np.argsort(bits(seed, name, *indices, np.arange(length)), kind="stable")


def repeats(weights: Any, count: int, most: int, seed: int, name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How often each of some items comes in `count` draws with replacement, each as likely as its weight; a draw of one that came `most` times is rejected.

    `count` must not exceed `most` times the number of positive weights.
    """
    open_weights = np.array(weights, np.float64)
    found = np.zeros(len(open_weights), np.int64)
    if count > most * np.count_nonzero(open_weights > 0):
        raise ValueError(f"{count} draws of {np.count_nonzero(open_weights > 0)} items up to {most} times each")
    turn = 0
    while missing := count - int(found.sum()):
        edges = np.cumsum(open_weights)
        last = int(np.flatnonzero(open_weights > 0)[-1])  # where rounding would go past the end
        for start in range(0, missing, _AT_ONCE):
            picked = uniform(seed, name, turn, np.arange(start, min(start + _AT_ONCE, missing))) * edges[-1]
            found += np.bincount(np.minimum(np.searchsorted(edges, picked, side="right"), last), minlength=len(found))
        found = np.minimum(found, most)
        open_weights[found == most] = 0
        turn += 1
    return found
