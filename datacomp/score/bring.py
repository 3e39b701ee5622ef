"""Scores that were computed elsewhere (T-MARS, SIEVE, MLM filters and others) as a score table of ours: strictly checked, their origin recorded.

Inputs: a parquet or CSV file with a column uid and one of scores; or two .npy files, uids of dtype "u8,u8" and as many numbers.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from datacomp import digest, files, tables, uids
from datacomp.artifacts import scores
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.scores import Scores, Used
from datacomp.errors import PoolError, StageError
from datacomp.score import made
from datacomp.score.made import Part

_ALLOWED = "a parquet or CSV file with columns uid and a score, or UIDS.npy and with --values SCORES.npy"


def bring(pool: Pool, source: Path, out: Path, *, method: str, column: str = "", values: Path | None = None, resources: tuple[str, ...] = ()) -> Scores:
    """Write the table. Rows of the pool without a score are counted.

    Raises StageError for a uid that the pool does not have or that stands twice, for scores that are no finite numbers, and for files of another form.
    """
    if not method:
        raise StageError("nobody said what the scores are", repair="add --method NAME, such as --method T-MARS")
    if (source.suffix == ".npy") != (values is not None):
        raise StageError(f"{source} came {'without' if values is None else 'with'} --values", allowed=_ALLOWED)
    given = {path.name: path for path in (source, values) if path}
    if absent := next((path for path in given.values() if not path.is_file()), None):
        raise StageError(f"there are no scores at {absent}", allowed=_ALLOWED, repair="check the path")
    with files.writing(out), files.scratch(out) as scratch:
        used = Used({name: digest.of_file(path) for name, path in given.items()}, resources)
        inputs = made.making(pool, scratch, method, {"column": column} if column else {}, used)
        parts, rows = [], 0
        for number, frame in enumerate(_blocks(source, values, column)):
            _check(frame, source)
            parts.append(scratch / f"{number}.parquet")
            rows += len(frame)
            frame.write_parquet(parts[-1])
        _check_known(pool, parts, rows, source)

        def answer(group: Sequence[str]) -> list[Part]:
            return [_part(pool, stem, parts) for stem in group]

        return made.write(out, inputs, [(stem,) for stem in pool.stems], answer, by_metadata_file=True)


def _blocks(source: Path, values: Path | None, column: str) -> Iterator[pl.DataFrame]:
    """Columns uid and score, as many rows at a time as fit into memory well."""
    if values is not None:
        yield from _pair(source, values)
    elif source.suffix == ".parquet":
        chosen = column or scores.open_table(source).column
        rows = tables.count_rows(source, "uid")
        for start in range(0, rows, uids.BLOCK_UIDS):
            yield tables.read_parquet(source, ["uid", chosen], start=start, rows=uids.BLOCK_UIDS).rename({chosen: scores.COLUMN})
    elif source.suffix == ".csv":
        yield from _csv(source, column)
    else:
        raise StageError(f"{source} is of no known kind", allowed=_ALLOWED)


def _pair(source: Path, values: Path) -> Iterator[pl.DataFrame]:
    names = subsets.map_file(source)
    try:
        numbers = np.load(values, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise StageError(f"{values} is no array: {str(error)[:200]}", allowed=_ALLOWED) from None
    if numbers.shape != names.shape or numbers.dtype.kind not in "fiu":
        raise StageError(
            f"{values} holds {numbers.dtype} of shape {numbers.shape}, {source.name} {len(names):,} uids", allowed="one number a uid, in their order"
        )
    for start in range(0, len(names), uids.BLOCK_UIDS):
        block = slice(start, start + uids.BLOCK_UIDS)
        yield pl.DataFrame({"uid": uids.text(np.array(names[block])), scores.COLUMN: np.array(numbers[block], np.float64)})


def _csv(source: Path, column: str) -> Iterator[pl.DataFrame]:
    try:
        heading = pl.scan_csv(source, infer_schema=False).collect_schema().names()
        others = [name for name in heading if name != "uid"]
        chosen = column or (others[0] if len(others) == 1 else "")
        if "uid" not in heading or chosen not in others:
            raise StageError(f"{source} has columns {', '.join(heading)}", allowed="uid and the scores", repair="name the column of the scores with --score")
        frames = pl.scan_csv(source, infer_schema=False).select("uid", pl.col(chosen).alias(scores.COLUMN)).collect_batches(chunk_size=uids.BLOCK_UIDS)
        for frame in frames:
            numbers = frame[scores.COLUMN].str.strip_chars().cast(pl.Float64, strict=False)
            if len(wrong := frame.filter(numbers.is_null())):
                raise StageError(f"{source} has {wrong[scores.COLUMN][0]!r} as the score of uid {wrong['uid'][0]}", allowed="a finite number for each uid")
            yield frame.with_columns(numbers.alias(scores.COLUMN))
    except pl.exceptions.PolarsError as error:
        raise StageError(f"{source} cannot be read as CSV: {str(error).splitlines()[0][:200]}", allowed=_ALLOWED) from None


def _check(frame: pl.DataFrame, source: Path) -> None:
    try:
        uids.parse(frame["uid"], str(source))
    except PoolError as error:
        raise StageError(error.what, allowed=error.allowed) from None
    except (pl.exceptions.PolarsError, AttributeError):
        raise StageError(f"{source} has uids of type {frame['uid'].dtype}", allowed="32 lowercase hex digits") from None
    column = frame[scores.COLUMN]
    if not column.dtype.is_numeric():
        raise StageError(f"{source} has scores of type {column.dtype}", allowed="numbers")
    finite = column.cast(pl.Float32).is_finite().fill_null(value=False)  # as they are stored
    if not finite.all():
        wrong = frame.filter(~finite)
        raise StageError(f"{source} has {wrong[scores.COLUMN][0]} as the score of uid {wrong['uid'][0]}", allowed="a finite number for each uid")


def _check_known(pool: Pool, parts: Sequence[Path], rows: int, source: Path) -> None:
    """Count, file by file of the pool, the rows that it has; look for the culprit only where they are not all."""
    if not rows:
        raise StageError(f"{source} has no row", allowed="one score or more")
    found = [_found(pool, stem, parts) for stem in pool.stems]
    if twice := next((frame["uid"].filter(frame["uid"].is_duplicated())[0] for frame in found if frame["uid"].is_duplicated().any()), None):
        raise StageError(f"{source} has several scores for uid {twice}", allowed="one row a uid")
    if known := rows - sum(map(len, found)):
        everything = pl.concat([frame["uid"] for frame in found])
        strange = next(other for path in parts for other in pl.read_parquet(path)["uid"].filter(~pl.read_parquet(path)["uid"].is_in(everything.implode())))
        raise StageError(f"{source} scores {known:,} uids that the pool does not have, {strange} the first", repair="give the pool that was scored")


def _found(pool: Pool, stem: str, parts: Sequence[Path]) -> pl.DataFrame:
    return tables.look_up(list(parts), [scores.COLUMN], tables.read_parquet(pool.metadata(stem), ["uid"])["uid"])


def _part(pool: Pool, stem: str, parts: Sequence[Path]) -> Part:
    wanted = tables.read_parquet(pool.metadata(stem), ["uid"])
    joined = wanted.join(_found(pool, stem, parts), on="uid", how="left", maintain_order="left")
    return Part(stem, wanted["uid"], joined[scores.COLUMN].cast(pl.Float64).fill_null(float("nan")).to_numpy())
