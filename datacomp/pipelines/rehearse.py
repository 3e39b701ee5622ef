"""A rehearsal: some steps of the real recipe, a point to go on from, a kill, the way on from there, and an evaluation. It is no entry."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from datacomp import files, places, progress
from datacomp.artifacts import run as runs
from datacomp.artifacts import run_folder
from datacomp.artifacts.run import REHEARSAL, Run
from datacomp.artifacts.shards import ShardSet
from datacomp.board import averages
from datacomp.declared import scale as scales
from datacomp.declared.scale import Scale
from datacomp.declared.suite import Suite
from datacomp.errors import StageError
from datacomp.evaluate import sets
from datacomp.evaluate.run import evaluate
from datacomp.launch import ranks
from datacomp.network import load
from datacomp.pipelines import test_sets
from datacomp.train import budget, checkpoint
from datacomp.train.hardware import Hardware
from datacomp.train.run import Keeping, Rehearsal, train

_PAUSE_S = 600.0
_TOLERANCE = 1e-2  # of the largest weight: on a GPU sums may come out otherwise each time


class Rehearsed(NamedTuple):
    """What a rehearsal found."""

    run: Run
    scale: Scale
    killed_after_steps: int
    step_s: float  # of the second half, loading included
    difference: float  # of any weight, between the killed and the undisturbed run
    suite: Suite
    average: float


def rehearse(
    scale: Scale,
    shards: tuple[ShardSet, ...],
    out: Path,
    steps: int,
    suite: Suite,
    data: Path | None = None,
    *,
    seed: int = 0,
    changes: Mapping[str, str] | None = None,
    weights: tuple[float, ...] = (),
    hardware: Hardware | None = None,
    keeping: Keeping | None = None,
) -> Rehearsed:
    """Rehearse so many steps of the training into `out`, in a folder beside it; `out` itself is left alone. The other arguments are those of `train`.

    The same steps are taken twice: once killed halfway and started again, once undisturbed. Raises StageError, before anything is trained, where
    test sets are missing; and where the weights of both differ.
    """
    if places.is_remote(out) or ranks.are_started():
        raise StageError(
            "a rehearsal starts and kills its own processes on this machine, and writes to its disk",
            repair="start it without a launcher, with --devices, and give --out a folder of this machine",
        )
    hardware, keeping = hardware or Hardware(), (keeping or Keeping())._replace(wandb="")
    recipe = scales.changed(scale, changes or {})
    course = budget.course(recipe.budget, steps)
    test_data = test_sets.locate(suite, data)
    for task in suite.tasks:
        sets.read(test_data, task)
    folder = out.with_name(f"{out.name}-{REHEARSAL}")
    _clear(folder)
    given = {"scale": scale, "shards": shards, "seed": seed, "changes": changes, "weights": weights, "hardware": hardware, "keeping": keeping}
    killed = given | {"out": folder, "rehearsal": Rehearsal(steps, wait_for_the_end)}
    progress.say(f"Rehearsal: {course.halfway} steps, then the processes are killed")
    point = checkpoint.point_path(folder, course.halfway)
    if ranks.run(train, killed, hardware.devices, kill_when=point.is_file):
        raise StageError(f"the rehearsal ended before it was killed after {course.halfway} steps")
    progress.say("Rehearsal: the processes were killed; started again")
    ranks.run(train, killed, hardware.devices)
    progress.say("Rehearsal: the same steps undisturbed")
    with files.scratch(folder) as undisturbed:
        ranks.run(train, given | {"out": undisturbed / "run", "rehearsal": Rehearsal(steps)}, hardware.devices)
        step_s = _step_s(undisturbed / "run", course.halfway)
        difference = _difference(runs.read(folder), runs.read(undisturbed / "run"))
    rehearsed = runs.read(folder)
    results = evaluate(rehearsed, recipe, suite, test_data, device=hardware.device, threads=hardware.threads)
    average = averages.aggregates(suite, [results.tasks])[averages.AVERAGE].value
    return Rehearsed(rehearsed, recipe, course.halfway, step_s, difference, suite, average)


def wait_for_the_end() -> None:
    """Take no more steps: the process is to be killed."""
    time.sleep(_PAUSE_S)


def report(done: Rehearsed) -> list[str]:
    """What a rehearsal found, in a few lines."""
    whole, inputs = done.scale.budget, done.run.record.inputs
    same = "the same bytes" if done.difference == 0 else f"weights within {done.difference:.1e}"
    return [
        f"rehearsal   {inputs.rehearsed_steps:,} of {whole.steps:,} steps of scale {done.scale.name}, in {done.run.path}: no entry",
        f"speed       {done.step_s:.3g} s a step, {whole.global_batch_samples / done.step_s:,.1f} samples/s; the whole run: {_time(done.step_s * whole.steps)}",
        f"going on    killed after {done.killed_after_steps:,} steps and started again: {same} as undisturbed",
        f"evaluation  average {100 * done.average:.1f} % on {len(done.suite.tasks)} tasks of suite {done.suite.spec.name}",
        "next        the same command without --rehearse trains the whole run",
    ]


def _time(seconds: float) -> str:
    hours = seconds / 3600
    return f"{seconds:,.0f} seconds" if seconds < 600 else f"{hours:,.1f} hours" if hours < 48 else f"{hours / 24:,.1f} days"


def _clear(folder: Path) -> None:
    """Remove an earlier rehearsal; nothing else is removed."""
    known = (folder / run_folder.INPUTS).is_file() and run_folder.read(folder).inputs.division == REHEARSAL
    if folder.is_dir() and not known and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise StageError(f"{folder} holds something else than a rehearsal", repair="remove it, or choose another --out")
    with files.writing(folder):
        files.empty(folder)


def _step_s(run: Path, halfway: int) -> float:
    """Seconds of a step after the one that follows the point halfway; before, libraries warm up."""
    times = {line.step: line.time for line in run_folder.read(run).log}
    first, last = halfway + 1, max(times)
    return (times[last] - times[first]) / (last - first)


def _difference(run: Run, other: Run) -> float:
    """The largest difference of any weight. Raises StageError where it is more than sums in another order make."""
    ours, theirs = (load.read_tensors(found.weights()) for found in (run, other))
    found = max(float((ours[name].float() - theirs[name].float()).abs().max()) for name in theirs)
    allowed = 0.0 if run.record.device == "cpu" else _TOLERANCE * max(float(tensor.abs().max()) for tensor in theirs.values())
    if not found <= allowed:
        raise StageError(
            f"going on after the kill led to weights that differ by {found:.1e} from those of an undisturbed run",
            allowed=f"{allowed:.1e}",
            repair="do not trust a run that is interrupted on this machine",
        )
    return found
