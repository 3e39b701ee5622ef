"""Filters of one size compared on the generated world: filter networks, clean and poisoned, classifiers, CLIP scores, random and none as arms."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from datacomp.artifacts import pool as pools
from datacomp.artifacts.scores import Scores
from datacomp.artifacts.subset import Subset
from datacomp.declared import pool as declared
from datacomp.declared.scale import Scale
from datacomp.filters.apply import apply
from datacomp.filters.catalog import Option
from datacomp.network import choose
from datacomp.pipelines import compared
from datacomp.pipelines.compare import Arm, Comparison
from datacomp.pipelines.filter_networks import Networks, classifier_title, score_title, title
from datacomp.pipelines.paired import Table
from datacomp.pool import synthetic

NONE, RANDOM = "no filter", "random"
SCORES, CLASSIFIERS = tuple(map(score_title, choose.PREFIXES)), tuple(map(classifier_title, choose.PREFIXES))
TRAINED = tuple(map(title, Networks.poison))
ARMS = (NONE, RANDOM, *SCORES, *TRAINED, *CLASSIFIERS)


class At(NamedTuple):
    """A scale, and the seeds of its runs."""

    scale: Scale
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Study:
    """What is compared: pools, lists and runs lie in `out`, a folder for each scale, what was measured in the file `record`."""

    out: Path
    record: Path
    networks: Networks
    places: tuple[At, ...]
    fraction: float = 0.15  # of the pool, which every filter keeps
    pool_samples: int | None = None  # by default the pool's
    at_once: int | None = None
    only: tuple[str, ...] = field(default=())  # names of arms; all if empty

    def comparisons(self) -> tuple[Comparison, ...]:
        """The runs at each scale."""
        return tuple(self._comparison(at) for at in self.places)

    def arms(self, pool: Path) -> tuple[Arm, ...]:
        """Every filter of a pool, as far as it is asked for."""
        best: dict[str, Option] = {"fraction": self.fraction, "exact_count": True}
        found: dict[str, Callable[[Path], object]] = {
            NONE: partial(self._filtered, pool, "no_filter", {}),
            RANDOM: partial(self._filtered, pool, "random", {"fraction": self.fraction}),
        }
        found |= {score_title(prefix): partial(self._filtered, pool, "clip_score", {"score": prefix, **best}) for prefix in choose.PREFIXES}
        found |= {title(share): partial(self._by_scores, pool, partial(self.networks.scored, share=share)) for share in self.networks.poison}
        found |= {classifier_title(prefix): partial(self._by_scores, pool, partial(self.networks.classified, prefix=prefix)) for prefix in choose.PREFIXES}
        return tuple(Arm(name, make) for name, make in found.items() if not self.only or name in self.only)

    def told(self) -> list[str]:
        """What is measured, what is not, and how long the runs may take, besides networks and lists."""
        behind = [f"  {'measured' if self.networks.is_measured(arm) else 'to do   '}  {arm}" for arm in self._behind()]
        return ["\n".join(["networks, before the runs:", *behind])] * bool(behind) + [asked.told() for asked in self.comparisons()]

    def run(self) -> None:
        """Do what the records do not hold; the networks first, since lists are made of them. Where they hold everything, nothing is made."""
        if all(map(self.networks.is_measured, self._behind())) and all(asked.is_measured for asked in self.comparisons()):
            return
        for arm in self._behind():
            self.networks.measure(arm)
        for at, asked in zip(self.places, self.comparisons(), strict=True):
            synthetic.make(declared.load(at.scale.pool), asked.pool, samples=self.pool_samples, workers=self.networks.workers)
            asked.run()

    def tables(self) -> list[Table]:
        """The runs at each scale that hold today."""
        rows = compared.read(self.record)
        return [Table(rows.values(), at.scale, self.networks.suite) for at in self.places]

    def _comparison(self, at: At) -> Comparison:
        folder = self.out / at.scale.name
        arms = self.arms(folder / "pool")
        return Comparison(folder, self.record, at.scale, self.networks.suite, folder / "pool", arms, at.seeds, self.networks.data, self.at_once)

    def _behind(self) -> list[str]:
        return [arm for arm in self.networks.makers() if not self.only or arm in self.only]

    def _filtered(self, pool: Path, name: str, options: dict[str, Option], path: Path) -> Subset:
        return apply(name, options, pools.read(pool), path, workers=self.networks.workers)

    def _by_scores(self, pool: Path, score: Callable[[Path, Path], Scores], path: Path) -> Subset:
        """The best by scores that lie beside the lists."""
        table = score(pool, path.parents[1] / "scores" / path.stem)
        return self._filtered(pool, "score", {"scores": str(table.path), "fraction": self.fraction, "exact_count": True}, path)
