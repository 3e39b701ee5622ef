"""Filters compared: every list through the whole chain with several seeds, several runs at once, each on one core.

What is measured is written to a small record after each run (`compared`), and what the record holds is not run again. A comparison that was killed
goes on: with the runs that were on their way where they were, with the others from the start.
"""

import json
import math
import re
import shutil
import statistics
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from datacomp import digest, files, progress
from datacomp.artifacts import pool as pools
from datacomp.artifacts import run_folder, subset
from datacomp.artifacts.results import Results
from datacomp.artifacts.run import RunRecord
from datacomp.artifacts.subset import Subset
from datacomp.board import enter
from datacomp.declared import pool as declared
from datacomp.declared.scale import Scale
from datacomp.declared.suite import Suite
from datacomp.errors import DatacompError, StageError
from datacomp.launch import local
from datacomp.pipelines import compared, test_sets
from datacomp.pipelines.compared import About, Key, MainScore, Row
from datacomp.pipelines.run import Chain
from datacomp.pool import synthetic

LOG = "log.jsonl"  # how long each run took
_SAMPLES_PER_S = 1_500.0  # of one run on one core, as long as none was timed: a guess for the plan
_SAVE_EVERY_S = 60.0


class Arm(NamedTuple):
    """One filter: its name, and what writes its list, whole or not at all, with its record, under a path."""

    name: str
    make: Callable[[Path], object]
    note: str = ""  # why its list could not be entered

    @property
    def folder(self) -> str:
        """The name as one of files."""
        return re.sub("[^a-z0-9]+", "-", self.name.lower()).strip("-")


class Planned(NamedTuple):
    """One run that a comparison asks for."""

    arm: Arm
    seed: int
    is_measured: bool  # the record holds it, as far as could be told without making lists

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.arm.name}, seed {self.seed}"


