"""The whole chain for one list: reshard, train, evaluate, enter. What is done is skipped, what was killed goes on."""

from pathlib import Path

from datacomp import files
from datacomp.artifacts import pool as pools
from datacomp.artifacts.entry import Entry
from datacomp.board.enter import About, enter
from datacomp.declared import track as tracks
from datacomp.declared.scale import Scale
from datacomp.declared.suite import Suite
from datacomp.evaluate.run import evaluate
from datacomp.pipelines import miniature
from datacomp.reshard.run import reshard
from datacomp.subset.check import check
from datacomp.train.run import train

ENTRY = "entry.json"


def run(
    scale: Scale,
    pool: Path,
    subset: Path,
    about: About,
    out: Path,
    *,
    suite: Suite,
    track: str = "filtering",
    seeds: tuple[int, ...] = (0,),
    data: Path | None = None,
    allow_missing: float = 0.0,
    threads: int | None = None,
) -> Entry:
    """Take one list from a pool to an entry in `out`; one training run for each seed."""
    with files.writing(out):
        shards = reshard(pools.read(pool), check(subset), out / "shards", shard_samples=scale.sampling.shard_samples, allow_missing=allow_missing)
        runs = [train(scale, (shards,), out / f"seed{seed}", seed=seed, threads=threads) for seed in seeds]
        test_data = miniature.test_data(suite, data)
        for finished in runs:
            evaluate(finished, scale, suite, test_data, threads=threads)
        entry = enter(runs, suite, tracks.load(track), about)
        entry.write(out / ENTRY)
    return entry
