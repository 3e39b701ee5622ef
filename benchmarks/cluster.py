"""k-means, assignment, SemDeDup and density-based pruning beside straightforward scikit-learn and NumPy, whole processes on the same vectors.

    python benchmarks/cluster.py --scratch DIR --report DIR [--rows N] [--dimensions 512] [--k 500] [--turns 3] [--part kmeans,assign,semdedup,dbp,growth]

Vectors are a mixture of uneven blobs, a fifth of them near copies in groups of uneven size, in float16 as CommonPool has them, 125,000 a file. Both sides read
those files and use all cores; ours are the commands that users call. Sides take turns, and the fastest turn of each counts: what else a machine does only
makes them slower. What is measured goes to REPORT/cluster.json at once and to REPORT/cluster.md; started again, only what is missing is measured.

    kmeans    centroids, with equally many iterations: ours of 256 rows a cluster, sklearn.cluster.KMeans of all rows ("plain") and of as many as ours
    assign    clusters and cosines of all rows, with centroids made anew of their members; both leave them on the disk, sorted by uid
    semdedup  near duplicates within the same clusters: the other has all vectors in memory, and a whole matrix for each cluster
    dbp       quotas and the hardest of each cluster: the other with a solver's quotas, rounded; from vectors, as published, and with cosines at hand
    growth    the same parts for ours alone, with fewer rows (--growth-rows) and with other numbers of clusters (--growth-k)

Of each: seconds, seconds of cores, peak memory of all processes, mapped files counted, and how many times as long as the matrix products it consists of, at the
rate of a bare product of such shapes measured just before. At 1 there is nothing left to gain. The lists of both sides are compared.
"""

import argparse
import json
import os
import resource
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from measuring import measure

from datacomp import files, tables
from datacomp.artifacts import clusters as made
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.cluster import embeddings, kmeans, quota
from datacomp.launch import local

FILE_ROWS = 125_000
EPSILON, FRACTION = 0.05, 0.4
SIDES = {
    "kmeans": ("ours", "plain", "plain, same rows"),
    "assign": ("ours", "plain"),
    "semdedup": ("ours", "plain"),
    "dbp": ("ours", "plain", "plain, cosines at hand"),
}
_BLOCK = 1 << 14
_BLOBS = 2000
_RATE_S = 3.0
_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "SLURM_CPUS_PER_TASK")


def write(folder: Path, rows: int, dimensions: int) -> None:
    """A pool of vectors, unless it is there."""
    if (folder / "done").is_file():
        return
    numbers = np.random.default_rng(0)
    centres = numbers.standard_normal((_BLOBS, dimensions), np.float32)
    shares = 1 / np.arange(10, _BLOBS + 10)
    for number, start in enumerate(range(0, rows, FILE_ROWS)):
        count = min(FILE_ROWS, rows - start)
        kind = numbers.choice(_BLOBS, count, p=shares / shares.sum())
        found = numbers.standard_normal((count, dimensions), np.float32)
        found *= (0.3 + kind[:, None] / _BLOBS).astype(np.float32)
        found += centres[kind]
        copies = count // 5
        source = copies + ((count - copies) * numbers.random(copies) ** 3).astype(int)  # some are copied often, most never
        found[:copies] = found[source] + np.float32(0.05) * numbers.standard_normal((copies, dimensions), np.float32)
        names = [f"{upper:016x}{lower:016x}" for upper, lower in numbers.integers(0, 2**63, (count, 2)).tolist()]
        tables.write_parquet(folder / "metadata" / f"{number:08}.parquet", pl.DataFrame({"uid": names}))
        tables.write_npz(folder / "metadata" / f"{number:08}.npz", {"l14_img": found.astype(np.float16)})
    (folder / "done").touch()


