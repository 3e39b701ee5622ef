"""What a scale costs before anything is started: steps, device-hours, disk and memory."""

from typing import NamedTuple

from datacomp.artifacts.shards import ShardSet
from datacomp.declared import pool as pools
from datacomp.declared.scale import Scale
from datacomp.errors import StageError
from datacomp.pool import disk
from datacomp.train import budget, cost
from datacomp.train.hardware import Hardware

USUAL_SHARE = 0.25  # of a card's peak that training by such a recipe reaches: a guess, and said to be one
PEAKS = {"v100": 125e12, "a100": 312e12, "l40s": 362e12, "h100": 989e12, "h200": 989e12}  # dense 16-bit operations/s, as the makers state them
_CORE_SAMPLES_PER_S = 250.0  # decoded and cropped from 512 to 224 pixels by one core: benchmarks/train.py


class Estimate(NamedTuple):
    """What a run would take."""

    steps: int
    samples_seen: int
    processes: tuple[int, ...]  # that divide the batch
    device_samples: int  # of each batch on one device
    operations: int  # of the whole run
    source: str  # of the speed
    samples_per_s: float  # of all devices
    loader_cores: float  # to keep up with it, at 224 pixels
    device_hours: float
    days: float
    pool: disk.Need | None  # None for a generated one, which takes little
    shards_bytes: int
    checkpoint_bytes: int
    device_bytes: int


def estimate(
    scale: Scale, *, devices: int, card: str = "a100", list_samples: int | None = None, shards: ShardSet | None = None, seconds: float = 20.0
) -> Estimate:
    """Estimate a run on so many devices; with `shards`, from steps that are taken here and now, and otherwise from a card's peak.

    Raises StageError for a number of devices that does not divide the batch, and for a card that is not known.
    """
    device_samples = budget.rank_batch_samples(scale.budget, devices)
    counted = cost.cost(scale)
    operations = counted.sample_operations * scale.budget.samples_seen
    if shards is not None:
        one = scale.budget.global_batch_samples / cost.measure(scale, shards, seconds=seconds, hardware=Hardware())
        source, speed = "measured here", one * devices
    elif card in PEAKS:
        source, speed = f"a guess: {USUAL_SHARE:.0%} of the peak of {card}", USUAL_SHARE * PEAKS[card] * devices / counted.sample_operations
    else:
        raise StageError(f"no speed is known for {card!r}", allowed=", ".join(PEAKS), repair="name one of these with --card, or measure with --measure")
    hours = scale.budget.samples_seen / speed / 3600
    pool = pools.load(scale.pool)
    listed = disk.need(list_samples or pool.samples, npz=False, pictures=True)
    return Estimate(
        steps=scale.budget.steps,
        samples_seen=scale.budget.samples_seen,
        processes=counted.processes,
        device_samples=device_samples,
        operations=operations,
        source=source,
        samples_per_s=speed,
        loader_cores=speed / _CORE_SAMPLES_PER_S,
        device_hours=hours * devices,
        days=hours / 24,
        pool=disk.need(pool.samples, npz=True, pictures=True) if isinstance(pool.origin, pools.HubSource) else None,
        shards_bytes=listed.pictures,
        checkpoint_bytes=counted.checkpoint_bytes,
        device_bytes=counted.device_bytes(device_samples),
    )
