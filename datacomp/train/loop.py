"""The training loop: everything that happens to the weights, from the first step to the last."""

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from datacomp.declared.scale import Optimizer, Scale
from datacomp.errors import StageError
from datacomp.network import build
from datacomp.train import budget, checkpoint
from datacomp.train.data import Batch

LOG = "log.jsonl"
_LOG_EVERY_S = 5.0


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
    """A network under training by a recipe."""

    def __init__(self, scale: Scale, seed: int, device: str) -> None:
        torch.manual_seed(seed)
        self.scale, self.device = scale, torch.device(device)
        self.network = build.model(scale.model, image_size=scale.pixels.size, logit_scale_start=scale.loss.logit_scale_start).to(self.device)
        self.optimizer = make_optimizer(scale.optimizer, self.network)
        self._loss = build.loss(scale.loss)
        self._mixed = scale.precision == "amp_bfloat16"

    def step(self, batch: Batch) -> float:
        """Take one optimiser step on a global batch; return its loss."""
        rate = budget.learning_rate(self.scale.optimizer, batch.step, self.scale.budget.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        pixels = build.normalise(batch.pixels.to(self.device, non_blocking=True), self.scale.pixels)
        tokens = batch.tokens.to(self.device, non_blocking=True)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._mixed):
            features = self.network(pixels, tokens)
            loss = self._loss(features["image_features"], features["text_features"], features["logit_scale"])
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            self.network.logit_scale.clamp_(0, math.log(self.scale.loss.logit_scale_max))
        return float(loss.detach())

    def train(self, run: Path, batches: Iterator[Batch]) -> None:
        """Train from the next batch to the recipe's end, writing checkpoints and the log.

        Raises StageError when the loss is no longer a number.
        """
        self.network.train()
        steps = self.scale.budget.steps
        checkpoints = set(budget.checkpoint_steps(self.scale.budget))
        with (run / LOG).open("a") as log:
            logged_s, logged_step = time.monotonic(), 0
            for batch in batches:
                loss = self.step(batch)
                if not math.isfinite(loss):
                    raise StageError(f"the loss of step {batch.step} is {loss}", repair="look at the data; the recipe itself does not diverge on a clean pool")
                logged_step = logged_step or batch.step
                done, passed_s = batch.step + 1, time.monotonic() - logged_s
                if passed_s > _LOG_EVERY_S or done in checkpoints:
                    log.write(self._log_line(done, loss, (done - logged_step) / max(passed_s, 1e-9)))
                    log.flush()
                    logged_s, logged_step = time.monotonic(), done
                if done in checkpoints:
                    checkpoint.save(run, done, self.network, self.optimizer if done < steps else None)

    def _log_line(self, step: int, loss: float, steps_per_s: float) -> str:
        line = {
            "step": step,
            "samples_seen": step * self.scale.budget.global_batch_samples,
            "loss": round(loss, 6),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "logit_scale": round(float(self.network.logit_scale.detach().exp()), 4),
            "samples_per_s": round(steps_per_s * self.scale.budget.global_batch_samples, 1),
            "time": time.time(),
        }
        return json.dumps(line) + "\n"
