"""What the generated world needs besides its pool: test sets, the oracle's list, and the reference networks behind its scores.

`python -m datacomp.pipelines.miniature OUT` trains the reference networks again (about ten minutes on two cores).
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from datacomp import files, progress, tables, uids
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.subset import Subset
from datacomp.declared import pool as pools
from datacomp.declared import scale as scales
from datacomp.declared.suite import GeneratedData, Suite, Task
from datacomp.errors import PoolError, StageError
from datacomp.evaluate import sets
from datacomp.filters.apply import apply
from datacomp.network import load
from datacomp.pool import draw, questions, synthetic, world
from datacomp.reshard.run import Form, reshard
from datacomp.train.run import train

ORACLE = "oracle"
# The weaker and the stronger network: what it learns from, in how many steps.
REFERENCES = {"b32": (world.MISMATCHED_WEB, 400), "l14": (world.BALANCED_WEB, 4000)}
_REFERENCE_WORLD_SEED = 7  # far from every pool's and every test set's
_REFERENCE_SAMPLES = 204_800


def make_test_sets(suite: Suite, data: Path) -> Path:
    """Draw a suite's test sets into `data`, each unless it is there; return `data`.

    Raises StageError for a suite whose sets others published.
    """
    if others := [task.name for task in suite.tasks if not isinstance(task.data, GeneratedData)]:
        raise StageError(
            f"{len(others)} test sets of suite {suite.spec.name} are published ones, not drawn from a seed: {others[0]} and so on",
            repair="download them, and give their folder as --data",
        )
    if _missing(suite, data):
        with files.writing(data, wait=True):  # several runs may want the same cache
            missing = _missing(suite, data)
            for task in progress.show(missing, total=len(missing), unit=" sets", title="make test sets"):
                make_test_set(task, data)
    return data


def _missing(suite: Suite, data: Path) -> list[Task]:
    return [task for task in suite.tasks if not (data / task.folder / sets.MANIFEST).is_file()]


def make_test_set(task: Task, data: Path) -> sets.TestSet:
    """Draw one task's test set."""
    origin = task.data
    assert isinstance(origin, GeneratedData)
    asked = questions.ask(origin.variant, origin.seed, task.samples)

    def drawn() -> Iterator[tuple[sets.Pixels, dict[str, bytes]]]:
        for number, scene in enumerate(asked.scenes.iter_rows(named=True)):
            yield draw.picture(scene, origin.seed), _members(asked, number)

    texts = {sets.CLASSES: asked.classes, sets.TEMPLATES: asked.templates} if asked.classes else {}
    return sets.write(data / task.folder, texts, drawn(), synthetic.encode)


def _members(asked: questions.Questions, number: int) -> dict[str, bytes]:
    """What lies beside a test picture."""
    if asked.captions:
        return {"txt": asked.captions[number].encode()}
    members = {"cls": str(asked.labels[number]).encode()}
    if asked.rows:
        buffer = io.BytesIO()
        np.save(buffer, np.array(asked.rows[number], np.int64))
        members["npy"] = buffer.getvalue()
    return members


def oracle(pool: Pool, out: Path) -> Subset:
    """Write the list of a generated pool's samples that are sound and faithfully captioned, from its truth: what filters are held against.

    It is no valid entry, and says so.
    """
    tables_of_truth = sorted((pool.path / "truth").glob("*.parquet"))
    if not tables_of_truth:
        raise PoolError(f"{pool.path} has no truth/", allowed="pools made by: datacomp pool make")
    truth = pl.concat([tables.read_parquet(path, ["uid", "caption_kind", "picture_kind"]) for path in tables_of_truth])
    good = truth.filter(pl.col("caption_kind").is_in(world.FAITHFUL) & (pl.col("picture_kind") == "sound"))
    found = uids.parse(good["uid"])
    found = found[uids.order(found)]
    origin = {
        "filter": ORACLE,
        "pool_uids_sha256": pool.record.uids_sha256 if pool.record else "",
        "ineligible": "made from the generated world's truth, which no filter may see",
    }
    return subsets.write(out, [found], origin)


def make_references(out: Path) -> dict[str, Path]:
    """Train the reference networks on web-like worlds of their own and write their weights as float16, by column prefix.

    They are trained by the nano recipe with other numbers of steps, which is why their runs belong to the open division.
    """
    spec = pools.load("micro")
    origin = spec.origin
    assert isinstance(origin, pools.GeneratedSource)
    unscored = spec.model_copy(update={"name": "web-like", "origin": origin.model_copy(update={"references": ()})})
    recipe = scales.load("nano")
    made = {}
    for prefix, (mixture, steps) in REFERENCES.items():
        own = out / prefix
        pool = synthetic.make(unscored, own / "pool", seed=_REFERENCE_WORLD_SEED, samples=_REFERENCE_SAMPLES, mixture=mixture)
        everything = apply("no_filter", {}, pool, own / "all.npy")
        shards = reshard(pool, everything, own / "shards", Form(recipe.sampling.shard_samples))
        run = train(recipe, (shards,), own / "run", seed=1, changes={"budget.steps": str(steps)})
        made[prefix] = out / f"reference_{prefix}.safetensors"
        load.write_tensors(made[prefix], {name: tensor.half() for name, tensor in load.read_tensors(run.weights()).items()})
    return made


if __name__ == "__main__":
    make_references(Path(sys.argv[1]))
