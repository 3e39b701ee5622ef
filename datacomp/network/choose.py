"""Choosing the networks behind a pool's scores and features: the shipped references, one of our own runs, or somebody else's weights."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from datacomp import digest
from datacomp.artifacts import filter_network
from datacomp.artifacts import run as runs
from datacomp.declared import pool as pools
from datacomp.declared import scale as scales
from datacomp.errors import StageError
from datacomp.network import pictures, published
from datacomp.network.embed import Embedder, Encoder
from datacomp.network.published import OpenClip

PREFIXES = ("b32", "l14")  # of CommonPool's columns
NONE = "none"
REFERENCE = "reference"
ALLOWED = f"PREFIX={REFERENCE}, PREFIX=RUN (a folder), PREFIX=ARCHITECTURE[/TAG]:WEIGHTS (open_clip's), PREFIX={NONE}; PREFIX is {' or '.join(PREFIXES)}"
_REFERENCE_POOL = "nano"  # whose record names the shipped networks
_LOCAL, _HUB, _TIMM = "local-dir:", "hf-hub:", "timm:"
_MODELS = f"ARCHITECTURE[/TAG] or CONFIG.json with --weights FILE.safetensors, {_LOCAL}FOLDER, {_HUB}OWNER/NAME"


@dataclass(frozen=True, slots=True)
class Network:
    """A network that can be loaded in any process. `name` is the scale, open_clip's name or a folder's; the digest is that of the weights."""

    prefix: str
    kind: Literal["reference", "run", "open_clip", "config", "timm"]
    name: str
    weights: Path
    sha256: str
    config: Path | None = None  # what says how it is built, where its name does not: a run's record, open_clip's config
    external_resources: tuple[str, ...] = ()  # what it was trained on and from, where a record beside it says so

    @property
    def folder(self) -> str:
        """A folder's name for what is made with it: its own, and eight digits of the weights' digest, since several weights fit one architecture."""
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", self.name.removesuffix(".json")).strip("-.")
        return f"{plain}-{self.sha256[:8]}"

    @property
    def sees_captions(self) -> bool:
        """Whether it embeds captions too; else it can score nothing."""
        return self.kind != "timm"

    def title(self) -> str:
        """What records and people are told."""
        return f"{self.kind} {self.name}"


def choose(wishes: list[str]) -> tuple[Network, ...]:
    """Find the networks that are asked for, each as PREFIX=NETWORK; a prefix that is not named gets its reference network.

    Raises StageError for what is none of `ALLOWED`, before anything is computed.
    """
    wanted = dict.fromkeys(PREFIXES, REFERENCE)
    named: set[str] = set()
    for wish in wishes:
        prefix, _, network = wish.partition("=")
        if prefix not in PREFIXES or not network or prefix in named:
            raise StageError(f"--network {wish} came{' for a prefix that was named before' if prefix in named else ''}", allowed=ALLOWED)
        named.add(prefix)
        wanted[prefix] = network
    return tuple(_find(prefix, network) for prefix, network in wanted.items() if network != NONE)


def one(run: Path | None, model: str, weights: Path | None, prefix: str = "") -> Network:
    """Find the one network that is asked for: a run, or a model of `_MODELS` with weights as safetensors.

    Raises StageError for anything else, pickled checkpoints included. Nothing is downloaded.
    """
    if (run is None) != bool(model) or (run is not None and weights is not None):
        raise StageError("one network is needed", allowed=f"--run RUN, or --model MODEL: {_MODELS}")
    if run is not None:
        return _run(prefix, run)
    if model.startswith((_LOCAL, _HUB)):
        if weights is not None:
            raise StageError(f"{model} has its own weights, and --weights came too", repair="leave out --weights, or name the config.json with --model")
        folder = Path(model.removeprefix(_LOCAL)) if model.startswith(_LOCAL) else _downloaded(model.removeprefix(_HUB))
        name = model if model.startswith(_HUB) else folder.resolve().name
        return _other(prefix, "config", name, _weights_in(folder), folder / published.CONFIG)
    if weights is None:
        raise StageError(f"--model {model} came without weights; nothing is downloaded", allowed=_MODELS, repair="add --weights FILE.safetensors")
    if model.startswith(_TIMM):
        if not prefix:
            raise StageError(f"{model} embeds pictures alone and gives no score", allowed="datacomp score --embeddings PREFIX, to keep what it gives")
        return _other(prefix, "timm", model.removeprefix(_TIMM), weights)
    if model.endswith(".json"):
        return _other(prefix, "config", Path(model).name, weights, Path(model))
    return _other(prefix, "open_clip", model, weights)


def several(models: Sequence[str], weights: Sequence[Path]) -> list[tuple[str, Path | None, Network]]:
    """Find the networks of models, each with its weights; they are given in the same order for those models that do not bring their own.

    Raises StageError as `one` does, and where there are more or fewer weights than are needed.
    """
    needed = [model for model in models if not model.startswith((_LOCAL, _HUB))]
    single = len(models) == 1 and len(weights) <= 1  # which `one` judges
    if not single and len(weights) != len(needed):
        raise StageError(f"{len(needed)} models need weights, {len(weights)} files came", repair="give --weights once for each such --model, in their order")
    left = iter(weights)
    pairs = [(model, next(left, None) if single or model in needed else None) for model in models]
    return [(model, file, one(None, model, file)) for model, file in pairs]


def _other(prefix: str, kind: Literal["open_clip", "config", "timm"], name: str, weights: Path, config: Path | None = None) -> Network:
    if kind == "timm":
        pictures.check(name)
    elif config is None:
        published.named(name)
    else:
        published.configured(config)
    if weights.suffix != ".safetensors":
        raise StageError(
            f"{weights} is no safetensors file",
            allowed="safetensors; pickled checkpoints can run code and are never loaded here",
            repair="take the publisher's safetensors, or convert the tensors: safetensors.torch.save_file(torch.load(FILE, weights_only=True), NEW)",
        )
    if not weights.is_file():
        raise StageError(f"there are no weights at {weights}", repair="check the path; nothing is downloaded")
    sha256 = digest.of_file(weights)
    return Network(prefix, kind, name, weights, sha256, config, filter_network.resources_beside(weights, sha256))


def _weights_in(folder: Path) -> Path:
    """The weights in a folder of open_clip's, pickled ones if there are no others."""
    safe, pickled = folder / published.WEIGHTS, folder / published.PICKLED_WEIGHTS
    return pickled if pickled.is_file() and not safe.is_file() else safe


