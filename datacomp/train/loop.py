"""The training loop: everything that happens to the weights in a step."""

import math
import warnings
from contextlib import nullcontext

import torch
from torch.nn.parallel import DistributedDataParallel

from datacomp import draws
from datacomp.declared.scale import Optimizer, Scale
from datacomp.errors import StageError
from datacomp.launch.ranks import World
from datacomp.network import build, small_grids
from datacomp.train import budget
from datacomp.train.data import Batch

_HARMLESS = (
    "torch.distributed.nn.functional.all_gather is deprecated",  # open_clip's loss
    "Grad strides do not match bucket view strides",  # the layout of a grouped convolution's gradient
)
_FEATURES = ("image_features", "text_features", "logit_scale")


def make_optimizer(declared: Optimizer, network: torch.nn.Module) -> torch.optim.AdamW:
    """AdamW over two groups: what the recipe's weight decay applies to, and what it spares."""

    def spared(name: str, parameter: torch.nn.Parameter) -> bool:
        return parameter.ndim < declared.no_decay_below_dims or any(part in name for part in declared.no_decay_names)

    named = list(network.named_parameters())
    groups = [
        {"params": [parameter for name, parameter in named if spared(name, parameter)], "weight_decay": 0.0},
        {"params": [parameter for name, parameter in named if not spared(name, parameter)], "weight_decay": declared.weight_decay},
    ]
    return torch.optim.AdamW(groups, lr=declared.learning_rate, betas=(declared.beta1, declared.beta2), eps=declared.eps, fused=True)


class Trainer:
    """A network under training by a recipe, alone or as one of several processes.

    `accumulate` cuts a process's batch into so many parts, of which only one at a time needs memory for its activations;
    `spare_memory` computes activations a second time instead of keeping them; `products` computes gradients of depthwise kernels by
    matrix products where that is faster, on a CPU. None of them changes the result but for the order of sums.
    """

    def __init__(
        self,
        scale: Scale,
        seed: int,
        device: str,
        *,
        world: World | None = None,
        accumulate: int = 1,
        spare_memory: bool = False,
        compiled: bool = False,
        products: bool = True,
    ) -> None:
        torch.manual_seed(seed)
        self.scale, self.seed, self.device = scale, seed, torch.device(device)
        self.world = world or World(device=device)
        self.network = build.model(scale.model, image_size=scale.pixels.size, logit_scale_start=scale.loss.logit_scale_start).to(self.device)
        if spare_memory:
            self.network.set_grad_checkpointing()
        if products and self.device.type == "cpu" and not compiled:
            small_grids.speed_up(self.network)
        self.optimizer = make_optimizer(scale.optimizer, self.network)
        self._accumulate = accumulate
        self._loss = build.loss(scale.loss, rank=self.world.rank, world_size=self.world.size)
        self._mixed = scale.precision == "amp_bfloat16"
        forward: torch.nn.Module = torch.compile(self.network) if compiled else self.network  # type: ignore[assignment]
        if self.world.size > 1:
            for harmless in _HARMLESS:
                warnings.filterwarnings("ignore", message=harmless)
            # Without the search, gradients are put together anew after the first step of each start, and their sums over four and more
            # processes depend on that in the last bits: a resumed run would not be the undisturbed one.
            forward = DistributedDataParallel(forward, device_ids=[self.device] if self.device.type == "cuda" else None, find_unused_parameters=True)
        self._forward = forward

    def step(self, batch: Batch) -> float:
        """Take one optimiser step on this process's slice of a global batch; return the loss of the slice."""
        rate = budget.learning_rate(self.scale.optimizer, batch.step, self.scale.budget.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        pixels = build.normalise(batch.pixels.to(self.device, non_blocking=True), self.scale.pixels)
        tokens = batch.tokens.to(self.device, non_blocking=True)
        parts = list(zip(pixels.chunk(self._accumulate), tokens.chunk(self._accumulate), strict=True))
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._whole(batch.step, *parts[0]) if len(parts) == 1 else self._in_parts(batch.step, parts)
        if self.scale.optimizer.gradient_clipping != "none":
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.scale.optimizer.gradient_clipping)
        self.optimizer.step()
        with torch.no_grad():
            self.network.logit_scale.clamp_(0, math.log(self.scale.loss.logit_scale_max))
        return float(loss.detach())

    def _whole(self, step: int, pixels: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        loss = self._loss_of(*self._features(self._forward, step, 0, pixels, tokens))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    def _in_parts(self, step: int, parts: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        """The full batch's loss and gradients: features of all parts, the loss and its gradients at them, then each part once more, backwards.

        As in GradCache (Gao et al. 2021, arXiv 2101.06983); the loss is computed once, so that the logit scale's gradient is counted once.
        """
        with torch.no_grad():
            images, texts, scales = zip(*(self._features(self.network, step, number, *part) for number, part in enumerate(parts)), strict=True)
        leaves = [tensor.detach().requires_grad_() for tensor in (torch.cat(images), torch.cat(texts), scales[0])]
        loss = self._loss_of(*leaves)
        loss.backward()  # type: ignore[no-untyped-call]
        image, text, scale = (leaf.grad for leaf in leaves)
        assert image is not None
        assert text is not None
        assert scale is not None
        gradients = zip(image.chunk(len(parts)), text.chunk(len(parts)), [scale, *[torch.zeros_like(scale)] * (len(parts) - 1)], strict=True)
        for number, (part, gradient) in enumerate(zip(parts, gradients, strict=True)):
            with nullcontext() if number == len(parts) - 1 or self.world.size == 1 else self._forward.no_sync():  # type: ignore[operator]
                torch.autograd.backward(self._features(self._forward, step, number, *part), gradient)
        return loss

    def _features(self, network: torch.nn.Module, step: int, part: int, pixels: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Image features (N, D), text features (N, D), and the factor of their products. What is drawn at random belongs to step, rank and part."""
        torch.manual_seed(int(draws.bits(self.seed, "step", step, self.world.rank, part) >> 1))
        with self._autocast():
            made = network(pixels, tokens)
        return tuple(made[name] for name in _FEATURES)

    def _loss_of(self, *features: torch.Tensor) -> torch.Tensor:
        with self._autocast():
            loss: torch.Tensor = self._loss(*features)
        return loss

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._mixed)


def check_loss(step: int, loss: float) -> None:
    """Raise StageError when a loss is no longer a number."""
    if not math.isfinite(loss):
        raise StageError(f"the loss of step {step} is {loss}", repair="look at the data; the recipe itself does not diverge on a clean pool")
