"""What a run computes on."""

from typing import NamedTuple, Self

from datacomp.launch import local
from datacomp.launch.ranks import World

_MOST_WORKERS = 8


class Hardware(NamedTuple):
    """What a run computes on, and how. Its last bits depend on the device, on threads and processes; on the loader's workers they do not."""

    device: str | None = None  # by default the first GPU there is
    devices: int = 1  # processes of this machine, each with a device of its own; a launcher's are counted by it
    threads: int | None = None  # of each process
    workers: int | None = None  # loader processes of each
    accumulate: int = 1  # parts of each process's batch, one after another
    spare_memory: bool = False  # gradient checkpointing
    compiled: bool = False

    def filled(self, world: World) -> Self:
        """Say what was not said. Loaders and computation share the cores: more threads than cores make both slower."""
        here, workers = world.here, self.workers
        if workers is None:
            workers = 1 if world.device == "cpu" else min(_MOST_WORKERS, max(1, local.cores() // here))
        threads = self.threads or max(1, local.compute_threads(workers * here) // here)
        return self._replace(device=world.device, threads=threads, workers=workers)
