"""The filter stage: a pool and a filter in, a list of uids out. Rows in = rows kept + rows dropped, or it fails."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from datacomp import progress, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.subset import Subset
from datacomp.errors import FilterError
from datacomp.filters import catalog
from datacomp.filters.base import Column, Filter, Multiplicity


def apply(name: str, options: dict[str, catalog.Option], pool: Pool, out: Path) -> Subset:
    """Run the filter of that name over a pool and write its list to `out`.

    Raises FilterError for a filter that answers for another number of rows than it was asked about.
    """
    made = catalog.make(name, options)
    columns = []
    for block in progress.show(pools.blocks(pool, made.columns), total=len(pool.stems), unit=" files", title=f"filter {name}"):
        scores = np.asarray(made.score(block))
        if scores.shape != (len(block.uids),):
            raise FilterError(f"filter {name} gave scores of shape {scores.shape} for {len(block.uids):,} rows", allowed="one score a row")
        columns.append(Column(block.uids, scores))
    everything = np.concatenate([column.uids for column in columns])
    kept = _repeat(made, columns)
    order = uids.order(everything)
    used = made.provenance()
    origin = {
        "pool_uids_sha256": uids.digest_of(everything[order]),
        "filter": made.name,
        "options": options,
        "assets": used.assets,
        "external_resources": used.external_resources,
    }
    return subsets.write(out, [kept], origin)


def _repeat(made: Filter, columns: Sequence[Column]) -> uids.UidArray:
    """The kept uids, each as often as the filter says, sorted."""
    kept = [np.repeat(column.uids, times) for column, times in zip(columns, _checked(made, columns), strict=True)]
    found = np.concatenate(kept)
    ordered: uids.UidArray = found[uids.order(found)]
    return ordered


def _checked(made: Filter, columns: Sequence[Column]) -> Iterator[Multiplicity]:
    for number, times in enumerate(made.select(columns)):
        if times.shape != columns[number].scores.shape or times.dtype.kind not in "biu" or (times.dtype.kind == "i" and (times < 0).any()):
            raise FilterError(
                f"filter {made.name} selected with {times.dtype} of shape {times.shape}", allowed="for each row a whole number of copies, or a boolean"
            )
        yield times.astype(np.int64)
