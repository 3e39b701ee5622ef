"""Experiments for scaling laws: buckets of a pool, small runs on each, their errors, and from these what to keep at a budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datacomp import files
from datacomp.artifacts import pool as pools
from datacomp.artifacts import results, run_folder, shards, subset
from datacomp.artifacts import run as runs
from datacomp.artifacts.shards import ShardSet
from datacomp.artifacts.subset import Subset
from datacomp.board import averages
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.declared.scale import Scale
from datacomp.declared.suite import Suite
from datacomp.errors import StageError
from datacomp.evaluate.run import evaluate
from datacomp.filters.apply import apply
from datacomp.launch import slurm
from datacomp.launch.profile import Place
from datacomp.launch.slurm import Step
from datacomp.launch.submission import Submission
from datacomp.pipelines import grid, measured, test_sets
from datacomp.pipelines.grid import Plan, Training
from datacomp.reshard.run import Form, reshard
from datacomp.scaling import points
from datacomp.scaling.choose import JOINED
from datacomp.scaling.fit import Point
from datacomp.scaling.points import Measured
from datacomp.subset import algebra
from datacomp.train import budget
from datacomp.train.hardware import Hardware
from datacomp.train.run import Keeping, train

POINTS = "points.csv"


@dataclass(frozen=True)
class Experiment:
    """A plan's runs in the folder `out`. Each step can be called in a process of its own, and what is done is kept."""

    plan: Plan
    scale: Scale
    suite: Suite
    pool: Path
    out: Path
    data: Path | None = None
    allow_missing: float = 0.0
    threads: int | None = None
    save_every_s: float = Keeping().save_every_s

    def trainings(self) -> dict[str, Training]:
        """The runs by their names."""
        return {run.name: run for run in grid.trainings(self.plan, self.scale)}

    def reshard(self, part: str) -> ShardSet:
        """Write the list of a part of the pool and its training shards."""
        asked, path = grid.parts(self.plan)[part], list_path(self.out, part)
        pool = pools.read(self.pool)
        if not path.is_file():
            band = {"fraction": asked.end / self.plan.buckets, "skip_fraction": asked.first / self.plan.buckets, "exact_count": True}
            apply("score", {**self.plan.score, **band}, pool, path)
        form = Form(self.scale.sampling.shard_samples)
        return reshard(pool, subset.read(path), self.out / "shards" / part, form, allow_missing=self.allow_missing)

    def train(self, run: str) -> runs.Run:
        """Train one run."""
        asked = self.trainings()[run]
        sharded = shards.read(self.out / "shards" / asked.part)
        hardware, keeping = Hardware(threads=self.threads), Keeping(save_every_s=self.save_every_s)
        return train(self.scale, (sharded,), self._folder(run), seed=asked.seed, changes=asked.changes, hardware=hardware, keeping=keeping)

    def evaluate(self, run: str) -> results.Results:
        """Evaluate the checkpoints of one run that serve a budget, the last one last."""
        asked, finished, data = self.trainings()[run], runs.read(self._folder(run)), test_sets.locate(self.suite, self.data)
        recipe = scales.changed(self.scale, asked.changes)
        served = [one for one in finished.record.checkpoints if one.step in asked.served]
        return [evaluate(finished, recipe, self.suite, data, checkpoint=one, threads=self.threads) for one in served][-1]

    def collect(self) -> Measured:
        """Write what was measured as a table."""
        found = measure(self.plan, self.out, self.suite)
        points.write(self.out / POINTS, found)
        return found

    def steps(self) -> list[Step]:
        """Everything that is to be done, each step with the record that means it is, and the numbers of the steps that must be done before it."""
        found: list[Step] = []
        places = {}
        for name, part in grid.parts(self.plan).items():
            places[name] = len(found)
            width = part.end - part.first
            says = f"list and shards of ranks {name} %" + (f", {width} buckets together" if width > 1 else "")
            found.append(Step("reshard", says, self.reshard, {"part": name}, self.out / "shards" / name / shards.RECORD))
        batch = self.scale.budget.global_batch_samples
        for name, run in self.trainings().items():
            folder = self._folder(name)
            says = f"train on ranks {run.part} % with seed {run.seed}: {run.steps:,} steps, {run.steps * batch:,} samples seen"
            found.append(Step("train", says, self.train, {"run": name}, folder / runs.RECORD, (places[run.part],)))
            says = f"evaluate {name} after {', '.join(f'{step:,}' for step in run.served)} steps"
            found.append(Step("evaluate", says, self.evaluate, {"run": name}, results.path_in(folder, self.suite.spec.name), (len(found) - 1,)))
        done = tuple(number for number, step in enumerate(found) if step.kind == "evaluate")
        return [*found, Step("enter", "write the table of all errors", self.collect, {}, self.out / POINTS, done)]

    def run(self) -> Measured:
        """Do here what is not done."""
        with files.writing(self.out):
            self.claim()
            for step in self.steps():
                if not step.is_done:
                    step.function(**step.arguments)
        return measure(self.plan, self.out, self.suite)

    def submit(self, place: Place, command: str) -> Submission:
        """Do by dependent jobs what is not done."""
        self.check(place)
        self.claim()
        return slurm.submit_chain(place, f"scaling {self.out.name}", self.steps(), self.out, command)

    def check(self, place: Place) -> None:
        """Raise an error for a plan that cannot be fitted, for a folder of another one, and for processes that do not divide the batch."""
        grid.check(self.plan)
        budget.rank_batch_samples(self.scale.budget, place.profile.wish("train").processes if place.is_slurm else 1)
        path = self.out / grid.RECORD
        if path.is_file() and (old := Plan.read(path)) != self.plan:
            differs = old.differing(self.plan)[0].replace("_", " ")
            raise StageError(f"{self.out} holds a plan with another {differs}", repair="choose another --out, or remove that folder")

    def claim(self) -> None:
        """Write down what is measured in the folder."""
        if not (self.out / grid.RECORD).is_file():
            self.plan.write(self.out / grid.RECORD)

    def _folder(self, run: str) -> Path:
        return self.out / "runs" / run


