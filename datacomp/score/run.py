"""The score stage: a pool and a network in, a score of each pair out. Samples in = scored + dropped by reason, or it fails.

Each tar is scored by itself. A pass that was killed goes on with the tars that are not done.
"""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from datacomp import digest, files, progress
from datacomp.artifacts import pool as pools
from datacomp.artifacts import scores
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.scores import Asked, Inputs, Preprocessing, Scorer, Scores, ScoresRecord, TarScores
from datacomp.artifacts.shards import PoolTars
from datacomp.errors import PoolError, StageError
from datacomp.launch import local
from datacomp.launch.local import Workers
from datacomp.network import choose
from datacomp.network.choose import Network
from datacomp.score import catalog, tar
from datacomp.score.base import BFLOAT16, COSINE, FLOAT32, Method
from datacomp.score.tar import Task

_PREFIX = re.compile(r"[a-z0-9]*")


class Settings(NamedTuple):
    """How it is computed. Scores depend on the method, in their last bits on the kind of device and on the batch, and on nothing else here."""

    device: str | None  # all GPUs or else the CPU, if not given
    batch_samples: int
    workers: Workers  # processes, or beside GPUs threads that decode while these compute; one a core, if not given
    method: Method = COSINE


def score(pool: Pool, network: Network | None, out: Path, settings: Settings) -> Scores:
    """Score every sample in a pool's tars into `out`; embeddings are written under the network's prefix, if it has one.

    Finished scores of the same pool and network are returned as they are. Raises StageError where `out` holds others, PoolError where the
    pool has no tar or no sample that can be scored.
    """
    tasks = _tasks(pool, network, out, settings)
    scorer = _scorer(network, settings)  # what cannot be loaded is refused before anything is written
    with files.writing(out):
        inputs = _inputs(pool, scorer, out, tasks[0])
        if (out / scores.RECORD).is_file():
            _check_same(out, ScoresRecord.read(out / scores.RECORD).inputs, inputs)
            return scores.read(out)
        _claim(out, Asked(inputs=inputs, tars_sha256=digest.of_content(PoolTars.now(pool.path / "shards").tars)))
        if _is_here_on_gpus(settings):
            for _ in local.run_all(_score_share, shares := _shares(tasks, local.devices(settings.device)), workers=len(shares)):
                pass
            done = [TarScores.read(scores.stats(out, task.tar.stem)) for task in tasks]
        else:
            done = list(progress.show(local.run_all(tar.score, tasks, workers=settings.workers), total=len(tasks), unit=" tars", title="score"))
        _record(pool, inputs, tasks, done).write(out / scores.RECORD)
    return scores.read(out)


class Planned(NamedTuple):
    """What `score` would do."""

    scorer: Scorer
    tars: int
    done: int


def _is_here_on_gpus(settings: Settings) -> bool:
    return local.is_here(settings.workers) and _is_gpu(local.device(settings.device))


