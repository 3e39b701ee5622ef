"""What jobs of tests/test_slurm.py run: work that takes long enough to be disturbed."""

import time

from datacomp.train import loop
from datacomp.train.hardware import Hardware
from datacomp.train.run import Keeping, train


def slow_train(scale, shards, out, step_s):
    """Train by a scale, each step at least so long; a point to go on from after every step."""
    real = loop.Trainer.step

    def step(self, batch):
        time.sleep(step_s)
        return real(self, batch)

    loop.Trainer.step = step
    return train(scale, (shards,), out, hardware=Hardware(threads=1, workers=0), keeping=Keeping(save_every_s=0))


def slow_square(number):
    """For arrays."""
    time.sleep(0.2)
    return number * number
