"""The clustering stage: embeddings as a stream in, clusters out. Samples in = samples clustered + samples dropped by reason, or it fails.

Centroids are made of a sample; then every sample is assigned, the unit centroids are made anew of all members, and each member's cosine to its
own is measured. The two passes over the stream are cut into groups of files, which processes or an array's jobs answer; a call that was
killed goes on with the groups that are not answered. Neither groups nor blocks change a byte: sums are exact, and so have no order.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from datacomp import digest, files, places, progress, sorting, tables, uids
from datacomp.artifacts import clusters as made
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.clusters import MEMBER, Asked, Clusters, ClustersRecord, Floats, Inputs, Integers
from datacomp.artifacts.subset import Subset
from datacomp.cluster import embeddings, kmeans
from datacomp.cluster.embeddings import Embeddings, Part, Vectors
from datacomp.cluster.nearest import Nearest
from datacomp.errors import StageError
from datacomp.launch import local
from datacomp.launch.local import Workers
from datacomp.uids import UidArray

GROUPS = 32  # at most: each leaves a sum for every cluster
_MERGED_AT_ONCE = 1 << 16  # members, 1.5 MB: memory that is used again; larger blocks are paged in anew and take three times as long
NOT_LISTED = "not in the list"
_STEP = 2.0**-18  # of a number in a sum: a sum of 2**34 of them is exact in float64
_SHIFT = np.float32(48)  # float32 has these steps from 32 to 64, where a unit vector's numbers are with it: adding rounds to whole steps
_EXACT = 2**24 * _STEP  # what float32 counts to in such steps


class Settings(NamedTuple):
    """What is asked for besides the embeddings; SemDeDup's settings by default."""

    clusters: int
    sample: int = 0  # 0 for 256 a cluster
    iterations: int = 100
    seed: int = 1234
    workers: Workers = None


@dataclass(frozen=True, slots=True)
class _Group:
    """Some files that are answered together."""

    number: int
    parts: tuple[Part, ...]
    key: str
    subset: Path | None
    folder: Path
    threads: int

    def blocks(self, *, mapped: bool = False) -> Iterator[tuple[UidArray, Vectors]]:
        """The group's uids and unit vectors; mapped ones do without a checksum."""
        listed = None if self.subset is None else subsets.map_file(self.subset)
        for part in self.parts:
            yield from embeddings.blocks(part, self.key, listed, mapped=mapped)

    def file(self, kind: str) -> Path:
        """Where an answer lies."""
        return self.folder / f"{kind}-{self.number}"


def make(given: Embeddings, listed: Subset | None, out: Path, settings: Settings) -> Clusters:
    """Cluster all samples of a stream, or those of a list, into `out`.

    Finished clusters of the same inputs are returned as they are. Raises StageError where `out` holds others, for more clusters than
    samples, for a vector that is not finite and for a uid that comes twice.
    """
    sample = settings.sample or kmeans.PER_CENTROID * settings.clusters
    inputs = Inputs(
        source=given.source,
        source_sha256=given.source_sha256,
        key=given.key,
        network=given.network,
        subset_sha256=listed.record.uids_sha256 if listed else "",
        clusters=settings.clusters,
        sample=sample,
        iterations=settings.iterations,
        seed=settings.seed,
    )
    with files.writing(out):
        if (out / made.RECORD).is_file():
            _check_same(out, made.read(out).record.inputs, inputs)
            return made.read(out)
        samples, wanted = _counted(given, listed)
        kmeans.check(settings.clusters, min(sample, wanted), wanted)
        _claim(out, Asked(inputs=inputs, files_sha256=_state(given)))
        _Run(given, listed, out, inputs, settings.workers).write(samples, wanted)
    return made.read(out)


def _counted(given: Embeddings, listed: Subset | None) -> tuple[int, int]:
    """How many samples the stream has, and how many of them are to be clustered."""

    def of(part: Part) -> tuple[int, int]:
        rows = embeddings.count(part)
        return rows, rows if listed is None else int(np.count_nonzero(uids.count(embeddings.read_uids(part), listed.uids)))

    samples, wanted = zip(*local.run_all(of, given.parts, threads=True), strict=True)
    return sum(samples), sum(wanted)


