"""Which samples of all tars are kept, as far as that can be said without decoding a picture: uids, duplicates, reasons."""

from pathlib import Path

import numpy as np
import polars as pl

from datacomp import tables
from datacomp.pool import pairs
from datacomp.pool.pairs import Pair, Reason

_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "key": pl.String,
    "uid": pl.String,  # null where it is no pair
    "pair": pl.String,  # the digest of picture and caption
    "is_given": pl.Boolean,  # the uid stood in the json
    "dropped": pl.String,  # why, null for what is kept
}


def look(source: Path) -> pl.DataFrame:
    """Every sample of a tar, in order."""
    rows = []
    for sample, found in pairs.go_through(source):
        row: dict[str, object] = {"key": pairs.label(sample.key)}
        if isinstance(found, Pair):
            row |= {"uid": found.uid(), "pair": found.digest().hex(), "is_given": found.given_uid() is not None}
        else:
            row["dropped"] = str(found)
        rows.append(row)
    return pl.DataFrame(rows, schema=_COLUMNS)


def look_once(task: tuple[Path, Path]) -> pl.DataFrame:
    """Look at a tar, or read what was found when it was last looked at; the second path is where that is kept."""
    source, kept = task
    if not kept.is_file():
        tables.write_parquet(kept, look(source))
    return tables.read_parquet(kept, list(_COLUMNS))


def settle(looked: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Drop every sample whose uid came before, in this tar or another: the first in order stands for it."""
    together = pl.concat(looked)
    is_first = pl.col("dropped").is_not_null() | pl.col("uid").is_first_distinct()
    is_same = pl.col("pair") == pl.col("pair").first().over("uid")
    reason = pl.when(is_first).then("dropped").when(is_same).then(pl.lit(str(Reason.DUPLICATE))).otherwise(pl.lit(str(Reason.UID_TAKEN)))
    together = together.with_columns(dropped=reason)
    ends = np.cumsum([len(frame) for frame in looked])
    return [together.slice(int(end) - len(frame), len(frame)) for frame, end in zip(looked, ends, strict=True)]
