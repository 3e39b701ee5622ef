"""Our filters against the published ones, whole processes on the same metadata: seconds, their ratio, peak memory, and whether the lists are equal.

    PUBLISHED_CHECKOUT=… NLTK_DATA=… python benchmarks/filters.py --published-python PYTHON --rows 10_000_000 [--more-rows 40_000_000] --scratch DIR

PYTHON is one with the published code's packages (benchmarks/parity/published.py names them). Both sides use two processes and lid.176.ftz, and
find the tables in memory. The pool has CommonPool's columns; `basic_filter` is run on captions and pictures that all pass the cheap rules, and on
`like CommonPool`, where as many do as in CommonPool small (68 % by caption, 61 % by size; DataComp, Table 25). text_based, which takes the
published code minutes for 100,000 rows, runs on --text-rows. Memory is the sum of all processes' resident pages at its highest, shared ones
counted each time.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
from measuring import measure

from datacomp import uids
from datacomp.declared import asset

ROOT = Path(__file__).parent
FILE_ROWS = 500_000
TURNS = 3  # of what takes seconds only
WORDS = [
    "the",
    "of",
    "and",
    "a",
    "to",
    "in",
    "for",
    "is",
    "on",
    "that",
    "by",
    "this",
    "with",
    "you",
    "it",
    "not",
    "or",
    "be",
    "are",
    "from",
    "at",
    "as",
    "your",
    "all",
    "have",
    "new",
    "more",
    "an",
    "was",
    "we",
    "will",
    "home",
    "can",
    "us",
    "about",
    "if",
    "page",
    "my",
    "has",
    "search",
    "free",
    "but",
    "our",
    "one",
    "other",
    "do",
    "no",
    "information",
    "time",
    "they",
    "site",
    "he",
    "up",
    "may",
    "what",
    "which",
    "their",
    "news",
    "out",
    "use",
    "any",
    "there",
    "see",
    "only",
    "so",
    "his",
    "when",
    "contact",
    "here",
    "business",
    "who",
    "web",
    "also",
    "now",
    "help",
    "get",
    "view",
    "online",
    "first",
    "am",
    "been",
    "would",
    "how",
    "were",
    "services",
    "some",
    "these",
    "click",
    "its",
    "like",
    "service",
    "than",
    "find",
    "price",
    "date",
    "back",
    "top",
    "people",
    "had",
    "list",
    "name",
    "just",
    "over",
    "state",
    "year",
    "day",
    "into",
    "email",
    "two",
    "health",
    "world",
    "next",
    "used",
    "go",
    "work",
    "last",
    "most",
    "products",
    "music",
    "buy",
    "data",
    "make",
    "them",
    "should",
    "product",
    "system",
    "post",
    "her",
    "city",
    "add",
    "dog",
    "cat",
    "house",
    "car",
    "photo",
    "image",
    "stock",
    "vector",
    "illustration",
    "vintage",
    "red",
    "blue",
    "green",
    "white",
    "black",
    "women",
    "men",
    "shoes",
    "york",
    "beach",
    "sunset",
    "wedding",
    "dress",
    "recipe",
    "cake",
    "chair",
    "table",
    "wooden",
    "modern",
    "kitchen",
    "garden",
    "bicycle",
    "guitar",
    "mountain",
    "lake",
    "der",
    "die",
    "und",
    "das",
    "haus",
    "schöne",
    "mit",
    "für",
    "auf",
    "rouge",
    "voiture",
    "maison",
    "avec",
    "pour",
    "dans",
    "perro",
    "casa",
    "con",
    "para",
    "foto",
    "красная",
    "машина",
    "дом",
    "2019",
    "2020",
    "jpg",
    "img",
]


def captions(rows: int, least_words: np.ndarray, random: np.random.Generator) -> list[str]:
    """Captions of words whose frequencies fall as 1/rank; the k-th has at least so many words."""
    lengths = least_words + random.poisson(7, rows) * (least_words > 0)
    chance = 1 / np.arange(1, len(WORDS) + 1)
    drawn = np.array(WORDS)[random.choice(len(WORDS), int(lengths.sum()), p=chance / chance.sum())].tolist()
    ends = np.cumsum(lengths).tolist()
    return [" ".join(drawn[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def make_pool(folder: Path, rows: int, share_by_caption: float, share_by_size: float) -> Path:
    """Write metadata unless it is there; captions come again in every file, uids and scores do not."""
    if (folder / "complete").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    in_file = min(FILE_ROWS, rows)
    text = pl.Series(captions(in_file, np.where(random.random(in_file) < share_by_caption, 4, 1), random))
    for number in range(rows // in_file):
        drawn = random.integers(0, 2**64, (in_file, 2), np.uint64)
        side = np.where(random.random(in_file) < share_by_size, random.integers(200, 1000, in_file), random.integers(20, 200, in_file))
        pl.DataFrame(
            {
                "uid": uids.text(np.ascontiguousarray(drawn).view(uids.UID).reshape(-1)),
                "url": [f"https://pictures.example/{number}/{row}.jpg" for row in range(in_file)],
                "text": text,
                "original_width": side,
                "original_height": side + 40,
                "clip_b32_similarity_score": random.normal(0.22, 0.06, in_file).astype(np.float32),
                "clip_l14_similarity_score": random.normal(0.2, 0.07, in_file).astype(np.float32),
            }
        ).write_parquet(folder / f"{number:08d}.parquet")
    (folder / "complete").touch()
    return folder


def compare(title: str, pool: Path, options: dict[str, object], args: argparse.Namespace, turns: int = 1) -> None:
    """Run both sides on one pool by turns and print a line: of each side the turn that was disturbed least."""
    ours, theirs = args.scratch / "ours.npy", args.scratch / "published.npy"
    for table in pool.glob("*.parquet"):  # neither side is to wait for the disk
        table.read_bytes()
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    language = ["--language-model", "ftz"] if options["name"] in ("basic_filter", "text_based") else []
    mine = [sys.executable, "-m", "datacomp", "filter", "--pool", str(pool), "--out", str(ours), "--workers", "2", *flags, *language]
    synsets, model = asset.locate(asset.load("imagenet21k_wordnet_ids")), asset.locate(asset.load("lid.176.ftz"))
    assets = {"PUBLISHED_ASSETS": json.dumps({"fasttext": str(model), "imagenet21k_wordnet_ids": str(synsets)})}
    command = [args.published_python, str(ROOT / "parity" / "published.py"), str(pool), str(theirs), "2", json.dumps(options)]
    measured = [(measure(mine), measure(command, assets)) for _ in range(turns)]
    (seconds, peak), (their_seconds, their_peak) = (min(side) for side in zip(*measured, strict=True))
    same = "equal" if np.array_equal(np.load(ours), np.load(theirs)) else "DIFFERENT"
    print(f"{title:34}{seconds:8.1f} s{their_seconds:9.1f} s{their_seconds / seconds:8.1f}x{peak:8.2f} GB{their_peak:8.2f} GB  {same}", flush=True)


def main() -> None:
    """Print a line for each comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--published-python", required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--text-rows", type=int, default=1_000_000)
    parser.add_argument("--more-rows", type=int, default=0, help="measure our memory once more with so many rows")
    args = parser.parse_args()
    plain = make_pool(args.scratch / f"plain-{args.rows}", args.rows, 1.0, 1.0)
    best = {"name": "clip_score", "arch": "l14", "fraction": 0.3}
    print(f"{args.rows:,} rows{'':22}{'ours':>10}{'published':>11}{'ratio':>9}{'memory: ours':>11}{'published':>11}")
    compare("no_filter", plain, {"name": "no_filter"}, args, turns=TURNS)
    compare("clip_score, best 30 %", plain, best, args, turns=TURNS)
    compare("basic_filter, all pass cheap rules", plain, {"name": "basic_filter"}, args)
    compare("basic_filter, like CommonPool", make_pool(args.scratch / f"like-{args.rows}", args.rows, 0.68, 0.61), {"name": "basic_filter"}, args)
    compare(
        f"text_based, {args.text_rows:,} rows", make_pool(args.scratch / f"like-{args.text_rows}", args.text_rows, 0.68, 0.61), {"name": "text_based"}, args
    )
    if args.more_rows:
        more = make_pool(args.scratch / f"plain-{args.more_rows}", args.more_rows, 1.0, 1.0)
        for options in ({"name": "no_filter"}, best):
            flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
            seconds, peak = measure([sys.executable, "-m", "datacomp", "filter", "--pool", str(more), "--out", str(args.scratch / "ours.npy"), *flags])
            print(f"{options['name']}, {args.more_rows:,} rows: {seconds:.1f} s, {peak:.2f} GB")


if __name__ == "__main__":
    main()
