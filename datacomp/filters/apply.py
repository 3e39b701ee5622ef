"""The filter stage: a pool and filters in, a list of uids out. Rows in = rows kept + rows dropped, or it fails.

Spans of the pool's metadata are answered by processes that write what they found into a folder beside the list. A filter that needs
the whole pool then reads those answers, and an external sort makes the list: memory does not grow with the pool, and a killed call
goes on with the spans that are not answered.
"""

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from datacomp import digest, files, progress, sorting, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.pool import Pool, Span
from datacomp.artifacts.subset import Subset
from datacomp.errors import DatacompError, FilterError
from datacomp.filters import catalog, expression
from datacomp.filters.answers import Answers
from datacomp.filters.base import Filter, Multiplicity, RowFilter
from datacomp.filters.expression import Leaf, Tree
from datacomp.launch import local
from datacomp.launch.local import Workers

TASK_ROWS = 100_000  # a process is not started for less


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call of `apply` would do."""

    tree: Tree
    pool: Pool
    spans: tuple[Span, ...]

    @property
    def rows(self) -> int:
        """All rows of the pool's metadata."""
        return sum(span.rows for span in self.spans)


def plan(text: str, options: dict[str, catalog.Option], pool: Pool) -> Plan:
    """Make the filters and look at the pool's files; nothing is written."""
    return Plan(expression.make(text, options), pool, tuple(pools.spans(pool)))


def apply(text: str, options: dict[str, catalog.Option], pool: Pool, out: Path, *, workers: Workers = None) -> Subset:
    """Run a filter, or filters combined, over a pool and write the list to `out`.

    Raises FilterError for a filter that answers for another number of rows than it was asked about.
    """
    asked = plan(text, options, pool)
    folder = out.with_name(f"{out.name}.parts")
    with files.writing(folder):
        _claim(folder, asked)
        try:
            made = _Run(asked, Answers(folder / "answers", pool, asked.spans), workers).write(out)
        except DatacompError:
            shutil.rmtree(folder)
            raise
        shutil.rmtree(folder)
    return made


def _claim(folder: Path, asked: Plan) -> None:
    """Empty the folder unless it holds answers to the same question."""
    question = digest.canonical(
        {
            "filters": [[leaf.made.name, leaf.name, leaf.options] for leaf in asked.tree.leaves()],
            "pool": str(asked.pool.path),
            "spans": [list(span) for span in asked.spans],
            "code": digest.of_code(),
        }
    )
    path = folder / "question.json"
    if not path.is_file() or path.read_text() != question:
        files.empty(folder)
        files.write_text(path, question)


@dataclass(frozen=True, slots=True)
class _Task:
    """Some spans that one process answers for one filter."""

    node: str
    name: str
    options: tuple[tuple[str, catalog.Option], ...]
    answers: Answers
    numbers: tuple[int, ...]
    within: str | None  # answer only for rows that this node keeps


