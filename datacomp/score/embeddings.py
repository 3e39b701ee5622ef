"""Where embeddings lie: beside a pool's metadata, as CommonPool has them, or beside the tables of `datacomp score --embeddings`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from datacomp import tables
from datacomp.artifacts import scores
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.scores import Scores, ScoresRecord, Used
from datacomp.errors import StageError
from datacomp.score import cosine
from datacomp.score.base import Vectors


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Embeddings of a pool's pictures and captions, file by file."""

    pool: Pool
    prefix: str
    given: Scores | None  # None: the pool's own

    @property
    def stems(self) -> tuple[str, ...]:
        """The names of the files."""
        return self.pool.stems if self.given is None else tuple(path.stem for path in self.given.tables())

    @property
    def by_metadata_file(self) -> bool:
        """Whether these are those of the pool's metadata."""
        return self.given is None or self.given.record.by_metadata_file

    def uids(self, stem: str) -> pl.Series:
        """The uids of a file's rows."""
        return tables.read_parquet(self._table(stem), ["uid"])["uid"]

    def vectors(self, stem: str, kind: str) -> Vectors:
        """Unit vectors (N, D) of a file's pictures ("img") or captions ("txt"), in float32."""
        rows = tables.count_rows(self._table(stem), "uid")
        found = tables.read_npz(self._table(stem).with_suffix(".npz"), f"{self.prefix}_{kind}", of_rows=rows)
        return cosine.unit(found.astype(np.float32))

    def rows(self, stem: str) -> int:
        """How many rows a file has."""
        return tables.count_rows(self._table(stem), "uid")

    def used(self) -> Used:
        """What the embeddings rest on."""
        if self.given is not None:
            used = self.given.used()
            return Used({**used.assets, f"embeddings {self.given.path.name}"[:200]: self._record().embeddings_sha256}, used.external_resources)
        known = self.pool.record.networks if self.pool.record else {}
        return Used({}, (f"the pool's {self.prefix} embeddings{f', {known[self.prefix]}' if self.prefix in known else ''}"[:200],))

    def _record(self) -> ScoresRecord:
        assert self.given is not None
        assert isinstance(self.given.record, ScoresRecord)
        return self.given.record

    def _table(self, stem: str) -> Path:
        return self.pool.metadata(stem) if self.given is None else scores.table(self.given.path, stem)


def find(pool: Pool, prefix: str, folder: Path | None) -> Embeddings:
    """The pool's own embeddings, or those of a pass. Raises StageError for a pass that kept none."""
    if folder is None:
        return Embeddings(pool, prefix, None)
    given = scores.read(folder)
    if not isinstance(given.record, ScoresRecord) or not given.record.inputs.embeddings:
        raise StageError(f"{folder} has no embeddings", repair="score with: datacomp score --embeddings PREFIX")
    return Embeddings(pool, given.record.inputs.embeddings, given)


def groups(embeddings: Embeddings, rows: int) -> list[tuple[str, ...]]:
    """Files that follow one another, joined until they have so many rows; the last group may have fewer, unless it is too small to stand alone."""
    found: list[tuple[str, ...]] = []
    group: list[str] = []
    counted = 0
    for stem in embeddings.stems:
        group.append(stem)
        counted += embeddings.rows(stem)
        if counted >= rows:
            found.append(tuple(group))
            group, counted = [], 0
    if group:
        found[-1:] = [(*found[-1], *group)] if found else [tuple(group)]
    return found


def joined(embeddings: Embeddings, group: Sequence[str], kind: str) -> Vectors:
    """The vectors of a group of files, one after the other."""
    return np.concatenate([embeddings.vectors(stem, kind) for stem in group])
