"""Writing a score table that no network's pass gave: made of embeddings, of other tables, or elsewhere.

It is written file by file, so that a call that was killed goes on with the files that are not done. Rows in = scored + dropped, or it fails.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from datacomp import digest, files, progress, tables
from datacomp.artifacts import pool as pools
from datacomp.artifacts import scores
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.scores import MadeRecord, Making, PartScores, Scores, Used
from datacomp.errors import StageError
from datacomp.score.base import Vectors

NO_SCORE = "no score"


class Part(NamedTuple):
    """What was found for the rows of one file: a score for each uid, NaN where there is none."""

    stem: str
    uids: pl.Series
    scores: Vectors  # (N,)


def making(pool: Pool, scratch: Path, method: str, options: Mapping[str, scores.Option], used: Used) -> Making:
    """What a table is a function of."""
    return Making.of(
        {
            "method": method,
            "options": dict(options),
            "pool": pool.record.name if pool.record else "",
            "pool_uids_sha256": pools.uids_sha256(pool, scratch),
            "assets": used.assets,
            "external_resources": used.external_resources,
        },
        "what scores are made of",
    )


def write(out: Path, inputs: Making, groups: Sequence[Sequence[str]], answer: Callable[[Sequence[str]], list[Part]], *, by_metadata_file: bool) -> Scores:
    """Write a table for each file; `answer` is asked for those of a group together, unless they are all done.

    Raises StageError where `out` holds something else, and where nothing has a score.
    """
    if (out / scores.MADE).is_file():
        _check_same(out, MadeRecord.read(out / scores.MADE).inputs, inputs)
        return scores.read(out)
    if (out / scores.ASKED).is_file():
        _check_same(out, Making.read(out / scores.ASKED), inputs)
    elif held := files.held(out):
        raise StageError(f"{out} already holds {held[0].name}", repair="choose an empty --out")
    else:
        inputs.write(out / scores.ASKED)
    for group in progress.show(groups, total=len(groups), unit=" parts", title=inputs.method):
        if not all(scores.stats(out, stem).is_file() for stem in group):
            for part in answer(group):
                _write_part(out, part)
    done = {stem: PartScores.read(scores.stats(out, stem)) for group in groups for stem in group}
    dropped: Counter[str] = Counter()
    for one in done.values():
        dropped.update(one.dropped_samples)
    record = MadeRecord(
        inputs=inputs,
        by_metadata_file=by_metadata_file,
        samples=sum(one.samples for one in done.values()),
        scored_samples=sum(one.scored_samples for one in done.values()),
        dropped_samples=dict(sorted(dropped.items())),
        scores_sha256=scores.tables_sha256((stem, one.table_sha256) for stem, one in done.items()),
    )
    if not record.scored_samples:
        raise StageError("no sample has a score", repair="give the pool that was scored")
    record.write(out / scores.MADE)
    return scores.read(out)


def _check_same(out: Path, there: Making, asked: Making) -> None:
    if differing := there.differing(asked):
        raise StageError(f"{out} holds scores with another {differing[0].replace('_', ' ')}", repair="choose another --out, or remove that folder")


def _write_part(out: Path, part: Part) -> None:
    there = ~np.isnan(part.scores)
    if not np.isfinite(part.scores[there]).all():
        raise StageError(f"a score of {part.stem} is infinite", repair="look at the embeddings or tables that it is made of")
    path = scores.table(out, part.stem)
    tables.write_parquet(path, pl.DataFrame({"uid": part.uids.filter(pl.Series(there)), scores.COLUMN: part.scores[there].astype(np.float32)}))
    missing = int(np.count_nonzero(~there))
    PartScores(
        samples=len(there),
        scored_samples=len(there) - missing,
        dropped_samples={NO_SCORE: missing} if missing else {},
        table_sha256=digest.of_file(path),
    ).write(scores.stats(out, part.stem))