@dataclass(frozen=True)
class Comparison:
    """Arms compared at one scale: lists, shards and unfinished runs lie in `out`, what was measured stands in the file `record`.

    The first seed of every arm comes first, in the order of the arms, then the second: whenever it ends, all that is there can be compared.
    """

    out: Path
    record: Path
    scale: Scale
    suite: Suite
    pool: Path
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...] = (0,)
    data: Path | None = None  # of the test sets
    at_once: int | None = None  # runs; by default one a core
    keeps_weights: bool = False

    def plan(self) -> list[Planned]:
        """Every run in its order. Nothing is made: a pool and lists that are there are held against the record, others are taken to be the same."""
        rows = compared.read(self.record)
        return [Planned(arm, seed, self._is_measured(rows, arm, seed)) for seed in self.seeds for arm in self.arms]

    @property
    def is_measured(self) -> bool:
        """Whether the record holds all, as far as can be told without a pool and lists, so that none need be made."""
        return all(run.is_measured for run in self.plan())

    def told(self) -> str:
        """The plan in words: what is measured, what is not, and how long that may take."""
        planned = self.plan()
        left = [run for run in planned if not run.is_measured]
        at_once = self.at_once or local.cores()
        head = f"{self.scale.name}: {len(left)} of {len(planned)} runs to do, {at_once} at once, about {_minutes(self._left_s(len(left), at_once))}"
        return "\n".join([head, *(f"  {'measured' if run.is_measured else 'to do   '}  {run.name}" for run in planned)])

    def complete(self, samples: int | None = None) -> None:
        """Do what is not measured on the scale's generated pool, or the beginning of it, which is made first; if all is, nothing is made."""
        if not self.is_measured:
            synthetic.make(declared.load(self.scale.pool), self.pool, samples=samples, workers=self.at_once)
            self.run()

    def run(self) -> list[Row]:
        """Do what is not measured, and return the rows of all that was asked for.

        Raises StageError in the end where runs failed; the others are done all the same.
        """
        self._check()
        with files.writing(self.out):
            planned = self.plan()
            work = _Work(self, self.data or test_sets.locate(self.suite, None), sum(not run.is_measured for run in planned))
            for _ in local.run_all(work.take, [(run.arm, run.seed) for run in planned], workers=self.at_once, threads=True):
                pass
        if work.failed:
            name, why = next(iter(work.failed.items()))
            raise StageError(f"{len(work.failed)} runs failed, the first is {name}: {why}", repair="start again when it is mended")
        rows = compared.read(self.record)
        return [rows[self.key(arm, seed)] for seed in self.seeds for arm in self.arms]

    @cached_property
    def folder(self) -> Path:
        """Where lists and runs of this pool and recipe lie: never among those of others."""
        record = self._pool()
        return self.out / digest.of_content([record.uids_sha256, record.content_sha256, self.scale.digest()])[:12]

    def about(self, list_sha256: str) -> About:
        """What a row of a list is a function of."""
        record, spec = self._pool(), self.suite.spec
        return About(
            recipe_sha256=self.scale.digest(),
            suite=spec.name,
            suite_version=spec.version,
            suite_sha256=self.suite.digest(),
            pool=record.name,
            pool_uids_sha256=record.uids_sha256,
            pool_content_sha256=record.content_sha256,
            list_sha256=list_sha256,
        )

    def list_path(self, arm: Arm) -> Path:
        """Where an arm's list lies."""
        return self.folder / "lists" / f"{arm.folder}.npy"

    def chain(self, arm: Arm, listed: Subset, data: Path | None = None) -> Chain:
        """An arm's way. Another list of the same arm has another folder."""
        out = self.folder / "runs" / f"{arm.folder}-{listed.record.uids_sha256[:8]}"
        about = enter.About(method=arm.name, author="comparison")
        return Chain(self.scale, self.pool, listed.path, about, out, self.suite, seeds=self.seeds, data=data, threads=1, workers=0, save_every_s=_SAVE_EVERY_S)

    def key(self, arm: Arm, seed: int) -> Key:
        """The place of a run's row."""
        return Key(self.scale.name, arm.name, seed)

    def _pool(self) -> pools.PoolRecord:
        record = pools.read(self.pool).record
        if record is None:
            raise StageError(f"{self.pool} is a pool without pool.json, and no row could say which", repair="make it with: datacomp pool make")
        return record

    def _check(self) -> None:
        names = [arm.folder for arm in self.arms]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise StageError(f"two arms are called {twice[0]}", allowed="arms whose names differ by letters or digits")

    def _is_measured(self, rows: dict[Key, Row], arm: Arm, seed: int) -> bool:
        row = rows.get(self.key(arm, seed))
        if row is None:
            return False
        if (row.about.recipe_sha256, row.about.suite_sha256) != (self.scale.digest(), self.suite.digest()):
            return False
        if not (self.pool / "pool.json").is_file():
            return True
        path = self.list_path(arm)
        return row.about == self.about(subset.read(path).record.uids_sha256 if path.is_file() else row.about.list_sha256)

    def _left_s(self, left: int, at_once: int) -> float:
        path = self.out / LOG
        timed = [json.loads(line)["seconds"] for line in path.read_text().splitlines()] if path.is_file() else []
        each = statistics.fmean(timed) if timed else self.scale.budget.samples_seen / _SAMPLES_PER_S
        return math.ceil(left / at_once) * each