class _Run:
    """One call of `apply`: each node of the tree of filters leaves its multiplicities in the answers."""

    def __init__(self, asked: Plan, answers: Answers, workers: Workers) -> None:
        self.asked, self.answers, self.workers = asked, answers, workers
        self.nodes = 0

    def write(self, out: Path) -> Subset:
        node = self._answer(self.asked.tree, None)
        with files.scratch(self.answers.folder) as scratch:
            runs, taken_down = self._runs(scratch, node)
            return subsets.write(out, sorting.merge(runs), self._origin() | ({"tombstoned_samples": taken_down} if taken_down else {}))

    def _answer(self, tree: Tree, within: str | None) -> str:
        """Have every span's multiplicities under a node, whose name is returned; rows that `within` drops may be left unanswered."""
        self.nodes += 1
        node = str(self.nodes)
        if isinstance(tree, Leaf):
            self._ask(node, tree, within if tree.by_rows else None)
            return node
        first, second = tree.left, tree.right
        if tree.operator == "&" and first.by_rows and not second.by_rows:
            first, second = second, first  # what looks at each row alone need look only at those that the other keeps
        one = self._answer(first, within)
        other = self._answer(second, one if tree.operator == "&" and second.by_rows else within)
        left, right = (one, other) if first is tree.left else (other, one)
        for number in range(len(self.asked.spans)):
            self.answers.write_times(node, number, tree.join(self.answers.times(left, number), self.answers.times(right, number)))
        return node

    def _ask(self, node: str, leaf: Leaf, within: str | None) -> None:
        tasks = [_Task(node, leaf.name, tuple(leaf.options.items()), self.answers, numbers, within) for numbers in self._shares()]
        done = local.run_all(_answer_task, tasks, workers=self.workers, threads=getattr(leaf.made, "threaded", False))
        for _ in progress.show(done, total=len(tasks), unit=" tasks", title=f"filter {leaf}"):
            pass
        if leaf.by_rows:
            return
        spans = self.asked.spans
        for number, (span, times) in enumerate(itertools.zip_longest(spans, leaf.made.select(self.answers.columns(node)))):
            if span is None or times is None:
                raise FilterError(
                    f"filter {leaf} selected from {number} blocks{' and more' if span is None else ''}", allowed=f"one answer for each of {len(spans)} blocks"
                )
            self.answers.write_times(node, number, _checked(leaf.made, times, span.rows))

    def _shares(self) -> Iterator[tuple[int, ...]]:
        """Spans in groups that are worth a process's start."""
        group: list[int] = []
        rows = 0
        for number, span in enumerate(self.asked.spans):
            group.append(number)
            rows += span.rows
            if rows >= TASK_ROWS:
                yield tuple(group)
                group, rows = [], 0
        if group:
            yield tuple(group)

    def _runs(self, folder: Path, node: str) -> tuple[list[Path], int]:
        """Every span's kept uids as a sorted run, without those that were taken down, and how many these were."""
        pool = self.asked.pool
        tombstones = pool.tombstones()
        paths = [folder / str(number) for number in range(len(self.asked.spans))]

        def write(number: int) -> int:
            span, times = self.asked.spans[number], self.answers.times(node, number)
            kept = times > 0
            listed = np.repeat(pools.read_uids(pool.metadata(span.stem), span, kept), times[kept])
            taken_down = uids.count(listed, tombstones) > 0 if len(tombstones) else np.zeros(len(listed), bool)
            sorting.write_run(paths[number], listed[~taken_down])
            return int(np.count_nonzero(taken_down))

        return paths, sum(local.run_all(write, range(len(paths)), workers=local.here(self.workers), threads=True))

    def _origin(self) -> dict[str, object]:
        """What the list's record says besides the list itself; which pool it is of, if the pool says that of itself."""
        record = self.asked.pool.record
        leaves = list(self.asked.tree.leaves())
        used = [leaf.made.provenance() for leaf in leaves]
        numbered = len(leaves) > 1
        return {
            "pool_uids_sha256": record.uids_sha256 if record is not None and record.samples == self.asked.rows else "",
            "filter": str(self.asked.tree)[:200],
            "options": {f"{place}.{key}" if numbered else key: value for place, leaf in enumerate(leaves, 1) for key, value in leaf.options.items()},
            "assets": {name: sha256 for one in used for name, sha256 in one.assets.items()},
            "external_resources": tuple(dict.fromkeys(resource for one in used for resource in one.external_resources)),
        }


@lru_cache(1)
def _filter(name: str, options: tuple[tuple[str, catalog.Option], ...], _asked_in: tuple[Path, str]) -> Filter:
    """The filter of a node, made once in each process."""
    return catalog.make(name, dict(options))


def _answer_task(task: _Task) -> None:
    made = _filter(task.name, task.options, (task.answers.folder, task.node))
    for number in task.numbers:
        if task.answers.has(task.node, number):
            continue
        block = pools.read_block(task.answers.pool, task.answers.spans[number], made.columns)
        within = None if task.within is None else task.answers.times(task.within, number) > 0
        if within is not None:
            block = block.where(within)
        scores = np.asarray(made.score(block))
        if scores.shape != (len(block),):
            raise FilterError(f"filter {made.name} gave scores of shape {scores.shape} for {len(block):,} rows", allowed="one score a row")
        if isinstance(made, RowFilter):
            task.answers.write_times(task.node, number, _spread(_checked(made, scores, len(scores)), within))
        else:
            task.answers.write_scores(task.node, number, scores)


def _spread(times: Multiplicity, within: pools.Mask | None) -> Multiplicity:
    if within is None:
        return times
    spread = np.zeros(len(within), times.dtype)
    spread[within] = times
    return spread


def _checked(made: Filter, times: Multiplicity, rows: int) -> Multiplicity:
    if times.shape != (rows,) or times.dtype.kind not in "biu" or (times.dtype.kind == "i" and (times < 0).any()):
        raise FilterError(
            f"filter {made.name} selected with {times.dtype} of shape {times.shape}", allowed="for each row a whole number of copies, or a boolean"
        )
    return times
