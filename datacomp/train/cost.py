"""What training by a recipe costs, by arithmetic: operations, memory, disk, and the numbers of processes that divide its batch."""

import itertools
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from datacomp.artifacts.shards import ShardSet
from datacomp.declared.scale import Scale
from datacomp.errors import StageError
from datacomp.launch import local
from datacomp.launch.ranks import World
from datacomp.network import build
from datacomp.train import budget, data, loop
from datacomp.train.hardware import Hardware

_FLOAT_BYTES = 4
_STATE_COPIES = 4  # of the parameters: themselves, gradients, and AdamW's two moments
_RESUME_FILES, _RESUME_COPIES = 3, 3  # points to go on from while one is written; weights and moments in each
_MOST_PROCESSES = 4096
_WARM_STEPS = 3


class Cost(NamedTuple):
    """What one recipe costs."""

    parameters: int
    sample_operations: int  # of a forward and a backward pass
    sample_bytes: int  # of one sample, kept from the forward pass for the backward pass
    processes: tuple[int, ...]  # that divide the global batch
    checkpoint_bytes: int  # of all that a run ever keeps at once

    def device_bytes(self, samples: int) -> int:
        """Memory of one device that computes on so many samples at a time; the libraries' own comes on top."""
        return self.parameters * _FLOAT_BYTES * _STATE_COPIES + samples * self.sample_bytes


def cost(scale: Scale) -> Cost:
    """Count what a recipe needs on tensors without content. A backward pass has twice the operations of a forward pass."""
    kept: dict[int, int] = {}
    with torch.device("meta"):
        network = build.model(scale.model, image_size=scale.pixels.size, logit_scale_start=scale.loss.logit_scale_start)
        pixels = torch.empty(1, 3, scale.pixels.size, scale.pixels.size)
        tokens = torch.zeros(1, scale.model.text.context_length, dtype=torch.int64)
    own = {_storage(parameter) for parameter in network.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if _storage(tensor) not in own:
            kept[_storage(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    with FlopCounterMode(display=False) as counted, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(pixels, tokens)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    half = 2 if scale.precision == "amp_bfloat16" else 1
    return Cost(
        parameters=parameters,
        sample_operations=3 * int(counted.get_total_flops()),
        sample_bytes=sum(kept.values()) // half,
        processes=tuple(size for size in range(1, _MOST_PROCESSES + 1) if scale.budget.global_batch_samples % size == 0),
        checkpoint_bytes=checkpoint_bytes(scale, parameters),
    )


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - tensors without content have no address that could tell them apart


def checkpoint_bytes(scale: Scale, parameters: int) -> int:
    """What a run ever keeps at once: the recipe's checkpoints, and the points to go on from while one more is written."""
    return parameters * _FLOAT_BYTES * (scale.budget.checkpoints + _RESUME_FILES * _RESUME_COPIES)


def check_disk(out: Path, scale: Scale, network: torch.nn.Module) -> None:
    """Refuse to start a run whose checkpoints would not fit beside what is in `out` already."""
    needed = checkpoint_bytes(scale, sum(parameter.numel() for parameter in network.parameters()))
    there = sum(path.stat().st_size for path in out.rglob("*.safetensors"))
    free = shutil.disk_usage(out).free
    if needed - there > free:
        raise StageError(
            f"the checkpoints of scale {scale.name} need {needed / 1e9:,.3f} GB in {out}, {free / 1e9:,.3f} GB are free",
            repair="make room, or choose another disk with --out; datacomp estimate says what a run needs",
        )


def measure(scale: Scale, shards: ShardSet, *, seconds: float, hardware: Hardware) -> float:
    """Seconds of one step of one process here, loading included; steps are taken for so many seconds, and the first ones are not counted."""
    hardware = hardware.filled(World(device=local.device(hardware.device)), lambda: cost(scale).device_bytes(scale.budget.global_batch_samples))
    local.set_threads(hardware.threads or 1)
    trainer = loop.Trainer(scale, 0, hardware.device or "cpu", spare_memory=bool(hardware.spare_memory))
    stream = data.Stream((data.drawable(shards),), scale.sampling, 0)
    batches = data.Batches(stream, scale, 0, rank=0, rank_batch_samples=budget.rank_batch_samples(scale.budget, 1))
    loaded = data.load(batches, range(scale.budget.steps), workers=hardware.workers or 0, device=hardware.device or "cpu")
    for batch in itertools.islice(loaded, _WARM_STEPS):
        trainer.step(batch)
    began, taken = time.monotonic(), 0
    for batch in loaded:
        trainer.step(batch)
        taken += 1
        if time.monotonic() - began > seconds:
            break
    return (time.monotonic() - began) / taken
