"""How long `datacomp estimate --measure` says that a nano run takes, and how long it takes.

    python benchmarks/estimate.py --scratch DIR [--seconds 20]

Both are of the training itself, from the first step to the last checkpoint; starting Python and loading libraries come on top of both.
"""

import argparse
import json
import shutil
from pathlib import Path

from datacomp.artifacts import pool as pools
from datacomp.artifacts import shards as shard_sets
from datacomp.artifacts.run_folder import LOG
from datacomp.declared import pool as declared_pools
from datacomp.declared import scale as scales
from datacomp.filters.apply import apply
from datacomp.pipelines.estimate import estimate
from datacomp.pool import synthetic
from datacomp.reshard.run import Form, reshard
from datacomp.train.run import train


def shards_of(scale: scales.Scale, scratch: Path) -> shard_sets.ShardSet:
    """Shards of the whole pool, made on first use."""
    pool = pools.read(scratch / "pool") if (scratch / "pool").is_dir() else synthetic.make(declared_pools.load(scale.pool), scratch / "pool")
    everything = apply("no_filter", {}, pool, scratch / "all.npy")
    return reshard(pool, everything, scratch / "shards", Form(scale.sampling.shard_samples))


def main() -> None:
    """Print what was said, what was seen, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--scale", default="nano")
    parser.add_argument("--seconds", type=float, default=20.0)
    args = parser.parse_args()
    scale = scales.load(args.scale)
    shards = shards_of(scale, args.scratch)
    said_s = estimate(scale, devices=1, shards=shards, seconds=args.seconds).speed.days * 86_400
    shutil.rmtree(args.scratch / "run", ignore_errors=True)
    train(scale, (shards,), args.scratch / "run")
    seen_s = json.loads((args.scratch / "run" / LOG).read_text().splitlines()[-1])["seconds"]
    print(f"scale {scale.name}: said {said_s:.1f} s, took {seen_s:.1f} s: {said_s / seen_s:.2f}")


if __name__ == "__main__":
    main()
