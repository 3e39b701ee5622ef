"""Stands in for img2dataset and its driver: the same job, the same files, and what becomes of a url stands in its path.

`http://web/KIND/…` with KIND ok, gone, slow (a time-out), lost (no row is written), stall (nothing is
written any more, unless HEALTHY is set), die (the process ends).
"""

import json
import os
import sys
import time
from pathlib import Path

import polars as pl

from datacomp import tars

COLUMNS = dict.fromkeys(("uid", "url", "caption", "key", "status", "error_message", "sha256"), pl.String)
SAYS = {"ok": None, "gone": "HTTP Error 404: Not Found", "slow": "<urlopen error timed out>", "away": "<urlopen error [Errno -2] Name or service not known>"}


def shard(path, out, digits):
    rows = pl.read_ipc(path)
    table = []
    with tars.TarWriter(out / f"{path.stem}.tar") as writer:
        for number, row in enumerate(rows.iter_rows(named=True)):
            kind, key = row["url"].split("/")[3], f"{path.stem}{number:0{digits}d}"
            if kind == "stall" and os.environ.get("HEALTHY"):
                kind = "ok"
            if kind in {"stall", "die"}:
                writer._file.flush()
                if kind == "die":
                    sys.exit("killed")
                time.sleep(600)
            if kind == "lost":
                continue
            message = SAYS[kind]
            status = "success" if message is None else "failed_to_download"
            about = {"uid": row["uid"], "url": row["url"], "caption": row["caption"], "key": key, "status": status, "error_message": message, "sha256": None}
            table.append(about)
            if message is None:
                writer.add(f"{key}.jpg", row["url"].encode())
                writer.add(f"{key}.json", json.dumps(about).encode())
                writer.add(f"{key}.txt", (row["caption"] or "").encode())
    pl.DataFrame(table, schema=COLUMNS).write_parquet(out / f"{path.stem}.parquet")
    counts = pl.Series([row["error_message"] or "success" for row in table], dtype=pl.String).value_counts(name="n")
    won = sum(row["status"] == "success" for row in table)
    stats = {"count": len(rows), "successes": won, "failed_to_download": len(rows) - won, "failed_to_resize": 0, "status_dict": dict(counts.iter_rows())}
    (out / f"{path.stem}_stats.json").write_text(json.dumps(stats))
    path.unlink()


if __name__ == "__main__":
    job = json.loads(Path(sys.argv[1]).read_text())
    out = Path(job["options"]["output_folder"])
    out.mkdir(exist_ok=True)
    for path in sorted(Path(job["options"]["url_list"]).glob("*.arrow")):
        assert list(pl.read_ipc_schema(path)) == job["columns"]
        shard(path, out, 4)
