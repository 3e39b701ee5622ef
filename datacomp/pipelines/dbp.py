"""Density-based pruning as a whole: deduplicate, keep the best CLIP scores, cluster what is left, prune its clusters (Abbas et al. 2024)."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from datacomp import digest, files, progress, uids
from datacomp.artifacts import clusters as made
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.column import NETWORKS
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.subset import Subset
from datacomp.cluster import density, embeddings, report
from datacomp.cluster import run as clustering
from datacomp.cluster.dedup import CHAINS
from datacomp.cluster.select import KEEP
from datacomp.errors import FilterError, StageError
from datacomp.filters import apply as applying
from datacomp.filters import catalog, top
from datacomp.filters.base import Column
from datacomp.launch.local import Workers

PER_CLUSTER = 2000  # samples in each of the clusters within which duplicates are looked for, as far as these are not given
_MOST_CLUSTERS = 50_000  # SemDeDup's


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides on the list besides the pool. The paper names neither epsilon nor the share that passes by its score, so both must be given."""

    epsilon: float
    prefilter_fraction: float  # of what is left of the pool without duplicates
    count: int | None
    fraction: float | None  # of what passes by its score
    score: str = "l14"
    embedding_key: str = embeddings.KEY
    dedup_clusters: int = 0  # 0 for one for each 2,000 samples, at most 50,000
    clusters: int = 100
    preset: str = "paper"
    temperature: float | None = None
    neighbours: int | None = None
    balance: float | None = None
    keep: str = "hard"
    chains: str = "published"
    seed: int = 1234

    def pruning(self) -> dict[str, catalog.Option]:
        """The options of the last step."""
        names = {"count", "fraction", "preset", "temperature", "neighbours", "balance", "keep", "seed"} | ({"score"} if self.keep == "score" else set())
        return {name: value for name, value in self.given().items() if name in names}

    def given(self) -> dict[str, catalog.Option]:
        """All options that have a value."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def run(pool: Pool, recipe: Recipe, out: Path, *, workers: Workers = None) -> Subset:
    """Write the list to `out`, and beside it a folder of that name with the lists and clusters of each step and a report.

    Started again, it goes on with the step at which it was stopped. Raises FilterError for a recipe that cannot be, before anything is computed.
    """
    if not 0 < recipe.prefilter_fraction <= 1 or not 0 < recipe.epsilon < 2 or (recipe.count is None) == (recipe.fraction is None):
        raise FilterError(
            f"dbp got epsilon {recipe.epsilon:g}, prefilter-fraction {recipe.prefilter_fraction:g}, count {recipe.count} and fraction {recipe.fraction}",
            allowed="epsilon above 0 and below 2, a prefilter-fraction above 0 and up to 1 (1 for no prefilter), a count or a fraction",
        )
    if out.suffix != ".npy":
        raise FilterError(f"the list cannot be written to {out}", allowed="a file that ends in .npy: its steps go into a folder of the name before that")
    folder = out.with_suffix("")
    density.settings(recipe.preset, recipe.temperature, recipe.neighbours, recipe.balance)
    if recipe.keep not in KEEP or recipe.chains not in CHAINS:
        raise FilterError(f"keep {recipe.keep} and chains {recipe.chains} came", allowed=f"{', '.join(KEEP)}; {', '.join(CHAINS)}")
    with files.writing(folder):
        _claim(folder, recipe, pool)
        kept = _prefiltered(pool, _deduplicated(pool, recipe, folder, workers), recipe, folder / "prefiltered.npy")
        found = _clusters(pool, recipe, kept, folder / "clusters", recipe.clusters, workers)
        pruned = applying.apply("density", {"clusters": str(found.path), **recipe.pruning()}, pool, folder / "density.npy", workers=workers)
        quotas = density.make(clusters=str(found.path), **recipe.pruning()).quotas()  # type: ignore[arg-type]
        report.write(found, pruned, quotas, pool, folder / "report.html")
        record = pruned.record
        said = {name: getattr(record, name) for name in ("pool_uids_sha256", "assets", "external_resources", "tombstoned_samples") if getattr(record, name)}
        return subsets.write(out, uids.blocks(pruned.uids), said | {"filter": "dbp", "options": recipe.given()})


def _claim(folder: Path, recipe: Recipe, pool: Pool) -> None:
    """Take the folder for a recipe; steps of another are never gone on with."""
    with files.scratch(folder) as scratch:
        asked = digest.canonical({"recipe": recipe.given(), "pool": pools.uids_sha256(pool, scratch), "code": digest.of_code()})
    path = folder / "recipe.json"
    if path.is_file() and path.read_text() != asked:
        raise StageError(f"{folder} holds the steps of another recipe, pool or code", repair="choose another --out, or remove that folder")
    if not path.is_file() and (held := files.held(folder)):
        raise StageError(f"{folder} already holds {held[0].name}", repair="choose another --out")
    files.write_text(path, asked)


def _clusters(pool: Pool, recipe: Recipe, kept: Subset | None, out: Path, number: int, workers: Workers) -> made.Clusters:
    given = embeddings.of_pool(pool, recipe.embedding_key, out.parent)
    return clustering.make(given, kept, out, clustering.Settings(number, seed=recipe.seed, workers=workers))


def _deduplicated(pool: Pool, recipe: Recipe, folder: Path, workers: Workers) -> Subset:
    path = folder / "deduplicated.npy"
    if path.is_file():
        return subsets.read(path)
    samples = sum(span.rows for span in pools.spans(pool))
    number = recipe.dedup_clusters or max(1, min(_MOST_CLUSTERS, samples // PER_CLUSTER))
    found = _clusters(pool, recipe, None, folder / "all", number, workers)
    options: dict[str, catalog.Option] = {"clusters": str(found.path), "epsilon": recipe.epsilon, "chains": recipe.chains}
    return applying.apply("semdedup", options, pool, path, workers=workers)


def _prefiltered(pool: Pool, listed: Subset, recipe: Recipe, path: Path) -> Subset:
    """The best-scored share of a list, exactly."""
    if path.is_file():
        return subsets.read(path)
    progress.say(f"CLIP score: the best {recipe.prefilter_fraction:g} of {len(listed.uids):,} samples without duplicates")
    columns = list(_columns(pool, listed, NETWORKS.get(recipe.score, recipe.score)))
    return subsets.write(path, _kept(columns, recipe.prefilter_fraction), {"filter": "dbp's prefilter"})


def _columns(pool: Pool, listed: Subset, score: str) -> Iterator[Column]:
    for block in pools.blocks(pool, (score,)):
        inside = block.where(uids.count(pools.read_uids(block.table, block.span), listed.uids) > 0)
        yield Column(pools.Block(inside.columns.clear(), inside.span, inside.table, inside.kept), inside.numbers(score))


def _kept(columns: Sequence[Column], fraction: float) -> Iterator[uids.UidArray]:
    """The kept uids in one sorted block."""
    kept = [column.uids[np.asarray(times)] for column, times in zip(columns, top.exact(columns, fraction), strict=True)]
    listed: uids.UidArray = np.concatenate(kept)
    yield listed[uids.order(listed)]
