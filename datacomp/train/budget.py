"""The arithmetic of a recipe: learning rate, checkpoints, and how a global batch is divided."""

import math
from typing import NamedTuple

from datacomp.declared.scale import Budget, Optimizer
from datacomp.errors import StageError

LEAST_REHEARSED = 4  # two of them are timed


def learning_rate(optimizer: Optimizer, step: int, steps: int) -> float:
    """The learning rate of step 0, 1, …: a linear warm-up, then half a cosine down to zero, as open_clip's trainer has it."""
    if step < optimizer.warmup_steps:
        return optimizer.learning_rate * (step + 1) / optimizer.warmup_steps
    done = (step - optimizer.warmup_steps) / (steps - optimizer.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * done)) * optimizer.learning_rate


def checkpoint_steps(budget: Budget) -> tuple[int, ...]:
    """After how many steps weights are kept: evenly spaced, rounded up, the last after the last step."""
    return tuple(-(-budget.steps * number // budget.checkpoints) for number in range(1, budget.checkpoints + 1))


class Course(NamedTuple):
    """After how many steps what is done: the whole recipe's, or that of a rehearsal."""

    steps: int  # in all
    checkpoints: tuple[int, ...]  # weights are kept
    saved: tuple[int, ...]  # a point to go on from is written, wherever the clock stands
    halfway: int = 0  # of a rehearsal: where it will be killed


def course(budget: Budget, rehearsed_steps: int = 0) -> Course:
    """The course of a run, or of a rehearsal of so many steps; its schedule remains that of the whole run.

    Raises StageError for a rehearsal that is too short, or longer than the run.
    """
    if not rehearsed_steps:
        kept = checkpoint_steps(budget)
        return Course(budget.steps, kept, kept[:-1])
    if not LEAST_REHEARSED <= rehearsed_steps <= budget.steps:
        raise StageError(f"{rehearsed_steps:,} steps cannot be rehearsed", allowed=f"{LEAST_REHEARSED} to {budget.steps:,}, all steps of the recipe")
    halfway = rehearsed_steps // 2
    return Course(rehearsed_steps, (rehearsed_steps,), (halfway,), halfway)


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
