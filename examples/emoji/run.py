"""The whole chain on emoji: pool build, a scorer of one's own, filters against the truth, training, evaluation, matching.

`python examples/emoji/run.py --out build/emoji` prints the tables of README.md; started again, it goes on where it was stopped.
"""

# ruff: noqa: INP001

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

import draw
import numpy as np
import polars as pl

from datacomp import tables, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.run import Run
from datacomp.artifacts.subset import Subset
from datacomp.board import averages
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.declared.scale import Scale
from datacomp.evaluate import metrics
from datacomp.evaluate.run import evaluate
from datacomp.filters.apply import apply
from datacomp.network import choose
from datacomp.network.embed import Embedder
from datacomp.pipelines import test_sets
from datacomp.pool.build import build
from datacomp.reshard.run import Form, reshard
from datacomp.train.run import train

FRACTION = 0.5  # chosen beforehand: a little less than the share of right captions
OWN, TRUTH = "clip_score, own, trained on the clean set", "the truth (right, sound)"
L14, B32 = "clip_l14_similarity_score", "clip_b32_similarity_score"


class Chain(NamedTuple):
    """Where everything goes and by which recipe it is trained."""

    out: Path
    scale: Scale

    def list_of(self, name: str, filter_name: str, options: dict[str, Any], pool: Pool) -> Subset:
        """`datacomp filter`, unless the list is there."""
        path = self.out / "lists" / f"{name}.npy"
        return subsets.read(path) if path.is_file() else apply(filter_name, options, pool, path)

    def run_of(self, name: str, pool: Pool, listed: Subset) -> Run:
        """`datacomp reshard` and `datacomp train`."""
        shards = reshard(pool, listed, self.out / "training shards" / name, Form(self.scale.sampling.shard_samples))
        return train(self.scale, (shards,), self.out / "runs" / name)


def make_pools(chain: Chain) -> tuple[Pool, Pool, Run, Run]:
    """The pool by the shipped networks, the same by networks of our own, and these: trained on the raw pool, and on the clean set."""
    out, shards = chain.out, chain.out / "shards"
    clean = build(shards / "clean", out / "clean", networks=(), name="emoji-clean")
    scorer = chain.run_of("clean", clean, chain.list_of("clean", "no_filter", {}, clean))
    shipped = build(shards / "web", out / "pool", networks=choose.choose([]), name="emoji")
    raw = chain.run_of("no_filter", shipped, chain.list_of("no_filter", "no_filter", {}, shipped))
    ours = build(shards / "web", out / "pool-scored", networks=choose.choose([f"b32={raw.path}", f"l14={scorer.path}"]), name="emoji")
    return shipped, ours, raw, scorer


def make_lists(chain: Chain, shipped: Pool, ours: Pool, truth: pl.DataFrame) -> dict[str, Subset]:
    """Every filter's list, and that of the truth."""
    best = {"fraction": FRACTION}
    lists = {
        "no_filter": chain.list_of("no_filter", "no_filter", {}, shipped),
        "random": chain.list_of("random", "random", best, shipped),
        "basic_filter[ftz]": chain.list_of("basic_filter", "basic_filter", {"language_model": "ftz"}, shipped),
        "clip_score, shipped b32": chain.list_of("shipped_b32", "clip_score", best | {"score": B32}, shipped),
        "clip_score, shipped l14": chain.list_of("shipped_l14", "clip_score", best | {"score": L14}, shipped),
        "clip_score, own, trained on the raw pool": chain.list_of("own_raw", "clip_score", best | {"score": B32}, ours),
        OWN: chain.list_of("own_clean", "clip_score", best | {"score": L14}, ours),
    }
    right = uids.parse(truth.filter(is_right(), pl.col("picture_kind") == "sound")["uid"])
    origin = {"filter": "truth", "ineligible": "made from the truth"}
    lists[TRUTH] = subsets.write(chain.out / "lists" / "truth.npy", [right[uids.order(right)]], origin)
    return lists


def is_right() -> pl.Expr:
    """Whether a caption names what the picture shows."""
    return pl.col("caption_kind").is_in(draw.RIGHT)


