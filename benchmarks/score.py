"""Scoring beside a plain loop with open_clip's model, transform and tokenizer over the same tars, by turns on this machine.

    python benchmarks/score.py --scratch DIR [--samples 102_400] [--network small|b32] [--device cpu] [--turns 3]

The plain loop reads by webdataset and a DataLoader, in batches of the same size, computes with as many threads as there are cores, and keeps the scores in
memory; it is timed once with a loader process for each core and once with one for half of them, and the faster counts. Ours is the whole
stage, the start of its processes, index, tables and records included. The scores of both are compared. `small` is the generated pools'
stronger reference network (pictures of 32 px), `b32` a ViT-B/32 with fresh weights (224 px). Of each side the fastest turn counts. Memory is the
peak of the whole command with its processes, on the pool and on one of a quarter of its size.
"""

import argparse
import io
import json
import shutil
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import webdataset
from measuring import measure
from PIL import Image
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from datacomp import digest, tables
from datacomp.artifacts import pool as pools
from datacomp.artifacts import tar_index
from datacomp.artifacts.pool import Pool
from datacomp.declared import pool as declared
from datacomp.declared import scale as scales
from datacomp.launch import local
from datacomp.network import build, choose, load, published
from datacomp.pool import synthetic
from datacomp.score import catalog, run
from datacomp.train import export

BATCH_SAMPLES = 256


def make_network(folder: Path, name: str) -> Path:
    """A network in a folder that open_clip and we load."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if name == "b32":
        torch.manual_seed(0)
        config: dict[str, Any] = {"model_cfg": open_clip.get_model_config("ViT-B-32"), "preprocess_cfg": {"size": 224, "interpolation": "bicubic"}}
        tensors = open_clip.create_model("ViT-B-32").state_dict()
    else:
        scale, reference = scales.load("nano"), next(network for network in choose.choose([]) if network.prefix == "l14")
        merges = folder / export.merges_name(scale.tokens)
        merges.write_bytes(build.first_merges(scale.tokens.merges))
        config, tensors = export.config(scale), {key: tensor.float() for key, tensor in load.read_tensors(reference.weights).items()}
    (folder / published.CONFIG).write_text(json.dumps(config))
    save_file(tensors, folder / published.WEIGHTS)
    return folder


def prepare(sample: tuple[bytes, bytes, bytes], transform: Any, tokenizer: Any) -> tuple[str, torch.Tensor, torch.Tensor]:
    """One sample as a plain loop prepares it."""
    picture, caption, about = sample
    return json.loads(about)["uid"], transform(Image.open(io.BytesIO(picture))), tokenizer([caption.decode()])[0]


def plain(pool: Pool, folder: Path, device: str, workers: int) -> tuple[float, dict[str, float]]:
    """Seconds of the plain loop, and its scores."""
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}", device=device)
    merges = next(iter(folder.glob("bpe_*")), None)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}", **({"bpe_path": str(merges)} if merges else {}))
    model.eval()
    torch.set_num_threads(local.cores())
    urls = [str(path) for path in pool.tars()]
    samples = webdataset.WebDataset(urls, shardshuffle=False, empty_check=False).to_tuple("jpg", "txt", "json")
    loader = DataLoader(samples.map(partial(prepare, transform=transform, tokenizer=tokenizer)), batch_size=BATCH_SAMPLES, num_workers=workers)
    found: dict[str, float] = {}
    start = time.perf_counter()
    with torch.inference_mode():
        for names, pixels, tokens in loader:
            images = model.encode_image(pixels.to(device), normalize=True)
            texts = model.encode_text(tokens.to(device), normalize=True)
            found.update(zip(names, (images * texts).sum(dim=1).tolist(), strict=True))
    return time.perf_counter() - start, found


def ours(pool: Pool, folder: Path, out: Path, device: str) -> tuple[float, dict[str, float]]:
    """Seconds of the stage, and its scores."""
    shutil.rmtree(out, ignore_errors=True)
    for tar in pool.tars():
        tar_index.sidecar(tar).unlink(missing_ok=True)
    choose.load.cache_clear()
    catalog.load.cache_clear()
    start = time.perf_counter()
    done = run.score(pool, choose.one(None, f"local-dir:{folder}", None), out, run.Settings(device, BATCH_SAMPLES, None))
    seconds = time.perf_counter() - start
    return seconds, {uid: score for path in done.tables() for uid, score in tables.read_parquet(path).rows()}


def peak(pool: Pool, folder: Path, out: Path, device: str) -> float:
    """GB of the whole command at its highest."""
    shutil.rmtree(out, ignore_errors=True)
    command = ("score", "--pool", pool.path, "--model", f"local-dir:{folder}", "--device", device, "--batch", BATCH_SAMPLES, "--out", out)
    return measure([sys.executable, "-m", "datacomp", *map(str, command)])[1]


def make_pool(path: Path, samples: int) -> Pool:
    """A generated pool, in files small enough for every core to have some."""
    synthetic.FILE_SAMPLES = 2_500
    return pools.read(path) if (path / "pool.json").is_file() else synthetic.make(declared.load("nano"), path, samples=samples, workers=1)


def main() -> None:
    """Print pairs/s of both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=102_400)
    parser.add_argument("--network", choices=("small", "b32"), default="small")
    parser.add_argument("--device")
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    pool, device = make_pool(args.scratch / f"pool-{args.samples}", args.samples), local.device(args.device)
    folder = make_network(args.scratch / args.network, args.network)
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(args.turns):
        took, scores = ours(pool, folder, args.scratch / "scores", device)
        seconds["ours"].append(took)
        for workers in (local.cores(), max(1, local.cores() // 2)):
            took, others = plain(pool, folder, device, workers)
            seconds["plain"].append(took)
            if scores.keys() != others.keys() or not np.allclose([scores[uid] for uid in others], list(others.values()), atol=1e-4):
                raise RuntimeError("the scores differ")
    best = {side: args.samples / min(found) for side, found in seconds.items()}
    about = f"{args.network} ({digest.of_file(folder / published.WEIGHTS)[:8]}) on {local.device_name(device)}"
    fewer = args.samples // 4
    quarter, whole = (peak(make_pool(args.scratch / f"pool-{count}", count), folder, args.scratch / "scores", device) for count in (fewer, args.samples))
    print(f"{about}: {best['ours']:,.0f} pairs/s, a plain loop {best['plain']:,.0f}: {best['ours'] / best['plain']:.2f}")
    print(f"peak memory: {quarter:.2f} GB for {fewer:,} pairs, {whole:.2f} GB for {args.samples:,}: {whole / quarter:.2f}")


if __name__ == "__main__":
    main()