def command(part: str, side: str, scratch: Path, k: int, iterations: int) -> list[str]:
    """The command that does a part."""
    clusters, pool = str(scratch / f"clusters-{k}"), ["--pool", str(scratch / "pool")]
    datacomp = [sys.executable, "-m", "datacomp"]
    if side == "ours" and part == "assign":  # few iterations of few rows: what is measured is the rest
        return [*datacomp, "cluster", "make", *pool, "--k", str(k), "--sample", str(k), "--iterations", "2", "--out", clusters]
    if side == "ours" and part == "semdedup":
        return [*datacomp, "filter", "semdedup", "--clusters", clusters, "--epsilon", str(EPSILON), *pool, "--out", str(scratch / f"once-{k}.npy")]
    if side == "ours" and part == "dbp":
        return [*datacomp, "filter", "density", "--clusters", clusters, "--fraction", str(FRACTION), *pool, "--out", str(scratch / f"pruned-{k}.npy")]
    return [sys.executable, __file__, "--scratch", str(scratch), "--k", str(k), "--iterations", str(iterations), "--one", part, side]


def alone(part: str, side: str, scratch: Path, k: int, iterations: int) -> None:
    """What no command does: our k-means by itself, and every part in the most direct way."""
    if (part, side) == ("kmeans", "ours"):
        given = embeddings.of_pool(pools.read(scratch / "pool"), "l14_img", scratch)
        _, sampled = kmeans.sample(given, None, kmeans.PER_CENTROID * k, 1234)
        np.save(scratch / f"{side}.npy", kmeans.train(sampled, k, iterations=iterations, seed=1234, threads=local.cores()))
    elif part == "kmeans":
        from sklearn.cluster import KMeans

        vectors = everything(scratch)
        if side != "plain":
            vectors = vectors[np.random.default_rng(0).permutation(len(vectors))[: kmeans.PER_CENTROID * k]]
        np.save(scratch / f"{side}.npy", KMeans(k, init="random", n_init=1, max_iter=iterations, tol=0, random_state=0).fit(vectors).cluster_centers_)
    elif part == "assign":
        vectors, centroids = everything(scratch), np.load(scratch / f"centroids-{k}.npy")
        found = np.concatenate([(vectors[start : start + _BLOCK] @ centroids.T).argmax(axis=1) for start in range(0, len(vectors), _BLOCK)])
        sums = np.stack([vectors[found == number].sum(axis=0) for number in range(len(centroids))])
        sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        assigned = pl.DataFrame({"cluster": found, "cosine": (vectors * sums[found]).sum(axis=1)})
        assigned.insert_column(0, listed_uids(scratch)).sort("uid").write_parquet(scratch / "plain-assigned.parquet")
    else:
        own = np.load(scratch / f"own-{k}.npy")
        listed = listed_uids(scratch).to_list()
        kept = deduplicated(everything(scratch), own, np.load(scratch / f"cosine-{k}.npy")) if part == "semdedup" else pruned(side, scratch, own, k)
        (scratch / f"plain-{part}-{k}.json").write_text(json.dumps(sorted(listed[row] for row in kept)))