class _Work:
    """A comparison on its way: runs are taken by threads, each of which waits for a process of its own."""

    def __init__(self, asked: Comparison, data: Path, to_do: int) -> None:
        self.asked, self.data = asked, data
        self.failed: dict[str, str] = {}
        self._making, self._counting = Lock(), Lock()
        self._left = {arm.folder: set(asked.seeds) for arm in asked.arms}
        self._to_do, self._ran, self._began_s = to_do, 0, time.monotonic()

    def take(self, run: tuple[Arm, int]) -> None:
        """Measure one run unless it is; what fails is kept in mind, so that the others go on."""
        arm, seed = run
        name = f"{self.asked.scale.name}: {arm.name}, seed {seed}"
        try:
            self._take(arm, seed, name)
        except DatacompError as error:
            self.failed[name] = str(error)
            progress.say(f"{name} failed: {error}")

    def _take(self, arm: Arm, seed: int, name: str) -> None:
        with self._making:  # one after another: arms may share what their lists are made of, and a list may take every core
            listed = self._list(arm)
            chain, about = self.asked.chain(arm, listed, self.data), self.asked.about(listed.record.uids_sha256)
            row = compared.read(self.asked.record).get(self.asked.key(arm, seed))
            is_measured = row is not None and row.about == about
            if not is_measured:
                progress.say(name)
                chain.reshard()
        if not is_measured:
            self._measure(chain, arm, seed, listed)
            self._count(name)
        self._tidy(chain, arm, seed)

    def _list(self, arm: Arm) -> Subset:
        path = self.asked.list_path(arm)
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            arm.make(path)
        return subset.read(path)

    def _measure(self, chain: Chain, arm: Arm, seed: int, listed: Subset) -> None:
        began_s = time.monotonic()
        trained, found = local.apart(through, (chain, seed))
        compared.add(self.asked.record, row(self.asked, arm, seed, listed, trained, found))
        with self._counting, (self.asked.out / LOG).open("a") as log:
            log.write(json.dumps({"arm": arm.name, "seed": seed, "seconds": round(time.monotonic() - began_s, 1)}) + "\n")

    def _tidy(self, chain: Chain, arm: Arm, seed: int) -> None:
        """Remove what nobody needs any more: a measured run, and the shards after the last of an arm's runs."""
        if not self.asked.keeps_weights:
            shutil.rmtree(run_folder.of_seed(chain.out, seed), ignore_errors=True)
        with self._counting:
            self._left[arm.folder].discard(seed)
            is_last = not self._left[arm.folder]
        if is_last:
            shutil.rmtree(chain.out / "shards" if self.asked.keeps_weights else chain.out, ignore_errors=True)

    def _count(self, name: str) -> None:
        with self._counting:
            self._ran += 1
            left = max(0, self._to_do - self._ran)
            left_s = (time.monotonic() - self._began_s) / self._ran * left
            progress.say(f"{name} is measured; {left} of {self._to_do} runs left, about {_minutes(left_s)}")


def through(task: tuple[Chain, int]) -> tuple[RunRecord, Results]:
    """Train and evaluate one seed of a chain whose shards are there; what it says goes to a log beside the run."""
    chain, seed = task
    with (chain.out / f"seed{seed}.log").open("a") as log, redirect_stderr(log):
        trained = chain.train(seed)
        return trained.record, chain.evaluate(seed)


def row(asked: Comparison, arm: Arm, seed: int, listed: Subset, trained: RunRecord, found: Results) -> Row:
    """What a run says in the record."""
    about = asked.about(listed.record.uids_sha256)
    written = {"samples": listed.record.samples, "distinct_samples": listed.record.distinct_samples} | ({"note": arm.note} if arm.note else {})
    return Row.of(
        {"scale": asked.scale.name, "arm": arm.name, "seed": seed, "about": about, "tasks": main_scores(asked.suite, found), "code": trained.code}
        | written
        | {"weights_sha256": trained.checkpoints[-1].sha256},
        "a measured run",
    )


def main_scores(suite: Suite, found: Results) -> tuple[MainScore, ...]:
    """The main metric of every task that counts."""
    main = {task.name: task.main_metric or "" for task in suite.tasks if task.counts}
    return tuple(
        MainScore(
            task=result.task,
            metrics={main[result.task]: result.metrics[main[result.task]]},
            standard_errors={name: error for name, error in result.standard_errors.items() if name == main[result.task]},
            samples=result.samples,
        )
        for result in found.tasks
        if result.task in main
    )


def _minutes(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{math.ceil(seconds / 60)} min"
