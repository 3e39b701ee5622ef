"""Small test sets of every family in the published layout, and a small network with weights drawn from a seed: what the published evaluator and ours are shown.

Labels, rows, captions and pictures are drawn by numpy, pictures are stored without loss: the same on every machine.
"""

import io
import json
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file

from datacomp import tars
from datacomp.declared import suite as suites
from datacomp.declared.suite import Suite, Task
from datacomp.evaluate import sets
from datacomp.evaluate.check import COLUMNS

CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
# One task of each kind that the published evaluator tells apart: classes and samples.
KINDS = {
    "cifar10": (10, 90),
    "vtab/kitti_closest_vehicle_distance": (4, 45),  # fewer than five classes
    "vtab/pets": (7, 60),
    "wilds/iwildcam": (6, 80),
    "wilds/camelyon17": (2, 70),
    "wilds/fmow": (3, 80),
    "fairness/dollar_street": (8, 60),
    "fairness/geode": (3, 80),
    "fairness/fairface": (None, 90),
    "fairness/utkface": (None, 50),
    "retrieval/flickr_1k_test_image_text_retrieval": (None, 40),
    "misc/winogavil": (None, 30),
}
SHARDS = 2
_WORDS = (
    "red", "green", "blue", "small", "large", "round", "square", "old", "new", "bright", "dark", "wooden", "metal",
    "cat", "dog", "bird", "fish", "car", "boat", "house", "tree", "stone", "cloud", "river", "lamp",
)  # fmt: skip
_FACES = {"race": 7, "gender": 2, "age": 9, "toxic": 22}


def small(suite: Suite, kinds: dict[str, tuple[int | None, int]]) -> Suite:
    """A suite of some of its tasks, each with other numbers of classes and samples."""
    declared = {task.name: task for task in suite.tasks}
    tasks = tuple(declared[name].model_copy(update={"classes": classes, "samples": samples}) for name, (classes, samples) in kinds.items())
    spec = suite.spec.model_copy(update={"tasks": tuple(kinds), "groups": (), "subsets": ()})
    return Suite(spec=spec, tasks=tasks)


def kinds() -> Suite:
    """Suite datacomp cut down to one task of each kind."""
    return small(suites.load("datacomp"), KINDS)


def make(data: Path, suite: Suite) -> Path:
    """Write the test sets of a suite."""
    for number, task in enumerate(suite.tasks):
        make_set(data / task.folder, task, np.random.default_rng([7, number]))
    return data