def _downloaded(repository: str) -> Path:
    """The folder in the Hub's cache on this machine into which a repository was downloaded."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = [try_to_load_from_cache(repository, name) for name in (published.CONFIG, published.WEIGHTS)]
    except HFValidationError:
        raise StageError(f"{repository!r} is no repository of the Hub", allowed=f"{_HUB}OWNER/NAME") from None
    if not all(isinstance(path, str) for path in found):
        raise StageError(
            f"{_HUB}{repository} is not on this machine, and nothing is downloaded unasked: such weights have 0.6 GB (ViT-B/32) to 4 GB (ViT-H/14)",
            repair=f"hf download {repository} {published.CONFIG} {published.WEIGHTS}",
        )
    return Path(str(found[0])).parent


def _find(prefix: str, wish: str) -> Network:
    if wish == REFERENCE:
        return _reference(prefix)
    if Path(wish).is_dir():
        return _run(prefix, Path(wish))
    name, colon, weights = wish.partition(":")
    if not colon:
        raise StageError(f"there is no folder {wish}", allowed=ALLOWED)
    published.named(name)
    if not Path(weights).is_file():
        raise StageError(f"there are no weights at {weights}", repair="check the path; nothing is downloaded")
    return Network(prefix, "open_clip", name, Path(weights), digest.of_file(Path(weights)))


def _reference(prefix: str) -> Network:
    origin = pools.load(_REFERENCE_POOL).origin
    assert isinstance(origin, pools.GeneratedSource)
    shipped = next(network for network in origin.references if network.prefix == prefix)
    return Network(prefix, "reference", shipped.scale, pools.reference_weights(shipped), shipped.sha256)


def _run(prefix: str, folder: Path) -> Network:
    run = runs.read(folder)
    recipe = run.record.inputs.recipe()
    return Network(prefix, "run", recipe.name, run.weights(), run.record.checkpoints[-1].sha256, folder / runs.RECORD)


@cache
def load(network: Network, device: str, batch_samples: int = 256) -> Encoder:
    """Load a network, once in each process."""
    if network.kind == "run":
        assert network.config is not None
        recipe = runs.RunRecord.read(network.config).inputs.recipe()
        return Embedder(recipe, network.weights, device=device, batch_samples=batch_samples)
    if network.kind == "reference":
        return Embedder(scales.load(network.name), network.weights, device=device, batch_samples=batch_samples)
    if network.kind == "timm":
        return pictures.PictureEncoder(network.name, network.weights, device=device, batch_samples=batch_samples)
    return OpenClip(declared(network), network.weights, device=device, batch_samples=batch_samples)


def declared(network: Network) -> published.Declared:
    """What somebody else's network is without its weights."""
    return published.configured(network.config) if network.config else published.named(network.name)