def _state(given: Embeddings) -> str:
    if missing := next((part.features for part in given.parts if not part.features.is_file()), None):
        raise StageError(f"there are no features at {missing}", repair="download the pool's npz files, or make the pool again")
    return digest.of_content([[path.name, *places.state(path)] for part in given.parts for path in part])


def _check_same(out: Path, there: Inputs, asked: Inputs) -> None:
    if differing := there.differing(asked):
        raise StageError(f"{out} holds clusters with another {differing[0]}", repair="choose another --out, or remove that folder")


def _claim(out: Path, asked: Asked) -> None:
    """Take a folder for what is asked, or check that it was taken for the same."""
    if (out / made.ASKED).is_file():
        there = Asked.read(out / made.ASKED)
        _check_same(out, there.inputs, asked.inputs)
        if there != asked:
            raise StageError(f"the embeddings changed after {out} was begun", repair="choose another --out, or remove that folder")
    elif held := files.held(out):
        raise StageError(f"{out} already holds {held[0].name}", repair="choose an empty --out")
    else:
        asked.write(out / made.ASKED)


class _Run:
    """One call of `make`, which leaves what it knows so far in a folder."""

    def __init__(self, given: Embeddings, listed: Subset | None, out: Path, inputs: Inputs, workers: Workers) -> None:
        self.given, self.listed, self.out, self.inputs, self.workers = given, listed, out, inputs, workers
        self.parts = out / "parts"
        self.trained = self.parts / "trained.npz"

    def write(self, samples: int, wanted: int) -> None:
        """Write centroids and members, then the record."""
        self._train(wanted)
        groups = self._groups()
        self._all(_assign, groups, "assign")
        filled = self._finish_centroids(groups)
        self._all(_measure, groups, "measure")
        members, centroids = self.out / made.MEMBERS, self.out / made.CENTROIDS
        tables.write_npy(members, MEMBER, (wanted,), _once(sorting.merge([group.file("members") for group in groups], _MERGED_AT_ONCE, MEMBER)))
        sampled = tables.read_npz(self.trained, "uids")
        ClustersRecord(
            inputs=self.inputs,
            samples=samples,
            clustered_samples=wanted,
            dropped_samples={NOT_LISTED: samples - wanted} if self.listed else {},
            clusters=len(filled),
            empty_clusters=self.inputs.clusters - len(filled),
            dimensions=filled.shape[1],
            sample_samples=len(sampled),
            sample_uids_sha256=uids.digest_of(sampled),
            centroids_sha256=digest.of_file(centroids),
            members_sha256=digest.of_file(members),
        ).write(self.out / made.RECORD)
        shutil.rmtree(self.parts)

    def _train(self, wanted: int) -> None:
        """Make the first centroids of a sample, unless that was done."""
        if self.trained.is_file():
            return
        listed = self.listed.uids if self.listed else None
        progress.say(f"k-means: {self.inputs.clusters:,} centroids of {min(self.inputs.sample, wanted):,} samples")
        named, vectors = kmeans.sample(self.given, listed, self.inputs.sample, self.inputs.seed)
        centroids = kmeans.train(vectors, self.inputs.clusters, iterations=self.inputs.iterations, seed=self.inputs.seed, threads=local.cores())
        tables.write_npz(self.trained, {"centroids": centroids, "uids": named})

    def _groups(self) -> list[_Group]:
        number = min(GROUPS, len(self.given.parts))
        shares = [self.given.parts[place * len(self.given.parts) // number : (place + 1) * len(self.given.parts) // number] for place in range(number)]
        alone = local.is_here(self.workers) and min(local.here(self.workers) or local.cores(), number) == 1
        threads = local.cores() if alone else 1
        subset = self.listed.path if self.listed else None
        return [_Group(place, share, self.given.key, subset, self.parts, threads) for place, share in enumerate(shares)]

    def _all(self, function: Callable[[_Group], None], groups: list[_Group], title: str) -> None:
        done = local.run_all(function, groups, workers=self.workers, threads=True)
        with threadpool_limits(groups[0].threads, user_api="blas"):  # in which faiss multiplies
            for _ in progress.show(done, total=len(groups), unit=" groups", title=title):
                pass

    def _finish_centroids(self, groups: list[_Group]) -> Vectors:
        """Write the unit centroids of all members, without empty clusters."""
        trained = tables.read_npz(self.trained, "centroids")
        sums, counts = np.zeros(trained.shape), np.zeros(len(trained), np.int64)
        for group in groups:
            sums += tables.read_npz(group.file("assigned.npz"), "sums")
            counts += tables.read_npz(group.file("assigned.npz"), "counts")
        filled = counts > 0
        lengths = np.sqrt((sums[filled] ** 2).sum(axis=1, keepdims=True))
        unit = np.where(lengths > _STEP, sums[filled] / np.maximum(lengths, _STEP), trained[filled])  # where members cancel out, what brought them together
        centroids: Vectors = unit.astype(np.float32)
        if empty := int(np.count_nonzero(~filled)):
            progress.say(f"{empty:,} of {len(trained):,} clusters are empty and were dropped")
        tables.write_npz(self.parts / "filled.npz", {"centroids": centroids, "number": np.cumsum(filled) - 1})
        tables.write_npy(self.out / made.CENTROIDS, np.dtype("<f4"), centroids.shape, [centroids])
        return centroids


def _assign(group: _Group) -> None:
    """Give each sample of a group its cluster; leave clusters, their sizes and the sums of their members."""
    path = group.file("assigned.npz")
    if path.is_file():
        return
    centroids = tables.read_npz(group.folder / "trained.npz", "centroids")
    nearest = Nearest(centroids, group.threads)
    sums = np.zeros(centroids.shape)
    assigned: list[Integers] = [np.empty(0, np.int32)]
    for _, vectors in group.blocks():
        found = nearest(vectors)
        _add(sums, found, vectors)
        assigned.append(found)
    cluster = np.concatenate(assigned)
    tables.write_npz(path, {"cluster": cluster, "counts": np.bincount(cluster, minlength=len(centroids)), "sums": sums})


def _add(sums: Floats, cluster: Integers, vectors: Vectors) -> None:
    """Round vectors (N, D) to whole steps and add them to the sums (k, D) of their clusters: they give the same in any order."""
    import scipy.sparse  # by one thread, while another searches

    vectors += _SHIFT
    vectors -= _SHIFT
    numbers, place, sizes = np.unique(cluster, return_inverse=True, return_counts=True)
    fits = sizes.max() * max(vectors.max(), -vectors.min()) < _EXACT
    ones = np.ones(len(place), np.float32 if fits else np.float64)  # in whose type the product is
    belongs = scipy.sparse.csr_matrix((ones, place, np.arange(len(place) + 1)), shape=(len(place), len(numbers)))
    sums[numbers] += belongs.T @ vectors


def _measure(group: _Group) -> None:
    """Give each sample of a group the cosine to its own centroid; leave them as a sorted run of members."""
    path = group.file("members")
    if path.is_file():
        return
    filled = group.folder / "filled.npz"
    centroids, number = tables.read_npz(filled, "centroids"), tables.read_npz(filled, "number")
    cluster = number[tables.read_npz(group.file("assigned.npz"), "cluster")]
    members = np.empty(len(cluster), MEMBER)
    start = 0
    for named, vectors in group.blocks(mapped=True):
        part = slice(start, start + len(named))
        start = part.stop
        members["f0"][part], members["f1"][part], members["cluster"][part] = named["f0"], named["f1"], cluster[part]
        members["cosine"][part] = np.einsum("ij,ij->i", vectors, centroids[cluster[part]])
    assert start == len(members)
    with files.whole(path) as temporary:
        sorting.write_run(temporary, members)


def _once(blocks: Iterator[made.Members]) -> Iterator[made.Members]:
    """Pass sorted members on; one uid in two places would be two samples with one name."""
    last: object = None
    for block in blocks:
        pairs = block[["f0", "f1"]]
        twice = np.flatnonzero((block["f0"][1:] == block["f0"][:-1]) & (block["f1"][1:] == block["f1"][:-1])) + 1
        if len(block) and pairs[0].item() == last:
            twice = np.array([0])
        if len(twice):
            uid = np.array([pairs[twice[0]].item()], uids.UID)
            raise StageError(f"uid {uids.text(uid)[0]} has more than one embedding", repair="remove the second copy of its sample from the source")
        if len(block):
            last = pairs[-1].item()
        yield block
