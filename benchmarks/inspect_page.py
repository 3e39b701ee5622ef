"""How long the page of a list takes in headless Chromium until it is complete, beside an empty page in the same run.

Complete means: loaded, every picture decoded, and two frames drawn. Both pages are opened in turns, each in a fresh context.

    python benchmarks/inspect_page.py --pool build/demo/pool --subset build/demo/subsets/clip_score_l14_30.npy
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.subset import page
from datacomp.subset.inspect import inspect

EMPTY = "<!doctype html><title>empty</title>"
DRAWN = """async () => {
  await Promise.all([...document.images].map((image) => image.decode()));
  await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
}"""


def seconds(browser: Browser, address: str) -> float:
    """From asking for a page until it is complete."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    start = time.perf_counter()
    opened.goto(address, wait_until="load")
    opened.evaluate(DRAWN)
    taken = time.perf_counter() - start
    context.close()
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--subset", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        start = time.perf_counter()
        found = inspect(pools.read(given.pool), subsets.read(given.subset))
        written = Path(folder) / "page.html"
        page.write(found, written)
        print(f"made in {time.perf_counter() - start:.1f} s: {found.numbers.rows.rows:,} rows, {written.stat().st_size:,} bytes")
        (Path(folder) / "empty.html").write_text(EMPTY)
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        taken = {name: [] for name in ("empty", "page")}
        for _ in range(given.repeats):
            for name, times in taken.items():
                times.append(seconds(browser, (Path(folder) / f"{name}.html").as_uri()))
        browser.close()
    for name, times in taken.items():
        print(f"{name:6} median {statistics.median(times):.3f} s, slowest {max(times):.3f} s of {given.repeats}")
    print(f"complete in {statistics.median(taken['page']) / statistics.median(taken['empty']):.1f} times an empty page's time")


if __name__ == "__main__":
    main()
