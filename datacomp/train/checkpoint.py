"""Checkpoints: the model's tensors, and until the next one also the optimiser's, so that a killed run goes on from there."""

from collections.abc import Iterable
from pathlib import Path

import torch

from datacomp import digest
from datacomp.artifacts.run import WEIGHTS, Checkpoint, weights_path
from datacomp.network import load

_OPTIMIZER = "optimizer.safetensors"


def save(run: Path, step: int, network: torch.nn.Module, optimizer: torch.optim.Optimizer | None) -> None:
    """Write a checkpoint; the model's file comes last and makes it complete. Without an optimiser it is a final one."""
    folder = weights_path(run, step).parent
    if optimizer is not None:
        load.write_tensors(folder / _OPTIMIZER, _optimizer_tensors(network, optimizer))
    load.write_tensors(folder / WEIGHTS, network.state_dict())
    for older in (run / "checkpoints").glob(f"*/{_OPTIMIZER}"):
        if older.parent != folder or optimizer is None:
            older.unlink()


def _optimizer_tensors(network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    named = network.named_parameters()
    return {f"{name}/{key}": value for name, parameter in named for key, value in optimizer.state[parameter].items()}


def resume(run: Path, network: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: Iterable[int]) -> int:
    """Load the newest checkpoint that training can go on from; return its step, 0 if there is none."""
    for step in sorted(steps, reverse=True):
        path = weights_path(run, step)
        if path.is_file() and path.with_name(_OPTIMIZER).is_file():
            load.load_weights(network, path)
            tensors = load.read_tensors(path.with_name(_OPTIMIZER))
            for name, parameter in network.named_parameters():
                prefix = f"{name}/"
                state = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
                optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in state.items()}
            return step
    return 0


def kept(run: Path, steps: Iterable[int], global_batch_samples: int) -> tuple[Checkpoint, ...]:
    """Describe the finished checkpoints of a run."""
    return tuple(Checkpoint(step=step, samples_seen=step * global_batch_samples, sha256=digest.of_file(weights_path(run, step))) for step in steps)
