"""k-means, assignment, SemDeDup and density-based pruning beside straightforward scikit-learn and NumPy, whole processes on the same vectors.

    python benchmarks/cluster.py --scratch DIR [--rows 1_000_000 250_000] [--dimensions 512] [--k 100 1000] [--iterations 20] [--turns 1]

The first of --rows and of --k are the ones to compare at; each further one is measured for ours alone, so that growth with n and k is seen. Vectors
are unevenly spread blobs with near copies in them, in float16 as CommonPool has them, 125,000 a file. Both sides read those files and use all cores.

    kmeans    centroids of a sample of 256 a cluster: ours, and sklearn.cluster.KMeans with as many iterations, of the same number of rows
    assign    clusters and cosines of all rows, with centroids made anew of their members: ours writes them sorted by uid, the other keeps them in memory
    semdedup  near duplicates within clusters: ours in memory for some blocks, the other with all vectors and a whole matrix for each cluster
    density   quotas and the hardest of each cluster: ours, and a solver's quotas, rounded, with a loop over clusters

Of each the seconds, the peak memory of all processes, and how many times the bare matrix products of the same size would take: at 1 there is nothing left to
gain. The lists of both sides are compared.
"""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
from measuring import measure

from datacomp import tables
from datacomp.artifacts import clusters as made
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.cluster import embeddings, kmeans, quota, run
from datacomp.filters.apply import apply
from datacomp.launch import local

FILE_ROWS = 125_000
EPSILON, FRACTION = 0.05, 0.4
PARTS = ("kmeans", "assign", "semdedup", "density")
SIDES = ("ours", "plain")
_BLOCK = 1 << 14


def write(folder: Path, rows: int, dimensions: int) -> None:
    """A pool of vectors, unless it is there: 2,000 uneven blobs, and a fifth of the rows near copies."""
    if (folder / "metadata").is_dir():
        return
    numbers = np.random.default_rng(0)
    centres = numbers.normal(size=(2000, dimensions)).astype(np.float32)
    shares = 1 / np.arange(10, 2010)
    for number, start in enumerate(range(0, rows, FILE_ROWS)):
        count = min(FILE_ROWS, rows - start)
        kind = numbers.choice(2000, count, p=shares / shares.sum())
        found = centres[kind] + (0.3 + kind[:, None] / 2000) * numbers.normal(size=(count, dimensions)).astype(np.float32)
        found[: count // 5] = found[-(count // 5) :] + 0.05 * numbers.normal(size=(count // 5, dimensions)) if count >= 5 else found[:0]
        names = [f"{upper:016x}{lower:016x}" for upper, lower in numbers.integers(0, 2**63, (count, 2)).tolist()]
        tables.write_parquet(folder / "metadata" / f"{number:08}.parquet", pl.DataFrame({"uid": names}))
        tables.write_npz(folder / "metadata" / f"{number:08}.npz", {"l14_img": found.astype(np.float16)})


def everything(folder: Path) -> tuple[np.ndarray, list[str]]:
    """All unit vectors and uids in memory, as somebody would load them."""
    pool = pools.read(folder)
    vectors = np.concatenate([np.load(pool.features(stem))["l14_img"].astype(np.float32) for stem in pool.stems])
    names = [name for stem in pool.stems for name in pl.read_parquet(pool.metadata(stem))["uid"]]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), names


def ours(part: str, scratch: Path, k: int, iterations: int) -> None:
    """One part by this package, in a folder of its own."""
    pool, clusters = pools.read(scratch / "pool"), scratch / f"clusters-{k}"
    given = embeddings.of_pool(pool, "l14_img", scratch)
    rows = sum(span.rows for span in pools.spans(pool))
    if part == "kmeans":
        _, vectors = kmeans.sample(given, None, kmeans.PER_CENTROID * k, rows, 1234)
        np.save(scratch / "centroids.npy", kmeans.train(vectors, k, iterations=iterations, seed=1234, threads=local.cores()))
    elif part == "assign":  # two iterations of few rows: what is measured is the rest
        run.make(given, None, clusters, run.Settings(k, sample=k, iterations=2))
    elif part == "semdedup":
        apply("semdedup", {"clusters": str(clusters), "epsilon": EPSILON}, pool, scratch / "once.npy")
    else:
        apply("density", {"clusters": str(clusters), "fraction": FRACTION}, pool, scratch / "pruned.npy")


def plain(part: str, scratch: Path, k: int, iterations: int) -> None:
    """The same in the most direct way."""
    vectors, names = everything(scratch / "pool")
    if part == "kmeans":
        from sklearn.cluster import KMeans

        sample = vectors[np.random.default_rng(0).permutation(len(vectors))[: kmeans.PER_CENTROID * k]]
        KMeans(k, init="random", n_init=1, max_iter=iterations, tol=0, random_state=0).fit(sample)
        return
    centroids, own = _own(scratch / f"clusters-{k}", names)
    if part == "assign":
        found = np.concatenate([(vectors[start : start + _BLOCK] @ centroids.T).argmax(axis=1) for start in range(0, len(vectors), _BLOCK)])
        sums = np.stack([vectors[found == number].sum(axis=0) for number in range(len(centroids))])
        sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        np.save(scratch / "plain-assigned.npy", (vectors * sums[found]).sum(axis=1))
        return
    cosine = (vectors * centroids[own]).sum(axis=1)
    kept = _deduplicated(vectors, own, cosine) if part == "semdedup" else _pruned(centroids, own, cosine)
    Path(scratch / f"plain-{part}.json").write_text(json.dumps(sorted(names[row] for row in kept)))


