"""Training a data filtering network (Fang et al. 2023, arXiv 2309.17425) by the benchmark's trainer and an open recipe, with a record of all that it used.

The folder holds `base/` and `tuned/`, which are runs, `labelled-N/`, pairs made of labelled sets, and `network/`, the average of both, which open_clip
and `datacomp score --model local-dir:OUT/network` load. Started again, it goes on where it was stopped.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from datacomp import digest, files, progress
from datacomp.artifacts import filter_network
from datacomp.artifacts import run as runs
from datacomp.artifacts.filter_network import Checked, FilterNetwork, Labelled
from datacomp.artifacts.run import Run, Source
from datacomp.artifacts.shards import ShardSet, VirtualShard
from datacomp.declared import scale as scales
from datacomp.declared.filter_recipe import FilterRecipe
from datacomp.declared.suite import Suite
from datacomp.decontaminate.run import THRESHOLD, find_in
from datacomp.errors import StageError
from datacomp.launch import ranks
from datacomp.network import build, load
from datacomp.pipelines import labelled
from datacomp.pipelines.decontaminate import pictures
from datacomp.train import export, webdataset
from datacomp.train.hardware import Hardware
from datacomp.train.run import Keeping, train
from datacomp.train.webdataset import Weighted

NETWORK = "network"


class Sets(NamedTuple):
    """What a network learns from: image-text sets, then for tuning image-text sets and labelled sets, each with a share of the samples drawn."""

    base: tuple[Weighted, ...]
    captions: tuple[Weighted, ...] = ()
    labels: tuple[tuple[Path, float], ...] = ()


class Against(NamedTuple):
    """The test pictures that training sets must not hold: a suite and the folder of its test sets."""

    suite: Suite
    data: Path
    threshold: float = THRESHOLD
    allowed_share: float = 0.0  # of a set's pictures, which may look like test pictures
    workers: int | None = None  # processes that compare; one a core, if not given


class How(NamedTuple):
    """What may be said besides: of the average, of the recipe, and of the machine."""

    seed: int = 0
    tuned_share: float | None = None  # by default the recipe's
    changes: Mapping[str, str] = {}  # of the recipe's base and tuning
    hardware: Hardware | None = None
    keeping: Keeping | None = None


def make(recipe: FilterRecipe, sets: Sets, initial: Path | None, against: Against, out: Path, how: How | None = None) -> FilterNetwork:
    """Train a filter network into `out`.

    Raises StageError where the recipe begins with weights and none came, or the other way round; where it is tuned and no set for that came, or the other
    way round; and for a training set with copies of test pictures.
    """
    if ranks.are_started():
        raise StageError("a filter network is trained by a call of its own", repair="start it without a launcher, with --devices")
    how = how or How()
    share = _share(recipe, sets, initial, how)
    with files.writing(out):
        given = [Labelling(folder, weight, labelled.write(folder, out / f"labelled-{number}", how.seed)) for number, (folder, weight) in enumerate(sets.labels)]
        tuning = (*sets.captions, *(webdataset.read(f"{out / f'labelled-{number}'}={one.weight}") for number, one in enumerate(given)))
        checked = check([weighted.shards for weighted in (*sets.base, *tuning)], against, out / "copies")
        base = _train(recipe, recipe.changes, sets.base, initial, out / "base", how)
        tuned = _train(recipe, recipe.tuning_changes(), tuning, base.weights(), out / "tuned", how) if tuning else None
        folder = out / NETWORK
        weights = folder / export.WEIGHTS
        average(base.weights(), tuned.weights() if tuned else None, share, weights)
        sources, more = base.record.inputs.sources, tuned.record.inputs.sources if tuned else ()
        record = FilterNetwork(
            recipe=recipe.name,
            recipe_sha256=recipe.digest(),
            changes=dict(how.changes),
            seed=how.seed,
            initial=recipe.initial,
            initial_sha256=base.record.inputs.initial_sha256,
            sources=sources,
            tuning_sources=more,
            labelled=tuple(one.record for one in given),
            base_run_sha256=base.digest,
            tuned_run_sha256=tuned.digest if tuned else "",
            tuned_share=share,
            checked=checked,
            weights_sha256=digest.of_file(weights),
            external_resources=resources(recipe, sources, more, [one.record for one in given]),
        )
        record.write(folder / filter_network.RECORD)
        _write_config(recipe, how, folder)
    return record


class Labelling(NamedTuple):
    """A labelled set, its share, and what it was made into."""

    folder: Path
    weight: float
    record: Labelled


def _share(recipe: FilterRecipe, sets: Sets, initial: Path | None, how: How) -> float:
    if bool(recipe.initial) != (initial is not None):
        raise StageError(
            f"recipe {recipe.name} begins with {recipe.initial or 'fresh weights'}; {'weights' if initial else 'no weights'} to begin with came",
            repair="leave out --initial" if initial else "add --initial FILE.safetensors",
        )
    tunes = bool(sets.captions or sets.labels)
    if tunes and recipe.tuning is None:
        raise StageError(f"recipe {recipe.name} is not tuned, and sets to tune on came", repair="leave them out, or choose another --recipe")
    share = how.tuned_share if how.tuned_share is not None else recipe.tuning.tuned_share if recipe.tuning else 0.0
    if not 0 <= share <= 1 or (not tunes and how.tuned_share):
        raise StageError(f"{share:g} of the tuned weights came{'' if tunes else ', and nothing to tune on'}", allowed="0 to 1")
    if not tunes and recipe.tuning is not None and how.tuned_share is None:
        raise StageError(
            f"recipe {recipe.name} is tuned, and no set came for that",
            allowed=f"such as {', '.join(recipe.tuning.sets)}",
            repair="add --tune-captions or --tune-labels, or --tuned-share 0 to leave tuning out",
        )
    return share if tunes else 0.0


def _train(recipe: FilterRecipe, changes: Mapping[str, str], sets: Sequence[Weighted], initial: Path | None, out: Path, how: How) -> Run:
    shards, weights = zip(*sets, strict=True)
    return train(
        scales.load(recipe.scale),
        shards,
        out,
        seed=how.seed,
        changes={**changes, **how.changes},
        weights=weights,
        hardware=how.hardware,
        keeping=how.keeping,
        initial=initial,
    )


def check(sources: Sequence[ShardSet], against: Against, work: Path) -> tuple[Checked, ...]:
    """Hold training sets against the test pictures. Raises StageError for a set with more copies of them than is allowed."""
    found = []
    for source in sources:
        listed = sorted({tar for place in source.places for tar in (place.tars if isinstance(place, VirtualShard) else (place,))})
        progress.say(f"Looking for test pictures of suite {against.suite.spec.name} in {source.path.name}")
        folder = work / f"{against.suite.digest()[:12]}-{source.digest[:12]}"
        path = folder / "checked.json"
        asked = {"threshold": against.threshold, "suite_sha256": against.suite.digest()}
        if not path.is_file() or not Checked.read(path).model_dump().items() >= asked.items():
            compared = find_in(listed, pictures(against.suite, against.data), folder, threshold=against.threshold, workers=against.workers)
            Checked(
                source=source.path.name,
                suite=against.suite.spec.name,
                suite_sha256=against.suite.digest(),
                compared_samples=compared.compared_samples,
                broken_samples=compared.broken_samples,
                copies=compared.copied_samples,
                threshold=against.threshold,
            ).write(path)
        one = Checked.read(path)
        if one.copies > against.allowed_share * one.compared_samples:
            raise StageError(
                f"{one.copies:,} of {one.compared_samples:,} pictures in {source.path} look like test pictures of suite {one.suite}",
                allowed=f"{int(against.allowed_share * one.compared_samples):,}",
                repair="take them out: datacomp pool build, datacomp decontaminate, datacomp reshard; or say what share may look alike with --allow-copies",
            )
        found.append(one)
    return tuple(found)


def average(base: Path, tuned: Path | None, share: float, out: Path) -> None:
    """Write share * tuned + (1 - share) * base, tensor by tensor, the logit scale among them (Wortsman et al. 2022, arXiv 2109.01903).

    Raises StageError for weights of different networks.
    """
    first = load.read_tensors(base)
    second = load.read_tensors(tuned) if tuned else first
    if {name: tensor.shape for name, tensor in first.items()} != {name: tensor.shape for name, tensor in second.items()}:
        raise StageError(f"{base} and {tuned} are weights of different networks", allowed="weights of one network")
    load.write_tensors(out, {name: _mean(tensor, second[name], share) for name, tensor in first.items()})


def _mean(base: torch.Tensor, tuned: torch.Tensor, share: float) -> torch.Tensor:
    return (share * tuned.double() + (1 - share) * base.double()).to(base.dtype) if share else base


def resources(recipe: FilterRecipe, sources: Sequence[Source], tuning: Sequence[Source], sets: Sequence[Labelled]) -> tuple[str, ...]:
    """Everything that a network was made of, in words, with what its sets rest on in turn."""
    names = {f"labelled-{number}": one for number, one in enumerate(sets)}
    found = [f"initial weights: {recipe.initial}"] if recipe.initial else []
    for says, group in (("trained on", sources), ("tuned on", tuning)):
        for source in group:
            made = names.get(source.name) if group is tuning else None
            name = f"{made.source}, labelled, {made.content_sha256[:12]}" if made else f"{source.name}, list {source.subset.uids_sha256[:12]}"
            pool = f", of pool {source.pool}" if source.pool else ""
            found.append(f"filter network {says} {name}{pool}: {source.samples:,} samples"[:200])
            found += source.subset.external_resources
    return tuple(dict.fromkeys(found))


def _write_config(recipe: FilterRecipe, how: How, folder: Path) -> None:
    """What open_clip needs beside the weights, the config last."""
    scale = scales.changed(scales.load(recipe.scale), {**recipe.changes, **how.changes})
    if not build.has_all_merges(scale.tokens):
        files.write_bytes(folder / export.merges_name(scale.tokens), build.first_merges(scale.tokens.merges))
    files.write_text(folder / export.CONFIG, digest.canonical(export.config(scale)))


def initial_weights(place: Path | None) -> Path | None:
    """The weights that are meant: a safetensors file, or the last ones of a run of one's own."""
    return runs.read(place).weights() if place is not None and place.is_dir() else place
