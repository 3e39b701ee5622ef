"""The training stage: shards in, a run out. The recipe is the scale's; only data, seed and hardware are the caller's."""

from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

import datacomp
from datacomp import digest, files, progress
from datacomp.artifacts import run as runs
from datacomp.artifacts.run import Code, Inputs, Run, RunRecord, Source
from datacomp.artifacts.shards import NOT_HERE, ShardSet
from datacomp.declared.scale import Scale
from datacomp.errors import StageError
from datacomp.launch import local
from datacomp.train import budget, checkpoint, data, loop

INPUTS = "inputs.json"
RECORDED_PACKAGES = ("torch", "torchvision", "open_clip_torch", "timm", "numpy", "pillow", "safetensors")


def train(
    scale: Scale,
    shards: tuple[ShardSet, ...],
    out: Path,
    *,
    seed: int = 0,
    division: Literal["closed", "open"] = "closed",
    weights: tuple[float, ...] = (),
    device: str | None = None,
    threads: int | None = None,
    workers: int | None = None,
) -> Run:
    """Train a scale's model on shards into `out`; a run that was killed goes on from its last checkpoint, a finished one is returned.

    `weights` are the sources' shares of the samples drawn (1 each by default). Raises StageError where `out` holds another run.
    """
    weights = weights or (1.0,) * len(shards)
    if not shards or len(weights) != len(shards) or min(weights) <= 0:
        raise StageError(f"{len(weights)} weights came for {len(shards)} sources: {weights}", allowed="one positive weight a source")
    for shard_set in shards:
        found, drawn = shard_set.record.shard_samples, scale.sampling.shard_samples
        if found != drawn and shard_set.record.form != NOT_HERE:
            raise StageError(
                f"{shard_set.path} has shards of {found:,} samples, scale {scale.name} draws shards of {drawn:,}",
                repair=f"reshard again with --scale {scale.name}",
            )
    inputs = Inputs(
        scale=scale.name,
        recipe_sha256=scale.digest(),
        division=division,
        seed=seed,
        sources=tuple(_source(shard_set, weight) for shard_set, weight in zip(shards, weights, strict=True)),
    )
    with files.writing(out):
        _claim(out, inputs)
        if (out / runs.RECORD).is_file():
            return runs.read(out)
        hardware = _hardware(device, threads, workers)
        _train(scale, shards, weights, out, seed, hardware)
        _record(scale, inputs, out, hardware).write(out / runs.RECORD)
    return runs.read(out)


class _Hardware(NamedTuple):
    """What a run computes on: its last bits depend on device and threads, not on the loader's workers."""

    device: str
    threads: int
    workers: int


def _hardware(device: str | None, threads: int | None, workers: int | None) -> _Hardware:
    """Fill in what was not said. Loader and computation share the cores: more threads than cores make both slower."""
    device = local.device(device)
    if workers is None:
        workers = 1 if device == "cpu" else min(8, local.cores())
    return _Hardware(device, threads or local.compute_threads(workers), workers)


def _train(scale: Scale, shards: tuple[ShardSet, ...], weights: tuple[float, ...], out: Path, seed: int, hardware: _Hardware) -> None:
    local.set_threads(hardware.threads)
    batch_samples = budget.rank_batch_samples(scale.budget, 1)
    sources = tuple(data.Drawable(s.places, tuple(shard.pairs for shard in s.record.shards), w) for s, w in zip(shards, weights, strict=True))
    trainer = loop.Trainer(scale, seed, hardware.device)
    start = checkpoint.resume(out, trainer.network, trainer.optimizer, budget.checkpoint_steps(scale.budget))
    batches = data.Batches(data.Stream(sources, scale.sampling, seed), scale, seed, rank=0, rank_batch_samples=batch_samples)
    loaded = data.load(batches, range(start, scale.budget.steps), workers=hardware.workers)
    seen = scale.budget.global_batch_samples
    trainer.train(out, progress.show(loaded, total=scale.budget.samples_seen, unit=" samples", title="train", start=start * seen, step=seen))


def _source(shards: ShardSet, weight: float) -> Source:
    record = shards.record
    return Source(
        name=shards.path.name,
        weight=weight,
        samples=record.found_samples,
        shards_sha256=shards.digest,
        subset=record.subset,
        pool=record.pool,
        pool_uids_sha256=record.pool_uids_sha256,
        effective_pool=record.effective_pool,
        missing_samples=record.missing_samples,
    )


def _claim(out: Path, inputs: Inputs) -> None:
    """Write down what the run is a function of, or check that it is the same as when it was started."""
    path = out / INPUTS
    if not path.is_file():
        inputs.write(path)
    elif (old := Inputs.read(path)) != inputs:
        differs = next(name for name in Inputs.model_fields if getattr(old, name) != getattr(inputs, name))
        raise StageError(f"{out} holds a run with another {differs.replace('_', ' ')}", repair="choose another --out, or remove that folder")


def _record(scale: Scale, inputs: Inputs, out: Path, hardware: _Hardware) -> RunRecord:
    return RunRecord(
        inputs=inputs,
        samples_seen=scale.budget.samples_seen,
        corrupt_samples=0,
        checkpoints=checkpoint.kept(out, budget.checkpoint_steps(scale.budget), scale.budget.global_batch_samples),
        code=Code(version=datacomp.__version__, sha256=digest.of_code()),
        packages={name: metadata.version(name) for name in RECORDED_PACKAGES},
        device=hardware.device,
        threads=hardware.threads,
    )
