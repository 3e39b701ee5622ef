"""What filters answered so far, on disk: for each span of a pool its scores and how often each row is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from datacomp import files
from datacomp.artifacts import pool as pools
from datacomp.artifacts.pool import Pool, Span
from datacomp.filters.base import Column, Multiplicity, Scores


@dataclass(frozen=True, slots=True)
class Answers:
    """A folder of arrays, each whole or not there; a node is one filter, or two combined, and is named by a number."""

    folder: Path
    pool: Pool
    spans: tuple[Span, ...]

    def has(self, node: str, number: int) -> bool:
        """Whether a filter has answered for a span. Answers are not waited for until they are on the disk: one cut short is none."""
        return any(_rows(self._path(node, number, kind)) == self.spans[number].rows for kind in ("times", "scores"))

    def write_scores(self, node: str, number: int, scores: Scores) -> None:
        """Keep the scores of a span."""
        _write(self._path(node, number, "scores"), scores)

    def write_times(self, node: str, number: int, times: Multiplicity) -> None:
        """Keep how often each row of a span is kept."""
        _write(self._path(node, number, "times"), times)

    def times(self, node: str, number: int) -> Multiplicity:
        """How often each row of a span is kept, shape (N,)."""
        array: Multiplicity = np.load(self._path(node, number, "times"), allow_pickle=False)
        return array

    def columns(self, node: str) -> Sequence[Column]:
        """The scores of all spans, each read when it is looked at."""
        return _Columns(self, node)

    def column(self, node: str, number: int) -> Column:
        """The scores of one span."""
        scores: Scores = np.load(self._path(node, number, "scores"), allow_pickle=False)
        return Column(pools.read_block(self.pool, self.spans[number], ()), scores)

    def _path(self, node: str, number: int, kind: str) -> Path:
        return self.folder / f"{node}-{number}.{kind}.npy"


class _Columns(Sequence[Column]):
    def __init__(self, answers: Answers, node: str) -> None:
        self.answers, self.node = answers, node

    def __len__(self) -> int:
        return len(self.answers.spans)

    @overload
    def __getitem__(self, number: int) -> Column: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Column]: ...
    def __getitem__(self, number: int | slice) -> Column | Sequence[Column]:
        if isinstance(number, slice):
            return [self[place] for place in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self.answers.column(self.node, number)


def _rows(path: Path) -> int:
    """The rows of an array on disk, -1 if there is none that is whole."""
    try:
        return len(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError):
        return -1


def _write(path: Path, array: np.ndarray[Any, np.dtype[Any]]) -> None:
    with files.whole(path, durable=False) as temporary, temporary.open("wb") as file:
        np.save(file, np.ascontiguousarray(array), allow_pickle=False)
