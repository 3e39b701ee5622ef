"""What a pool of the web still is: for each uid whether its picture came and why not, and the digest of what can be reached.

Asked = had + missed by reason, or it fails. ledger/*.parquet has a row for each row of the metadata, audit.json the sums.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

from datacomp import digest, progress, tables, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts.pool import Pictures
from datacomp.artifacts.shards import Reachable
from datacomp.errors import PoolError
from datacomp.pool import reasons
from datacomp.pool.ledger import Ledger, Piece
from datacomp.pool.settings import Settings
from datacomp.records import Count, Digest, Line, Record

AUDIT = "audit.json"
LEDGER = "ledger"


class Audit(Record):
    """The sums over a pool's rows."""

    name: Line
    samples: Count  # rows of the metadata
    reasons: dict[Line, Count]  # what came of each row; they add up to `samples`
    effective_pool: Reachable  # uids whose picture is there and that were not taken down
    changed_samples: Count  # pictures that are not, byte for byte, those of the time when the pool was made; part of the successes
    passes: Count
    tombstones_sha256: Digest | Line
    settings: Settings


def audit(pool: Path, passes: int) -> Audit:
    """Write the ledger and the sums of a pool of which every row was asked for. Raises PoolError if one was not."""
    ledger, counts, reached, changed = Ledger(pool), Counter[str](), [], 0
    for piece in progress.show(ledger.pieces, total=len(ledger.pieces), unit=" shards", title="audit"):
        frame = _rows(ledger, piece)
        tables.write_parquet(pool / LEDGER / f"{piece.number:08d}.parquet", frame.drop("sha256"))
        counts.update(frame["reason"].to_list())
        had = frame.filter(pl.col("reason") == reasons.SUCCESS)
        changed += _changed(ledger, piece, had)
        reached.append(uids.parse(had["uid"]))
    if counts.total() != ledger.contents.samples:
        raise PoolError(f"{pool}: {counts.total():,} rows are accounted for, the metadata have {ledger.contents.samples:,}", repair="tell the maintainers")
    everything = np.concatenate(reached)
    record = Audit(
        name=ledger.contents.name,
        samples=ledger.contents.samples,
        reasons=dict(sorted(counts.items())),
        effective_pool=Reachable(samples=len(everything), uids_sha256=uids.digest_of(everything[uids.order(everything)])),
        changed_samples=changed,
        passes=passes,
        tombstones_sha256=pools.tombstones_sha256(pool),
        settings=ledger.settings,
    )
    record.write(pool / AUDIT)
    return record


def pictures(pool: Path) -> Pictures:
    """What the pool's record says of the audit."""
    found = Audit.read(pool / AUDIT)
    blurred = bool(found.settings.options.get("bbox_col"))
    return Pictures(effective_pool=found.effective_pool, audit_sha256=digest.of_file(pool / AUDIT), faces_blurred=blurred)


def _rows(ledger: Ledger, piece: Piece) -> pl.DataFrame:
    """Each row of a piece in file order with what came of it; a picture that was taken down after it came does not count."""
    rows = ledger.rows(piece).select("uid", "kept")
    frame = rows.join(ledger.verdicts(piece), on="uid", how="left", maintain_order="left")
    frame = frame.with_columns(reason=pl.coalesce("kept", "reason"), tries=pl.col("tries").fill_null(0)).drop("kept")
    if frame["reason"].null_count():
        raise PoolError(
            f"{frame['reason'].null_count():,} rows of {piece.stem}.parquet were never asked for",
            repair="finish every part, then start datacomp pool download without --part",
        )
    return frame


def _changed(ledger: Ledger, piece: Piece, had: pl.DataFrame) -> int:
    path = ledger.path / "metadata" / f"{piece.stem}.parquet"
    if "sha256" not in tables.columns(path):
        return 0
    then = tables.read_parquet(path, ["uid", "sha256"], start=piece.start, rows=piece.samples).rename({"sha256": "then"})
    return len(had.join(then, on="uid").filter(pl.col("sha256") != pl.col("then")))
