"""Evaluation beside the published evaluator: whole processes by turns on this machine, ViT-B/32 with the same weights, metrics compared as well.

    python benchmarks/evaluate.py CHECKOUT PACKAGES [few] [images] [prompts] [--scratch DIR] [--threads 2] [--turns 3]

CHECKOUT is https://github.com/mlfoundations/datacomp at 4a8df19, PACKAGES a folder of what it needs besides ours (benchmarks/parity/evaluate.py says what):
its side runs with that folder first on the path. few: twelve sets of 12 small pictures, one of each kind. images: 500 pictures whose longer side
is 512, where looking at them is the work. prompts: three sets with the same 1,000 classes and 80 prompts each, which the published evaluator encodes for each
of them; with a small network, since ViT-B/32 takes minutes. Of each side the fastest turn counts.
"""

import argparse
import io
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from measuring import measure
from PIL import Image

from datacomp import tars
from datacomp.declared import suite as suites
from datacomp.declared.suite import Suite

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parent / "parity"))

import evaluation_sets

MODEL = "ViT-B-32"
SHIFTS = ("imagenet1k", "imagenetv2", "imagenet_sketch")
FEW, PICTURES, PROMPTS = 12, 500, 80
METRICS = "metrics.json"


def made(part: str, folder: Path) -> Suite:
    """A part's suite, whose sets are written unless they are there."""
    whole, data = suites.load("datacomp"), folder / "data"
    kinds = {
        "few": {name: (classes, FEW) for name, (classes, _) in evaluation_sets.KINDS.items()},
        "images": {"food101": (101, PICTURES)},
        "prompts": dict.fromkeys(SHIFTS, (1000, 40)),
    }[part]
    suite = evaluation_sets.small(whole, kinds)
    if data.is_dir():
        return suite
    evaluation_sets.make(data, suite)
    for task in suite.tasks:
        if part == "images":
            _photographs(data / task.folder / "test" / "0.tar")
            (data / task.folder / "test" / "nshards.txt").write_text("1\n")
        if part == "prompts":
            (data / task.folder / "zeroshot_classification_templates.txt").write_text("".join(f"photo {n} of a {{c}}.\n" for n in range(PROMPTS)))
    return suite


def _photographs(path: Path) -> None:
    """Pictures of 60 to 80 KB."""
    random = np.random.default_rng(0)
    with tars.TarWriter(path) as writer:
        for place in range(PICTURES):
            coarse = Image.fromarray(random.integers(0, 256, (48, 64, 3), np.uint8))
            buffer = io.BytesIO()
            coarse.resize((512, 384), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=95)
            writer.add(f"s{place:05d}.cls", str(place % 101).encode())
            writer.add(f"s{place:05d}.jpg", buffer.getvalue())


def side(name: str, part: str, folder: Path, checkout: str, threads: int) -> None:
    """One side's work, in a process of its own."""
    import torch

    torch.set_num_threads(threads)
    suite, network = made(part, folder), folder.parent / ("small" if part == "prompts" else "large")
    config, weights = network / "tiny-of-a-test.json", network / "weights.safetensors"
    if name == "published":
        import evaluate as peer  # parity/evaluate.py, first on the path
        import open_clip

        open_clip.add_model_config(config)
        found = peer.published_metrics(checkout, config.stem, weights, suite, folder / "data")
    else:
        from datacomp.evaluate.run import evaluate_published

        with tempfile.TemporaryDirectory() as out:
            done = evaluate_published(str(config), weights, suite, folder / "data", Path(out), threads=threads)
        found = {result.task: result.metrics for result in done.tasks}
    (folder / f"{name}-{METRICS}").write_text(json.dumps(found))


def apart(folder: Path) -> float:
    """How far the two sides' metrics are apart at most."""
    ours, theirs = (json.loads((folder / f"{name}-{METRICS}").read_text()) for name in ("ours", "published"))
    pairs = [(ours[task][name], value) for task, metrics in theirs.items() for name, value in metrics.items()]
    return max(abs((mine or 0.0) - (value or 0.0)) for mine, value in pairs)


def main() -> None:
    """Measure the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout")
    parser.add_argument("packages")
    parser.add_argument("parts", nargs="*", default=["few", "images", "prompts"])
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--side", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        side(asked.side, asked.parts[0], asked.scratch / asked.parts[0], asked.checkout, asked.threads)
        return
    import open_clip

    with tempfile.TemporaryDirectory(dir=asked.scratch) as scratch:
        evaluation_sets.make_network(Path(scratch) / "large", open_clip.get_model_config(MODEL))
        evaluation_sets.make_network(Path(scratch) / "small")
        for part in asked.parts:
            made(part, Path(scratch) / part)
            command = [sys.executable, __file__, asked.checkout, asked.packages, part, "--scratch", scratch, "--threads", str(asked.threads), "--side"]
            paths = {"ours": str(Path(__file__).parents[1])}
            paths["published"] = f"{asked.packages}{os.pathsep}{paths['ours']}"
            turns = [{name: measure([*command, name], {"PYTHONPATH": path})[0] for name, path in paths.items()} for _ in range(asked.turns)]
            ours, published = (min(turn[name] for turn in turns) for name in ("ours", "published"))
            difference = apart(Path(scratch) / part)
            print(f"{part}: ours {ours:.1f} s, published {published:.1f} s, {published / ours:.2f} times as fast; metrics differ by at most {difference:.1e}")


if __name__ == "__main__":
    main()
