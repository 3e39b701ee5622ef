"""The rate of `datacomp pool download` against plain img2dataset: the same pictures from the same server on this machine, in turns.

    python benchmarks/download.py --samples 6000 --turns 3

Prints samples/s of both, each from start to end, the medians and their ratio, and the ratio of processor time, which other work on the
machine disturbs less; exit code 1 if the first is below 0.95.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from datacomp.pool import download, isolated
from datacomp.pool.metadata import Wanted
from datacomp.pool.settings import DATACOMP

SERVER = Path(__file__).parent.parent / "tests" / "web.py"
SHARD_SAMPLES = 500


def plain(urls: Path, out: Path, processes: int, threads: int) -> None:
    """img2dataset by itself, with the same settings."""
    given = DATACOMP | {
        "url_list": str(urls),
        "output_folder": str(out),
        "processes_count": processes,
        "thread_count": threads,
        "number_sample_per_shard": SHARD_SAMPLES,
        "oom_shard_count": 8,
        "input_format": "parquet",
        "output_format": "webdataset",
        "url_col": "url",
        "caption_col": "text",
        "save_additional_columns": ["uid"],
    }
    words = [f"--{key}={list(value) if isinstance(value, tuple) else value}" for key, value in given.items() if value is not None]
    subprocess.run([isolated.python().with_name("img2dataset"), *words], check=True, capture_output=True, env=os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1"})


def ours(urls: Path, out: Path, processes: int, threads: int) -> None:
    """The whole command: metadata, pictures, audit."""
    work = download.Work(processes=processes, threads=threads, shard_samples=SHARD_SAMPLES)
    download.download(Wanted(out=out, spec=None, folder=urls), work)


def processor_s() -> float:
    """Processor time of this process and of all that it waited for."""
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def pictures_in(folder: Path) -> int:
    """How many pictures arrived."""
    return sum(int(pl.read_parquet(path)["status"].eq("success").sum()) for path in folder.rglob("0*.parquet") if "ledger" not in path.parts)


def main() -> None:
    """Run both in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=6000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=32)
    options = parser.parse_args()
    server = subprocess.Popen([sys.executable, SERVER], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    address = server.stdout.readline().strip()
    isolated.python()
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    computed: dict[str, list[float]] = {"plain": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        urls = Path(folder) / "urls"
        urls.mkdir()
        rows = range(options.samples)
        faces = pl.Series([[[0.4, 0.2, 0.6, 0.5]] if i % 5 == 0 else [] for i in rows], dtype=pl.List(pl.List(pl.Float64)))
        table = pl.DataFrame({"uid": [f"{i:032x}" for i in rows], "url": [f"{address}/picture/{i}" for i in rows], "text": [f"caption {i}" for i in rows]})
        table.with_columns(face_bboxes=faces).write_parquet(urls / "urls.parquet")
        try:
            for turn in range(options.turns):
                for name, run in (("plain", plain), ("ours", ours)) if turn % 2 == 0 else (("ours", ours), ("plain", plain)):
                    started, used = time.monotonic(), processor_s()
                    run(urls, Path(folder) / name, options.processes, options.threads)
                    seconds[name].append(time.monotonic() - started)
                    computed[name].append(processor_s() - used)
                    got = pictures_in(Path(folder) / name)
                    assert got == options.samples, f"{name} got {got} of {options.samples}"
                    shutil.rmtree(Path(folder) / name)
                    print(f"{name:6} {options.samples / seconds[name][-1]:8.1f} samples/s, {computed[name][-1]:6.1f} s of processor time")
        finally:
            server.terminate()
    ratio, work = (statistics.median(times["plain"]) / statistics.median(times["ours"]) for times in (seconds, computed))
    print(f"ratio {ratio:.3f}, by processor time {work:.3f} (ours / plain, medians of {options.turns})")
    sys.exit(ratio < 0.95)


if __name__ == "__main__":
    main()
