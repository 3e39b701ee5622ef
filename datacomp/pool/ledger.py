"""What is known of every row of a pool of the web: which shard it belongs to, how often it was asked for, and what came of it.

A piece is some rows of one metadata file. Its first shard has the piece's number; those of later tries have that number plus a multiple of
the number of pieces, so that the work can be divided by pieces without anybody counting shards.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from datacomp import tables, uids
from datacomp.artifacts import pool as pools
from datacomp.pool import harvest, reasons
from datacomp.pool.metadata import CONTENTS, Contents
from datacomp.pool.settings import DIGITS, SETTINGS, Settings, columns_of

_MORE_TRIES = 2  # for rows without an answer: mostly one of them is to blame, the others never had their turn
_VERDICTS: dict[str, Any] = {"uid": pl.String, "reason": pl.String, "detail": pl.String, "shard": pl.String, "sha256": pl.String, "tries": pl.UInt32}


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of one metadata file."""

    number: int
    stem: str
    start: int  # in its file
    first: int  # in the pool
    samples: int


class Ledger:
    """The rows of a pool folder and what came of them, read from the shards themselves."""

    def __init__(self, pool: Path) -> None:
        self.path = pool
        self.shards = pool / "shards"
        self.contents = Contents.read(pool / CONTENTS)
        self.settings = Settings.read(pool / SETTINGS)
        self.pieces = tuple(_pieces(self.contents, self.settings.shard_samples))
        self._tombstones = set(uids.text(pools.tombstones(pool)))
        self._repeated = set(self.contents.repeated)
        self.columns = columns_of(self.settings.options)

    def rows(self, piece: Piece) -> pl.DataFrame:
        """The rows of a piece as img2dataset is handed them, with `kept` empty or the reason why a row is never asked for."""
        path, columns = self.path / "metadata" / f"{piece.stem}.parquet", list(dict.fromkeys(self.columns.values()))
        frame = tables.read_parquet(path, columns, start=piece.start, rows=piece.samples)
        frame = frame.select(pl.col(ours).alias(theirs) for theirs, ours in self.columns.items())
        repeated = pl.Series([row in self._repeated for row in range(piece.first, piece.first + piece.samples)], dtype=pl.Boolean)
        return frame.with_columns(
            kept=pl.when(pl.col("uid").is_in(self._tombstones)).then(pl.lit(reasons.TOMBSTONED)).when(repeated).then(pl.lit(reasons.REPEATED))
        )

    def verdicts(self, piece: Piece) -> pl.DataFrame:
        """What came of each row that was tried: the picture if it ever came, else the last reason, and how often it was tried."""
        tried = [self._read(name) for name in self._complete(piece)]
        if not tried:
            return pl.DataFrame(schema=_VERDICTS)
        everything = pl.concat(tried).with_columns(came=pl.col("reason") == reasons.SUCCESS)
        last = everything.sort("came", maintain_order=True).group_by("uid", maintain_order=True)
        return last.agg(*(pl.col(column).last() for column in _VERDICTS if column not in {"uid", "tries"}), tries=pl.len()).select(list(_VERDICTS))

    def wanted(self, piece: Piece, passes: int, *, again: bool) -> pl.DataFrame:
        """The rows to ask for now: those never tried; if there are none, with `again` those worth another try."""
        rows, known = self.rows(piece).filter(pl.col("kept").is_null()).drop("kept"), self.verdicts(piece)
        left = rows.join(known, on="uid", how="anti")
        if again and not len(left):
            most = pl.when(pl.col("reason") == reasons.NO_ANSWER).then(passes + _MORE_TRIES).otherwise(passes)
            worth = [reason for reason in known["reason"].unique() if reasons.again(reason)]
            left = rows.join(known.filter(pl.col("reason").is_in(worth) & (pl.col("tries") < most)), on="uid", how="semi")
        turn = sum(1 for _ in self._complete(piece))
        return left.sample(fraction=1, shuffle=True, seed=turn) if turn else left  # what stopped one try stands elsewhere in the next

    def next_name(self, piece: Piece) -> str:
        """The name of the piece's next shard."""
        return self._name(piece, sum(1 for _ in self._complete(piece)))

    def piece_of(self, name: str) -> Piece:
        """The piece that a shard belongs to."""
        return self.pieces[int(name) % len(self.pieces)]

    def _name(self, piece: Piece, turn: int) -> str:
        return f"{turn * len(self.pieces) + piece.number:0{DIGITS}d}"

    def _complete(self, piece: Piece) -> Iterator[str]:
        names = (self._name(piece, turn) for turn in itertools.count())
        return itertools.takewhile(lambda name: harvest.stats_path(self.shards, name).is_file(), names)

    def _read(self, name: str) -> pl.DataFrame:
        path = self.shards / f"{name}.parquet"
        hashed = ["sha256"] if self.settings.options.get("compute_hash") == "sha256" else []
        table = tables.read_parquet(path, ["uid", "status", "error_message", *hashed])
        pairs = zip(table["status"], table["error_message"], strict=True)
        return table.select(
            pl.col("uid").cast(pl.String),
            pl.Series("reason", [reasons.name(status, message) for status, message in pairs], dtype=pl.String),
            pl.col("error_message").cast(pl.String).str.slice(0, 200).alias("detail"),
            pl.lit(name).alias("shard"),
            (pl.col("sha256").cast(pl.String) if hashed else pl.lit(None, pl.String).alias("sha256")),
        )


def _pieces(contents: Contents, shard_samples: int) -> Iterator[Piece]:
    number = first = 0
    for file in contents.files:
        for start in range(0, file.samples, shard_samples):
            yield Piece(number, file.stem, start, first + start, min(shard_samples, file.samples - start))
            number += 1
        first += file.samples
