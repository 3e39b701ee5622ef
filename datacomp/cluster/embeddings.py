"""Embeddings as a stream: CommonPool's npz files, or those that `datacomp score --embeddings` wrote, block by block with their uids."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from datacomp import files, tables, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import scores
from datacomp.artifacts.clusters import Floats, Integers
from datacomp.artifacts.pool import Pool, Span
from datacomp.artifacts.scores import ScoresRecord
from datacomp.errors import StageError
from datacomp.uids import UidArray

KEY = "l14_img"
BLOCK_ROWS = 1 << 12  # of 512 numbers they are 8 MB, which an allocator hands out again; what is much larger is paged in anew each time
_PLAIN_NORMS = (1e-15, 2.0**16)  # in these bounds squares do not vanish in float32, and numbers of float16 were finite
_NO_COPIES_OF_SIGN = np.int32(-0x70000001)
_EXPONENTS_APART = np.float32(2.0**112)  # float32 counts exponents from 127, float16 from 15

Vectors: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]  # (N, D)


class Part(NamedTuple):
    """A table with a column uid, and an npz file row for row with it."""

    table: Path
    features: Path


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Where embeddings lie, and what is known of their origin."""

    parts: tuple[Part, ...]
    key: str
    source: str
    source_sha256: str
    network: str


def of_pool(pool: Pool, key: str, scratch: Path) -> Embeddings:
    """The features of a pool; a scratch folder is used where its uids have to be sorted."""
    parts = tuple(Part(pool.metadata(stem), pool.features(stem)) for stem in pool.stems)
    with files.scratch(scratch) as folder:
        sha256 = pools.uids_sha256(pool, folder)
    record = pool.record
    network = record.networks.get(key.partition("_")[0], "") if record else ""
    return Embeddings(parts, key, record.name if record else "", sha256, network[:200])


def of_scores(folder: Path, key: str = "") -> Embeddings:
    """The embeddings of a finished pass over a pool: those of its pictures, unless another key is named.

    Raises StageError where none were kept.
    """
    given = scores.read(folder)
    record = given.record
    if not isinstance(record, ScoresRecord) or not (prefix := record.inputs.embeddings):
        raise StageError(f"{folder} holds scores without embeddings", repair="score again with --embeddings PREFIX, into another folder")
    parts = tuple(Part(table, scores.embeddings(folder, table.stem)) for table in given.tables())
    scorer = record.inputs.scorer
    return Embeddings(
        parts, key or f"{prefix}_img", record.inputs.pool, record.embeddings_sha256, f"{scorer.kind} {scorer.name} {scorer.weights_sha256[:12]}"[:200]
    )


def count(part: Part) -> int:
    """How many samples a part has."""
    return tables.count_rows(part.table, "uid")


def read_uids(part: Part) -> UidArray:
    """All uids of a part."""
    rows = count(part)
    return pools.read_uids(part.table, Span(part.table.stem, 0, rows, rows))


def stored(part: Part, key: str, listed: UidArray | None = None, *, mapped: bool = False) -> Iterator[tuple[UidArray, Floats]]:
    """Yield uids (N,) and vectors (N, D) of a part as they are stored, in its order; of the listed samples alone if a sorted list is given.

    Of a stream that is read more than once all passes but one may be mapped: see tables.read_npz_blocks.
    """
    names = read_uids(part)
    start = 0
    for vectors in _vectors(part, key, len(names), mapped=mapped):
        named = names[start : start + len(vectors)]
        start += len(vectors)
        kept = slice(None) if listed is None else uids.count(named, listed) > 0
        if len(named[kept]):
            yield named[kept], vectors[kept]


def blocks(part: Part, key: str, listed: UidArray | None = None, *, mapped: bool = False) -> Iterator[tuple[UidArray, Vectors]]:
    """The same as unit vectors in float32. Raises StageError for one that is not finite or has no direction, naming its uid."""
    for named, vectors in stored(part, key, listed, mapped=mapped):
        yield named, unit(vectors, named, part.features)


def of_rows(part: Part, key: str, rows: Integers, named: UidArray) -> Vectors:
    """The unit vectors (n, D) of some rows of a part, ascending, with these uids; of other rows nothing is read where the file allows it."""
    found, start = [], 0
    for vectors in _vectors(part, key, count(part), mapped=True):
        first, last = np.searchsorted(rows, (start, start + len(vectors)))
        found.append(unit(vectors[rows[first:last] - start], named[first:last], part.features))
        start += len(vectors)
    return np.concatenate(found)


def _vectors(part: Part, key: str, rows: int, *, mapped: bool) -> Iterator[Floats]:
    for vectors in tables.read_npz_blocks(part.features, key, BLOCK_ROWS, of_rows=rows, mapped=mapped):
        if vectors.ndim != 2 or vectors.dtype.kind != "f":
            raise StageError(f"{part.features}: {key} holds {vectors.dtype} of shape {vectors.shape}", allowed="an array of numbers of shape (N, D)")
        yield vectors


def unit(given: Floats, named: UidArray, where: Path) -> Vectors:
    """Vectors (N, D) of length one, in float32."""
    vectors = float32(given)
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    odd = np.flatnonzero(~((norms > _PLAIN_NORMS[0]) & (norms < _PLAIN_NORMS[1])))
    if len(odd):
        exact = given[odd].astype(np.float64)
        lengths = np.abs(exact).max(axis=1)  # first, so that squares can be summed
        if (wrong := odd[~(np.isfinite(lengths) & (lengths > 0))]).size:
            what = "no direction: all its numbers are 0" if not np.any(given[wrong[0]]) else "numbers that are not finite"
            raise StageError(
                f"the vector of uid {uids.text(named[wrong[:1]])[0]} in {where} has {what} (so have {len(wrong):,} of {len(named):,} in its block)",
                repair="make these embeddings again, or cluster a list without such samples: --subset",
            )
        vectors[odd] = exact / lengths[:, None]
        norms[odd] = np.sqrt(np.einsum("ij,ij->i", vectors[odd], vectors[odd]))
    vectors /= norms[:, None]
    return vectors


def float32(given: Floats) -> Vectors:
    """A copy in float32, exact but for numbers of float16 that are not finite: they become 2**16 or more in magnitude.

    From float16 it takes a fifth of the time of NumPy's own conversion: the bits are moved to their places in a float32, and the exponent, which counts
    from another number there, is corrected by a product.
    """
    if given.dtype != np.float16:
        return np.array(given, np.float32)
    bits = np.ascontiguousarray(given).view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= _NO_COPIES_OF_SIGN
    vectors: Vectors = bits.view(np.float32)
    vectors *= _EXPONENTS_APART
    return vectors
