"""A candidate pool as promised: which samples a list may name."""

from pathlib import Path
from typing import Annotated, Literal

import pydantic

from datacomp import digest, rooms
from datacomp.declared import lock
from datacomp.errors import LockError
from datacomp.records import Record

UNPINNED = "unpinned"


class HubSource(Record):
    """A pool whose metadata lies on the Hugging Face Hub and whose pictures lie on the web."""

    kind: Literal["hub"]
    repository: str
    folder: str
    revision: str  # "unpinned" until the first checked download


class ReferenceNetwork(Record):
    """The small CLIP behind one pair of score and feature columns; datacomp.pipelines.miniature makes it."""

    prefix: Literal["b32", "l14"]
    scale: str  # whose model it is
    weights: str  # a file in tracks/pools/
    sha256: str


class GeneratedSource(Record):
    """A pool that is drawn from a seed (docs/miniature.md)."""

    kind: Literal["generated"]
    world: str
    seed: int
    references: tuple[ReferenceNetwork, ...]


class PoolSpec(lock.Declared):
    """One pool."""

    summary: str
    source: str
    samples: int
    uids_sha256: str  # of the sorted uid array; empty where nobody could compute it yet
    origin: Annotated[HubSource | GeneratedSource, pydantic.Field(discriminator="kind")]


def load(name: str) -> PoolSpec:
    """Read one pool's record."""
    return lock.read(PoolSpec, rooms.tracks(), "pools", name)


def names() -> tuple[str, ...]:
    """All pools."""
    return lock.available(rooms.tracks(), "pools")


def reference_weights(network: ReferenceNetwork) -> Path:
    """The weights of a reference network, checked."""
    path = rooms.tracks() / "pools" / network.weights
    if not path.is_file() or digest.of_file(path) != network.sha256:
        raise LockError(f"{path} is not the reference network that the pool's record names", repair="restore the file")
    return path
