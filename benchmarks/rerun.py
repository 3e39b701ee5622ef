"""How far the first steps of a training, and an evaluation, come out otherwise on the same machine: the tolerances of `datacomp verify --rerun-…`.

    python benchmarks/rerun.py [train] [evaluate] [--scale nano] [--steps 100] [--precision float32] [--scratch DIR]

train: losses of a list's first steps, once more, with other threads, processes and parts of a batch, against one thread and one process; and what must
not pass: other seeds, another learning rate, another list. evaluate: metrics of the checkpoint after those steps with other threads, and with
weights rounded to the ten bits that a GPU's TF32 keeps, which is coarser than anything that evaluates in float32.
"""

import argparse
import tempfile
from pathlib import Path

import safetensors.torch
import torch

from datacomp import digest
from datacomp.artifacts import run_folder
from datacomp.artifacts.run import Run
from datacomp.artifacts.shards import ShardSet
from datacomp.declared import pool as pools
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.evaluate.run import evaluate
from datacomp.filters.apply import apply
from datacomp.network import load
from datacomp.pipelines import test_sets
from datacomp.pool import synthetic
from datacomp.reshard.run import Form, reshard
from datacomp.train.hardware import Hardware
from datacomp.train.run import Rehearsal, train

ONE = Hardware(device="cpu", threads=1, workers=0)
SAME = {
    "once more": {},
    "2 threads": {"hardware": ONE._replace(threads=2)},
    "4 threads": {"hardware": ONE._replace(threads=4)},
    "2 processes": {"hardware": ONE._replace(devices=2)},
    "4 processes": {"hardware": ONE._replace(devices=4)},
    "2 parts": {"hardware": ONE._replace(accumulate=2)},
}
OTHER = {"seed 1": {"seed": 1}, "rate x 1.1": {"changes": {"optimizer.learning_rate": "2.2e-3"}}, "another list": {}}
POOL_SAMPLES = 6_400  # drawing more takes longer than training on them
TF32_BITS = 13  # of float32's 23, which TF32 drops


def losses(run: Path) -> dict[int, float]:
    """Losses by step."""
    return {line.step: line.loss for line in run_folder.read(run).log}


def measure_training(name: str, steps: int, precision: str, shards: dict[str, ShardSet], scratch: Path) -> Run:
    """Print how losses differ by step; return the run with one thread."""
    changes = {} if scales.load(name).precision == precision else {"precision": f'"{precision}"'}
    given = {"scale": scales.load(name), "changes": changes, "shards": (shards["clip_score"],), "hardware": ONE, "rehearsal": Rehearsal(steps)}
    first = train(**given, out=scratch / "first")
    expected = losses(first.path)
    marks = [step for step in (1, 2, 5, 10, 20, 50, 100, 200, 400, 800) if step <= steps]
    print(f"{name}: loss {', '.join(f'{expected[step]:.3f}' for step in marks)} after steps {', '.join(map(str, marks))}")
    for about, changed in (SAME | OTHER).items():
        other = {"shards": (shards["random"],)} if about == "another list" else changed | {"changes": changes | changed.get("changes", {})}
        found = losses(train(**(given | other), out=scratch / about.replace(" ", "_")).path)
        worst = [max(abs(found[step] - expected[step]) for step in range(1, mark + 1)) for mark in marks]
        print(f"{about:13} largest difference up to each: {' '.join(f'{value:8.1e}' for value in worst)}", flush=True)
    return first


def measure_evaluation(name: str, run: Run, scratch: Path) -> None:
    """Print how metrics differ."""
    suite, scale = suites.load("nano"), scales.load(name)
    data = test_sets.locate(suite, None)
    rounded = _rounded(run, scratch / "tf32")
    expected: dict[str, dict[str, float | None]] = {}
    for about, what, threads in (("1 thread", run, 1), ("2 threads", run, 2), ("4 threads", run, 4), ("10 bits", rounded, 1)):
        bare = Run(scratch / "evaluated" / about.replace(" ", "_"), what.record, what.digest)
        bare.weights().parent.mkdir(parents=True)
        bare.weights().symlink_to(what.weights().resolve())
        found = {result.task: result.metrics for result in evaluate(bare, scale, suite, data, device="cpu", threads=threads).tasks}
        expected = expected or found
        samples = {task.name: task.samples for task in suite.tasks}
        worst = {key: max(abs((one[key] or 0) - (expected[task][key] or 0)) * samples[task] for task, one in found.items()) for key in ("acc1", "acc5")}
        recall = max(abs((one["mean_per_class_recall"] or 0) - (expected[task]["mean_per_class_recall"] or 0)) for task, one in found.items())
        print(f"{about:13} acc1 by {worst['acc1']:.1f} samples, acc5 by {worst['acc5']:.1f}, mean_per_class_recall by {recall:.1e}", flush=True)


def _rounded(run: Run, folder: Path) -> Run:
    """The run with weights rounded to TF32."""
    tensors = load.read_tensors(run.weights())
    kept = {key: ((tensor.view(torch.int32) + (1 << (TF32_BITS - 1))) & -(1 << TF32_BITS)).view(torch.float32) for key, tensor in tensors.items()}
    path = Run(folder, run.record, run.digest).weights()
    path.parent.mkdir(parents=True)
    safetensors.torch.save_file(kept, path)
    checkpoint = run.record.checkpoints[-1].model_copy(update={"sha256": digest.of_file(path)})
    return Run(folder, run.record.model_copy(update={"checkpoints": (checkpoint,)}), run.digest)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["train", "evaluate"])
    parser.add_argument("--scale", default="nano")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--precision", default="float32", choices=["float32", "amp_bfloat16"])
    parser.add_argument("--scratch", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.scratch) as folder:
        scratch, scale = Path(folder), scales.load(asked.scale)
        pool = synthetic.make(pools.load(scale.pool), scratch / "pool", samples=POOL_SAMPLES, workers=1)
        shards = {}
        for name in ("clip_score", "random"):
            listed = apply(name, {"fraction": 0.3}, pool, scratch / f"{name}.npy")
            shards[name] = reshard(pool, listed, scratch / name, Form(scale.sampling.shard_samples))
        if "train" in asked.parts:
            run = measure_training(asked.scale, asked.steps, asked.precision, shards, scratch)
        else:
            run = train(scale, (shards["clip_score"],), scratch / "first", hardware=ONE, rehearsal=Rehearsal(asked.steps))
        if "evaluate" in asked.parts:
            measure_evaluation(asked.scale, run, scratch)


if __name__ == "__main__":
    main()
