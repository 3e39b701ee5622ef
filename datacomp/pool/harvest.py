"""From img2dataset's work folder to the pool: whole shards are moved, the whole samples of a cut one are saved.

A shard is complete when its _stats.json stands in shards/: the tar and the table of every row come before it.
"""

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from datacomp import digest, files, tables, tars
from datacomp.errors import PoolError, TarError
from datacomp.pool import reasons

_SUFFIXES = (".tar", ".parquet", "_stats.json")
_COLUMNS: dict[str, Any] = {"uid": pl.String, "url": pl.String, "key": pl.String, "status": pl.String, "error_message": pl.String, "sha256": pl.String}


def stats_path(shards: Path, name: str) -> Path:
    """The file that means that a shard is complete."""
    return shards / f"{name}_stats.json"


def finished(out: Path) -> list[str]:
    """The shards that img2dataset has finished, by name."""
    return sorted(path.name.removesuffix("_stats.json") for path in out.glob("*_stats.json") if _stats(path) is not None)


def begun(out: Path) -> list[str]:
    """The shards that img2dataset has begun, by name."""
    return sorted(path.stem for path in out.glob("*.tar"))


def reasons_of(out: Path, name: str) -> Counter[str]:
    """How often each reason stands in a shard's stats."""
    counts: Counter[str] = Counter()
    for message, count in (_stats(stats_path(out, name)) or {}).get("status_dict", {}).items():
        counts[reasons.name(message if message == reasons.SUCCESS else None, message)] += int(count)
    return counts


def _stats(path: Path) -> dict[str, Any] | None:
    try:
        stats = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None  # not written to its end yet
    return stats if isinstance(stats, dict) else None


def is_whole(out: Path, name: str) -> bool:
    """Whether a finished shard has a row for each that was asked, and its tar exactly the samples that the rows call successes."""
    if not (out / f"{name}.tar").is_file():
        return True  # it was found whole, and the move was interrupted
    try:
        table = tables.read_parquet(out / f"{name}.parquet", ["key", "status"])
        keys = {sample.key for sample in tars.index(out / f"{name}.tar") if sample.image() and "json" in sample.members}
    except (PoolError, TarError):
        return False
    counted = (_stats(stats_path(out, name)) or {}).get("count")
    return len(table) == counted and keys == set(table.filter(pl.col("status") == reasons.SUCCESS)["key"])


def take(out: Path, shards: Path, name: str) -> None:
    """Move a whole shard into the pool, its stats last; a move that was interrupted goes on."""
    shards.mkdir(parents=True, exist_ok=True)
    for suffix in _SUFFIXES:
        if (out / f"{name}{suffix}").is_file():
            files.publish(out / f"{name}{suffix}", shards / f"{name}{suffix}")


def save(out: Path, shards: Path, name: str, given_up: pl.DataFrame | None = None) -> int:
    """Save what there is of a shard that is not whole: the whole samples of its tar, and the failures that its table tells if it can be read.

    The rows of `given_up` (uid, url) that are not among them are recorded as without an answer. Returns how many rows were recorded.
    """
    tar, saved = out / f"{name}.tar", out / f"{name}.saved"
    rows: list[dict[str, Any]] = []
    with tars.TarReader(tar) as reader, tars.TarWriter(saved) as writer:
        for sample in _whole_samples(tar):
            about = json.loads(reader.read(sample.members["json"]))
            rows.append({column: about.get(column) for column in _COLUMNS})
            for extension, member in sample.members.items():
                writer.add(f"{sample.key}.{extension}", reader.read(member))
    table = pl.concat([pl.DataFrame(rows, schema=_COLUMNS), _failures(out / f"{name}.parquet")])
    if given_up is not None:
        left = given_up.join(table, on="uid", how="anti")
        table = pl.concat([table, left.with_columns(status=pl.lit(reasons.NO_ANSWER))], how="diagonal")
    stats_path(out, name).unlink(missing_ok=True)
    if len(table):
        files.publish(saved, tar)
        tables.write_parquet(out / f"{name}.parquet", table)
        status = Counter(map(reasons.name, table["status"], table["error_message"]))
        summary = {"count": len(table), "successes": len(rows), "failed_to_download": len(table) - len(rows), "failed_to_resize": 0, "status_dict": status}
        files.write_text(stats_path(out, name), digest.canonical(summary))
        take(out, shards, name)
    for suffix in (*_SUFFIXES, ".saved"):
        (out / f"{name}{suffix}").unlink(missing_ok=True)
    return len(table)


def _failures(path: Path) -> pl.DataFrame:
    try:
        table = tables.read_parquet(path)
    except PoolError:
        return pl.DataFrame(schema=_COLUMNS)  # cut off
    known = [pl.col(column).cast(kind) if column in table.columns else pl.lit(None, kind).alias(column) for column, kind in _COLUMNS.items()]
    return table.select(known).filter(pl.col("status") != reasons.SUCCESS)


def _whole_samples(tar: Path) -> list[tars.Sample]:
    """The samples of a tar up to where it is cut off, that have their picture, caption and json."""
    samples: list[tars.Sample] = []
    with suppress(TarError), tars.TarReader(tar) as reader:  # up to where it is cut off
        for sample in tars.samples(reader):
            samples.append(sample)  # noqa: PERF402 - extend would lose them with the error
    return [sample for sample in samples if sample.image() and {"txt", "json"} <= sample.members.keys()]
