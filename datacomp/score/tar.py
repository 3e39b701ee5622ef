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
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import polars as pl

from datacomp import digest, tables, tars, uids
from datacomp.artifacts import scores, tar_index
from datacomp.artifacts.scores import TarScores
from datacomp.artifacts.tar_index import TarIndex
from datacomp.errors import PoolError, StageError, TarError
from datacomp.launch import local
from datacomp.network import choose, embed
from datacomp.network.build import Uint8Array
from datacomp.network.choose import Network
from datacomp.network.embed import Encoder
from datacomp.uids import UidArray

_AHEAD_BATCHES = 2  # that threads decode while one is computed

Vectors: TypeAlias = np.ndarray[Any, np.dtype[np.floating[Any]]]


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
    network: Network  # embeddings are kept if it has a prefix
    device: str
    batch_samples: int
    tombstones: UidArray
    threads: int  # that decode; with one, so does the one that computes; 0 for as many as there are cores where it is done

    def is_done(self) -> bool:
        """Whether its files are there."""
        return scores.stats(self.out, self.tar.stem).is_file()


class Pair(NamedTuple):
    """A sample as the network takes it."""

    uid: str
    crop: Uint8Array  # (size, size, 3)
    caption: str


class Embedded(NamedTuple):
    """Unit vectors of pictures and captions, each (N, D), and their cosines (N,)."""

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
    network = choose.load(task.network, task.device, task.batch_samples)
    index = tar_index.read(task.tar)
    _check_once(index)
    dropped: Counter[str] = Counter()
    names: list[str] = []
    parts: list[Embedded] = []
    waiting: list[Pair] = []
    for found in _prepared(task, index, network):
        if isinstance(found, Reason):
            dropped[str(found)] += 1
            continue
        names.append(found.uid)
        waiting.append(found)
        if len(waiting) == task.batch_samples:
            parts.append(_embed(network, waiting, task.network))
            waiting = []
    if waiting or not parts:
        parts.append(_embed(network, waiting, task.network))
    return _write(task, names, Embedded(*map(np.concatenate, zip(*parts, strict=True))), dropped, cut_off=bool(index.cut_off))


def _check_once(index: TarIndex) -> None:
    named = index.uids[index.rows["named"]]
    ordered = named[uids.order(named)]
    if len(twice := ordered[~uids.firsts(ordered)]):
        raise PoolError(f"uid {uids.text(twice[:1])[0]} stands twice in {index.path}", repair="make or download the pool again")


def _prepared(task: Task, index: TarIndex, network: Encoder) -> Iterator[Pair | Reason]:
    """Each sample of a tar in its order, decoded by threads some batches ahead, or why it is dropped."""
    samples = _read(task, index)

    def prepare(found: tuple[str, bytes, bytes] | Reason) -> Pair | Reason:
        return found if isinstance(found, Reason) else _prepare(network, *found)

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
            elif caption is None and task.network.sees_captions:
                yield Reason.NO_CAPTION
            else:
                yield names[row], reader.read(image), b"" if caption is None else reader.read(caption)


def _prepare(network: Encoder, uid: str, picture: bytes, caption: bytes) -> Pair | Reason:
    try:
        decoded = embed.decode(picture)
        if embed.is_extreme(decoded):
            return Reason.EXTREME_SHAPE
        return Pair(uid, network.crop_decoded(decoded), caption.decode("utf-8", "replace"))  # as in training
    except (TarError, OSError, ValueError):  # some modes of pixels cannot be resized
        return Reason.BROKEN_PICTURE


def _embed(network: Encoder, pairs: list[Pair], asked: Network) -> Embedded:
    """Embed a batch, padded to its full size; vectors that are not kept are left empty. Of pictures alone there is no cosine but that to themselves."""
    size, batch = network.pixels.size, network.batch_samples
    crops = np.zeros((batch, size, size, 3), np.uint8)
    for place, pair in enumerate(pairs):
        crops[place] = pair.crop
    images = network.images(crops)[: len(pairs)]
    texts = images if not asked.sees_captions else network.texts([pair.caption for pair in pairs] + [""] * (batch - len(pairs)))[: len(pairs)]
    cosines = (images * texts).sum(axis=1)
    if not np.isfinite(cosines).all():
        first = pairs[int(np.argmin(np.isfinite(cosines)))].uid
        raise StageError(f"the network gives uid {first} no number for a score", repair="check its weights; perhaps its training diverged")
    stored = slice(None) if asked.prefix else slice(0)
    return Embedded(images[stored].astype(np.float16), texts[stored].astype(np.float16), cosines)


def _write(task: Task, names: list[str], found: Embedded, dropped: Counter[str], *, cut_off: bool) -> TarScores:
    stem, prefix = task.tar.stem, task.network.prefix
    table, embeddings = scores.table(task.out, stem), scores.embeddings(task.out, stem)
    if prefix:
        captions = {f"{prefix}_txt": found.texts} if task.network.sees_captions else {}
        tables.write_npz(embeddings, {f"{prefix}_img": found.images, **captions})
    score = {scores.COLUMN: pl.Series(found.scores, dtype=pl.Float32)} if task.network.sees_captions else {}
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