def list_path(out: Path, part: str) -> Path:
    """Where the list of a part lies in a plan's folder."""
    return out / "lists" / f"{part}.npy"


def read(source: Path, suite_name: str = "", score: str = averages.AVERAGE) -> Measured:
    """What was measured: a plan's folder, a folder of runs, or a table in text.

    Raises StageError for runs that were evaluated on several suites, unless one is named.
    """
    if not source.is_dir():
        return points.read(source)
    if (source / grid.RECORD).is_file():
        plan = Plan.read(source / grid.RECORD)
        return measure(plan, source, suites.load(suite_name or plan.suite), score)
    found = sorted({file.stem for run in run_folder.find(source) for file in results.folder_in(run).glob("*.json")})
    if not suite_name and len(found) != 1:
        problem = f"runs below {source} were evaluated on {len(found)} suites" if found else f"no run below {source} was evaluated"
        raise StageError(problem, allowed=", ".join(found), repair="say which with --suite" if found else "datacomp evaluate --run RUN --checkpoint all")
    return measured.read(source, suites.load(suite_name or found[0]), score)


def measure(plan: Plan, out: Path, suite: Suite, score: str = averages.AVERAGE) -> Measured:
    """What was measured so far of a plan: buckets at the budgets to be fitted, and the rest, which is only to be compared."""
    named, parts = grid.buckets(plan), grid.parts(plan)
    fitted: dict[str, list[Point]] = {name: [] for name in named}
    samples, checks = {}, []
    for each in measured.checkpoints(out / "runs", suite, score):
        union = named[parts[each.part].first : parts[each.part].end]
        point = measured.point(each, JOINED.join(union))
        if len(union) == 1 and each.seen in plan.budgets:
            samples[each.part] = float(each.samples)
            fitted[each.part].append(point)
        else:
            checks.append((union, point))
    there = {name: sorted(found, key=lambda point: point.seen) for name, found in fitted.items() if found}
    return Measured(
        {name: samples[name] for name in there},
        tuple(point for found in there.values() for point in found),
        checks=tuple(point for union, point in checks if set(union) <= set(there)),
    )


def union_list(out: Path, union: Sequence[str], path: Path) -> Subset:
    """Write the uid list of a union of a plan's buckets, ready to be resharded. Raises StageError where the plan's lists are not."""
    if not (out / grid.RECORD).is_file():
        raise StageError(f"{out} has no lists to join", allowed="the folder of a plan", repair="datacomp scaling plan, or leave out --out")
    lists = [subset.read(list_path(out, name)) for name in union]
    return algebra.combine("sum", lists, path)
