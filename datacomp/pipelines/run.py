"""The whole chain for one list: reshard, train, evaluate, enter. What is done is skipped, what was killed goes on."""

from dataclasses import dataclass
from pathlib import Path

from datacomp import files
from datacomp.artifacts import pool as pools
from datacomp.artifacts import results, run_folder, shards
from datacomp.artifacts import run as runs
from datacomp.artifacts.entry import Entry
from datacomp.artifacts.shards import ShardSet
from datacomp.board import verify
from datacomp.board.enter import About, enter
from datacomp.declared import track as tracks
from datacomp.declared.scale import Scale
from datacomp.declared.suite import Suite
from datacomp.errors import EntryError
from datacomp.evaluate.run import evaluate
from datacomp.launch import slurm
from datacomp.launch.profile import Place
from datacomp.launch.slurm import Step
from datacomp.launch.submission import Submission
from datacomp.pipelines import test_sets
from datacomp.reshard.run import Form, reshard
from datacomp.subset.check import check
from datacomp.train import budget
from datacomp.train.hardware import Hardware
from datacomp.train.run import Keeping, train

ENTRY = "entry.json"


@dataclass(frozen=True)
class Chain:
    """One list's way from a pool to an entry in `out`; one training run for each seed. Each stage can be called in a process of its own."""

    scale: Scale
    pool: Path
    subset: Path
    about: About
    out: Path
    suite: Suite
    track: str = "filtering"
    seeds: tuple[int, ...] = (0,)
    data: Path | None = None
    allow_missing: float = 0.0
    threads: int | None = None
    workers: int | None = None  # loader processes of the training
    save_every_s: float = Keeping().save_every_s

    def reshard(self) -> ShardSet:
        """Write the training shards."""
        form = Form(self.scale.sampling.shard_samples)
        return reshard(pools.read(self.pool), check(self.subset), self.out / "shards", form, allow_missing=self.allow_missing)

    def train(self, seed: int) -> runs.Run:
        """Train with one seed."""
        sharded = shards.read(self.out / "shards")
        hardware, keeping = Hardware(threads=self.threads, workers=self.workers), Keeping(save_every_s=self.save_every_s)
        return train(self.scale, (sharded,), run_folder.of_seed(self.out, seed), seed=seed, hardware=hardware, keeping=keeping)

    def evaluate(self, seed: int) -> results.Results:
        """Evaluate the run of one seed."""
        finished = runs.read(run_folder.of_seed(self.out, seed))
        return evaluate(finished, self.scale, self.suite, test_sets.locate(self.suite, self.data), threads=self.threads)

    def enter(self) -> Entry:
        """Write the entry of all seeds; one that does not hold does not stay."""
        trained = [runs.read(run_folder.of_seed(self.out, seed)) for seed in self.seeds]
        entry = enter(trained, self.suite, tracks.load(self.track), self.about)
        path = self.out / ENTRY
        entry.write(path)
        try:
            verify.demand(path, verify.verify(path, verify.Beside(runs=tuple(run.path for run in trained)))[1])
        except EntryError:
            path.unlink()
            raise
        return entry

    def steps(self) -> list[Step]:
        """The stages, each with the record that means it is done, and the numbers of the stages that must be done before it."""
        budgeted = self.scale.budget
        trained = f"{budgeted.steps:,} steps of {budgeted.global_batch_samples:,}, {budgeted.samples_seen:,} samples seen"
        found = [Step("reshard", "reshard the list", self.reshard, {}, self.out / "shards" / shards.RECORD)]
        for seed in self.seeds:
            folder = run_folder.of_seed(self.out, seed)
            evaluated = results.path_in(folder, self.suite.spec.name)
            found.append(Step("train", f"train with seed {seed}: {trained}", self.train, {"seed": seed}, folder / runs.RECORD, (0,)))
            says = f"evaluate seed {seed} on {len(self.suite.tasks)} tasks"
            found.append(Step("evaluate", says, self.evaluate, {"seed": seed}, evaluated, (len(found) - 1,)))
        measured = tuple(number for number, step in enumerate(found) if step.kind == "evaluate")
        return [*found, Step("enter", "write and verify the entry", self.enter, {}, self.out / ENTRY, measured)]

    def run(self) -> Entry:
        """Do all of it here."""
        with files.writing(self.out):
            for step in self.steps():
                made = step.function(**step.arguments)
        assert isinstance(made, Entry)
        return made

    def check(self, place: Place) -> None:
        """Raise an error for a list that the pool does not hold, and for a number of processes that does not divide the scale's batch."""
        check(self.subset, pools.read(self.pool))
        budget.rank_batch_samples(self.scale.budget, place.profile.wish("train").processes if place.is_slurm else 1)

    def submit(self, place: Place, command: str) -> Submission:
        """Do all of it by dependent jobs."""
        self.check(place)
        return slurm.submit_chain(place, f"{self.scale.name} {self.out.name}", self.steps(), self.out, command)
