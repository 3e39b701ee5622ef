"""How error falls with samples seen when data repeat: the quality-quantity laws of Goyal et al. 2024 (arXiv 2404.07177).

Error is one minus accuracy. A pool is looked at again and again; each look is worth less. A law is a pure function of samples seen, the pools that are
trained on together, and what all pools share. It is not clamped: with few samples it may say more than 1.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from datacomp.errors import StageError

UNIT_SAMPLES = 100_000  # of samples times normaliser, as the authors write the law

Values: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


class Pool(NamedTuple):
    """A pool's utility b < 0 (the more negative, the more useful) and its half-life tau > 0, after so many repetitions half of the utility is left."""

    samples: float
    utility: float
    half_life: float


class Shared(NamedTuple):
    """What all pools share: the normaliser a, inside the power and per `UNIT_SAMPLES`, and the error d that no data removes, added outside (section 3)."""

    normaliser: float
    irreducible: float


def error(seen: Any, pools: Sequence[Pool], shared: Shared) -> Values:
    """The error after training on the union of pools, each sampled uniformly (equations 2 to 4, theorem 1), of the shape of `seen`.

    Within pass j over the union the error beyond the irreducible falls with exponent b_j, the mean of the pools' decayed exponents; a pool of the share w
    of the union has the half-life tau / w there, since a look at one of its samples comes that much less often. Pools of equal size are the theorem's;
    weights by size are our extension. Raises StageError for numbers that no law is defined for.
    """
    seen, total, shares = _checked(seen, pools)
    passes = np.maximum(1, np.floor(seen / total)).astype(np.int64)
    numbers = np.arange(passes.max() + 1)
    exponents = shares * [pool.utility for pool in pools] @ _left(pools, shares, numbers)
    falls = np.concatenate([[0.0], np.cumsum(exponents[1:-1] * np.log1p(1 / numbers[1:-1]))])  # from the end of the first pass to that of pass k
    first = exponents[0] * np.log(shared.normaliser * np.minimum(seen, total) / UNIT_SAMPLES)
    rest = falls[passes - 1] + exponents[passes] * np.log(np.maximum(seen / (passes * total), 1))
    found: Values = np.exp(first + rest) + shared.irreducible
    return found


def error_of_effective_data(seen: Any, pools: Sequence[Pool], shared: Shared) -> Values:
    """The law to compare with, where samples lose value instead of exponents (after Muennighoff et al. 2023, arXiv 2305.16264, as the authors' code has it)."""
    seen, total, shares = _checked(seen, pools)
    numbers = np.arange(np.floor(seen / total).max() + 1)
    left = _left(pools, shares, numbers)
    looked = np.clip(seen[..., None] - numbers * total, 0, total)  # in each pass
    worth = shares @ left
    weights = shares[:, None] * left / np.maximum(worth, np.finfo(float).tiny)  # after so many passes that nothing is left, nothing grows either
    exponents = np.array([pool.utility for pool in pools]) @ weights
    effective = np.cumsum(looked * worth, axis=-1)
    growth = np.log(effective[..., 1:] / effective[..., :-1])
    first = exponents[0] * np.log(shared.normaliser * effective[..., 0] / UNIT_SAMPLES)
    found: Values = np.exp(first + (growth * exponents[1:]).sum(axis=-1)) + shared.irreducible
    return found


def _left(pools: Sequence[Pool], shares: Values, numbers: Any) -> Values:
    """What is left of each pool's utility in some passes over the union, shape (pools, passes)."""
    half_lives = np.array([pool.half_life for pool in pools]) / shares
    left: Values = 0.5 ** (numbers / half_lives[:, None])
    return left


def _checked(seen: Any, pools: Sequence[Pool]) -> tuple[Values, float, Values]:
    """Samples seen as an array, the union's size, and the pools' shares of it."""
    seen = np.asarray(seen, float)
    sizes = np.array([pool.samples for pool in pools], float)
    if not (len(pools) and (sizes > 0).all() and all(pool.half_life > 0 for pool in pools)):
        raise StageError("a law was asked about pools without samples or half-life", allowed="one pool or more, of more than 0 samples, half-lives above 0")
    if not (np.isfinite(seen).all() and (seen > 0).all()):
        raise StageError(f"a law was asked about {seen.min():,.0f} samples seen", allowed="more than 0")
    return seen, float(sizes.sum()), sizes / sizes.sum()
