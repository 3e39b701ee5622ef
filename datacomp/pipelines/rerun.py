"""Part of an entry made again: tasks evaluated once more from its checkpoint, and the first steps of its training taken once more."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from datacomp.artifacts import loss_curve, run_folder
from datacomp.artifacts import run as runs
from datacomp.artifacts.entry import Entry, SeedRun
from datacomp.artifacts.results import TaskResult
from datacomp.artifacts.run import Run
from datacomp.artifacts.shards import ShardSet
from datacomp.board import possible, verify
from datacomp.board.verify import Beside, Check
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.errors import DatacompError, StageError
from datacomp.evaluate.run import evaluate
from datacomp.pipelines import test_sets
from datacomp.train.hardware import Hardware
from datacomp.train.run import Rehearsal, train

# How much machines differ by, measured with benchmarks/rerun.py (docs/log.md, 2026-11-21).
# Scores: by no sample with other threads, by one with weights rounded to the ten bits of a GPU's TF32. One sample weighs more in a mean over
# classes and in a small group than in a share of all.
METRIC_SAMPLES, METRIC_SHARE, GROUP_SHARE = 2, 0.001, 0.01
# Losses: by 1e-6 with other threads, processes and parts of a batch, where a learning rate 1.1 times as high makes 0.016 in the second step;
# with bfloat16 and other threads by 0.003.
LOSS = {"float32": 1e-3, "amp_bfloat16": 1e-2}
_OF_ALL = ("acc1", "acc5", "acc_avg", "acc_top5_avg")


class Wanted(NamedTuple):
    """What is to be made again, and with what."""

    tasks: tuple[str, ...] = ()
    steps: int = 0
    data: Path | None = None  # of the test sets
    shards: tuple[ShardSet, ...] = ()
    hardware: Hardware = Hardware()


def check(path: Path, beside: Beside, wanted: Wanted) -> tuple[Entry, list[Check], str]:
    """Verify an entry and make part of it again; the trust level is "re-run" where tasks and steps of every seed came out as submitted.

    Raises StageError for runs or shards that are not there.
    """
    entry, checks, level = verify.verify(path, beside)
    if (wanted.tasks or wanted.steps) and not beside.runs:
        raise StageError("nothing can be made again without the submitted runs", repair="add --run RUN, one for each seed")
    if any(found.problem for found in checks):
        return entry, checks, level  # what does not hold by itself is not worth hours
    again: list[Check] = []
    for run in map(runs.read, beside.runs):
        claimed = next(found for found in entry.runs if found.seed == run.record.inputs.seed)
        again += [_checked(f"seed {claimed.seed}, {task} again", lambda: _task(entry, claimed, run, task, wanted)) for task in wanted.tasks]  # noqa: B023
        if wanted.steps:
            again.append(_checked(f"seed {claimed.seed}, the first {wanted.steps:,} steps again", lambda: _steps(claimed, run, wanted)))  # noqa: B023
    agrees = not any(found.problem for found in again)
    is_rerun = agrees and level == verify.ARTEFACTS_CHECKED and wanted.tasks and wanted.steps
    return entry, checks + again, verify.RERUN if is_rerun else level if agrees else verify.SELF_REPORTED


def _checked(name: str, find: Callable[[], str]) -> Check:
    try:
        return Check(name, find())
    except DatacompError as error:
        return Check(name, str(error))


def _task(entry: Entry, claimed: SeedRun, run: Run, name: str, wanted: Wanted) -> str:
    """Evaluate a task from the checkpoint, in a folder that knows no results, and compare every metric."""
    suite = suites.load(entry.suite, entry.suite_version)
    suite.chosen((name,))
    with _bare(run) as copy:
        data = test_sets.locate(suite, wanted.data, (name,))
        found = evaluate(copy, run.record.inputs.recipe(), suite, data, tasks=(name,), device=wanted.hardware.device, threads=wanted.hardware.threads)
    return other_metrics(next(result for result in claimed.tasks if result.task == name), found.tasks[0])


def other_metrics(claimed: TaskResult, found: TaskResult) -> str:
    """How metrics that were measured again differ by more than machines do, in words."""
    if claimed.metrics.keys() != found.metrics.keys():
        return "it has other metrics"
    for name, value in found.metrics.items():
        said, is_share = claimed.metrics[name], name in _OF_ALL or "retrieval" in name
        allowed = max(METRIC_SAMPLES / found.samples, METRIC_SHARE if is_share else GROUP_SHARE)
        if (said is None) != (value is None) or (said is not None and value is not None and not abs(said - value) <= allowed + possible.CLOSE):
            return f"{name} is {said} in the entry and {value} here; up to {allowed:.4f} is what machines differ by"
    return ""


def _steps(claimed: SeedRun, run: Run, wanted: Wanted) -> str:
    """Train the first steps again and compare the losses with those of the entry's curve, or of the submitted log where it has none."""
    inputs = run.record.inputs
    if [source.shards_sha256 for source in inputs.sources] != [shard_set.digest for shard_set in wanted.shards]:
        return f"the shards that were given are not those of the run: {', '.join(source.name for source in inputs.sources)}"
    curve = claimed.loss_curve
    lines = zip(curve.steps, curve.losses, strict=True) if curve else ((line.step, line.loss) for line in run_folder.log(run.path))
    submitted = {step: loss for step, loss in lines if 0 < step <= wanted.steps}
    if lacking := sorted({*range(1, min(wanted.steps, loss_curve.FIRST_STEPS) + 1)} - submitted.keys()):
        return f"the submitted {'loss curve' if curve else run_folder.LOG} has no loss of step {lacking[0]}"
    with tempfile.TemporaryDirectory() as folder:
        train(
            scales.load(inputs.scale),
            wanted.shards,
            Path(folder) / "run",
            seed=inputs.seed,
            changes=inputs.changes,
            weights=tuple(source.weight for source in inputs.sources),
            hardware=wanted.hardware,
            rehearsal=Rehearsal(wanted.steps),
        )
        found = {line.step: line.loss for line in run_folder.read(Path(folder) / "run").log}
    return other_losses(submitted, found, LOSS[inputs.recipe().precision])


def other_losses(submitted: dict[int, float], found: dict[int, float], allowed: float) -> str:
    """At which step losses differ by more than machines do, in words."""
    for step, loss in submitted.items():
        if not abs(loss - found[step]) <= allowed:
            return f"the loss after step {step:,} is {loss:.4f} as submitted and {found[step]:.4f} here; up to {allowed:g} is what machines differ by"
    return ""


@contextmanager
def _bare(run: Run) -> Iterator[Run]:
    """The run without its results, in a folder that vanishes."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Run(Path(folder), run.record, run.digest)
        copy.weights().parent.mkdir(parents=True)
        copy.weights().symlink_to(run.weights().resolve())
        yield copy
