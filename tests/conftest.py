"""What several tests need: a factory of entries that hold, a small pool, a tiny scale, shards."""

import json
import os
import re
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import browsing
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import settings

from datacomp import digest, files, rooms
from datacomp.artifacts import results as results_files
from datacomp.artifacts import run as runs
from datacomp.artifacts import run_folder
from datacomp.artifacts.entry import FORMAT, Entry, SeedRun
from datacomp.artifacts.list_report import ListReport
from datacomp.artifacts.loss_curve import LossCurve
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.results import Results, TaskResult
from datacomp.artifacts.run import Checkpoint, Code, Inputs, Run, RunRecord, Source
from datacomp.artifacts.shards import Reachable, ShardSet
from datacomp.artifacts.subset import SubsetRecord
from datacomp.board import averages, enter, possible
from datacomp.declared import pool as pools
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.declared import track as tracks
from datacomp.declared.suite import Suite, Task
from datacomp.filters.apply import apply
from datacomp.pipelines import miniature
from datacomp.pool import synthetic
from datacomp.reshard.run import Form, reshard

settings.register_profile("ours", deadline=None, derandomize=True)  # machines are noisy, and a failure must come again
settings.load_profile("ours")

MakeEntry = Callable[..., Entry]


@pytest.fixture(scope="session")
def make_entry() -> MakeEntry:
    """Make an entry, of track filtering, scale nano and suite nano unless others are named, that every check of the board accepts.

    `level` is the share of correct answers in every task, a number or one for each task by name, rounded to whole samples;
    seed k gets k samples more, so that seeds differ. `losses` are each run's curve by its steps, a little less for seed k. `subset` overrides
    fields of the list's record, `source` those of the training source, every other keyword those of the entry itself (which may then no longer
    hold).
    """
    return _entry


def _entry(
    method="top 30 %",
    seeds=(0,),
    level=0.5,
    *,
    subset=None,
    source=None,
    track="filtering",
    scale="nano",
    suite="nano",
    changes=None,
    losses=None,
    **overrides: Any,
) -> Entry:
    rules, recipe = tracks.load(track), scales.changed(scales.load(scale), changes or {})
    suite = suites.load(suite)
    trained_on = _source(pools.load(recipe.pool), subset or {}, source or {})
    runs = tuple(_run(seed, suite, level, trained_on, recipe.budget.samples_seen, losses) for seed in seeds)
    entry = Entry.model_validate(
        {
            "format": FORMAT,
            "track": rules.name,
            "rules_sha256": rules.digest(),
            "scale": recipe.name,
            "recipe_sha256": recipe.digest(),
            "suite": suite.spec.name,
            "suite_version": suite.spec.version,
            "suite_sha256": suite.digest(),
            "division": "open" if changes else "closed",
            "method": method,
            "description": "",
            "proposed_by": "somebody",
            "run_by": "somebody",
            "links": (),
            **enter.repeated(runs),
            "marks": (),
            "runs": runs,
            "aggregates": averages.aggregates(suite, [run.tasks for run in runs]),
        }
        | ({"changes": changes} if changes else {})
        | overrides
    )
    return entry if "marks" in overrides else entry.model_copy(update={"marks": enter.marks(entry, recipe, suite)})


