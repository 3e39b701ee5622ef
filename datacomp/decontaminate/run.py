"""The decontamination stage: a pool and test pictures in, which of its pictures are copies of some out.

Every picture of the pool's tars is described and held against every test picture, each tar by a process of its own; a tar's answer is kept
until all are there, so that a killed call goes on.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datacomp import digest, files, places, progress, sorting, tables, tars, uids
from datacomp.artifacts import subset as subsets
from datacomp.artifacts import tar_index
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.subset import Subset
from datacomp.decontaminate import layout
from datacomp.errors import PoolError, StageError, SubsetError, TarError
from datacomp.launch import local
from datacomp.network.embed import decode
from datacomp.tars import TarReader
from datacomp.uids import UidArray

THRESHOLD = 0.85  # of the cosine of two layouts; docs/guide.md says what it finds
NEAR = 0.1  # pairs that are alike by so much less are shown beside the copies
_BATCH = 256
_NAMES, _VECTORS = "tests.txt", "tests.npz"


class TestPicture(NamedTuple):
    """A picture of a test set, encoded."""

    name: str  # of its task and its place there
    picture: bytes


class Pair(NamedTuple):
    """A picture of the pool and the test picture that it is most like."""

    uid: str
    similarity: float
    tar: Path
    row: int  # of the tar's samples
    test: int  # its place among the test pictures


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it."""

    copies: UidArray  # sorted
    compared_samples: int
    broken_samples: int  # pictures that cannot be decoded: nobody can tell what they are
    test_pictures: int
    pairs: tuple[Pair, ...]  # the copies and what is nearly one, the most alike first
    threshold: float
    copied_samples: int = 0  # those without a uid among them


@dataclass(frozen=True, slots=True)
class _Task:
    tar: Path
    number: int
    folder: Path
    floor: float


def find(pool: Pool, tests: Iterable[TestPicture], work: Path, *, threshold: float = THRESHOLD, workers: int | None = None) -> Found:
    """Look for copies of test pictures among a pool's pictures; `work` is a folder for what is known so far, of these test pictures alone.

    Raises StageError for a threshold that no cosine has or no test picture, PoolError for a pool without tars.
    """
    if 0 < threshold <= 1 and not pool.tars():
        raise PoolError(f"{pool.path}/shards holds no tar", repair="make or download the pool's shards")
    return find_in(pool.tars(), tests, work, threshold=threshold, workers=workers)


def find_in(listed: Sequence[Path], tests: Iterable[TestPicture], work: Path, *, threshold: float = THRESHOLD, workers: int | None = None) -> Found:
    """The same among the pictures of some tars."""
    if not 0 < threshold <= 1:
        raise StageError(f"the threshold is {threshold:g}", allowed="above 0 and up to 1")
    with files.writing(work):
        names = _describe(tests, work)
        floor = max(0.0, threshold - NEAR)
        _claim(work, listed, floor)
        tasks = [_Task(tar, number, work, floor) for number, tar in enumerate(listed)]
        counts = list(progress.show(local.run_all(_compare, tasks, workers=workers), total=len(tasks), unit=" tars", title="compare"))
    pairs = sorted((pair for task in tasks for pair in _answer(task)), key=lambda pair: (-pair.similarity, pair.uid))
    copies = uids.parse([pair.uid for pair in pairs if pair.similarity >= threshold], "the copies")
    copied = sum(int(np.count_nonzero(tables.read_npz(_answer_path(task), "similarity") >= threshold)) for task in tasks)
    compared, broken = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    return Found(copies[uids.order(copies)], compared, broken, len(names), tuple(pairs), threshold, copied)


def without(pool: Pool, listed: Subset | None, found: Found, origin: dict[str, object], out: Path) -> Subset:
    """Write a list, or else all of the pool that its tars hold, without the copies."""
    with files.scratch(out.parent) as scratch:
        blocks: Iterator[UidArray] = uids.blocks(listed.uids) if listed is not None else sorting.merge(sorting.write_runs(scratch, _named(pool)))
        try:
            return subsets.write(out, (block[uids.count(block, found.copies) == 0] for block in blocks), origin)
        except SubsetError:
            raise SubsetError("every picture is a copy of a test picture", repair="choose a higher --threshold") from None


def _named(pool: Pool) -> Iterator[UidArray]:
    """The uids of each tar."""
    for tar in pool.tars():
        index = tar_index.read(tar)
        yield index.uids[index.rows["named"]]


def _describe(tests: Iterable[TestPicture], work: Path) -> list[str]:
    """Describe the test pictures, unless that was done."""
    if (work / _VECTORS).is_file():
        return (work / _NAMES).read_text().splitlines()
    names, vectors = [], []
    for test in tests:
        names.append(test.name)
        vectors.append(layout.variants(decode(test.picture)))
    if not names:
        raise StageError("there is no test picture to compare with", repair="choose another --suite or --data")
    files.write_text(work / _NAMES, "\n".join(names) + "\n")
    tables.write_npz(work / _VECTORS, {"vectors": np.concatenate(vectors)})
    return names


def _claim(work: Path, listed: Sequence[Path], floor: float) -> None:
    """Drop answers to another question."""
    tars_now = [[str(tar), *places.state(tar)] for tar in listed]
    question = digest.canonical({"tars": tars_now, "floor": floor, "tests": digest.of_file(work / _VECTORS), "code": digest.of_code()})
    path = work / "question.json"
    if not path.is_file() or path.read_text() != question:
        for answer in work.glob("*.answer.npz"):
            answer.unlink()
        files.write_text(path, question)


def _answer_path(task: _Task) -> Path:
    return task.folder / f"{task.number:08d}.answer.npz"


def _compare(task: _Task) -> tuple[int, int]:
    """Hold a tar's pictures against the test pictures; return how many were compared and how many are broken."""
    if not _answer_path(task).is_file():
        vectors = tables.read_npz(task.folder / _VECTORS, "vectors")
        rows, found, broken = [], [], 0
        with TarReader(task.tar) as reader:
            for row, sample in enumerate(tars.samples(reader)):
                if (image := sample.image()) is None:
                    continue
                try:
                    found.append(layout.describe(decode(reader.read(image))))
                    rows.append(row)
                except TarError:
                    broken += 1
        alike, test = _most_alike(np.array(found, np.float32).reshape(-1, layout.DIMENSIONS), vectors)
        near = alike >= task.floor
        counts = np.array([len(rows), broken])
        answer = {"row": np.array(rows, np.int64)[near], "similarity": alike[near], "test": test[near], "counts": counts}
        tables.write_npz(_answer_path(task), answer)
    compared, broken = tables.read_npz(_answer_path(task), "counts").tolist()
    return compared, broken


def _most_alike(found: np.ndarray[Any, Any], vectors: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """For each of N pictures the largest cosine and the test picture that has it."""
    alike, test = np.zeros(len(found), np.float32), np.zeros(len(found), np.int64)
    for start in range(0, len(found), _BATCH):
        products = found[start : start + _BATCH] @ vectors.T
        best = products.argmax(axis=1)
        alike[start : start + _BATCH] = np.take_along_axis(products, best[:, None], axis=1)[:, 0]
        test[start : start + _BATCH] = best // layout.VARIANTS
    return alike, test


def _answer(task: _Task) -> Iterator[Pair]:
    index = tar_index.read(task.tar)
    names, named = uids.text(index.uids), index.rows["named"]
    columns = (tables.read_npz(_answer_path(task), key).tolist() for key in ("row", "similarity", "test"))
    yield from (Pair(names[row], alike, task.tar, row, test) for row, alike, test in zip(*columns, strict=True) if named[row])