def everything(scratch: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    """All unit vectors in memory, as somebody would load them."""
    vectors = np.concatenate([np.load(path)["l14_img"].astype(np.float32) for path in sorted((scratch / "pool/metadata").glob("*.npz"))])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def listed_uids(scratch: Path) -> pl.Series:
    """The uids of all rows."""
    return pl.concat([pl.read_parquet(path) for path in sorted((scratch / "pool/metadata").glob("*.parquet"))])["uid"]


def hand_over(scratch: Path, k: int) -> None:
    """Give both sides the same clusters: centroids, and cluster and cosine of each row, in the order of the files."""
    if (scratch / f"cosine-{k}.npy").is_file():
        return
    found, pool = made.read(scratch / f"clusters-{k}"), pools.read(scratch / "pool")
    members = found.members()
    upper = np.ascontiguousarray(members["f0"])
    places = np.concatenate([made.find(upper, members, pools.read_uids(pool.metadata(span.stem), span)) for span in pools.spans(pool)])
    np.save(scratch / f"centroids-{k}.npy", found.centroids())
    np.save(scratch / f"own-{k}.npy", members["cluster"][places])
    np.save(scratch / f"cosine-{k}.npy", members["cosine"][places])


def deduplicated(vectors: np.ndarray[Any, Any], own: np.ndarray[Any, Any], cosine: np.ndarray[Any, Any]) -> list[int]:
    """SemDeDup with a loop over clusters."""
    kept: list[int] = []
    for number in range(own.max() + 1):
        rows = np.flatnonzero(own == number)
        rows = rows[np.argsort(cosine[rows])]
        inside = vectors[rows]
        alike = np.triu(inside @ inside.T, 1)
        kept += rows[~(alike > 1 - EPSILON).any(axis=0)].tolist()
    return kept


def pruned(side: str, scratch: Path, own: np.ndarray[Any, Any], k: int) -> list[int]:
    """Density-based pruning with a solver and a loop over clusters."""
    import qpsolvers
    import scipy.sparse

    centroids = np.load(scratch / f"centroids-{k}.npy")
    cosine = np.load(scratch / f"cosine-{k}.npy") if side != "plain" else (everything(scratch) * centroids[own]).sum(axis=1)
    found, count = len(centroids), int(len(own) * FRACTION)
    inter = np.sort(1 - centroids @ centroids.T, axis=1)[:, 1:21].mean(axis=1)
    intra = np.array([1 - cosine[own == number].mean() for number in range(found)])
    shares = quota.shares(inter * intra, 0.1)
    one, eye = scipy.sparse.csc_matrix(np.ones((1, found))), scipy.sparse.identity(found, format="csc")
    most = np.bincount(own, minlength=found) / count
    solved = qpsolvers.solve_qp(eye, -shares, A=one, b=np.ones(1), lb=np.ones(found) / count, ub=most, solver="clarabel")
    kept: list[int] = []
    for number, wanted in enumerate(np.rint(solved * count).astype(int)):
        rows = np.flatnonzero(own == number)
        kept += rows[np.argsort(cosine[rows])[:wanted]].tolist()
    return kept


def operations(part: str, side: str, scratch: Path, rows: int, dimensions: int, k: int, iterations: int) -> float:
    """The multiplications and additions that a part's matrix products consist of."""
    if part == "semdedup":
        sizes = np.bincount(made.read(scratch / f"clusters-{k}").members()["cluster"]).astype(float)
        return float((sizes**2).sum() * dimensions)  # each pair once
    trained = rows if side == "plain" else min(kmeans.PER_CENTROID * k, rows)
    return {"kmeans": 2.0 * trained * k * dimensions * iterations, "assign": 2.0 * rows * k * dimensions}.get(part, 0.0)


def rate(dimensions: int, columns: int) -> float:
    """Multiplications and additions a second of a bare float32 product by all cores: the best of some seconds."""
    numbers = np.random.default_rng(0)
    left, right = numbers.standard_normal((8192, dimensions), np.float32), numbers.standard_normal((dimensions, columns), np.float32)
    best, until = 0.0, time.perf_counter() + _RATE_S
    while (start := time.perf_counter()) < until:
        left @ right
        best = max(best, 2.0 * len(left) * columns * dimensions / (time.perf_counter() - start))
    return best


def told(scratch: Path, part: str, side: str, k: int) -> str:
    """What else there is to say of what a side made: how near rows are to its centroids, or whether it keeps the same as ours."""
    if part == "kmeans":
        centroids = np.load(scratch / f"{side}.npy")
        centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
        first = np.load(scratch / "pool/metadata/00000000.npz")["l14_img"][:50_000].astype(np.float32)
        return f"mean cosine of rows to the nearest {((first / np.linalg.norm(first, axis=1, keepdims=True)) @ centroids.T).max(axis=1).mean():.4f}"
    if part == "assign" or side == "ours":
        return ""
    mine = {f"{upper:016x}{lower:016x}" for upper, lower in subsets.read(scratch / f"{'once' if part == 'semdedup' else 'pruned'}-{k}.npy").uids.tolist()}
    other = set(json.loads((scratch / f"plain-{part}-{k}.json").read_text()))
    return f"keeps {len(other):,}, ours {len(mine):,}; {len(mine ^ other):,} differ"


def one(part: str, side: str, rows: int, k: int, given: argparse.Namespace) -> dict[str, Any]:
    """Measure one side of one part, and what its products would take."""
    scratch = given.scratch / f"{rows}x{given.dimensions}"
    write(scratch / "pool", rows, given.dimensions)
    if (part, side) == ("assign", "ours"):
        shutil.rmtree(scratch / f"clusters-{k}", ignore_errors=True)
        (scratch / f"cosine-{k}.npy").unlink(missing_ok=True)
    elif part != "kmeans":
        if not (scratch / f"clusters-{k}" / made.RECORD).is_file():
            measure(command("assign", "ours", scratch, k, given.iterations))
        if side != "ours":
            hand_over(scratch, k)
    bare = rate(given.dimensions, 2048 if part == "semdedup" else k)
    before, threads = resource.getrusage(resource.RUSAGE_CHILDREN), {"OMP_NUM_THREADS": str(local.cores())}
    seconds, peak = measure(command(part, side, scratch, k, given.iterations), threads)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    limit = operations(part, side, scratch, rows, given.dimensions, k, given.iterations) / bare
    return {
        "seconds": round(seconds, 2), "core_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2), "peak_gb": round(peak, 2),
        "products_seconds": round(limit, 4), "products_per_s": round(bare / 1e9, 1), "cores": local.cores(), "told": told(scratch, part, side, k),
    }  # fmt: skip


def table(turns: dict[str, list[dict[str, Any]]]) -> str:
    """The fastest turns of all that is measured, in Markdown; our times beside the others' of the same size."""
    found = {key: min(rows, key=lambda row: row["seconds"]) for key, rows in turns.items()}
    lines = ["| part | side | rows | k | seconds | turns | of cores | peak GB | its products | times its products | ours is faster | |", "|---" * 12 + "|"]
    for key, row in found.items():
        part, side, rows, dimensions, k, _ = key.split("|")
        mine = found.get("|".join((part, "ours", *key.split("|")[2:])))
        faster = f"{row['seconds'] / mine['seconds']:.1f} times" if mine and side != "ours" else ""
        limit = row["products_seconds"]
        times = (f"{limit:.1f} s at {row['products_per_s']:.0f} G/s", f"{row['seconds'] / limit:.1f}") if limit else ("", "")
        lines.append(
            f"| {part} | {side} | {int(rows):,} x {dimensions} | {int(k):,} | {row['seconds']:.1f} | {len(turns[key])} | {row['core_seconds']:.1f} "
            f"| {row['peak_gb']:.2f} | {times[0]} | {times[1]} | {faster} | {row['told']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure what is missing, or do one part for a measurement."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--k", type=int, default=500)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--turns", type=int, default=3, help="of both sides; growth takes one")
    parser.add_argument("--part", default="kmeans,assign,semdedup,dbp,growth")
    parser.add_argument("--growth-rows", type=int, nargs="*", default=[125_000, 250_000, 500_000])
    parser.add_argument("--growth-k", type=int, nargs="*", default=[100, 2000])
    parser.add_argument("--one", nargs=2, metavar=("PART", "SIDE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        alone(*given.one, given.scratch, given.k, given.iterations)
        return
    for name in _THREADS:
        os.environ.pop(name, None)  # both sides shall use all cores
    parts = given.part.split(",")
    asked = [(part, side, given.rows, given.k) for part in SIDES if part in parts for _ in range(given.turns) for side in SIDES[part]]
    if "growth" in parts:
        sizes = [(rows, given.k) for rows in given.growth_rows] + [(given.rows, k) for k in given.growth_k]
        asked += [(part, "ours", rows, k) for rows, k in sizes for part in SIDES]
    report = given.report or given.scratch
    path = report / "cluster.json"
    found: dict[str, list[dict[str, Any]]] = json.loads(path.read_text()) if path.is_file() else {}
    there = Counter({key: len(rows) for key, rows in found.items()})
    for part, side, rows, k in asked:
        key = f"{part}|{side}|{rows}|{given.dimensions}|{k}|{given.iterations}"
        if there[key]:
            there[key] -= 1
            continue
        found.setdefault(key, []).append(one(part, side, rows, k, given))
        files.write_text(path, json.dumps(found, indent=1) + "\n")
        files.write_text(report / "cluster.md", table(found))
        print(table({key: found[key][-1:]}).splitlines()[-1], flush=True)
    print(table(found))


if __name__ == "__main__":
    main()
