"""Work on this machine: a function over tasks, by processes that share nothing."""

import multiprocessing
import os
import platform
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeAlias, TypeVar

from datacomp.errors import StageError

_MAX_THREADS = 8
_AHEAD = 8  # tasks a worker that are handed out: enough that none waits for a slow one, and few enough for any number of tasks

Task = TypeVar("Task")
Answer = TypeVar("Answer")


class Elsewhere(Protocol):
    """Where tasks are answered if not here, such as launch.slurm.Array."""

    @property
    def most_tasks(self) -> int:
        """Into how many parts work is to be cut."""

    def map(self, function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[Any]:
        """Yield function(task) for each task, in order."""


Workers: TypeAlias = "int | Elsewhere | None"  # processes of this machine (by default one a core), or others that do it


def cores() -> int:
    """The processor cores that this process may use; those of a job's task, where Slurm says how many these are."""
    if given := os.environ.get("SLURM_CPUS_PER_TASK"):
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compute_threads(workers: int = 0) -> int:
    """How many threads to compute with beside some loader processes: small models get slower with more than a few."""
    return max(1, min(_MAX_THREADS, cores() - workers))


def here(workers: Workers) -> int | None:
    """The processes of this machine, for what is too little to be done elsewhere."""
    return workers if isinstance(workers, int) else None


def is_here(workers: Workers) -> bool:
    """Whether processes of this machine do the work."""
    return isinstance(workers, int | None)


def most_tasks(workers: Workers) -> int:
    """Into how many parts work is cut at most: one where it is done here."""
    return 1 if isinstance(workers, int | None) else workers.most_tasks


def run_all(function: Callable[[Task], Answer], tasks: Sequence[Task], *, workers: Workers = None, threads: bool = False) -> Iterator[Answer]:
    """Yield function(task) for each task, in order; the first failure ends it.

    `function` must be importable, unless threads of this process are to run it. Each process computes with one thread: several
    OpenMP pools on the same cores stand in each other's way.
    """
    if not isinstance(workers, int | None):
        yield from workers.map(function, tasks)
        return
    workers = min(workers or cores(), len(tasks))
    if workers <= 1:
        yield from (function(task) for task in tasks)
        return
    with _executor(workers, threads=threads) as executor:
        waiting: deque[Future[Answer]] = deque()
        try:
            for task in tasks:
                waiting.append(executor.submit(function, task))
                if len(waiting) >= _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def apart(function: Callable[[Task], Answer], task: Task) -> Answer:
    """Give function(task), answered by a process of its own that computes with one thread and ends with this one; several threads may ask at once.

    `function` must be importable. Raises StageError where that process is killed.
    """
    with _executor(1, threads=False) as executor:
        try:
            return executor.submit(function, task).result()
        except BrokenProcessPool:
            raise StageError("a process was killed", repair="give the machine more memory or let less run at once, and start again") from None


def _executor(workers: int, *, threads: bool) -> Executor:
    if threads:
        return ThreadPoolExecutor(workers)
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker)


def _start_worker() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    if "torch" in sys.modules:  # loaded with the main script, before the line above could tell it
        set_threads(1)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """Wait for the parent's end and end with it; for a thread of a process that was started here."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # a killed parent cannot tell its workers, and they would wait for work for ever


def set_threads(threads: int) -> None:
    """Fix the number of threads that torch computes with in this process: sums depend on it in their last bits."""
    import torch

    torch.set_num_threads(threads)


def device(wanted: str | None = None) -> str:
    """The device to compute on: the one asked for, else the first GPU, else the CPU."""
    import torch

    return wanted or ("cuda" if torch.cuda.is_available() else "cpu")


def devices(wanted: str | None = None) -> list[str]:
    """The devices of this machine to spread work over: the one asked for, else every GPU, else the CPU."""
    import torch

    gpus = torch.cuda.device_count() if wanted is None else 0
    return [f"cuda:{number}" for number in range(gpus)] or [device(wanted)]


def free_bytes(device: str) -> int | None:
    """Memory that a GPU has free; None for the CPU, whose memory is not set aside beforehand."""
    import torch

    return int(torch.cuda.mem_get_info(device)[0]) if device.startswith("cuda") else None


def device_name(device: str) -> str:
    """What a device calls itself."""
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else f"{platform.machine()}, {cores()} cores"