def table(title: str, head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join([f"**{title}**", "", *lines, ""])


def percent(share: float | None) -> str:
    """A share as it is shown."""
    return "-" if share is None else f"{100 * share:.1f} %"


def judge_lists(lists: dict[str, Subset], truth: pl.DataFrame) -> str:
    """Precision and recall of every list against the truth."""
    right, wrong, boilerplate, unseen = is_right(), pl.col("caption_kind") == "wrong", pl.col("caption_kind") == "boilerplate", pl.col("is_unseen")
    rows = []
    for name, listed in lists.items():
        kept = truth.with_columns(kept=pl.Series(uids.count(uids.parse(truth["uid"]), listed.uids) > 0))
        figures = kept.select(
            precision=right.filter("kept").mean(),
            recall=pl.col("kept").filter(right).mean(),
            wrong=(~pl.col("kept")).filter(wrong).mean(),
            boilerplate=(~pl.col("kept")).filter(boilerplate).mean(),
            unseen_recall=pl.col("kept").filter(right & unseen).mean(),
            unseen_wrong=(~pl.col("kept")).filter(wrong & unseen).mean(),
        )
        rows.append([name, f"{len(listed.uids):,}", *map(percent, figures.row(0))])
    head = ["list", "samples", "right, of the kept (precision)", "kept, of the right (recall)", "dropped, of the wrong", "dropped, of the boilerplate"]
    return table("Lists against the truth", [*head, "recall, unseen emoji", "wrong dropped, unseen emoji"], rows)


def judge_scores(shipped: Pool, ours: Pool, truth: pl.DataFrame) -> str:
    """How often a right caption scores higher than a wrong one: the area under the ROC curve."""
    rows = []
    for name, pool, column in (
        ("shipped b32", shipped, B32),
        ("shipped l14", shipped, L14),
        ("own, trained on the raw pool", ours, B32),
        ("own, trained on the clean set", ours, L14),
    ):
        scored = pl.concat([block.columns for block in pools.blocks(pool, ("uid", column))]).join(truth, on="uid", how="inner", validate="1:1")
        parts = (scored, scored.filter(~pl.col("is_unseen")), scored.filter("is_unseen"))
        rows.append([name, *(f"{_area(part, column):.3f}" for part in parts)])
    return table("A right caption scores higher than a wrong one", ["scorer", "all emoji", "in the clean set", "unseen there"], rows)


def _area(scored: pl.DataFrame, column: str) -> float:
    pairs = scored.filter(is_right() | (pl.col("caption_kind") == "wrong")).with_columns(rank=pl.col(column).rank())
    right = pairs.filter(is_right())
    return (float(right["rank"].sum()) - len(right) * (len(right) + 1) / 2) / (len(right) * (len(pairs) - len(right)))


def judge_runs(chain: Chain, runs: dict[str, Run], pictures: int) -> str:
    """What training on the lists is worth: matching new pictures, which no set holds, with the names of all emoji."""
    names = [one.name for one in draw.emoji()]
    shown = [draw.sample("test", number, 0) for number in range(pictures)]
    truth = np.array([names.index(str(one.truth["emoji"])) for one in shown])
    rows = []
    for name, run in runs.items():
        network = Embedder(chain.scale, run.weights())
        images = network.images(np.stack([network.crop(one.picture) for one in shown]))
        scores = images @ network.texts([f"an emoji of a {one}" for one in names]).T  # (pictures, names)
        place = (scores > scores[np.arange(pictures), truth][:, None]).sum(axis=1)
        found = [metrics.accuracy(place < places) for places in (1, 5)]
        rows.append([name, *(f"{100 * share:.1f} ± {100 * error:.1f} %" for share, error in found)])
    return table(f"Matching {pictures:,} new pictures with {len(names):,} names", ["trained on", "first", "among five"], rows)


def evaluate_suite(chain: Chain, run: Run) -> str:
    """Suite nano, to which emoji are foreign: it shows that the stage runs, and no more."""
    suite = suites.load("nano")
    results = evaluate(run, chain.scale, suite, test_sets.locate(suite, None))
    chance = sum(task.chance for task in suite.tasks) / len(suite.tasks)
    average = averages.aggregates(suite, [results.tasks])[averages.AVERAGE].value
    return f"Suite nano, of the run on the own scorer's list: {percent(average)} (chance {percent(chance)})\n"


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/emoji"))
    parser.add_argument("--scale", default="nano")
    parser.add_argument("--web", type=int, default=draw.SAMPLES["web"], help="samples of the pool")
    parser.add_argument("--clean", type=int, default=draw.SAMPLES["clean"], help="samples of the clean set")
    parser.add_argument("--test", type=int, default=3_000, help="pictures to match")
    parser.add_argument("--train", nargs="*", default=["random", "basic_filter[ftz]", TRUTH], help="lists to train on besides the own scorer's and no_filter's")
    asked = parser.parse_args()
    chain = Chain(asked.out, scales.load(asked.scale))
    draw.draw(asked.out / "shards", samples={"web": asked.web, "clean": asked.clean})
    shipped, ours, raw, scorer = make_pools(chain)
    assert shipped.record is not None
    assert shipped.record.built is not None
    truth = tables.read_parquet(asked.out / "shards" / "truth.parquet")
    lists = make_lists(chain, shipped, ours, truth)
    trained = [name for name in lists if name in {OWN, *asked.train}]
    runs = {"no_filter": raw} | {name: chain.run_of(lists[name].path.stem, ours, lists[name]) for name in trained} | {"the clean set itself": scorer}
    found = shipped.record.built
    dropped = [[reason, f"{count:,}"] for reason, count in found.dropped_samples.items()]
    pages = [
        table(f"{found.found_samples:,} samples found, {shipped.record.samples:,} in the pool", ["dropped", "samples"], dropped),
        judge_scores(shipped, ours, truth),
        judge_lists(lists, truth),
        judge_runs(chain, runs, asked.test),
        evaluate_suite(chain, runs[OWN]),
    ]
    (asked.out / "tables.md").write_text("\n".join(pages))
    sys.stdout.write("\n".join(pages))


if __name__ == "__main__":
    main()
