"""Seconds and memory of whole commands, for the benchmarks."""

import os
import subprocess
import time
from pathlib import Path


def measure(command: list[str], environment: dict[str, str] | None = None) -> tuple[float, float]:
    """Seconds and peak GB of a command with all its children."""
    start, peak = time.perf_counter(), 0
    process = subprocess.Popen(command, env=os.environ | (environment or {}), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
        time.sleep(0.1)  # a look takes milliseconds of a core that the command needs
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {process.stderr.read().decode()[-2000:] if process.stderr else ''}")
    return time.perf_counter() - start, peak / 1e9


def resident(pid: int) -> int:
    """Bytes of the pages in memory of a process and its descendants."""
    try:
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        children = [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return own + sum(resident(int(child)) for child in children)
