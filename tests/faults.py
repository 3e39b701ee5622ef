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
    command = [sys.executable, "-m", "datacomp", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def run(arguments):
    """Run a command to its end: exit code and what it said."""
    process = start(arguments)
    out, err = process.communicate()
    return process.returncode, out + err


def kill_often(arguments, out, record, *, kills, seed=0):
    """Start a command again and again, each time killed at another moment; at last let it end. `out` and `arguments` name the same folder.

    Returns how many kills came before the end of a run. The last run must end well.
    """
    draw = random.Random(seed)
    began = time.monotonic()
    code, said = run(arguments)
    assert code == 0, said
    whole_s = time.monotonic() - began
    expected = content(out)
    hits = 0
    while hits < kills:
        shutil.rmtree(out)
        for _ in range(draw.randint(1, 3)):  # several in a row, on what the one before left
            process = start(arguments)
            time.sleep(draw.random() * whole_s)
            hits += process.poll() is None
            os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
            process.communicate()
            if (out / record).is_file():  # what else is there is swept away by the next start
                assert expected.items() <= content(out).items(), "what is there looks complete and is not"
        code, said = run(arguments)
        assert code == 0, said
        assert content(out) == expected
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
