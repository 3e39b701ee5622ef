"""The demonstration: the nano pool, five lists through the whole chain, and the board that compares them."""

from pathlib import Path
from typing import NamedTuple

from datacomp import progress
from datacomp.artifacts.entry import Entry
from datacomp.board import page
from datacomp.board.enter import About
from datacomp.declared import baseline as baselines
from datacomp.declared import pool as pools
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.filters.apply import apply
from datacomp.pipelines import miniature
from datacomp.pipelines.run import Chain
from datacomp.pool import synthetic

BASELINES = ("no_filter", "random_30", "basic_filter_ftz", "clip_score_l14_30")
AUTHOR = "datacomp demo"


class Shown(NamedTuple):
    """What the demonstration leaves behind."""

    entries: tuple[Entry, ...]
    page: Path


def demo(out: Path, *, scale_name: str = "nano", suite_name: str = "nano", seeds: tuple[int, ...] = (0,)) -> Shown:
    """Run everything into `out`; what an earlier call finished is kept."""
    scale, suite = scales.load(scale_name), suites.load(suite_name)
    pool = synthetic.make(pools.load(scale.pool), out / "pool")
    lists = {}
    for name in BASELINES:
        declared = baselines.load(name)
        path = out / "subsets" / f"{name}.npy"
        lists[declared.title] = (path if path.is_file() else apply(declared.filter, dict(declared.options), pool, path).path, name)
    lists["Oracle"] = (miniature.oracle(pool, out / "subsets" / f"{miniature.ORACLE}.npy").path, miniature.ORACLE)
    entries = []
    for number, (title, (path, name)) in enumerate(lists.items(), 1):
        progress.say(f"List {number} of {len(lists)}: {title}")
        entry = Chain(scale, pool.path, path, About(method=title, author=AUTHOR), out / "runs" / name, suite, seeds=seeds).run()
        entry.write(out / "entries" / f"{name}.json")
        entries.append(entry)
    page.build(out / "entries", out / "board")
    return Shown(tuple(entries), out / "board" / "index.html")