def _shares(tasks: list[Task], devices: list[str]) -> list[list[Task]]:
    """Every GPU's part of the tars: they are about as large as each other."""
    if len(devices) == 1:
        return [tasks]
    threads = max(1, tasks[0].threads // len(devices)) if tasks[0].threads else max(1, local.cores() // len(devices))
    return [[replace(task, device=device, threads=threads) for task in tasks[number :: len(devices)]] for number, device in enumerate(devices[: len(tasks)])]


def _score_share(tasks: list[Task]) -> None:
    """Score a GPU's tars, one after the other."""
    for _ in progress.show(map(tar.score, tasks), total=len(tasks), unit=" tars", title=f"score on {tasks[0].device}"):
        pass


def plan(pool: Pool, network: Network | None, out: Path, settings: Settings) -> Planned:
    """Load the network and look at the pool's tars; nothing is written."""
    tasks = _tasks(pool, network, out, settings)
    return Planned(_scorer(network, settings), len(tasks), sum(task.is_done() for task in tasks))


def _tasks(pool: Pool, network: Network | None, out: Path, settings: Settings) -> list[Task]:
    if not pool.tars():
        raise PoolError(f"{pool.path}/shards holds no tar", repair="make or download the pool's shards")
    if settings.method.precision not in (FLOAT32, BFLOAT16):
        raise StageError(f"--precision {settings.method.precision} came", allowed=f"{FLOAT32}, {BFLOAT16}")
    if network and not _PREFIX.fullmatch(network.prefix):
        raise StageError(f"{network.prefix!r} is no prefix of embeddings", allowed="lower-case letters and digits, as in l14")
    device = local.device(settings.device)
    if _is_gpu(device) and local.is_here(settings.workers) and not torch.cuda.is_available():
        raise StageError(f"--device {device} came, and torch finds no GPU here", allowed="cpu", repair="leave out --device")
    threads = (local.here(settings.workers) or 0) if _is_gpu(device) else 1
    return [Task(path, out, network, device, settings.batch_samples, pool.tombstones(), threads, settings.method) for path in pool.tars()]


def _is_gpu(device: str) -> bool:
    return device.startswith("cuda")


def _scorer(network: Network | None, settings: Settings) -> Scorer:
    device = local.device(settings.device) if local.is_here(settings.workers) else "cpu"  # another machine computes
    method = settings.method
    made = catalog.load(method, network, device, settings.batch_samples)
    said: dict[str, object] = {"preprocessing": None}
    own = {"assets": made.assets, "shape": list(made.shape), "content": made.content() if hasattr(made, "content") else {}}
    if network is None:
        said |= {"kind": "plug-in", "name": method.name, "config_sha256": digest.of_content(own), "weights_sha256": digest.of_content(made.assets)}
    else:
        if getattr(made, "network_sha256", network.sha256) != network.sha256:
            raise StageError(f"scorer {method.name} was made with another network than {network.title()}", repair="name that network")
        loaded = choose.load(network, device, settings.batch_samples)
        pixels = loaded.pixels
        preprocessing = Preprocessing(size=pixels.size, interpolation=pixels.interpolation, mean=pixels.mean, std=pixels.std)
        said = {"kind": network.kind, "name": network.name, "config_sha256": digest.of_content(loaded.config)}
        said |= {"weights_sha256": network.sha256, "preprocessing": preprocessing}
    usual = {"method": "cosine", "options": {}, "assets": {}, "precision": FLOAT32, "external_resources": ()}
    told = {
        "method": method.name,
        "options": {key: _without_folders(value) for key, value in method.options},
        "assets": made.assets,
        "precision": method.precision,
    }
    told |= {"external_resources": (*(network.external_resources if network else ()), *made.external_resources)}
    return Scorer.of(said | {name: value for name, value in told.items() if value != usual[name]}, "what scores")


def _without_folders(option: str) -> str:
    """An option as a record has it: of a file of this machine its name, whose content stands among the assets."""
    return Path(option).name if Path(option).exists() else option


def _inputs(pool: Pool, scorer: Scorer, out: Path, task: Task) -> Inputs:
    with files.scratch(out) as scratch:
        pool_uids_sha256 = pools.uids_sha256(pool, scratch)
    return Inputs(
        scorer=scorer,
        pool=pool.record.name if pool.record else "",
        pool_uids_sha256=pool_uids_sha256,
        tombstones_sha256=pool.tombstones_sha256(),
        device=task.device.partition(":")[0],
        batch_samples=task.batch_samples,
        embeddings=task.prefix,
    )


def _claim(out: Path, asked: Asked) -> None:
    """Take a folder for what is asked, or check that it was taken for the same."""
    if (out / scores.ASKED).is_file():
        there = Asked.read(out / scores.ASKED)
        _check_same(out, there.inputs, asked.inputs)
        if there != asked:
            raise StageError(f"the pool's tars changed after {out} was begun", repair="choose another --out, or remove that folder")
    elif held := files.held(out):
        raise StageError(f"{out} already holds {held[0].name}", repair="choose an empty --out")
    else:
        asked.write(out / scores.ASKED)


def _check_same(out: Path, there: Inputs, asked: Inputs) -> None:
    if differing := there.differing(asked):
        raise StageError(f"{out} holds scores with another {differing[0]}", repair="choose another --out, or remove that folder")


def _record(pool: Pool, inputs: Inputs, tasks: list[Task], done: list[TarScores]) -> ScoresRecord:
    stems = [task.tar.stem for task in tasks]
    dropped: Counter[str] = Counter()
    for one in done:
        dropped.update(one.dropped_samples)
    scored = sum(one.scored_samples for one in done)
    if not scored:
        raise PoolError(f"no sample of {pool.path} can be scored: {dict(dropped)}", repair="check the pool with: datacomp pool check")
    return ScoresRecord(
        inputs=inputs,
        samples=sum(one.samples for one in done),
        scored_samples=scored,
        dropped_samples=dict(sorted(dropped.items())),
        tars=len(done),
        broken_tars=tuple(task.tar.name for task, one in zip(tasks, done, strict=True) if one.cut_off),
        by_metadata_file=set(stems) == set(pool.stems),
        scores_sha256=scores.tables_sha256((stem, one.table_sha256) for stem, one in zip(stems, done, strict=True)),
        embeddings_sha256=scores.tables_sha256((stem, one.embeddings_sha256) for stem, one in zip(stems, done, strict=True)) if inputs.embeddings else "",
    )
