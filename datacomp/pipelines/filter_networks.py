"""The networks behind the filters that are compared: trained on a small clean world of their own, purely or poisoned by raw pairs, classifiers, references.

What each of them reaches itself, zero-shot, stands in a small file of its own, which can be committed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from datacomp import digest, files, progress, tars
from datacomp.artifacts import pool as artifacts
from datacomp.artifacts.scores import Scores
from datacomp.artifacts.shards import ShardSet
from datacomp.board import averages
from datacomp.declared import pool as pools
from datacomp.declared import scale as scales
from datacomp.declared.filter_recipe import FilterRecipe
from datacomp.declared.pool import GeneratedSource, PoolSpec
from datacomp.declared.suite import Suite
from datacomp.evaluate import sets
from datacomp.evaluate.run import evaluate_published
from datacomp.network import build, choose, load
from datacomp.network.choose import Network
from datacomp.pipelines import classify, compare, compared, dfn, test_sets
from datacomp.pipelines.compared import Keyed, MainScore
from datacomp.pipelines.dfn import Against, How, Sets
from datacomp.pipelines.paired import Mean
from datacomp.pool import draw, questions, synthetic, world
from datacomp.records import Count, Digest, Line
from datacomp.score import run as scoring
from datacomp.score.base import COSINE, Method
from datacomp.train import export, webdataset
from datacomp.train.webdataset import Weighted

FILE = "networks.json"
RECIPE = "miniature"
_BATCH = 256
_SEEDS = {"clean": 1_001, "raw": 1_002, "labels": 1_003}  # of worlds of their own, far from every pool's, test set's and reference's
_CLEAN = replace(
    world.BALANCED_WEB,
    captions={kind: share * (kind in world.FAITHFUL) for kind, share in world.BALANCED_WEB.captions.items()},
    pictures={kind: float(kind == "sound") for kind in world.BALANCED_WEB.pictures},
    near_duplicates=0.0,
)


class OwnScores(Keyed):
    """What the network behind an arm reaches itself."""

    keyed_by = "arm"

    arm: Line
    weights_sha256: Digest
    suite: Line
    suite_version: Count
    suite_sha256: Digest
    tasks: tuple[MainScore, ...]

    @property
    def key(self) -> tuple[str]:
        """The arm."""
        return (self.arm,)


@dataclass(frozen=True)
class Networks:
    """Networks in the folder `out`, their own scores in the file `record`."""

    out: Path
    record: Path
    suite: Suite
    recipe: FilterRecipe
    poison: tuple[float, ...] = (0.0, 0.05, 0.2, 0.5, 1.0)  # shares of raw pairs among those that filter networks are trained on
    clean_samples: int = 20_480  # a tenth of what the reference networks learnt from
    label_samples: int = 3_200
    how: How = How()  # noqa: RUF009 - a tuple, which nobody changes
    data: Path | None = None  # of the test sets
    workers: int | None = None

    def makers(self) -> dict[str, Callable[[], Path]]:
        """What makes the network behind each arm that has one: a folder that open_clip loads. A classifier's is that whose features it tells apart."""
        found: dict[str, Callable[[], Path]] = {score_title(prefix): partial(self._reference, prefix) for prefix in choose.PREFIXES}
        found |= {title(share): partial(self.trained, share) for share in self.poison}
        return found | {classifier_title(prefix): partial(self._reference, prefix) for prefix in choose.PREFIXES}

    def is_measured(self, arm: str) -> bool:
        """Whether the record holds what the network behind an arm reaches under this suite."""
        return arm in own(compared.read_all(self.record, OwnScores), self.suite)

    def measure(self, arm: str) -> None:
        """Make the network behind an arm, and evaluate it unless the record has its scores."""
        folder = self.makers()[arm]()
        weights, suite = digest.of_file(folder / export.WEIGHTS), self.suite.digest()
        held = {row.arm: (row.weights_sha256, row.suite_sha256) for row in compared.read_all(self.record, OwnScores)}
        if held.get(arm) == (weights, suite):
            return
        progress.say(f"The network behind {arm}")
        found = evaluate_published(f"local-dir:{folder}", None, self.suite, self.located, self.out / "own" / weights[:12])
        spec, tasks = self.suite.spec, compare.main_scores(self.suite, found)
        about = {"arm": arm, "weights_sha256": weights, "suite": spec.name, "suite_version": spec.version, "suite_sha256": suite}
        compared.add(self.record, OwnScores.of(about | {"tasks": tasks}, "a measured network"))

    def trained(self, share: float) -> Path:
        """A filter network, of which so large a share of the pairs drawn in training is raw."""
        out = self.out / "dfn" / f"{100 * share:g}"
        mixed = ((self.clean, 1 - share), (self.raw, share))
        base = tuple(Weighted(found, weight) for found, weight in mixed if weight > 0)
        labels = ((self._labels(), 1.0),) if self.recipe.tuning else ()
        dfn.make(self.recipe, Sets(base, labels=labels), None, self._against(), out, self.how)
        return out / dfn.NETWORK

    def scored(self, pool: Path, out: Path, *, share: float) -> Scores:
        """A pool's scores by a filter network: cosines of its towers."""
        return self._scored(pool, choose.one(None, f"local-dir:{self.trained(share)}", None), COSINE, out)

    def classified(self, pool: Path, out: Path, *, prefix: str) -> Scores:
        """A pool's scores by the classifier on a reference network's features."""
        features = replace(_reference(prefix), prefix="")  # embeddings are not kept
        return self._scored(pool, features, Method("classifier", (("head", str(self._head(features, prefix))),)), out)

    def _scored(self, pool: Path, network: Network, method: Method, out: Path) -> Scores:
        return scoring.score(artifacts.read(pool), network, out, scoring.Settings(None, _BATCH, self.workers, method))

    def _head(self, features: Network, prefix: str) -> Path:
        """The classifier of clean against raw pictures on a reference network's features."""
        head = self.out / "classifiers" / prefix
        if not (head / "classifier.json").is_file():
            classify.make(features, classify.Kinds(self.clean, self.raw), head, against=self._against(), samples=self.clean_samples)
        return head

    @cached_property
    def clean(self) -> ShardSet:
        """Sound pictures with faithful captions."""
        return self._pairs("clean", _CLEAN)

    @cached_property
    def raw(self) -> ShardSet:
        """Pairs as a pool has them."""
        return self._pairs("raw", world.POOL)

    @cached_property
    def located(self) -> Path:
        """The test sets."""
        return test_sets.locate(self.suite, self.data)

    def _pairs(self, name: str, mixture: world.Mixture) -> ShardSet:
        """A set of pairs of a world of its own, as any webdataset."""
        spec = _unscored(pools.load("micro"), name)
        made = synthetic.make(spec, self.out / name, seed=_SEEDS[name], samples=self.clean_samples, mixture=mixture, workers=self.workers)
        return webdataset.read(str(made.path / "shards")).shards

    def _against(self) -> Against:
        """Pictures of the generated world are so simple that strangers look alike: what is counted is recorded, and nothing refused."""
        return Against(self.suite, self.located, allowed_share=1.0, workers=self.workers)

    def _labels(self) -> Path:
        """Labelled pictures with the class names and templates of the suite's main task, of another seed."""
        folder, seed = self.out / "labels", _SEEDS["labels"]
        asked = questions.ask("objects", seed, self.label_samples)
        if not (folder / sets.count("train")).is_file():
            files.write_text(folder / sets.CLASSES, "\n".join(asked.classes) + "\n")
            files.write_text(folder / sets.TEMPLATES, "\n".join(asked.templates) + "\n")
            with files.whole(folder / "train" / "0.tar") as temporary, tars.TarWriter(temporary) as writer:
                for number, (scene, label) in enumerate(zip(asked.scenes.iter_rows(named=True), asked.labels, strict=True)):
                    writer.add(f"s{number:07d}.cls", str(label).encode())
                    writer.add(f"s{number:07d}.jpg", synthetic.encode(draw.picture(scene, seed)))
            files.write_text(folder / sets.count("train"), "1\n")
        return folder

    def _reference(self, prefix: str) -> Path:
        """A reference network as a folder that open_clip loads."""
        network = _reference(prefix)
        folder, scale = self.out / "references" / prefix, scales.load(network.name)
        if not (folder / export.CONFIG).is_file():
            load.write_tensors(folder / export.WEIGHTS, {name: tensor.float() for name, tensor in load.read_tensors(network.weights).items()})
            files.write_bytes(folder / export.merges_name(scale.tokens), build.first_merges(scale.tokens.merges))
            files.write_text(folder / export.CONFIG, digest.canonical(export.config(scale)))
        return folder


def title(share: float) -> str:
    """The name of a filter network's arm."""
    return "DFN" if not share else f"DFN, {100 * share:g} % raw"


def score_title(prefix: str) -> str:
    """The name of a CLIP score's arm."""
    return f"CLIP score {prefix}"


def classifier_title(prefix: str) -> str:
    """The name of a classifier's arm."""
    return f"classifier on {prefix}"


def own(rows: Sequence[OwnScores], suite: Suite) -> dict[str, Mean]:
    """The average of the network behind each arm, with the error of the test samples; those under another suite are left out."""
    found = {}
    for row in rows:
        if row.suite_sha256 == suite.digest():
            (value,), error = averages.seed_means(suite, suite.counting, [row.tasks])
            found[row.arm] = Mean(value, error, 1)
    return found


def _reference(prefix: str) -> Network:
    return next(network for network in choose.choose([]) if network.prefix == prefix)


def _unscored(spec: PoolSpec, name: str) -> PoolSpec:
    origin = spec.origin
    assert isinstance(origin, GeneratedSource)
    return spec.model_copy(update={"name": name, "origin": origin.model_copy(update={"references": ()})})
