"""Choosing the networks behind a pool's scores and features: the shipped references, one of our own runs, or somebody else's weights."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from datacomp import digest
from datacomp.artifacts import run as runs
from datacomp.declared import pool as pools
from datacomp.declared import scale as scales
from datacomp.errors import StageError
from datacomp.network.embed import Embedder, Encoder
from datacomp.network.published import OpenClip, check

PREFIXES = ("b32", "l14")  # of CommonPool's columns
NONE = "none"
REFERENCE = "reference"
ALLOWED = f"PREFIX={REFERENCE}, PREFIX=RUN (a folder), PREFIX=ARCHITECTURE[/TAG]:WEIGHTS (open_clip's), PREFIX={NONE}; PREFIX is {' or '.join(PREFIXES)}"
_REFERENCE_POOL = "nano"  # whose record names the shipped networks


@dataclass(frozen=True, slots=True)
class Network:
    """A network that can be loaded in any process. `name` is the scale or open_clip's name; the digest is that of the weights."""

    prefix: str
    kind: Literal["reference", "run", "open_clip"]
    name: str
    weights: Path
    sha256: str

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


def _find(prefix: str, wish: str) -> Network:
    if wish == REFERENCE:
        return _reference(prefix)
    if Path(wish).is_dir():
        return _run(prefix, Path(wish))
    name, colon, weights = wish.partition(":")
    if not colon:
        raise StageError(f"there is no folder {wish}", allowed=ALLOWED)
    check(name)
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
    scale = scales.load(run.record.inputs.scale)
    run.record.inputs.check(scale)
    return Network(prefix, "run", scale.name, run.weights(), run.record.checkpoints[-1].sha256)


@cache
def load(network: Network, device: str) -> Encoder:
    """Load a network, once in each process."""
    if network.kind == "open_clip":
        return OpenClip(network.name, network.weights, device=device)
    return Embedder(scales.load(network.name), network.weights, device=device)
