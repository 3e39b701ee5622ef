"""One tar scored: a table of its samples' scores, embeddings beside it if asked for, and what became of every sample.

Its files are a function of the tar, the network and the batch alone: batches are filled in the tar's order and the last one is padded, since
sums may be rounded otherwise in a batch of another size.
"""

from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from datacomp import digest, tables, tars, uids
from datacomp.artifacts import scores, tar_index
from datacomp.artifacts.scores import TarScores
from datacomp.artifacts.tar_index import TarIndex
from datacomp.errors import PoolError, StageError, TarError
from datacomp.launch import local
from datacomp.network import embed
from datacomp.network.build import Uint8Array
from datacomp.network.choose import Network
from datacomp.score import catalog
from datacomp.score.base import COSINE, Method, Scorer, Vectors
from datacomp.uids import UidArray

_AHEAD_BATCHES = 2  # that threads decode while one is computed


class Reason(StrEnum):
    """Why a sample gets no score; the first that holds is counted."""

    NO_UID = "no uid"
    TOMBSTONED = "tombstoned"
    CUT_OFF = "cut off"
    NO_PICTURE = "no picture"
    NO_CAPTION = "no caption"
    BROKEN_PICTURE = "a picture that cannot be decoded"
    EXTREME_SHAPE = f"a picture more than {tars.MAX_ASPECT:,} times as long as wide"


@dataclass(frozen=True, slots=True)
class Task:
    """One tar to score."""

    tar: Path
    out: Path
    network: Network | None  # embeddings are kept if it has a prefix
    device: str
    batch_samples: int
    tombstones: UidArray
    threads: int  # that decode; with one, so does the one that computes; 0 for as many as there are cores where it is done
    method: Method = COSINE

    @property
    def prefix(self) -> str:
        """Of the embeddings that are kept, empty where none are."""
        return self.network.prefix if self.network else ""

    @property
    def sees_captions(self) -> bool:
        """Whether captions matter; else embeddings of pictures are all there is."""
        return self.network is None or self.network.sees_captions

    def scorer(self) -> Scorer:
        """What scores, made once in each process."""
        return catalog.load(self.method, self.network, self.device, self.batch_samples)

    def is_done(self) -> bool:
        """Whether its files are there."""
        return scores.stats(self.out, self.tar.stem).is_file()


class Pair(NamedTuple):
    """A sample as the scorer takes it."""

    uid: str
    picture: Uint8Array
    caption: str


class Embedded(NamedTuple):
    """Unit vectors of pictures and captions, each (N, D), none of them where they are not kept, and scores (N,)."""

    images: Vectors
    texts: Vectors
    scores: Vectors


def score(task: Task) -> TarScores:
    """Score a tar unless it was done.

    Raises PoolError for a uid that stands twice, StageError for a score that is no number.
    """
    if task.is_done():
        return TarScores.read(scores.stats(task.out, task.tar.stem))
    local.set_threads(1)  # so that the scores' last bits do not depend on the number of processes
    scorer = task.scorer()
    index = tar_index.read(task.tar)
    _check_once(index)
    dropped: Counter[str] = Counter()
    names: list[str] = []
    parts: list[Embedded] = []
    waiting: list[Pair] = []
    for found in _prepared(task, index, scorer):
        if isinstance(found, Reason):
            dropped[str(found)] += 1
            continue
        names.append(found.uid)
        waiting.append(found)
        if len(waiting) == task.batch_samples:
            parts.append(_judge(task, scorer, waiting))
            waiting = []
    if waiting or not parts:
        parts.append(_judge(task, scorer, waiting))
    return _write(task, names, Embedded(*map(np.concatenate, zip(*parts, strict=True))), dropped, cut_off=bool(index.cut_off))


def _check_once(index: TarIndex) -> None:
    named = index.uids[index.rows["named"]]
    ordered = named[uids.order(named)]
    if len(twice := ordered[~uids.firsts(ordered)]):
        raise PoolError(f"uid {uids.text(twice[:1])[0]} stands twice in {index.path}", repair="make or download the pool again")


