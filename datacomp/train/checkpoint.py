"""Checkpoints: the weights that a recipe keeps, and what an interrupted run goes on from.

Weights are artefacts and stay. A resume point holds weights and the optimiser's tensors in one file, which is there whole or not at all; the last few
are kept until the run has ended. Nothing else is carried from step to step: learning rate, batches and random draws are functions of the step.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import torch

from datacomp import digest, files
from datacomp.artifacts.run import Checkpoint, weights_path
from datacomp.errors import StageError
from datacomp.network import load

_KEPT = 2
_RESUME = "resume"
_CORRUPT = "corrupt_samples"


class Position(NamedTuple):
    """How far a run is."""

    step: int = 0  # steps taken
    corrupt_samples: int = 0  # seen until then


def save_weights(run: Path, step: int, network: torch.nn.Module) -> None:
    """Write the weights of a checkpoint of the recipe."""
    load.write_tensors(weights_path(run, step), network.state_dict())


def save(run: Path, position: Position, network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Write a point to go on from, and remove the oldest."""
    tensors = {f"model/{name}": tensor for name, tensor in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        tensors |= {f"optimizer/{name}/{key}": value for key, value in optimizer.state[parameter].items()}
    load.write_tensors(point_path(run, position.step), tensors, {_CORRUPT: str(position.corrupt_samples)})
    for older in _points(run)[:-_KEPT]:
        older.unlink()


def newest(run: Path) -> int:
    """The step of the newest point to go on from, 0 where there is none."""
    points = _points(run)
    return int(points[-1].stem.removeprefix("step_")) if points else 0


def resume(run: Path, step: int, network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Position:
    """Load the point to go on from after a step; nothing for step 0.

    Raises StageError for a file that is not what `save` writes; a pickle in its place is not read.
    """
    if not step:
        return Position()
    path = point_path(run, step)
    files.await_file(path)
    try:
        tensors = load.read_tensors(path)
    except StageError as error:
        raise StageError(error.what, allowed=error.allowed, repair=f"remove {path}, and training goes on from the point before it") from None
    load.put(network, {name.removeprefix("model/"): tensor for name, tensor in tensors.items() if name.startswith("model/")}, path)
    for name, parameter in network.named_parameters():
        prefix = f"optimizer/{name}/"
        state = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in state.items()}
    return Position(step, int(load.read_notes(path)[_CORRUPT]))


def point_path(run: Path, step: int) -> Path:
    """Where a point to go on from lies."""
    return run / _RESUME / f"step_{step:08d}.safetensors"


def forget(run: Path) -> None:
    """Remove the points to go on from: the run has ended."""
    shutil.rmtree(run / _RESUME, ignore_errors=True)


def _points(run: Path) -> list[Path]:
    return sorted((run / _RESUME).glob("step_*.safetensors"))


def kept(run: Path, steps: Iterable[int], global_batch_samples: int) -> tuple[Checkpoint, ...]:
    """Describe the finished checkpoints of a run."""
    return tuple(Checkpoint(step=step, samples_seen=step * global_batch_samples, sha256=digest.of_file(weights_path(run, step))) for step in steps)
