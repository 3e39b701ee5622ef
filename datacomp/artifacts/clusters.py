"""Clusters of a pool's pictures: unit centroids, and for each sample its cluster and the cosine to that cluster's centroid. The record is written last."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import pydantic

from datacomp import digest, uids
from datacomp.errors import StageError
from datacomp.records import Count, Digest, Line, Record

ASKED, RECORD = "asked.json", "clusters.json"
CENTROIDS, MEMBERS = "centroids.npy", "members.npy"
MEMBER = np.dtype([("f0", "<u8"), ("f1", "<u8"), ("cluster", "<i4"), ("cosine", "<f4")])  # a uid, then what is known of it

Members: TypeAlias = np.ndarray[Any, np.dtype[np.void]]
Floats: TypeAlias = np.ndarray[Any, np.dtype[np.floating[Any]]]
Integers: TypeAlias = np.ndarray[Any, np.dtype[np.integer[Any]]]


class Inputs(Record):
    """What clusters are a function of."""

    source: Line  # the pool's name, empty for somebody else's, or what scored it
    source_sha256: Digest  # of the pool's uids, or of all embeddings
    key: Line  # of the embeddings in their files
    network: Line  # that made the embeddings, empty where nobody says
    subset_sha256: Digest | Literal[""]  # of the list whose samples alone are clustered
    clusters: Count  # as asked for
    sample: Count  # from how many samples at most the centroids are made
    iterations: Count
    seed: Count


class Asked(Record):
    """What unfinished clusters are to be, written first: a restart with something else is refused."""

    inputs: Inputs
    files_sha256: Digest  # of names, sizes and times of change


class ClustersRecord(Record):
    """What a clustering gave: samples = clustered + dropped by reason; clusters asked for = clusters + empty ones."""

    inputs: Inputs
    samples: Count
    clustered_samples: Count
    dropped_samples: dict[Line, Count]
    clusters: Count
    empty_clusters: Count  # nothing fell into them: they were dropped
    dimensions: Count
    sample_samples: Count  # of which the centroids were made
    sample_uids_sha256: Digest
    centroids_sha256: Digest
    members_sha256: Digest

    @pydantic.model_validator(mode="after")
    def _add_up(self) -> Self:
        if self.clustered_samples + sum(self.dropped_samples.values()) != self.samples:
            raise ValueError(f"{self.samples} samples came, {self.clustered_samples} were clustered and {self.dropped_samples} dropped")
        if self.clusters + self.empty_clusters != self.inputs.clusters:
            raise ValueError(f"{self.inputs.clusters} clusters were asked for, {self.clusters} have members and {self.empty_clusters} none")
        return self


@dataclass(frozen=True, slots=True)
class Clusters:
    """The folder of a finished clustering."""

    path: Path
    record: ClustersRecord

    def centroids(self) -> Floats:
        """Unit vectors, float32 of shape (k, D)."""
        return _array(self.path / CENTROIDS, np.dtype("<f4"), (self.record.clusters, self.record.dimensions))

    def members(self) -> Members:
        """Every clustered sample, of dtype MEMBER, sorted by uid, shape (N,); it stays on the disk."""
        return _array(self.path / MEMBERS, MEMBER, (self.record.clustered_samples,))

    def check(self) -> None:
        """Raise StageError unless both arrays are those that the record names."""
        for name, sha256 in ((CENTROIDS, self.record.centroids_sha256), (MEMBERS, self.record.members_sha256)):
            if digest.of_file(self.path / name) != sha256:
                raise StageError(f"{self.path / name} is not the array that {RECORD} names", repair="restore it, or cluster again into a new folder")


def _array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[Any]]:
    try:
        array: np.ndarray[Any, np.dtype[Any]] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise StageError(f"{path} cannot be read as an array: {error}", repair="restore it, or cluster again into a new folder") from None
    if array.dtype != dtype or array.shape != shape:
        raise StageError(f"{path} holds {array.dtype} of shape {array.shape}", allowed=f"{dtype} of shape {shape}, as {RECORD} says")
    return array


def uids_of(members: Members) -> uids.UidArray:
    """The uids of some members, shape (N,)."""
    found: uids.UidArray = np.empty(len(members), uids.UID)
    found["f0"], found["f1"] = members["f0"], members["f1"]
    return found


def find(upper: Integers, members: Members, wanted: uids.UidArray) -> Integers:
    """The place of each uid among members sorted by uid, -1 where there is none; `upper` is a copy of the members' upper halves, shape (N,)."""
    found = np.searchsorted(upper, wanted["f0"])
    inside = np.minimum(found, len(upper) - 1)
    alike = (upper[inside] == wanted["f0"]) & (members["f1"][inside] == wanted["f1"])
    places: Integers = np.where(alike, inside, -1)
    for row in np.flatnonzero(~alike & (upper[inside] == wanted["f0"])):  # uids are hashes: equal upper halves stand side by side almost never
        after = np.searchsorted(upper, wanted["f0"][row], side="right")
        places[row] = next((place for place in range(found[row], after) if members["f1"][place] == wanted["f1"][row]), -1)
    return places


def read(path: Path) -> Clusters:
    """Open the folder of a finished clustering; its arrays are not looked at."""
    if not (path / RECORD).is_file():
        raise StageError(
            f"{path} holds no finished clusters: {RECORD} is missing",
            repair=f"make them with: datacomp cluster make --pool POOL --out {path}; a call that was stopped goes on",
        )
    return Clusters(path, ClustersRecord.read(path / RECORD))
