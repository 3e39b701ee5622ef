"""Evaluate small test sets by the published evaluator and write its metrics: the golden that tests/test_evaluate_parity.py compares ours with.

    python benchmarks/parity/evaluate.py CHECKOUT tests/golden/evaluate.json

CHECKOUT is https://github.com/mlfoundations/datacomp at 4a8df19. Run it where there are, besides this project's packages, numpy 2.2.6 (its code fails on
2.4), clip_benchmark 1.4.0, webdataset 0.2.31 and wilds 2.0.0. Its files are not changed; put right from outside is only what would be downloaded. On a CPU
its autocast is for CUDA and does nothing: all is float32.
"""

import io
import json
import math
import sys
import tempfile
import types
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import evaluation_sets
import open_clip
import torch
from PIL import Image

from datacomp.declared.suite import Suite
from datacomp.evaluate import sets

PACKAGES = ("torch", "open_clip_torch", "clip_benchmark", "webdataset", "wilds", "numpy", "scikit-learn", "pillow")


def main() -> None:
    """Write the golden."""
    torch.set_num_threads(1)
    suite = evaluation_sets.kinds()
    with tempfile.TemporaryDirectory() as folder:
        data = evaluation_sets.make(Path(folder) / "data", suite)
        config, weights = evaluation_sets.make_network(Path(folder) / "network")
        open_clip.add_model_config(config)
        found = published_metrics(sys.argv[1], config.stem, weights, suite, data)
    versions = {name: metadata.version(name) for name in PACKAGES}
    Path(sys.argv[2]).write_text(json.dumps({"versions": versions, "metrics": found}, indent=1, sort_keys=True) + "\n")
    print(f"{sum(map(len, found.values()))} metrics of {len(found)} tasks")


def published_metrics(checkout: str, name: str, weights: Path, suite: Suite, data: Path) -> dict[str, dict[str, float | None]]:
    """What the published evaluator says of every task, with an architecture that open_clip knows by name."""
    sys.modules["datasets"] = _hub(data)
    sys.modules["torch_scatter"] = types.ModuleType("torch_scatter")  # its one use is replaced by the published code itself
    sys.path.insert(0, checkout)
    from eval_utils.main import evaluate_model  # from the checkout

    told = {"scale_config": {"model": name}, "checkpoint": str(weights)}
    return {task.name: _plain(evaluate_model(task.name, told, str(data), task.samples)) for task in suite.tasks}


def _plain(metrics: dict[str, Any]) -> dict[str, float | None]:
    """Metrics as JSON has them: the accuracy within an empty group is not a number there."""
    return {name: None if value is None or math.isnan(value) else float(value) for name, value in metrics.items()}


def _hub(data: Path) -> types.ModuleType:
    """What the published evaluator asks of `datasets`: rows of the sets that it would fetch."""

    def load_dataset(name: str, *, split: str, cache_dir: str) -> list[dict[str, Any]]:
        assert (split, Path(cache_dir).parent) == ("test", data)
        folder = data / f"wds_{name.removeprefix('nlphuji/')}_test"
        rows = list(sets.samples(sets.TestSet(folder, (), (), "")))
        captions = [sample.data["txt"].decode().split("\n") for sample in rows]
        pictures = [Image.open(io.BytesIO(sample.picture)) for sample in rows]
        if not (folder / sets.EXAMPLES).is_file():
            return [{"image": picture, "caption": caption} for picture, caption in zip(pictures, captions, strict=True)]
        named = {name: picture for (name,), picture in zip(captions, pictures, strict=True)}
        examples = [json.loads(line) for line in (folder / sets.EXAMPLES).read_text().splitlines()]
        return [example | {"candidate_images": [named[name] for name in example["candidates"]]} for example in examples]

    found = types.ModuleType("datasets")
    found.load_dataset = load_dataset  # type: ignore[attr-defined]
    return found


if __name__ == "__main__":
    main()
