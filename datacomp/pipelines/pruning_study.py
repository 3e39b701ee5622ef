"""Does density-based pruning help on the generated world: its lists beside uniform pruning, random ones and CLIP scores of equal size, as arms of a comparison.

All lists come from one chain of steps, that of `datacomp.pipelines.dbp`: duplicates dropped, the best CLIP scores of what is left, clusters. How near
duplicates are is chosen by how much of the pool they would leave, never by the truth.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from datacomp import digest, draws, files, progress, uids
from datacomp.artifacts import clusters as made
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.subset import Subset
from datacomp.cluster import embeddings
from datacomp.cluster import run as clustering
from datacomp.declared import scale as scales
from datacomp.declared.scale import Scale
from datacomp.declared.suite import Suite
from datacomp.filters.apply import apply
from datacomp.filters.catalog import Option
from datacomp.pipelines import dbp
from datacomp.pipelines.compare import Arm, Comparison
from datacomp.pipelines.dbp import Recipe

NONE, DEDUPLICATED, PREFILTERED = "no filter", "deduplicated", "deduplicated, CLIP score"
METHODS = ("DBP", "SSP", "random", "CLIP score")  # each at every share
VARIANTS: Mapping[str, Mapping[str, Option]] = {"DBP easy first": {"keep": "easy"}, "DBP by CLIP score": {"keep": "score", "score": "l14"}}
SHORT = ", steps cut"  # after the name of an arm of the shorter runs
_NOTE = "open division: the recipe's steps are cut"
_WIDEST, _NEAREST = 1.0, 1e-5  # epsilons between which one is looked for
_HALVINGS = 12


@dataclass(frozen=True)
class Study:
    """What is compared; lists and runs lie in `out`, what was measured in the file `record`."""

    out: Path
    record: Path
    scale: Scale
    suite: Suite
    pool: Path
    seeds: tuple[int, ...] = (0, 1, 2)
    shares: tuple[float, ...] = (0.2, 0.4, 0.6)  # kept of what passes by its CLIP score
    compared_share: float = 0.4  # at which variants and shorter runs are compared
    steps_share: float = 0.25
    deduplicated_share: float = 0.8  # of the pool, which is to be left without duplicates; DataComp medium's, as said of the paper
    prefilter_fraction: float = 0.5
    clusters: int = 100
    data: Path | None = None
    at_once: int | None = None
    only: tuple[str, ...] = field(default=())  # names of arms; all if empty

    def comparisons(self) -> tuple[Comparison, ...]:
        """Runs by the scale's own recipe, and those of the open division with fewer steps."""
        steps = max(1, round(self.scale.budget.steps * self.steps_share))
        shorter = scales.changed(self.scale, {"budget.steps": str(steps), "budget.checkpoints": "1"})
        whole, short = self._chosen(self.arms()), self._chosen(self.short_arms())
        one = Comparison(self.out, self.record, self.scale, self.suite, self.pool, whole, self.seeds, self.data, self.at_once)
        return one, replace(one, scale=shorter, arms=short)

    def arms(self) -> tuple[Arm, ...]:
        """Everything that is trained on for as long as the scale says."""
        found: dict[str, Callable[[Path], object]] = {
            NONE: self._everything,
            DEDUPLICATED: self._deduplicated,
            PREFILTERED: self._prefiltered,
        }
        found |= {titled(method, share): partial(self._list, method, share) for share in self.shares for method in METHODS}
        found |= {titled(name, self.compared_share): partial(self._pruned, self.compared_share, options) for name, options in VARIANTS.items()}
        return tuple(Arm(name, make) for name, make in found.items())

    def short_arms(self) -> tuple[Arm, ...]:
        """Those that are trained on for fewer steps: pruned data, and what a short run makes of other data."""
        names = (NONE, titled("DBP", self.compared_share), titled("CLIP score", self.compared_share))
        return tuple(Arm(arm.name + SHORT, arm.make, _NOTE) for arm in self.arms() if arm.name in names)

    @cached_property
    def given(self) -> Pool:
        """The pool."""
        return pools.read(self.pool)

    @cached_property
    def folder(self) -> Path:
        """Where the steps of this pool lie."""
        record = self.given.record
        asked = [record.content_sha256 if record else "", self.deduplicated_share, self.prefilter_fraction, self.clusters, digest.of_code()]
        return self.out / "steps" / digest.of_content(asked)[:12]

    @cached_property
    def recipe(self) -> Recipe:
        """That of density-based pruning, at the share at which all is compared."""
        return Recipe(self.epsilon, self.prefilter_fraction, None, self.compared_share, clusters=self.clusters)

    @cached_property
    def epsilon(self) -> float:
        """How near duplicates are: with this, as near as can be to the share of the pool is left that was asked for."""
        path = self.folder / "epsilon.json"
        if not path.is_file():
            files.write_text(path, digest.canonical({"epsilon": self._find_epsilon()}))
        return float(json.loads(path.read_text())["epsilon"])

    def steps(self) -> Path:
        """The folder of the steps, when all are done: lists, clusters and the report of clusters."""
        dbp.run(self.given, self.recipe, self.folder / "dbp.npy", workers=self.at_once)
        return self.folder / "dbp"

    def _chosen(self, arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
        return tuple(arm for arm in arms if not self.only or arm.name in self.only)

    def _find_epsilon(self) -> float:
        """Halve what is between two epsilons, by their logarithms, over and over: the larger, the less is left."""
        samples = sum(span.rows for span in pools.spans(self.given))
        source = embeddings.of_pool(self.given, embeddings.KEY, self.folder)
        number = max(1, samples // dbp.PER_CLUSTER)
        found = clustering.make(source, None, self.folder / "all", clustering.Settings(number, workers=self.at_once))
        low, high = _NEAREST, _WIDEST
        best = (1.0, low)
        for _ in range(_HALVINGS):
            tried = float(f"{(low * high) ** 0.5:.3g}")
            left = len(apply("semdedup", {"clusters": str(found.path), "epsilon": tried}, self.given, self.folder / "tried.npy").uids) / samples
            progress.say(f"epsilon {tried:g} leaves {100 * left:.1f} % of the pool")
            best = min(best, (abs(left - self.deduplicated_share), tried))
            low, high = (tried, high) if left > self.deduplicated_share else (low, tried)
        return best[1]

    def _everything(self, path: Path) -> Subset:
        return apply("no_filter", {}, self.given, path)

    def _deduplicated(self, path: Path) -> Subset:
        return _copied(self.steps() / "deduplicated.npy", path)

    def _prefiltered(self, path: Path) -> Subset:
        return _copied(self.steps() / "prefiltered.npy", path)

    def _list(self, method: str, share: float, path: Path) -> Subset:
        """A list of one of the methods, all of a share being of one size."""
        makers: dict[str, Callable[[], Subset]] = {
            "DBP": lambda: self._pruned(share, {}, path),
            "SSP": lambda: self._pruned(share, {"quota": "uniform"}, path),
            "random": lambda: _drawn(subsets.read(self.steps() / "prefiltered.npy"), self._count(share), path),
            "CLIP score": lambda: self._best(self._count(share), path),
        }
        return makers[method]()

    def _pruned(self, share: float, options: Mapping[str, Option], path: Path) -> Subset:
        chosen: dict[str, Option] = {"clusters": str(self.steps() / "clusters"), "count": self._count(share), **options}
        return apply("density", chosen, self.given, path, workers=self.at_once)

    def _best(self, count: int, path: Path) -> Subset:
        samples = sum(span.rows for span in pools.spans(self.given))
        options: dict[str, Option] = {"score": "l14", "fraction": min(1.0, (count + 0.5) / samples), "exact_count": True}
        return apply("clip_score", options, self.given, path, workers=self.at_once)

    def _count(self, share: float) -> int:
        return int(made.read(self.steps() / "clusters").record.clustered_samples * share)


def titled(method: str, share: float) -> str:
    """The name of a method's arm at a share."""
    return f"{method} {100 * share:g} %"


def _copied(source: Path, path: Path) -> Subset:
    listed = subsets.read(source)
    return subsets.write(path, uids.blocks(listed.uids), listed.record.model_dump(exclude={"uids_sha256", "samples", "distinct_samples"}))


def _drawn(listed: Subset, count: int, path: Path) -> Subset:
    """So many of a list, by a hash of their uids."""
    named = np.asarray(listed.uids)
    chosen = named[np.argsort(draws.bits(0, "random of a list", named["f0"], named["f1"]), kind="stable")[:count]]
    return subsets.write(path, [chosen[uids.order(chosen)]], {"filter": "random", "options": {"count": count}})
