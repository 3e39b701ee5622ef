"""What may happen to any stage: SIGKILL at random moments, a full disk, input that vanishes.

A stage is a `datacomp` command and the folder that it writes. What it leaves behind must not look complete, and started again it gives the
same bytes as an undisturbed run, or says in one line why it cannot.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from folders import content

SMALL_DISK_BYTES = 1 << 20


def start(arguments):
    """A command in a process group of its own, so that its workers can be killed with it."""
    return start_program(["-m", "datacomp", *arguments])


def start_program(arguments):
    """A program of Python's, by the arguments of its interpreter."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def run(arguments):
    """Run a command to its end: exit code and what it said."""
    process = start(arguments)
    out, err = process.communicate()
    return process.returncode, out + err


def kill_often(arguments, out, record, *, kills, seed=0, start=start, options=((),), check=lambda out: None):
    """Start a command again and again, each time killed at another moment; at last let it end. `out` and `arguments` name the same folder.

    Each start has one of the `options`, drawn at random, which change nothing about the result; `check` looks at what a kill left. Returns how many
    kills came before the end of a run. The last run must end well.
    """
    draw = random.Random(seed)

    def started():
        return start([*arguments, *draw.choice(options)])

    def ended():
        process = started()
        said = "".join(process.communicate())
        assert process.returncode == 0, f"it does not end well: {said}"

    began = time.monotonic()
    ended()
    whole_s = time.monotonic() - began
    expected = content(out)
    hits = 0
    while hits < kills:
        shutil.rmtree(out)
        for _ in range(draw.randint(1, 3)):  # several in a row, on what the one before left
            process = started()
            time.sleep(draw.random() * whole_s)
            os.killpg(process.pid, signal.SIGKILL)
            said = "".join(process.communicate())
            assert process.returncode in {0, -signal.SIGKILL}, said
            hits += process.returncode != 0
            left = content(out) if out.is_dir() else {}
            assert all(left[name] == expected[name] for name in left.keys() & expected.keys()), "what has its name is not whole"
            assert record not in left or expected.keys() <= left.keys(), "what is there looks complete and is not"  # what else is there is swept away
            check(out)
        ended()
        different = {name for name, _ in content(out).items() ^ expected.items()}
        assert not different, f"it ends in something else: {different}"
    return hits


@contextmanager
def small_disk(folder: Path):
    """A disk with little room, mounted on a new folder; needs root."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
