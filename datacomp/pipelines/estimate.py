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
_LEAST_STEP_S = 0.005  # a peak tells nothing of shorter steps: starting operations takes as long, and loading longer
_CORE_SAMPLES_PER_S = 250.0  # decoded and cropped from 512 to 224 pixels by one core: benchmarks/train.py


class Speed(NamedTuple):
    """How fast a run would go, and how long that takes."""

    samples_per_s: float  # of all devices
    source: str
    device_hours: float
    days: float


class Estimate(NamedTuple):
    """What a run would take."""

    steps: int
    samples_seen: int
    processes: tuple[int, ...]  # that divide the batch
    device_samples: int  # of each batch on one device
    operations: int  # of the whole run
    speed: Speed | None  # None where only a measurement tells it
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
    if shards is not None:
        step_s = cost.measure(scale, shards, seconds=seconds, hardware=Hardware())
        speed: Speed | None = _speed(scale, scale.budget.global_batch_samples / step_s * devices, "measured here", devices)
    else:
        speed = _guess(scale, counted.sample_operations, devices, card)
    pool = pools.load(scale.pool)
    listed = disk.need(list_samples or pool.samples, npz=False, pictures=True)
    return Estimate(
        steps=scale.budget.steps,
        samples_seen=scale.budget.samples_seen,
        processes=counted.processes,
        device_samples=device_samples,
        operations=counted.sample_operations * scale.budget.samples_seen,
        speed=speed,
        pool=disk.need(pool.samples, npz=True, pictures=True) if isinstance(pool.origin, pools.HubSource) else None,
        shards_bytes=listed.pictures,
        checkpoint_bytes=counted.checkpoint_bytes,
        device_bytes=counted.device_bytes(device_samples),
    )


def _guess(scale: Scale, sample_operations: int, devices: int, card: str) -> Speed | None:
    """By a card's peak; None for a model so small that other things than its operations take the time."""
    if card not in PEAKS:
        raise StageError(f"no speed is known for {card!r}", allowed=", ".join(PEAKS), repair="name one of these with --card, or measure with --measure")
    samples_per_s = USUAL_SHARE * PEAKS[card] * devices / sample_operations
    if scale.budget.global_batch_samples / samples_per_s < _LEAST_STEP_S:
        return None
    cores = f"loading keeps up with about {samples_per_s / _CORE_SAMPLES_PER_S:,.0f} cores"
    return _speed(scale, samples_per_s, f"a guess: {USUAL_SHARE:.0%} of the peak of {card}; {cores}", devices)


def _speed(scale: Scale, samples_per_s: float, source: str, devices: int) -> Speed:
    hours = scale.budget.samples_seen / samples_per_s / 3600
    return Speed(samples_per_s, source, hours * devices, hours / 24)
