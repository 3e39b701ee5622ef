"""The processes that compute one thing together: started here, or by torchrun or any launcher that sets RANK and WORLD_SIZE."""

import multiprocessing
import os
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, NamedTuple

from datacomp.errors import DatacompError, StageError
from datacomp.launch import local

_GRACE_S = 10.0  # to end in, before a process is killed
_LOOK_S = 0.02


class World(NamedTuple):
    """A process among those that compute together."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"
    here: int = 1  # processes on this machine
    number: int = 0  # among these

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def sums(self, *values: float) -> list[float]:
        """Each value, summed over all processes."""
        if self.size == 1:
            return list(values)
        import torch

        summed = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(summed)
        return [float(value) for value in summed]

    def of_first(self, value: int) -> int:
        """What the first process has: on a network file system others may not see the same yet."""
        return int(self.sums(value if self.is_first else 0)[0])

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.size > 1:
            self.sums(0.0)


def are_started() -> bool:
    """Whether a launcher started this process as one of several, or as the only one."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def is_first() -> bool:
    """Whether this process is to speak for those that were started together."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def joined(device: str) -> Iterator[World]:
    """Join the processes that a launcher started together; without one, be alone. Of several GPUs each takes its own."""
    rank, size = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE")) if are_started() else (0, 1)
    if size == 1:
        yield World(device=device)
        return
    import torch

    if device == "cuda":  # a launcher shows a process all GPUs of its machine, or its own alone
        device = f"cuda:{int(os.environ.get('LOCAL_RANK', rank)) % torch.cuda.device_count()}"

    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield World(rank, size, device, int(os.environ.get("LOCAL_WORLD_SIZE", size)), int(os.environ.get("LOCAL_RANK", rank)))
    finally:
        torch.distributed.destroy_process_group()


def run(function: Callable[..., object], arguments: dict[str, Any], processes: int, *, kill_when: Callable[[], bool] | None = None) -> bool:
    """Call an importable function in several new processes of this machine, which find themselves by `joined`.

    The first that fails ends the others; its error is raised here. As soon as `kill_when` holds, all are killed, and False is returned.
    """
    context = multiprocessing.get_context("spawn")
    place = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    running: dict[SpawnProcess, Connection] = {}
    try:
        for rank in range(processes):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_start, args=(function, arguments, place | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, theirs))
            process.start()
            theirs.close()
            running[process] = ours
        left = dict(running)
        while left:
            ended = wait([process.sentinel for process in left], _LOOK_S if kill_when else None)
            if kill_when and kill_when():
                _end(list(left), SpawnProcess.kill)
                return False
            for process in [process for process in left if process.sentinel in ended]:
                said = left.pop(process)
                process.join()
                if process.exitcode:
                    raise _failure(process, said)
    finally:
        _end(list(running))
    return True


def _failure(process: SpawnProcess, said: Connection) -> DatacompError:
    try:
        error = said.recv()
    except EOFError:
        ended = signal.Signals(-process.exitcode).name if process.exitcode and process.exitcode < 0 else f"code {process.exitcode}"
        return StageError(f"one of the processes that compute together ended with {ended}", repair="start the same command again; it goes on where it stopped")
    return error if isinstance(error, DatacompError) else StageError(f"one of the processes that compute together failed:\n{error}")


def _end(processes: list[SpawnProcess], end: Callable[[SpawnProcess], None] = SpawnProcess.terminate) -> None:
    for process in processes:
        end(process)
    for process in processes:
        process.join(_GRACE_S)
        if process.is_alive():
            process.kill()
            process.join()


def _start(function: Callable[..., object], arguments: dict[str, Any], place: dict[str, str], answer: Connection) -> None:
    os.environ.update(place)
    threading.Thread(target=local.end_with_parent, daemon=True).start()
    try:
        function(**arguments)
    except DatacompError as error:
        answer.send(error)
        os._exit(1)
    except KeyboardInterrupt:
        os._exit(1)
    except Exception:  # noqa: BLE001 told by the parent, once
        answer.send(traceback.format_exc())
        os._exit(1)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
