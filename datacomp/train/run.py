"""The training stage: shards in, a run out. The recipe is the scale's; only data, seed and hardware are the caller's."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import datacomp
from datacomp import digest, files, places, progress
from datacomp.artifacts import loss_curve
from datacomp.artifacts import run as runs
from datacomp.artifacts.run import REHEARSAL, Code, Inputs, Run, RunRecord, Source
from datacomp.artifacts.run_folder import INPUTS
from datacomp.artifacts.shards import NOT_HERE, ShardSet
from datacomp.declared import scale as scales
from datacomp.declared.scale import Scale
from datacomp.errors import StageError
from datacomp.launch import local, ranks, stopping
from datacomp.launch.ranks import World
from datacomp.network import load
from datacomp.train import budget, checkpoint, cost, data, loop
from datacomp.train.budget import Course
from datacomp.train.checkpoint import Position
from datacomp.train.data import Batch
from datacomp.train.hardware import Hardware
from datacomp.train.log import Log
from datacomp.train.store import Store

RECORDED_PACKAGES = ("torch", "torchvision", "open_clip_torch", "timm", "numpy", "pillow", "safetensors")


class Keeping(NamedTuple):
    """What is kept and said on the way."""

    save_every_s: float = 600.0  # a point to go on from
    corrupt_share: float = 0.001  # of all samples seen; more samples that cannot be read end the run
    max_days: float | None = None  # a run that would take longer is refused
    wandb: str = ""  # project


class Rehearsal(NamedTuple):
    """Some steps of the real recipe instead of all: a run that is no entry."""

    steps: int
    halfway: Callable[[], object] | None = None  # called by the first process when the point to go on from is written there


def train(
    scale: Scale,
    shards: tuple[ShardSet, ...],
    out: Path,
    *,
    seed: int = 0,
    changes: Mapping[str, str] | None = None,
    weights: tuple[float, ...] = (),
    hardware: Hardware | None = None,
    keeping: Keeping | None = None,
    rehearsal: Rehearsal | None = None,
    initial: Path | None = None,
) -> Run:
    """Train a scale's model on shards into `out`; a run that was killed goes on where it was, a finished one is returned.

    `weights` are the sources' shares of the samples drawn (1 each by default). `changes` to the recipe (declared.scale.changed), and weights to begin
    with (`initial`, safetensors of the recipe's model), make it a run of the open division. Raises StageError where `out` holds another run.
    """
    hardware, keeping, rehearsal = hardware or Hardware(), keeping or Keeping(), rehearsal or Rehearsal(0)
    if hardware.devices > 1 and not ranks.are_started():
        arguments = {"scale": scale, "shards": shards, "out": out, "seed": seed, "changes": changes, "weights": weights, "initial": initial}
        ranks.run(train, arguments | {"hardware": hardware, "keeping": keeping, "rehearsal": rehearsal}, hardware.devices)
        return runs.read(out)
    weights = weights or (1.0,) * len(shards)
    _check_sources(scale, shards, weights)
    recipe = scales.changed(scale, changes or {})
    course = budget.course(recipe.budget, rehearsal.steps)
    inputs = Inputs.of(
        {
            "scale": scale.name,
            "recipe_sha256": recipe.digest(),
            "division": REHEARSAL if rehearsal.steps else "open" if changes or initial else "closed",
            "seed": seed,
            "sources": tuple(_source(shard_set, weight) for shard_set, weight in zip(shards, weights, strict=True)),
        }
        | ({"changes": dict(changes)} if changes else {})
        | ({"rehearsed_steps": rehearsal.steps} if rehearsal.steps else {})
        | ({"initial_sha256": _digest_of(initial)} if initial else {}),
        "what a run is a function of",
    )
    with ranks.joined(local.device(hardware.device)) as world:
        samples = budget.rank_batch_samples(recipe.budget, world.size, hardware.accumulate) // hardware.accumulate
        hardware = hardware.filled(world, lambda: cost.cost(recipe).device_bytes(samples))
        with _place(out, keeping, world) as (work, store):
            if world.is_first:
                _claim(work, inputs)
            world.wait()

            def saved(step: int) -> None:
                if store is not None:
                    store.copy()
                if step == course.halfway and rehearsal.halfway is not None:
                    rehearsal.halfway()

            if not world.of_first((work / runs.RECORD).is_file()):
                stream = data.Stream(tuple(map(data.drawable, shards, weights)), recipe.sampling, seed)
                end = _Training(recipe, course, stream, work, seed, hardware, keeping, world, initial).run(saved)
                if world.is_first:
                    _record(recipe, course, inputs, work, hardware, world, end).write(work / runs.RECORD)
            if world.is_first:
                checkpoint.forget(work)
                if store is not None:
                    store.end()
            world.wait()
    return _finished(out)


def _digest_of(weights: Path) -> str:
    if not weights.is_file():
        raise StageError(f"there are no weights at {weights}", repair="check the path")
    return digest.of_file(weights)


def _finished(out: Path) -> Run:
    if not places.is_remote(out):
        files.await_file(out / runs.RECORD)
    return runs.read(out)


@contextmanager
def _place(out: Path, keeping: Keeping, world: World) -> Iterator[tuple[Path, Store | None]]:
    """The folder to compute in, written by the first process alone, and the store where the run is to lie, if it is to."""
    if not places.is_remote(out):
        with files.writing(out) if world.is_first else nullcontext():
            yield out, None
        return
    store = Store(out, keeping.save_every_s)
    with files.writing(store.work) if world.number == 0 else nullcontext():
        if world.is_first:
            store.begin()
        world.wait()
        if world.number == 0 and not world.is_first:  # of another machine
            files.empty(store.work)
            store.fetch()
        try:
            yield store.work, store
        finally:
            if world.is_first:
                store.leave()
            elif world.number == 0:
                files.empty(store.work)


def _check_sources(scale: Scale, shards: tuple[ShardSet, ...], weights: tuple[float, ...]) -> None:
    if not shards or len(weights) != len(shards) or min(weights) <= 0:
        raise StageError(f"{len(weights)} weights came for {len(shards)} sources: {weights}", allowed="one positive weight a source")
    for shard_set in shards:
        found, drawn = shard_set.record.shard_samples, scale.sampling.shard_samples
        if found != drawn and shard_set.record.form != NOT_HERE:
            raise StageError(
                f"{shard_set.path} has shards of {found:,} samples, scale {scale.name} draws shards of {drawn:,}",
                repair=f"reshard again with --scale {scale.name}",
            )


class _Training:
    """A run from its last resume point to its end."""

    def __init__(
        self,
        scale: Scale,
        course: Course,
        stream: data.Stream,
        out: Path,
        seed: int,
        hardware: Hardware,
        keeping: Keeping,
        world: World,
        initial: Path | None = None,
    ) -> None:
        local.set_threads(hardware.threads or 1)
        self._scale, self._course, self._out, self._hardware, self._keeping, self._world = scale, course, out, hardware, keeping, world
        self._trainer = loop.Trainer(
            scale, seed, world.device, world=world, accumulate=hardware.accumulate, spare_memory=bool(hardware.spare_memory), compiled=hardware.compiled
        )
        if initial is not None:
            load.load_weights(self._trainer.network, initial)
        cost.check_disk(out, scale, self._trainer.network)
        self._curve = loss_curve.steps(course.steps)
        self._batches = data.Batches(stream, scale, seed, rank=world.rank, rank_batch_samples=budget.rank_batch_samples(scale.budget, world.size))

    def run(self, saved: Callable[[int], None]) -> Position:
        """Take all steps that are left; the last checkpoint is then on the disk. The first process calls `saved` after each point to go on from."""
        trainer, course = self._trainer, self._course
        position = checkpoint.resume(self._out, self._world.of_first(checkpoint.newest(self._out)), trainer.network, trainer.optimizer)
        trainer.network.train()
        saved_s = time.monotonic()
        with self._log(position.step) if self._world.is_first else nullcontext() as log, stopping.finishing() as is_told_to_stop:
            for batch in self._shown(position.step):
                loss, corrupt, stops = self._world.sums(trainer.step(batch), batch.corrupt_samples, is_told_to_stop())
                loss /= self._world.size
                loop.check_loss(batch.step, loss)
                position = Position(batch.step + 1, position.corrupt_samples + int(corrupt))
                self._check_corrupt(position)
                if log is not None:
                    saved_s = self._keep(log, position, loss, saved_s, saved, stops=stops > 0)
                if stops and position.step < course.steps:  # all processes have the same sum
                    raise stopping.Stopped(f"stopped after step {position.step:,} of {course.steps:,}, as told; the same command goes on there")
        return position

    def _keep(self, log: Log, position: Position, loss: float, saved_s: float, saved: Callable[[int], None], *, stops: bool) -> float:
        """Log a step and save what is due; return when a point to go on from was saved last."""
        course = self._course
        is_kept = position.step in course.checkpoints
        if is_kept or course.halfway or position.step in self._curve or log.is_due():
            log.add(position.step, self._values(loss, position))
            self._check_days(log.projected_s(self._scale.budget.steps))
        if is_kept:  # before the point to go on from: behind it, nobody would write these weights
            checkpoint.save_weights(self._out, position.step, self._trainer.network)
        is_due = stops or time.monotonic() - saved_s > self._keeping.save_every_s
        if position.step in course.saved or (is_due and position.step < course.steps):
            checkpoint.save(self._out, position, self._trainer.network, self._trainer.optimizer)
            saved(position.step)
            return time.monotonic()
        return saved_s

    def _shown(self, start: int) -> Iterator[Batch]:
        seen = self._scale.budget.global_batch_samples
        loaded = data.load(self._batches, range(start, self._course.steps), workers=self._hardware.workers or 0, device=self._world.device)
        if not self._world.is_first:
            return loaded
        return progress.show(loaded, total=self._course.steps * seen, unit=" samples", title="train", start=start * seen, step=seen)

    def _log(self, start: int) -> Log:
        about = self._hardware._asdict() | {"processes": self._world.size, "device_name": local.device_name(self._world.device)}
        batch_samples = self._scale.budget.global_batch_samples
        return Log(self._out, start, about, batch_samples=batch_samples, processes=self._world.size, wandb=self._keeping.wandb)

    def _values(self, loss: float, position: Position) -> dict[str, float]:
        return {
            "loss": round(loss, 6),
            "learning_rate": self._trainer.optimizer.param_groups[0]["lr"],
            "logit_scale": round(float(self._trainer.network.logit_scale.detach().exp()), 4),
            "corrupt_samples": position.corrupt_samples,
        }

    def _check_corrupt(self, position: Position) -> None:
        allowed = self._keeping.corrupt_share * self._scale.budget.samples_seen
        if position.corrupt_samples > allowed:
            raise StageError(
                f"{position.corrupt_samples:,} samples could not be read in {position.step:,} steps",
                allowed=f"{int(allowed):,} in the whole run, a share of {self._keeping.corrupt_share:g}",
                repair="datacomp pool check finds broken tars; mend them and reshard, or say how much may be corrupt with --allow-corrupt FRACTION",
            )

    def _check_days(self, projected_s: float) -> None:
        if self._keeping.max_days is not None and projected_s > self._keeping.max_days * 86_400:
            raise StageError(
                f"the run would take {projected_s / 86_400:.2f} days at this speed",
                allowed=f"{self._keeping.max_days:g} days",
                repair="use more or faster devices, or raise --max-days; the same command goes on from the last point that was saved",
            )


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
        differs = old.differing(inputs)[0].replace("_", " ")
        raise StageError(f"{out} holds a run with another {differs}", repair="choose another --out, or remove that folder")


def _record(recipe: Scale, course: Course, inputs: Inputs, out: Path, hardware: Hardware, world: World, end: Position) -> RunRecord:
    fields: dict[str, Any] = {
        "inputs": inputs,
        "samples_seen": course.steps * recipe.budget.global_batch_samples,
        "corrupt_samples": end.corrupt_samples,
        "checkpoints": checkpoint.kept(out, course.checkpoints, recipe.budget.global_batch_samples),
        "code": Code(version=datacomp.__version__, sha256=digest.of_code()),
        "packages": {name: metadata.version(name) for name in RECORDED_PACKAGES},
        "device": world.device.partition(":")[0],
        "threads": hardware.threads,
    }
    if world.size > 1:
        fields["processes"] = world.size
    return RunRecord.of(fields, "a finished run")
