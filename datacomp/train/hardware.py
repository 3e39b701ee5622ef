"""What a run computes on."""

from collections.abc import Callable
from typing import NamedTuple, Self

from datacomp import progress
from datacomp.launch import local
from datacomp.launch.ranks import World

_MOST_WORKERS = 8
_USABLE_SHARE = 0.9  # of a GPU's free memory; the libraries take the rest


class Hardware(NamedTuple):
    """What a run computes on, and how. Its last bits depend on the device, on threads and processes; on the loader's workers they do not."""

    device: str | None = None  # by default the first GPU there is
    devices: int = 1  # processes of this machine, each with a device of its own; a launcher's are counted by it
    threads: int | None = None  # of each process
    workers: int | None = None  # loader processes of each
    accumulate: int = 1  # parts of each process's batch, one after another
    spare_memory: bool | None = None  # gradient checkpointing; by default where a GPU's memory asks for it
    compiled: bool = False

    def filled(self, world: World, needed_bytes: Callable[[], int]) -> Self:
        """Say what was not said; `needed_bytes` of a device if it keeps all activations.

        Loaders and computation share the cores: more threads than cores make both slower.
        """
        here, workers = world.here, self.workers
        if workers is None:
            workers = 1 if world.device == "cpu" else min(_MOST_WORKERS, max(1, local.cores() // here))
        threads = self.threads or max(1, local.compute_threads(workers * here) // here)
        spare_memory = _asked_to_spare(world, needed_bytes) if self.spare_memory is None else self.spare_memory
        return self._replace(device=world.device, threads=threads, workers=workers, spare_memory=spare_memory)


def is_too_much(needed_bytes: int, free_bytes: int) -> bool:
    """Whether activations must be computed twice, for the memory that is free would not hold them all."""
    return needed_bytes > _USABLE_SHARE * free_bytes


def _asked_to_spare(world: World, needed_bytes: Callable[[], int]) -> bool:
    """Whether the memory of any process's GPU asks for it."""
    free_bytes = local.free_bytes(world.device)
    if free_bytes is None:
        return False
    needed = needed_bytes()
    is_asked = world.sums(is_too_much(needed, free_bytes))[0] > 0
    if is_asked and world.is_first:
        progress.say(f"A device needs about {needed / 1e9:,.1f} GB and has {free_bytes / 1e9:,.1f} GB free: activations are computed twice (--spare-memory)")
    return is_asked
