"""What passes between the filter stage and the filters of other stages: the scores of a pool, and what a filter says that it used."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from datacomp.artifacts.pool import Block
from datacomp.uids import UidArray

Scores: TypeAlias = np.ndarray[Any, np.dtype[Any]]  # (N,), numbers or booleans
Multiplicity: TypeAlias = np.ndarray[Any, np.dtype[Any]]  # (N,), whole numbers or booleans: how often a row is kept

NETWORKS = {"b32": "clip_b32_similarity_score", "l14": "clip_l14_similarity_score"}  # CommonPool's columns by the published code's names


class Column(NamedTuple):
    """The scores of one block, in the pool's order."""

    block: Block  # without the columns
    scores: Scores

    @property
    def uids(self) -> UidArray:
        """The block's uids, shape (N,), read when they are asked for."""
        return self.block.uids


class Provenance(NamedTuple):
    """What a filter used besides the pool; it goes into the list's record and from there into the entry."""

    assets: dict[str, str] = {}  # noqa: RUF012 - name and sha256; never changed
    external_resources: tuple[str, ...] = ()