def make_set(folder: Path, task: Task, random: np.random.Generator) -> None:
    """Write one test set with `task.samples` samples and `task.classes` classes."""
    (folder / "test").mkdir(parents=True)
    members = _riddles(folder, task.samples, random) if task.family == "winogavil" else [_members(task, random) for _ in range(task.samples)]
    if task.family not in ("retrieval", "winogavil"):
        classes, templates = _prompts(task)
        (folder / sets.CLASSES).write_text("\n".join(classes) + "\n")
        (folder / sets.TEMPLATES).write_text("\n".join(templates) + "\n")
    for shard in range(SHARDS):
        with tars.TarWriter(folder / "test" / f"{shard}.tar") as writer:
            for place in range(shard * len(members) // SHARDS, (shard + 1) * len(members) // SHARDS):
                for extension, content in sorted(members[place].items()):
                    writer.add(f"s{place:05d}.{extension}", content)
    (folder / "test" / "nshards.txt").write_text(f"{SHARDS}\n")


def _members(task: Task, random: np.random.Generator) -> dict[str, bytes]:
    found = _picture(random)
    if task.family == "retrieval":
        return found | {"txt": "\n".join(" ".join(random.choice(_WORDS, 5)) for _ in range(random.integers(3, 6))).encode()}
    if task.classes:
        found["cls"] = str(random.integers(min(task.classes, 9))).encode()
    if task.family in COLUMNS:
        found["npy"] = _npy(task.family, random)
    return found


def _npy(family: str, random: np.random.Generator) -> bytes:
    highest = {"age": 9, "gender": 2, "race": 7, "race_binary": 2}
    row = [random.integers(highest.get(column, 4)) for column in COLUMNS[family]]
    row = [2 * value if column in ("slide", "region", "income_ds") else value for column, value in zip(COLUMNS[family], row, strict=True)]  # 1, 3, 5 are empty
    buffer = io.BytesIO()
    np.save(buffer, np.array(row, np.int64))
    return buffer.getvalue()


def _prompts(task: Task) -> tuple[list[str], list[str]]:
    if task.family == "faces":
        classes = [f"{about}:{_WORDS[place % len(_WORDS)]} {about} {place}" for about, count in _FACES.items() for place in range(count)]
        return classes, [f"{about}:{text}" for about in _FACES for text in ("a photo of a {c} person", "the face of {c}")]
    return [f"{_WORDS[place % len(_WORDS)]} thing {place}" for place in range(task.classes)], ["a photo of a {c}.", "some {c}", "itap of my {c}!"]


def _riddles(folder: Path, count: int, random: np.random.Generator) -> list[dict[str, bytes]]:
    names = [f"{first} {second}" for first in _WORDS[:5] for second in _WORDS[13:18]]
    lines = []
    for _ in range(count):
        candidates = random.permutation(names)[: random.choice([5, 6, 10, 12])].tolist()
        associations = candidates[: int(random.integers(2, 4))]
        lines.append(
            json.dumps({"cue": str(random.choice(_WORDS)).capitalize(), "candidates": random.permutation(candidates).tolist(), "associations": associations})
        )
    (folder / sets.EXAMPLES).write_text("\n".join(lines) + "\n")
    return [_picture(random) | {"txt": name.encode()} for name in names]


def _picture(random: np.random.Generator) -> dict[str, bytes]:
    """A coarse pattern of colours, enlarged: as PNG, with a palette, in grey, or as WebP; wide or high."""
    coarse = random.integers(0, 256, (4, 4, 3), np.uint8)
    opened = Image.fromarray(coarse).resize((int(random.integers(34, 60)), int(random.integers(34, 60))), Image.Resampling.NEAREST)
    kind = random.choice(["RGB", "RGB", "P", "L", "RGBA", "webp"])
    buffer = io.BytesIO()
    if kind == "webp":
        opened.save(buffer, "WEBP", lossless=True)
        return {"webp": buffer.getvalue()}
    if kind == "RGBA":
        opened.putalpha(100)
    opened.convert(kind).save(buffer, "PNG")
    return {"png": buffer.getvalue()}


def make_network(folder: Path, config: dict[str, object] | None = None) -> tuple[Path, Path]:
    """Write a config and weights drawn from a seed; return both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    config = config or CONFIG
    (folder / "tiny-of-a-test.json").write_text(json.dumps(config))
    random = np.random.default_rng(11)
    tensors = {}
    for name, tensor in open_clip.CLIP(**config).state_dict().items():
        values = random.standard_normal(tuple(tensor.shape), np.float32)
        values *= (0.3 if "embedding" in name else 4 / np.sqrt(tensor.shape[-1])) if tensor.ndim > 1 else 0.1  # so that pictures and captions differ
        tensors[name] = torch.from_numpy(np.asarray(values + (1 if tensor.ndim == 1 and name.endswith("weight") else 0), np.float32))
    network = open_clip.CLIP(**config)
    network.load_state_dict(tensors)
    centre = _pooled(network.eval().visual, torch.from_numpy(random.standard_normal((256, 3, 4, 4), np.float32))).mean(0)
    tensors["visual.ln_post.bias"] -= (8 * centre).round() / 8  # else all pictures would be nearest to one class; rounded, to be the same everywhere
    save_file(tensors, folder / "weights.safetensors")
    return folder / "tiny-of-a-test.json", folder / "weights.safetensors"


@torch.inference_mode()
def _pooled(visual, coarse: torch.Tensor) -> torch.Tensor:
    """What the image tower says before its last projection of coarse patterns, shape (N, 3, 4, 4)."""
    visual.proj, proj = None, visual.proj
    found = visual(torch.nn.functional.interpolate(coarse, visual.image_size, mode="nearest"))
    visual.proj = proj
    return found
