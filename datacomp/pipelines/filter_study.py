"""Filters compared on the generated world: what networks induce that were trained on a small clean set, purely or poisoned by raw pairs.

Every arm keeps the same share of the pool, but for no filter. For each, the average of models trained on what it keeps, over seeds, and the zero-shot
average of the network behind it. Everything that is done is kept, so that a killed study goes on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from datacomp import digest, files, progress, tars
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.results import TaskScores
from datacomp.board import averages
from datacomp.board.enter import About
from datacomp.declared import pool as pools
from datacomp.declared import scale as scales
from datacomp.declared.filter_recipe import FilterRecipe
from datacomp.declared.pool import GeneratedSource, PoolSpec
from datacomp.declared.scale import Scale
from datacomp.declared.suite import Suite
from datacomp.evaluate import sets
from datacomp.evaluate.run import evaluate_published
from datacomp.filters.apply import apply
from datacomp.network import build, choose, load
from datacomp.network.choose import Network
from datacomp.pipelines import classify, dfn, test_sets
from datacomp.pipelines.dfn import Against, How, Sets
from datacomp.pipelines.run import Chain
from datacomp.pool import draw, questions, synthetic, world
from datacomp.score import run as scoring
from datacomp.score.base import COSINE, Method
from datacomp.train import export, webdataset
from datacomp.train.webdataset import Weighted

_SEEDS = {"clean": 1_001, "raw": 1_002, "labels": 1_003}  # of worlds of their own, far from every pool's, test set's and reference's
_CLEAN = replace(
    world.WEB_LIKE,
    captions={kind: share * (kind in world.FAITHFUL) for kind, share in world.WEB_LIKE.captions.items()},
    pictures={kind: float(kind == "sound") for kind in world.WEB_LIKE.pictures},
    near_duplicates=0.0,
)
_BATCH = 256


class Row(NamedTuple):
    """One arm: means and standard errors in shares of 1, over seeds and test samples; the filter's own are None where it knows no classes."""

    arm: str
    samples: int
    induced: float
    induced_error: float
    own: float | None
    own_error: float | None


@dataclass(frozen=True)
class Study:
    """A comparison in the folder `out`."""

    out: Path
    scale: Scale
    suite: Suite
    recipe: FilterRecipe
    seeds: tuple[int, ...] = (0,)
    fraction: float = 0.15
    poison: tuple[float, ...] = (0.0, 0.05, 0.2, 0.5, 1.0)  # shares of raw pairs among those that filter networks are trained on
    clean_samples: int = 20_480  # a tenth of what the reference networks learnt from
    label_samples: int = 3_200
    pool_samples: int | None = None  # by default the pool's
    how: How = How()  # noqa: RUF009 - a tuple, which nobody changes
    threads: int | None = None
    workers: int | None = None

    def arms(self) -> dict[str, Callable[[str], Path]]:
        """Each arm, and what writes its list under a name."""
        found: dict[str, Callable[[str], Path]] = {
            "no filter": partial(self._filtered, "no_filter", {}),
            "random": partial(self._filtered, "random", {"fraction": self.fraction}),
        }
        for prefix in choose.PREFIXES:
            found[score_title(prefix)] = partial(self._filtered, "clip_score", {"score": prefix, "fraction": self.fraction, "exact_count": True})
        found |= {title(share): partial(self._by_dfn, share) for share in self.poison}
        return found | {"classifier": self._by_classifier}

    def rows(self, only: tuple[str, ...] = ()) -> Iterator[Row]:
        """Take every arm, or those that are named, the whole way; the filters' own averages are measured under the same suite."""
        for number, (arm, make) in enumerate(self.arms().items(), 1):
            if only and arm not in only:
                continue
            progress.say(f"Arm {number}: {arm}")
            folder = self.folder(arm)
            entry = Chain(
                self.scale, self.pool.path, make(folder.name), About(method=arm, author="filter study"), folder, self.suite, seeds=self.seeds,
                data=self.data, threads=self.threads,
            ).run()  # fmt: skip
            induced = averages.aggregates(self.suite, [run.tasks for run in entry.runs])[averages.AVERAGE]
            own = self._own(arm)
            own_average = averages.aggregates(self.suite, [own])[averages.AVERAGE] if own else None
            yield Row(
                arm,
                entry.runs[0].sources[0].samples,
                induced.value,
                induced.standard_error,
                own_average.value if own_average else None,
                own_average.standard_error if own_average else None,
            )

    def folder(self, arm: str) -> Path:
        """Where an arm's runs lie."""
        return self.out / "runs" / arm.replace(" ", "-").replace("%", "").lower()

    @cached_property
    def data(self) -> Path:
        """The test sets."""
        return test_sets.locate(self.suite, None)

    @cached_property
    def pool(self) -> Pool:
        """The pool to be filtered."""
        return synthetic.make(pools.load(self.scale.pool), self.out / "pool", samples=self.pool_samples, workers=self.workers)

    def _pairs(self, name: str, mixture: world.Mixture) -> Weighted:
        """A set of pairs of a world of its own, as any webdataset."""
        spec = pools.load("micro")
        unscored = _unscored(spec, name)
        made = synthetic.make(unscored, self.out / name, seed=_SEEDS[name], samples=self.clean_samples, mixture=mixture, workers=self.workers)
        return webdataset.read(str(made.path / "shards"))

    def _dfn(self, share: float) -> Path:
        """A filter network, of which so large a share of the pairs drawn in training is raw."""
        out = self.out / "dfn" / f"{100 * share:g}"
        clean, raw = self._pairs("clean", _CLEAN), self._pairs("raw", world.POOL)
        mixed = ((clean, 1 - share), (raw, share))
        base = tuple(Weighted(found.shards, weight) for found, weight in mixed if weight > 0)
        labels = ((self._labels(), 1.0),) if self.recipe.tuning else ()
        dfn.make(self.recipe, Sets(base, labels=labels), None, self._against(), out, self.how)
        return out / dfn.NETWORK

    def _against(self) -> Against:
        """Pictures of the generated world are so simple that strangers look alike: what is counted is recorded, and nothing refused."""
        return Against(self.suite, self.data, allowed_share=1.0, workers=self.workers)

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

    def _features(self) -> Network:
        """The network behind the classifier: the pool's weaker reference."""
        return replace(next(network for network in choose.choose([]) if network.prefix == choose.PREFIXES[0]), prefix="")  # embeddings are not kept

    def _head(self) -> Path:
        head = self.out / "classifier"
        if not (head / "classifier.json").is_file():
            kinds = classify.Kinds(self._pairs("clean", _CLEAN).shards, self._pairs("raw", world.POOL).shards)
            classify.make(self._features(), kinds, head, against=self._against(), samples=self.clean_samples)
        return head

    def _filtered(self, filter_name: str, options: dict[str, float | int | str | bool], name: str) -> Path:
        path = self.out / "lists" / f"{name}.npy"
        return path if path.is_file() else apply(filter_name, options, self.pool, path, workers=self.workers).path

    def _by_dfn(self, share: float, name: str) -> Path:
        return self._by_scores(choose.one(None, f"local-dir:{self._dfn(share)}", None), COSINE, name)

    def _by_classifier(self, name: str) -> Path:
        return self._by_scores(self._features(), Method("classifier", (("head", str(self._head())),)), name)

    def _by_scores(self, network: Network, method: Method, name: str) -> Path:
        scored = scoring.score(self.pool, network, self.out / "scores" / name, scoring.Settings(None, _BATCH, self.workers, method))
        return self._filtered("score", {"scores": str(scored.path), "fraction": self.fraction, "exact_count": True}, name)

    def _own(self, arm: str) -> tuple[TaskScores, ...] | None:
        """The zero-shot results of the network behind an arm, if it has one that knows classes."""
        networks: dict[str, Callable[[], Path]] = {score_title(prefix): partial(self._reference, prefix) for prefix in choose.PREFIXES}
        networks |= {title(share): partial(self._dfn, share) for share in self.poison}
        if arm not in networks:
            return None
        folder = networks[arm]()
        out = self.out / "own" / f"{digest.of_file(folder / export.WEIGHTS)[:12]}"
        return tuple(evaluate_published(f"local-dir:{folder}", None, self.suite, self.data, out, threads=self.threads).tasks)

    def _reference(self, prefix: str) -> Path:
        """A reference network as a folder that open_clip loads."""
        network = next(found for found in choose.choose([]) if found.prefix == prefix)
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


