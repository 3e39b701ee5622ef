"""What jobs of tests/test_slurm.py run: work that takes long enough to be disturbed."""

import math
import os
import time

from datacomp.train import loop
from datacomp.train.hardware import Hardware
from datacomp.train.run import Keeping, train


def slow_train(scale, shards, out, step_s=0.0, slow_starts=math.inf):
    """Train by a scale, each step at least so long in the first `slow_starts` starts of the job; a point to go on from after every step."""
    real = loop.Trainer.step

    def step(self, batch):
        time.sleep(step_s)
        return real(self, batch)

    if int(os.environ.get("SLURM_RESTART_COUNT", "0")) < slow_starts:
        loop.Trainer.step = step
    return train(scale, (shards,), out, hardware=Hardware(threads=1, workers=0), keeping=Keeping(save_every_s=0))


def slow_square(number):
    """For arrays."""
    time.sleep(0.2)
    return number * number
