"""Resharding against the published resharder and against `cp` of the same bytes, by turns on this machine.

    python benchmarks/reshard.py PYTHON CHECKOUT --scratch DIR [--samples 40_000] [--turns 3]

benchmarks/parity/reshard.py says what PYTHON and CHECKOUT are. The pool has pictures of 40 to 118 KB (random bytes: nobody decodes them) in
tars of 10,000, and lies in memory after the first turn. Two workers on both sides; `cp` copies our shards with two processes. "Inner" is what
the published resharder logs for itself, from the start of its workers to their end; ours is the whole function, index, plan and record
included. A turn is shown only if all of its sides gave as many samples. Of each side the fastest turn counts, the one that was disturbed least.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
from measuring import measure

from datacomp import tars
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.reshard.run import Form, reshard

TAR_SAMPLES, SMALLEST, LARGEST = 10_000, 40_000, 118_000
WORKERS = 2


def make_pool(folder: Path, samples: int) -> None:
    """Write a pool unless it is there."""
    if (folder / "metadata").is_dir():
        return
    random = np.random.default_rng(0)
    noise, listed = random.bytes(1 << 24), []
    (folder / "shards").mkdir(parents=True)
    for tar in range(samples // TAR_SAMPLES):
        with tars.TarWriter(folder / "shards" / f"{tar:08d}.tar") as writer:
            for place in range(TAR_SAMPLES):
                key, uid, start = f"{tar:05d}{place:07d}", random.bytes(16).hex(), int(random.integers(0, 1 << 23))
                listed.append(uid)
                about = {"uid": uid, "caption": "a picture", "url": f"https://pictures.example/{key}.jpg", "key": key, "status": "success", "exif": "{}"}
                writer.add(f"{key}.jpg", noise[start : start + int(random.integers(SMALLEST, LARGEST))])
                writer.add(f"{key}.json", json.dumps(about | {"sha256": random.bytes(32).hex(), "original_width": 800, "original_height": 600}).encode())
                writer.add(f"{key}.txt", b"a picture")
        (folder / "shards" / f"{tar:08d}_stats.json").write_text(json.dumps({"successes": TAR_SAMPLES}))
    (folder / "metadata").mkdir()
    pl.DataFrame({"uid": listed}).write_parquet(folder / "metadata" / "00000000.parquet")


def choose(pool: Path, share: float, out: Path) -> Path:
    """A list of a share of the pool."""
    everything = pools.all_uids(pools.read(pool))
    chosen = np.sort(np.random.default_rng(1).permutation(len(everything))[: int(len(everything) * share)])
    subsets.write(out, [everything[chosen]])
    return out


def ours(pool: Path, listed: Path, out: Path, *, indexed: bool) -> float:
    """Seconds of the function."""
    if not indexed:
        for index in (pool / "shards").glob("*.index.npz"):
            index.unlink()
    shutil.rmtree(out, ignore_errors=True)
    start = time.perf_counter()
    reshard(pools.read(pool), subsets.read(listed), out, Form(TAR_SAMPLES), workers=WORKERS)
    return time.perf_counter() - start


def published(python: str, checkout: Path, pool: Path, listed: Path, out: Path) -> tuple[float, float]:
    """Seconds that the published resharder logs, and seconds of the whole process."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    command = [python, str(checkout / "resharder.py"), "-i", str(pool / "shards"), "-o", str(out), "-s", str(listed), "-j", str(WORKERS)]
    start = time.perf_counter()
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    whole = time.perf_counter() - start
    match = re.search(r"processed \d+ images in ([\d.]+)s", said.stderr + said.stdout)
    if match is None:
        raise RuntimeError(said.stderr)
    return float(match[1]), whole


def copied(source: Path, out: Path) -> float:
    """Seconds of `cp` of the same bytes, by as many processes."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    start = time.perf_counter()
    paths = sorted(source.glob("*.tar"))
    running = [subprocess.Popen(["cp", *map(str, paths[worker::WORKERS]), str(out)]) for worker in range(WORKERS) if paths[worker::WORKERS]]
    if any(process.wait() for process in running):
        raise RuntimeError("cp failed")
    return time.perf_counter() - start


def samples_in(folder: Path) -> int:
    """How many captions the tars of a folder hold."""
    return sum(member.name.endswith(".txt") for path in folder.glob("*.tar") for member in tars.members(path))


def compare(share: float, args: argparse.Namespace) -> None:
    """Print the lines for one share of the pool."""
    pool, out = args.scratch / "pool", args.scratch / "out"
    listed = choose(pool, share, args.scratch / "list.npy")
    command = [sys.executable, "-m", "datacomp", "reshard", "--pool", str(pool), "--subset", str(listed), "--out", str(out), "--scale", "small"]
    seconds: dict[str, list[float]] = {}
    peaks = []
    for _ in range(args.turns):
        turn = {"first": ours(pool, listed, out, indexed=False), "kept": ours(pool, listed, out, indexed=True)}
        turn["cp"] = copied(out, args.scratch / "copied")
        found = samples_in(out)
        shutil.rmtree(out)
        turn["whole"], peak = measure([*command, "--workers", str(WORKERS)])
        shutil.rmtree(out)
        turn["published"], turn["published whole"] = published(args.python, args.checkout, pool, listed, out)
        if samples_in(out) != found:
            raise RuntimeError(f"{found} samples here, {samples_in(out)} there")
        peaks.append(peak)
        for side, took in turn.items():
            seconds.setdefault(side, []).append(took)
    best = {side: min(took) for side, took in seconds.items()}
    print(f"{share:.0%} of {args.samples:,} samples: " + ", ".join(f"{side} {took:.2f} s" for side, took in best.items()))
    print(f"    first use {best['published'] / best['first']:.1f}x, index kept {best['published'] / best['kept']:.1f}x the published inner speed")
    print(
        f"    whole process {best['published whole'] / best['whole']:.1f}x; {best['kept'] / best['cp']:.2f} times cp; peak memory {max(peaks):.2f} GB",
        flush=True,
    )


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python")
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=40_000)
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    make_pool(args.scratch / "pool", args.samples)
    for share in (0.1, 1.0):
        compare(share, args)


if __name__ == "__main__":
    main()