def _own(folder: Path, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Our centroids, and the cluster of each row: so that both sides divide the same."""
    found = made.read(folder)
    members = found.members()
    keys = [f"{upper:016x}{lower:016x}" for upper, lower in zip(members["f0"].tolist(), members["f1"].tolist(), strict=True)]
    number = dict(zip(keys, members["cluster"].tolist(), strict=True))
    return np.array(found.centroids()), np.array([number[name] for name in names])


def _deduplicated(vectors: np.ndarray, own: np.ndarray, cosine: np.ndarray) -> list[int]:
    kept: list[int] = []
    for number in range(own.max() + 1):
        rows = np.flatnonzero(own == number)
        rows = rows[np.argsort(cosine[rows])]
        alike = np.triu(vectors[rows] @ vectors[rows].T, 1)
        kept += rows[~(alike > 1 - EPSILON).any(axis=0)].tolist()
    return kept


def _pruned(centroids: np.ndarray, own: np.ndarray, cosine: np.ndarray) -> list[int]:
    import qpsolvers
    import scipy.sparse

    k, count = len(centroids), int(len(own) * FRACTION)
    sizes = np.bincount(own, minlength=k)
    inter = np.sort(1 - centroids @ centroids.T, axis=1)[:, 1:21].mean(axis=1)
    intra = np.array([1 - cosine[own == number].mean() for number in range(k)])
    shares = quota.shares(inter * intra, 0.1)
    one = scipy.sparse.csc_matrix(np.ones((1, k)))
    eye = scipy.sparse.identity(k, format="csc")
    solved = qpsolvers.solve_qp(eye, -shares, A=one, b=np.ones(1), lb=np.ones(k) / count, ub=sizes / count, solver="clarabel")
    kept: list[int] = []
    for number, wanted in enumerate(np.rint(solved * count).astype(int)):
        rows = np.flatnonzero(own == number)
        kept += rows[np.argsort(cosine[rows])[:wanted]].tolist()
    return kept


def products(part: str, scratch: Path, k: int, iterations: int, rows: int, dimensions: int) -> float:
    """The multiplications and additions that a part's matrix products consist of."""
    if part == "semdedup":
        sizes = np.bincount(made.read(scratch / f"clusters-{k}").members()["cluster"]).astype(float)
        return float((sizes**2).sum() * dimensions)  # each pair once
    return {"kmeans": 2.0 * min(kmeans.PER_CENTROID * k, rows) * k * dimensions * iterations, "assign": 2.0 * rows * k * dimensions}.get(part, 0.0)


def speed(dimensions: int) -> float:
    """Multiplications and additions a second of a bare matrix product."""
    left = np.random.default_rng(0).normal(size=(8192, dimensions)).astype(np.float32)
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        left @ left[:4096].T
        best = max(best, 2.0 * 8192 * 4096 * dimensions / (time.perf_counter() - start))
    return best


def compare(scratch: Path) -> None:
    """Say whether both sides keep the same."""
    for part, name in (("semdedup", "once"), ("density", "pruned")):
        expected, found = set(json.loads((scratch / f"plain-{part}.json").read_text())), subsets.read(scratch / f"{name}.npy")
        mine = {f"{upper:016x}{lower:016x}" for upper, lower in found.uids.tolist()}
        print(f"{part:9} ours keeps {len(mine):,}, the other {len(expected):,}; {len(mine ^ expected):,} of them differ")


def main() -> None:
    """Measure and print, or do one part for a measurement."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 250_000])
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--k", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--one", nargs=2, metavar=("PART", "SIDE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        part, side = given.one
        (ours if side == "ours" else plain)(part, given.scratch, given.k[0], given.iterations)
        return
    a_second = speed(given.dimensions)
    print(f"{local.cores()} cores; a bare product does {a_second / 1e9:.0f} billion multiplications and additions a second")
    sizes = [(given.rows[0], k) for k in given.k] + [(rows, given.k[0]) for rows in given.rows[1:]]
    for place, (rows, k) in enumerate(sizes):
        scratch = given.scratch / f"{rows}x{given.dimensions}"
        write(scratch / "pool", rows, given.dimensions)
        print(f"\n{rows:,} x {given.dimensions}, k = {k:,}")
        for part in PARTS:
            _part(part, SIDES if place == 0 else SIDES[:1], scratch, rows, k, given, a_second)
        if place == 0:
            compare(scratch)


def _part(part: str, sides: tuple[str, ...], scratch: Path, rows: int, k: int, given: argparse.Namespace, a_second: float) -> None:
    taken = {}
    for side in sides:
        command = [sys.executable, __file__, "--scratch", str(scratch), "--k", str(k), "--iterations", str(given.iterations), "--one", part, side]
        best = (float("inf"), 0.0)
        for _ in range(given.turns):
            if (part, side) == ("assign", "ours"):
                shutil.rmtree(scratch / f"clusters-{k}", ignore_errors=True)
            best = min(best, measure(command))
        taken[side] = best
        limit = products(part, scratch, k, given.iterations, rows, given.dimensions) / a_second
        times = f", {best[0] / limit:6.1f} times its products ({limit:.1f} s)" if limit else ""
        print(f"{part:9} {side:6} {best[0]:8.1f} s, {best[1]:5.2f} GB{times}", flush=True)
    if len(taken) == 2:
        print(f"{part:9} {taken['plain'][0] / taken['ours'][0]:.1f} times as fast, with {taken['plain'][1] / taken['ours'][1]:.1f} times less memory")


if __name__ == "__main__":
    main()