@pytest.fixture(scope="session")
def make_report():
    """Make the report of a list of scale nano's pool with so many different samples, each listed once; keywords override its fields."""

    def make(record, **overrides: Any) -> ListReport:
        kept, dropped = record["distinct_samples"], pools.load("nano").samples - record["distinct_samples"]
        counted = {"kept": (kept // 2, kept - kept // 2), "dropped": (dropped - 5, 0), "kept_missing": 0, "dropped_missing": 5}
        score = {"name": "clip_l14_similarity_score", "edges": (0.1, 0.2, 0.3), "open": False, "kept_median": 0.2, "dropped_median": 0.1}
        words = {"name": "caption words", "edges": (0.0, 1.0, 2.0), "open": True, "kept_median": 1.0, "dropped_median": 0.0}
        said = {
            "uids_sha256": record["uids_sha256"],
            "kept": kept,
            "dropped": dropped,
            "times": (kept,),
            "histograms": (score | counted, words | counted),
            "languages": ({"language": "en", "kept": kept, "dropped": 0},),
        }
        return ListReport.of(said | overrides, "a test")

    return make


def _source(pool: pools.PoolSpec, subset: dict[str, Any], source: dict[str, Any]) -> Source:
    pool_sha256 = pool.uids_sha256 or "a" * 64
    listed = {
        "uids_sha256": "b" * 64,
        "samples": 30_720,
        "distinct_samples": 30_720,
        "pool_uids_sha256": pool_sha256,
        "filter": "clip_score",
        "options": {"fraction": 0.3},
    }
    record = SubsetRecord.model_validate(listed | subset)
    return Source.model_validate(
        {
            "name": "list",
            "weight": 1.0,
            "samples": record.samples - sum(source.get("missing_samples", {}).values()),
            "shards_sha256": "c" * 64,
            "subset": record,
            "pool": pool.name,
            "pool_uids_sha256": pool_sha256,
            "effective_pool": Reachable(samples=pool.samples, uids_sha256="d" * 64),
            "missing_samples": {},
        }
        | source
    )


def _run(seed: int, suite: Suite, level: float | dict[str, float], source: Source, samples_seen: int, losses: dict[int, float] | None) -> SeedRun:
    results = _results(suite, level, seed, f"{seed + 2:064x}")
    return SeedRun(
        seed=seed,
        run_sha256=f"{seed:064x}",
        results_sha256=results.digest(),
        weights_sha256=results.weights_sha256,
        samples_seen=samples_seen,
        corrupt_samples=0,
        sources=(source,),
        code=Code(version="0.1.0", sha256="e" * 64),
        packages={"numpy": "2.3.5", "torch": "2.11.0"},
        device="cpu",
        tasks=results.tasks,
        **({"loss_curve": LossCurve(steps=tuple(losses), losses=tuple(loss - seed / 1e4 for loss in losses.values()))} if losses else {}),
    )


def _tasks(suite: Suite, level: float | dict[str, float], seed: int) -> tuple[TaskResult, ...]:
    return tuple(_result(task, (level[task.name] if isinstance(level, dict) else level), seed) for task in suite.tasks)


def _result(task: Task, level: float, more: int) -> TaskResult:
    """Every metric of a task is the same share of its samples."""
    share = min(round(level * task.samples) + more, task.samples) / task.samples
    error = (share * (1 - share) / task.samples) ** 0.5
    names = possible.names(task)
    metrics = dict.fromkeys(names, share) | {name: float(task.samples) for name in names if name.startswith("count_")}
    if task.classes is not None and task.classes < 5:
        metrics["acc5"] = None
    errors = {name: error for name, value in metrics.items() if value is not None and not name.startswith("count_")}
    return TaskResult(task=task.name, samples=task.samples, data_sha256=task.data.content_sha256 or "0" * 64, metrics=metrics, standard_errors=errors)


@pytest.fixture
def make_run(tmp_path) -> Callable[..., Run]:
    """Write the folder of a finished run of scale nano that nobody trained, evaluated on a suite (nano's; None for not at all).

    `level`, `subset` and `source` are those of `make_entry`; `losses` are logged, by their steps; `inputs` and every other keyword override fields
    of the run's record.
    """

    def make(name="run", seed=0, level=0.5, *, scale="nano", suite="nano", subset=None, source=None, inputs=None, losses=None, **overrides: Any) -> Run:
        path, recipe = tmp_path / name, scales.load(scale)
        measured = suites.load(suite) if isinstance(suite, str) else suite
        said = {
            "scale": scale,
            "recipe_sha256": recipe.digest(),
            "division": "closed",
            "seed": seed,
            "sources": (_source(pools.load(recipe.pool), subset or {}, source or {}),),
        }
        step, seen = recipe.budget.steps, recipe.budget.samples_seen
        weights = runs.weights_path(path, step)
        files.write_bytes(weights, safetensors.numpy.save({"weights": np.array([seed])}))
        record = {
            "inputs": Inputs.model_validate(said | (inputs or {})),
            "samples_seen": seen,
            "corrupt_samples": 0,
            "checkpoints": (Checkpoint(step=step, samples_seen=seen, sha256=digest.of_file(weights)),),
            "code": Code(version="0.1.0", sha256=digest.of_code()),
            "packages": {"torch": "2.11.0"},
            "device": "cpu",
            "threads": 1,
        }
        made = RunRecord.model_validate(record | overrides)
        made.inputs.write(path / "inputs.json")
        if measured:
            _results(measured, level, seed, made.checkpoints[-1].sha256).write(results_files.path_in(path, measured.spec.name))
        if losses:
            files.write_text(path / run_folder.LOG, "".join(json.dumps({"step": at, "loss": loss, "time": 1e9 + at}) + "\n" for at, loss in losses.items()))
        made.write(path / runs.RECORD)
        return Run(path, made, digest.of_file(path / runs.RECORD))

    return make


def _results(suite: Suite, level: float | dict[str, float], seed: int, weights_sha256: str) -> Results:
    return Results(
        suite=suite.spec.name, suite_version=suite.spec.version, suite_sha256=suite.digest(), weights_sha256=weights_sha256, tasks=_tasks(suite, level, seed)
    )


@pytest.fixture
def new_version(tmp_path, monkeypatch):
    """Have suite nano get another version, today's kept, which a task that the new one lacks tells apart."""

    def bump(*, keep=True):
        room, today = tmp_path / "eval_suite", suites.load("nano").spec.version
        stem = f"nano-v{today}"
        shutil.copytree(rooms.eval_suite(), room)
        lock = room / "LOCK.toml"
        locked = re.sub(r'"suites/nano" = .*\n', "", lock.read_text())
        if keep:
            kept = digest.canonical(suites.load("nano").plain())
            (room / suites.EARLIER).mkdir(exist_ok=True)
            (room / suites.EARLIER / f"{stem}.json").write_text(kept)
            locked += f'"earlier/{stem}" = "{digest.of_bytes(kept.encode())}"\n'
        lock.write_text(locked)
        path = room / "suites/nano.toml"
        text = path.read_text().replace(f"version = {today}", f"version = {today + 1}").replace('"frozen"', '"draft"')
        path.write_text(re.sub(r',?\s*"nano/light"', "", text))
        monkeypatch.setattr(rooms, "eval_suite", lambda: room)
        return room

    return bump


@pytest.fixture(scope="session")
def small_pool(tmp_path_factory) -> Pool:
    """A generated pool of 600 samples, with scores and features; tests read it and never write to it."""
    return synthetic.make(pools.load("nano"), tmp_path_factory.mktemp("pool") / "small", samples=600, workers=1)


@pytest.fixture(scope="session")
def tiny_scale() -> scales.Scale:
    """Scale smoke cut down to six steps of 32 samples, so that a training run takes a second."""
    smoke = scales.load("smoke")
    return smoke.model_copy(
        update={
            "budget": scales.Budget(steps=6, global_batch_samples=32, samples_seen=192, checkpoints=3),
            "sampling": smoke.sampling.model_copy(update={"shard_samples": 50, "shuffle_block_shards": 3}),
            "optimizer": smoke.optimizer.model_copy(update={"warmup_steps": 2}),
        }
    )


@pytest.fixture(scope="session")
def small_shards(small_pool, tiny_scale, tmp_path_factory) -> ShardSet:
    """A third of the small pool, resharded for the tiny scale."""
    folder = tmp_path_factory.mktemp("shards")
    subset = apply("random", {"fraction": 0.35}, small_pool, folder / "list.npy")
    return reshard(small_pool, subset, folder / "shards", Form(tiny_scale.sampling.shard_samples))


@pytest.fixture(scope="session")
def tiny_run(tiny_scale, small_shards, tmp_path_factory) -> Run:
    """A finished run of the tiny scale; tests read it and never write to it."""
    from datacomp.train.hardware import Hardware
    from datacomp.train.run import train  # loads torch

    return train(tiny_scale, (small_shards,), tmp_path_factory.mktemp("runs") / "run", hardware=Hardware(workers=0))


@pytest.fixture(scope="session")
def small_suite(tmp_path_factory):
    """Two tasks of suite nano with few samples, and the folder of their test sets."""
    found, data = suites.load("nano"), tmp_path_factory.mktemp("sets")
    tasks = []
    for name, samples in (("nano/objects", 160), ("nano/shape", 40)):
        task = next(task for task in found.tasks if task.name == name).model_copy(update={"samples": samples})
        made = miniature.make_test_set(task, data)
        tasks.append(task.model_copy(update={"data": task.data.model_copy(update={"content_sha256": made.content_sha256})}))
    spec = found.spec.model_copy(update={"tasks": tuple(task.name for task in tasks), "groups": ()})
    return suites.Suite(spec=spec, tasks=tuple(tasks)), data


@pytest.fixture
def run_copy(tiny_run, tmp_path) -> Run:
    """The run of the tiny scale in a folder that a test may change."""
    return Run(shutil.copytree(tiny_run.path, tmp_path / "run"), tiny_run.record, tiny_run.digest)


@pytest.fixture(scope="module")
def browser():
    """Debian's chromium, started once for a file of tests."""
    yield from browsing.launched()


@pytest.fixture
def stopped(monkeypatch):
    """A context in which work is interrupted when the file after the first so many is to take its real name."""

    @contextmanager
    def stop(publishes: int):
        real, left = files.publish, iter(range(publishes))

        def publish(temporary, path, **how):
            if next(left, None) is None:
                raise KeyboardInterrupt
            real(temporary, path, **how)

        with monkeypatch.context() as patch:
            patch.setattr(files, "publish", publish)
            with pytest.raises(KeyboardInterrupt):
                yield

    return stop


def pytest_collection_modifyitems(items: list[pytest.Item]):
    """What is marked to take minutes comes first, so that no process is left alone with it at the end."""
    items.sort(key=lambda item: -max((mark.kwargs.get("minutes", 0) for mark in item.iter_markers("slow")), default=0))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Where DATACOMP_NO_SKIP is set, a skipped test is a failed one: what cannot run there was not tested."""
    report = yield
    if report.skipped and os.environ.get("DATACOMP_NO_SKIP") and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped, and DATACOMP_NO_SKIP is set: {report.longrepr}"
    return report
