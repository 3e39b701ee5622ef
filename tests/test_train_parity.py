"""The trainer does what open_clip's own trainer does under the same recipe, step for step."""

import json
import math
from functools import cache
from pathlib import Path

import open_clip_trainer
import pytest
from open_clip_trainer import apart, ours

from datacomp.declared.scale import Budget

GOLDEN = json.loads((Path(__file__).parent / "golden" / "train.json").read_text())
SAME, SAME_LOSS = 1e-5, 1e-4
TINY = open_clip_trainer.tiny()
BATCHES = open_clip_trainer.drawn_batches(TINY)
FIFTY_ONE = Budget(steps=51, global_batch_samples=16, samples_seen=51 * 16, checkpoints=1)


def changed(scale=TINY, precision="float32", budget=TINY.budget, loss=None, **optimizer):
    parts = {"optimizer": scale.optimizer.model_copy(update=optimizer), "loss": scale.loss.model_copy(update=loss or {})}
    return scale.model_copy(update={"precision": precision, "budget": budget} | parts)


CLAMPED = changed(loss={"logit_scale_start": 110.0})  # so that the first step ends at the highest logit scale


MIXED = changed(precision="amp_bfloat16")  # as the published scales are
CHANGES = {  # what is trained by open_clip, and what is not the same
    "precision": (TINY, MIXED),
    "steps": (TINY, changed(budget=FIFTY_ONE)),
    "learning rate": (TINY, changed(learning_rate=1.01 * TINY.optimizer.learning_rate)),
    "no warm-up": (TINY, changed(warmup_steps=0)),
    "warm-up of a step more": (TINY, changed(warmup_steps=TINY.optimizer.warmup_steps + 1)),
    "beta1": (TINY, changed(beta1=0.91)),
    "beta2": (TINY, changed(beta2=0.95)),
    "eps": (TINY, changed(eps=1e-8)),
    "weight decay": (TINY, changed(weight_decay=0.19)),
    "decayed biases": (TINY, changed(no_decay_below_dims=0, no_decay_names=("logit_scale",))),
    "decayed logit scale": (TINY, changed(no_decay_below_dims=0, no_decay_names=("bn", "ln", "bias"))),
    "start of the logit scale": (TINY, changed(loss={"logit_scale_start": 14.0})),
    "no clamp": (CLAMPED, changed(CLAMPED, loss={"logit_scale_max": 1e9})),
}


@cache
def theirs(scale):
    return open_clip_trainer.theirs(scale, BATCHES)


@pytest.mark.parametrize("scale", [TINY, CLAMPED, MIXED], ids=["tiny", "clamped", "mixed"])
def test_losses_and_weights_follow_open_clip_s_trainer_step_for_step(scale):
    losses, weights = apart(ours(scale, BATCHES, plain=True), theirs(scale))
    assert losses <= SAME
    assert weights <= SAME


@pytest.mark.parametrize("scale", [TINY, CLAMPED], ids=["tiny", "clamped"])
def test_the_trainer_as_it_stands_gives_open_clip_s_losses(scale):
    losses, _ = apart(ours(scale, BATCHES), theirs(scale))
    assert losses <= SAME_LOSS


@pytest.mark.parametrize("change", CHANGES)
def test_another_recipe_is_found_to_differ(change):
    scale, other = CHANGES[change]
    assert max(apart(ours(other, BATCHES, plain=True), theirs(scale))) > SAME


def test_the_golden_curve_is_followed():
    assert theirs(TINY).losses == pytest.approx(GOLDEN["losses"], abs=SAME_LOSS)
    assert ours(TINY, BATCHES).losses == pytest.approx(GOLDEN["losses"], abs=SAME_LOSS)


def test_what_is_compared_tries_the_whole_recipe():
    losses, optimizer = GOLDEN["losses"], TINY.optimizer
    assert len(losses) == len(BATCHES) == TINY.budget.steps > optimizer.warmup_steps > 0
    assert losses[0] > math.log(TINY.budget.global_batch_samples)  # chance
    assert losses[-1] < 0.2 * losses[0]
    assert float(theirs(CLAMPED).weights[1]["logit_scale"]) == pytest.approx(math.log(100), abs=1e-6)
    assert set(optimizer.model_dump()) - {"kind", "schedule", "gradient_clipping"} <= tried(optimizer)


def tried(optimizer):
    """The fields that some change alters."""
    others = [other.optimizer for _, other in CHANGES.values()]
    return {name for name in type(optimizer).model_fields if any(getattr(other, name) != getattr(optimizer, name) for other in others)}
