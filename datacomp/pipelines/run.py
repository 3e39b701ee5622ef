"""The whole chain for one list: reshard, train, evaluate, enter. What is done is skipped, what was killed goes on."""

from pathlib import Path
from typing import NamedTuple

from datacomp import files
from datacomp.artifacts import pool as pools
from datacomp.artifacts import results, run_folder, shards
from datacomp.artifacts import run as runs
from datacomp.artifacts.entry import Entry
from datacomp.board.enter import About, enter
from datacomp.declared import track as tracks
from datacomp.declared.scale import Scale
from datacomp.declared.suite import Suite
from datacomp.evaluate.run import evaluate
from datacomp.pipelines import miniature
from datacomp.reshard.run import Form, reshard
from datacomp.subset.check import check
from datacomp.train.hardware import Hardware
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
        sharded = reshard(pools.read(pool), check(subset), out / "shards", Form(scale.sampling.shard_samples), allow_missing=allow_missing)
        trained = [train(scale, (sharded,), run_folder.of_seed(out, seed), seed=seed, hardware=Hardware(threads=threads)) for seed in seeds]
        test_data = miniature.test_data(suite, data)
        for finished in trained:
            evaluate(finished, scale, suite, test_data, threads=threads)
        entry = enter(trained, suite, tracks.load(track), about)
        entry.write(out / ENTRY)
    return entry


class Stage(NamedTuple):
    """One stage of a chain: what it does, and the record that means it is done."""

    what: str
    record: Path

    @property
    def is_done(self) -> bool:
        """Whether an earlier call finished it."""
        return self.record.is_file()


def plan(scale: Scale, pool: Path, subset: Path, out: Path, *, suite: Suite, seeds: tuple[int, ...] = (0,)) -> tuple[Stage, ...]:
    """What `run` would do, after checking that the pool holds the list; nothing is written to `out`."""
    listed = check(subset, pools.read(pool)).record
    budget = scale.budget
    trained = f"{budget.steps:,} steps of {budget.global_batch_samples:,}, {budget.samples_seen:,} samples seen"
    return (
        Stage(f"reshard {listed.samples:,} samples", out / "shards" / shards.RECORD),
        *(Stage(f"train with seed {seed}: {trained}", run_folder.of_seed(out, seed) / runs.RECORD) for seed in seeds),
        *(Stage(f"evaluate seed {seed} on {len(suite.tasks)} tasks", results.path_in(run_folder.of_seed(out, seed), suite.spec.name)) for seed in seeds),
        Stage("write the entry", out / ENTRY),
    )