def _unscored(spec: PoolSpec, name: str) -> PoolSpec:
    origin = spec.origin
    assert isinstance(origin, GeneratedSource)
    return spec.model_copy(update={"name": name, "origin": origin.model_copy(update={"references": ()})})


def table(rows: list[Row]) -> str:
    """The rows in Markdown, in percent, the best induced average first."""
    lines = ["| arm | samples | induced average | the filter's own |", "|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: -row.induced):
        own = "" if row.own is None or row.own_error is None else _percent(row.own, row.own_error)
        lines.append(f"| {row.arm} | {row.samples:,} | {_percent(row.induced, row.induced_error)} | {own} |")
    return "\n".join(lines) + "\n"


def _percent(value: float, error: float) -> str:
    return f"{100 * value:.1f} ± {100 * error:.1f}"


def own(row: Row) -> float:
    """The average of the network behind a row that has one."""
    assert row.own is not None
    return row.own


def plot(rows: list[Row]) -> str:
    """An SVG of induced against own averages, one mark an arm."""
    known = [(row, own(row)) for row in rows if row.own is not None]
    if not known:
        return ""
    width, height, margin = 640, 420, 60
    most_own, most = max(own for _, own in known) * 1.1, max(row.induced for row in rows) * 1.1
    marks = []
    for row, own in known:
        x, y = margin + own / most_own * (width - 2 * margin), height - margin - row.induced / most * (height - 2 * margin)
        error = row.induced_error / most * (height - 2 * margin)
        marks.append(f'<line x1="{x:.1f}" y1="{y - error:.1f}" x2="{x:.1f}" y2="{y + error:.1f}" stroke="#888"/>')
        marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#0b6"/><text x="{x + 7:.1f}" y="{y + 4:.1f}">{row.arm}</text>')
    axes = f'<path d="M{margin} {margin}V{height - margin}H{width - margin}" fill="none" stroke="#333"/>'
    names = f'<text x="{width / 2}" y="{height - 20}" text-anchor="middle">own average, up to {100 * most_own:.0f} %</text>'
    names += f'<text x="{margin}" y="{margin - 14}">induced average, up to {100 * most:.0f} %</text>'
    style = f'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    paper = '<rect width="100%" height="100%" fill="#fff"/>'
    return f"<svg {style}>{paper}{axes}{names}{''.join(marks)}</svg>\n"
