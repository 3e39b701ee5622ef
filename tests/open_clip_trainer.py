"""open_clip's own trainer under a scale's recipe, and a tiny recipe with batches to compare it with ours.

Its program runs as it is, with the recipe as its command line: optimiser, schedule, loss and loop are its own. Only its network, which must begin with our
weights, and its loader, which does not run on today's webdataset, are handed to it. tests/test_train_parity.py, benchmarks/parity/train.py
and benchmarks/train.py use it.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import open_clip
import torch
from open_clip_train import main as program
from PIL import Image

from datacomp.declared import scale as scales
from datacomp.declared.scale import Budget, Pixels, Scale, TextTransformer, VisionTransformer
from datacomp.train import loop
from datacomp.train.data import Batch

STEPS, DISTINCT_BATCHES = 50, 5  # each batch comes ten times, so that there is something to learn
_PRECISIONS = {"float32": "fp32", "amp_bfloat16": "amp_bfloat16"}
_SEED = 0


def tiny() -> Scale:
    """Scale nano's recipe, cut down to 50 steps of a tiny ViT."""
    nano = scales.load("nano")
    image = VisionTransformer(kind="vision_transformer", layers=2, width=32, head_width=16, mlp_ratio=2.0, patch_size=8)
    text = TextTransformer(context_length=8, vocabulary_size=256, width=32, heads=2, layers=1, mlp_ratio=2.0)
    return nano.model_copy(
        update={
            "name": "tiny",
            "budget": Budget(steps=STEPS, global_batch_samples=16, samples_seen=STEPS * 16, checkpoints=1),
            "model": nano.model.model_copy(update={"embed_dim": 32, "image": image, "text": text}),
            "optimizer": nano.optimizer.model_copy(update={"warmup_steps": 10}),
        }
    )


def drawn_batches(scale: Scale, distinct: int = DISTINCT_BATCHES) -> list[Batch]:
    """A batch of random pictures and tokens for each step; the first `distinct` come again and again."""
    random, size = np.random.default_rng(_SEED), scale.pixels.size
    samples, text = scale.budget.global_batch_samples, scale.model.text
    pictures = [torch.from_numpy(random.integers(0, 256, (samples, size, size, 3), np.uint8)) for _ in range(distinct)]
    tokens = [torch.from_numpy(random.integers(0, text.vocabulary_size, (samples, text.context_length))) for _ in range(distinct)]
    return [Batch(step, pictures[step % distinct], tokens[step % distinct]) for step in range(scale.budget.steps)]


def normalised(pictures: torch.Tensor, pixels: Pixels) -> torch.Tensor:
    """What open_clip's loader makes of uint8 pictures (N, H, W, 3) of the recipe's size: float32 (N, 3, H, W)."""
    transform = open_clip.image_transform(pixels.size, is_train=False, mean=pixels.mean, std=pixels.std, interpolation=pixels.interpolation)
    return torch.stack([transform(Image.fromarray(picture)) for picture in pictures.numpy()])


class Curve(NamedTuple):
    """What a trainer did: the loss of each step, and the weights before the first and after each."""

    losses: list[float]
    weights: list[dict[str, torch.Tensor]]


def ours(scale: Scale, batches: list[Batch], *, plain: bool = False) -> Curve:
    """Let our trainer train as it stands, or plainly: AdamW is not fused, convolutions are no products. Look at it between the steps."""
    trainer = loop.Trainer(scale, 0, "cpu", products=not plain)
    for group in trainer.optimizer.param_groups:
        group["fused"] = group["fused"] and not plain
    curve = Curve([], [state(trainer.network)])
    for batch in batches:
        curve.losses.append(trainer.step(batch))
        curve.weights.append(state(trainer.network))
    return curve


def theirs(scale: Scale, batches: list[Batch]) -> Curve:
    """Let open_clip's trainer train from the same first weights, and look at it between the steps."""
    network = loop.Trainer(scale, 0, "cpu", products=False).network
    weights = [state(network)]

    def looked_at() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for batch in batches:
            yield normalised(batch.pixels, scale.pixels), batch.tokens
            weights.append(state(network))  # the next batch is asked for, so the step is done

    return Curve([float(loss) for loss in train(scale, network, looked_at())], weights)


def state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights as they are now."""
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


def apart(one: Curve, other: Curve) -> tuple[float, float]:
    """The largest difference of a loss, and of a weight at any step."""
    losses = [abs(a - b) for a, b in zip(one.losses, other.losses, strict=True)]
    weights = [float((a[name] - b[name]).abs().max()) for a, b in zip(one.weights, other.weights, strict=True) for name in a.keys() | b.keys()]
    return float(np.max(losses)), float(np.max(weights))  # numpy's is no number where one of them is none


def train(
    scale: Scale, network: torch.nn.Module, batches: Iterable[tuple[torch.Tensor, torch.Tensor]], *, flags: tuple[str, ...] = (), device: str = "cpu"
) -> list[torch.Tensor]:
    """Let open_clip's trainer train a network on one epoch of batches, each normalised pictures and tokens; the loss of each step.

    `flags` come after the recipe's and win over them.
    """
    losses: list[torch.Tensor] = []
    data = SimpleNamespace(dataloader=_Loader(scale, batches), set_epoch=lambda epoch: None)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as patches:
        for name, instead in {
            "create_model_and_transforms": lambda *_, **__: (network, None, None),
            "get_data": lambda *_, **__: {"train": data},
            "create_loss": lambda args: _noted(open_clip.create_loss(args), losses),
            "setup_logging": lambda *_: None,
        }.items():
            patches.enter_context(patch.object(program, name, instead))
        patches.enter_context(patch.object(program.torch, "save", lambda checkpoint, path: None))
        patches.enter_context(patch.dict(os.environ, {"WORLD_SIZE": "1"}))  # whatever scheduler started this process
        program.main([*_command_line(scale), "--logs", folder, "--name", "run", "--device", device, *flags])
    return losses


def _command_line(scale: Scale) -> list[str]:
    optimizer = scale.optimizer
    stated = {
        "model": "ViT-B-32",  # the name decides on nothing that is not stated here
        "dataset-type": "synthetic",
        "epochs": 1,
        "batch-size": scale.budget.global_batch_samples,
        "lr": optimizer.learning_rate,
        "warmup": optimizer.warmup_steps,
        "lr-scheduler": "cosine",
        "beta1": optimizer.beta1,
        "beta2": optimizer.beta2,
        "eps": optimizer.eps,
        "wd": optimizer.weight_decay,
        "precision": _PRECISIONS[scale.precision],
    }
    switches = {"--local-loss": scale.loss.local_loss, "--gather-with-grad": scale.loss.gather_with_gradient}
    return [*(part for name, value in stated.items() for part in (f"--{name}", str(value))), *(flag for flag, wanted in switches.items() if wanted)]


def _noted(loss: Callable[..., dict[str, torch.Tensor]], losses: list[torch.Tensor]) -> Callable[..., dict[str, torch.Tensor]]:
    """A loss whose values are written down."""

    def noting(**features: torch.Tensor) -> dict[str, torch.Tensor]:
        found = loss(**features)
        losses.append(found["contrastive_loss"].detach())
        return found

    return noting


class _Loader:
    """What open_clip's trainer asks of a loader."""

    def __init__(self, scale: Scale, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self.num_batches, self.num_samples, self._batches = scale.budget.steps, scale.budget.samples_seen, batches

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return iter(self._batches)
