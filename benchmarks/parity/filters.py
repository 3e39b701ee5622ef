"""Run the published filters on nasty metadata and write what they answer: the goldens that tests/test_parity.py compares with.

    PUBLISHED_CHECKOUT=… NLTK_DATA=… python benchmarks/parity/filters.py LANGUAGE_MODEL SYNSETS tests/golden/filters

published.py says what CHECKOUT is and which packages are needed. Here workers are calls and tensors stay on the CPU, since the published
image-based filter wants a GPU. lid.176.ftz stands in for lid.176.bin on both sides. The bytes of the tables, not their rows, depend on pyarrow.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import nasty
import numpy as np
import pandas as pd
import torch

FRACTIONS, THRESHOLDS, ARCHITECTURES = (0.01, 0.1, 0.3, 0.5, 0.9), (0.0, 0.2, 0.28, 0.3, 0.7), ("b32", "l14")
SEED = 0


def variants() -> Iterator[tuple[str, str, dict[str, object]]]:
    """The name of each golden, the folder of its metadata and the published options."""
    yield "no_filter", "lenient", {}
    for name in ("basic_filter", "laion2b", "text_based"):
        yield name, "strict", {}
    yield "image_based", "strict", {"image_based_scale": "small"}
    both = {"name": "image_based_intersect_clip_score", "image_based_scale": "small"}
    for arch in ARCHITECTURES:
        for fraction in FRACTIONS:
            yield f"clip_score_{arch}_{fraction}", "lenient", {"name": "clip_score", "arch": arch, "fraction": fraction}
        for threshold in THRESHOLDS:
            yield f"clip_score_{arch}_at_{threshold}", "lenient", {"name": "clip_score", "arch": arch, "threshold": threshold}
        for fraction in (0.3, 0.6):
            yield f"intersect_{arch}_{fraction}", "strict", {**both, "arch": arch, "fraction": fraction}
    yield "intersect_l14_at_0.2", "strict", {**both, "arch": "l14", "threshold": 0.2}


class Called:
    """A process that is a call."""

    def __init__(self, target: Callable[..., None], kwargs: dict[str, Any]) -> None:
        self.start = lambda: target(**kwargs)
        self.is_alive = lambda: False
        self.join = lambda timeout: None  # noqa: ARG005 - as multiprocessing has it


def without_gpu(module: Any) -> None:
    """Keep tensors on the CPU and work in this process."""
    on_device = torch.Tensor.to
    torch.Tensor.to = lambda tensor, *args, **kwargs: on_device(tensor, *("cpu" if str(value).startswith("cuda") else value for value in args), **kwargs)
    load = torch.load
    torch.load = lambda path: load(path, weights_only=False)  # our own files, written below
    module.worker_threadpool = lambda worker, join, paths, _: join([worker(path) for path in paths])
    module.mp.Process, module.mp.Queue = Called, Queue


def write_features(out: Path) -> dict[str, str]:
    """Centroids and targets as the published ones are stored, by the names of the assets."""
    torch.save(np.load(out / "centroids.npy"), out / "centroids.pt", pickle_protocol=4)
    found = {"small_centroids": str(out / "centroids.pt")}
    for part, rows in enumerate(np.array_split(np.load(out / "targets.npy"), 5)):
        path = out / "published" / f"targets_{part}.pt"
        torch.save({"image_features": torch.from_numpy(rows)}, path)
        found[f"in1k_clip_vit_l14_{part}"] = str(path)
    return found


def main(language_model: str, synsets: str, out: Path) -> None:
    """Write inputs and goldens."""
    nasty.write(out, SEED)
    (out / "published").mkdir(exist_ok=True)
    os.environ["PUBLISHED_ASSETS"] = json.dumps({"fasttext": language_model, "imagenet21k_wordnet_ids": synsets, **write_features(out)})
    import published

    without_gpu(published.apply_filter)
    for name, folder, options in variants():
        published.answer(str(out / folder), str(out / "published" / f"{name}.npy"), {"name": name} | options)
    gcld3 = published.apply_filter.gcld3.NNetLanguageIdentifier(min_num_bytes=0, max_num_bytes=1000)
    texts = sorted({text for path in sorted((out / "strict").glob("*.parquet")) for text in pd.read_parquet(path)["text"]})
    found = {text: published.apply_filter.get_gcld3_language(text, gcld3) for text in texts}
    (out / "gcld3.json").write_text(json.dumps(found, ensure_ascii=True, indent=0))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