def _prepared(task: Task, index: TarIndex, scorer: Scorer) -> Iterator[Pair | Reason]:
    """Each sample of a tar in its order, decoded by threads some batches ahead, or why it is dropped."""
    samples = _read(task, index)

    def prepare(found: tuple[str, bytes, bytes] | Reason) -> Pair | Reason:
        return found if isinstance(found, Reason) else _prepare(scorer, *found)

    count = task.threads or local.cores()
    if count == 1:
        yield from map(prepare, samples)
        return
    with ThreadPoolExecutor(count) as threads:
        waiting: deque[Future[Pair | Reason]] = deque()
        for sample in samples:
            waiting.append(threads.submit(prepare, sample))
            if len(waiting) > _AHEAD_BATCHES * task.batch_samples:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _read(task: Task, index: TarIndex) -> Iterator[tuple[str, bytes, bytes] | Reason]:
    """Each sample's uid, encoded picture and caption, or why it is dropped."""
    named, names = index.rows["named"], uids.text(index.uids)
    taken_down = uids.count(index.uids, task.tombstones) > 0
    last = len(index.rows) - 1 if index.cut_off else -1  # of the last sample of a tar that is cut off there may have been more
    with tars.opened(task.tar) as reader:
        for row, sample in zip(range(len(index.rows)), tars.samples(reader), strict=False):
            if sample.start != index.rows["start"][row]:
                raise TarError(f"{task.tar} was changed while it was read", repair="start again when nothing writes to the pool")
            image, caption = sample.image(), sample.members.get("txt")
            if not named[row]:
                yield Reason.NO_UID
            elif taken_down[row]:
                yield Reason.TOMBSTONED
            elif row == last:
                yield Reason.CUT_OFF
            elif image is None:
                yield Reason.NO_PICTURE
            elif caption is None and task.sees_captions:
                yield Reason.NO_CAPTION
            else:
                yield names[row], reader.read(image), b"" if caption is None else reader.read(caption)


def _prepare(scorer: Scorer, uid: str, picture: bytes, caption: bytes) -> Pair | Reason:
    try:
        decoded = embed.decode(picture)
        if embed.is_extreme(decoded):
            return Reason.EXTREME_SHAPE
        return Pair(uid, scorer.prepare(decoded), caption.decode("utf-8", "replace"))  # as in training
    except (TarError, OSError, ValueError):  # some modes of pixels cannot be resized
        return Reason.BROKEN_PICTURE


def _judge(task: Task, scorer: Scorer, pairs: list[Pair]) -> Embedded:
    """Score a batch, padded to its full size; vectors that are not kept are left empty."""
    batch = task.batch_samples
    pictures = np.zeros((batch, *scorer.shape), np.uint8)
    for place, pair in enumerate(pairs):
        pictures[place] = pair.picture
    found = scorer.judge(pictures, [pair.caption for pair in pairs] + [""] * (batch - len(pairs)))
    scores = np.asarray(found.scores)
    if scores.shape != (batch,):
        raise StageError(f"scorer {task.method.name} gave scores of shape {scores.shape} for {batch:,} pairs", allowed="one score a pair")
    scores = scores[: len(pairs)].astype(np.float32)
    if not np.isfinite(scores).all():
        first = pairs[int(np.argmin(np.isfinite(scores)))].uid
        raise StageError(f"the network gives uid {first} no number for a score", repair="check its weights; perhaps its training diverged")
    if not task.prefix:
        return Embedded(np.empty((0, 0)), np.empty((0, 0)), scores)
    texts = found.texts if task.sees_captions else np.empty((batch, 0))
    if found.images is None or texts is None:
        raise StageError(f"scorer {task.method.name} has no embeddings to keep", repair="leave out --embeddings")
    return Embedded(found.images[: len(pairs)].astype(np.float16), texts[: len(pairs)].astype(np.float16), scores)


def _write(task: Task, names: list[str], found: Embedded, dropped: Counter[str], *, cut_off: bool) -> TarScores:
    stem, prefix = task.tar.stem, task.prefix
    table, embeddings = scores.table(task.out, stem), scores.embeddings(task.out, stem)
    if prefix:
        captions = {f"{prefix}_txt": found.texts} if task.sees_captions else {}
        tables.write_npz(embeddings, {f"{prefix}_img": found.images, **captions})
    score = {scores.COLUMN: pl.Series(found.scores, dtype=pl.Float32)} if task.sees_captions else {}
    tables.write_parquet(table, pl.DataFrame({"uid": pl.Series(names, dtype=pl.String), **score}))
    done = TarScores(
        samples=len(names) + dropped.total(),
        scored_samples=len(names),
        dropped_samples=dict(sorted(dropped.items())),
        table_sha256=digest.of_file(table),
        embeddings_sha256=digest.of_file(embeddings) if prefix else "",
        cut_off=cut_off,
    )
    done.write(scores.stats(task.out, stem))
    return done
