"""The arithmetic of a recipe: learning rate, checkpoints, and how a global batch is divided."""

import math

from datacomp.declared.scale import Budget, Optimizer
from datacomp.errors import StageError


def learning_rate(optimizer: Optimizer, step: int, steps: int) -> float:
    """The learning rate of step 0, 1, …: a linear warm-up, then half a cosine down to zero, as open_clip's trainer has it."""
    if step < optimizer.warmup_steps:
        return optimizer.learning_rate * (step + 1) / optimizer.warmup_steps
    done = (step - optimizer.warmup_steps) / (steps - optimizer.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * done)) * optimizer.learning_rate


def checkpoint_steps(budget: Budget) -> tuple[int, ...]:
    """After how many steps weights are kept: evenly spaced, rounded up, the last after the last step."""
    return tuple(-(-budget.steps * number // budget.checkpoints) for number in range(1, budget.checkpoints + 1))


def rank_batch_samples(budget: Budget, world_size: int, accumulate: int = 1) -> int:
    """How many samples of each global batch one rank reads; it computes on them in `accumulate` equal parts.

    Raises StageError, with the numbers that are possible, where the batch cannot be divided evenly.
    """
    if budget.global_batch_samples % (world_size * accumulate):
        parts = f"{world_size} processes" if accumulate == 1 else f"{world_size} processes of {accumulate} parts each"
        possible = [number for number in range(1, 4097) if budget.global_batch_samples % number == 0]
        raise StageError(
            f"a global batch of {budget.global_batch_samples:,} cannot be divided evenly among {parts}",
            allowed=f"processes times parts: {', '.join(map(str, possible[:40]))}",
            repair="start one of these numbers of processes",
        )
    return budget.global_batch_samples // world_size
