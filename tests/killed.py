"""Run a `datacomp` command and kill it with SIGKILL at a chosen moment. Usage: killed.py MOMENT NUMBER ARGUMENT...

MOMENT is `before` or `after` the NUMBER-th file takes its real name, `step` for the middle of training step NUMBER, `task` for the middle
of the NUMBER-th task of an evaluation, or `never`. `never` and a NUMBER that is not reached let the command end by itself.
"""

import os
import signal
import sys
import time

from datacomp import cli, files


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def at_publish(moment, number):
    real, seen = files.publish, 0

    def publish(temporary, path, **how):
        nonlocal seen
        seen += 1
        if seen == number and moment == "before":
            kill()
        real(temporary, path, **how)
        if seen == number:
            kill()

    files.publish = publish


def at_step(number):
    from datacomp.train import loop

    real = loop.Trainer.step

    def step(self, batch):
        if batch.step == number:
            kill()
        return real(self, batch)

    loop.Trainer.step = step


def at_task(number):
    from datacomp.evaluate import run

    real, seen = run.FAMILIES["classification"], 0

    def evaluate(network, test_set):
        nonlocal seen
        seen += 1
        return kill() if seen == number else real(network, test_set)

    run.FAMILIES["classification"] = evaluate


def second_process():
    """Of several processes that compute together, the second is killed and the others wait."""
    if os.environ["RANK"] == "1":
        kill()
    time.sleep(600)


def train_apart(**arguments):
    """Of several processes that train together, the first finds a point to go on from that others never see."""
    from datacomp.train import checkpoint, run

    if os.environ["RANK"] == "0":
        checkpoint.newest = lambda _run: 1
    files.LATE_S = 0.1
    run.train(**arguments)


if __name__ == "__main__":
    moment, number = sys.argv[1], int(sys.argv[2])
    if moment in {"before", "after"}:
        at_publish(moment, number)
    elif moment == "step":
        at_step(number)
    elif moment == "task":
        at_task(number)
    sys.argv = ["datacomp", *sys.argv[3:]]
    cli.main()
