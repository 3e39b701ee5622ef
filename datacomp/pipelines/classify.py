"""Training a binary classifier of good pictures against a pool's on a network's frozen features: the paper's alternative to a filter network.

Pictures of both kinds are drawn by the seed, each as likely as any other; those that cannot be decoded are passed over, which is told.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from datacomp import draws, files, progress
from datacomp.artifacts.shards import ShardSet
from datacomp.errors import StageError, TarError
from datacomp.launch import local
from datacomp.network import choose
from datacomp.network.build import Uint8Array
from datacomp.network.choose import Network
from datacomp.network.embed import Encoder
from datacomp.pipelines import dfn
from datacomp.pipelines.dfn import Against
from datacomp.score import classifier
from datacomp.score.base import Vectors
from datacomp.score.classifier import ClassifierRecord
from datacomp.train import shard

_BATCH = 256


class Kinds(NamedTuple):
    """What is to be told apart."""

    good: ShardSet
    pool: ShardSet


def make(network: Network, kinds: Kinds, out: Path, *, against: Against, samples: int = 100_000, seed: int = 0, device: str | None = None) -> ClassifierRecord:
    """Train a classifier into `out`, on up to so many samples of each kind. Raises StageError for good pictures that are copies of test pictures."""
    with files.scratch(out) as work:
        dfn.check([kinds.good], against, work)
    local.set_threads(1)
    encoder = choose.load(network, local.device(device), _BATCH)
    good, pool = (_features(encoder, given, samples, seed, name) for name, given in kinds._asdict().items())
    listed = kinds.good.record.subset
    told = f"classifier's good pictures: {kinds.good.path.name}, list {listed.uids_sha256[:12]}, {len(good):,} samples"[:200]
    resources = (f"features of {network.title()} ({network.sha256[:12]})"[:200], told, *network.external_resources, *listed.external_resources)
    return classifier.train(good, pool, out, network=network.title(), network_sha256=network.sha256, resources=resources)


def _features(encoder: Encoder, given: ShardSet, samples: int, seed: int, name: str) -> Vectors:
    """Embed the pictures that the seed draws, shard by shard: unit vectors (N, D)."""
    pairs = np.array([one.pairs for one in given.record.shards])
    chosen = np.sort(draws.permutation(int(pairs.sum()), seed, f"classifier {name}")[:samples])
    places = np.stack([np.searchsorted(np.cumsum(pairs), chosen, side="right"), chosen], axis=1)
    starts = np.cumsum([0, *pairs])
    crops: list[Uint8Array] = []
    parts: list[Vectors] = []
    broken = 0
    current, opened = -1, None
    for number, row in progress.show(places.tolist(), total=len(places), unit=" samples", title=f"embed {name} pictures"):
        if number != current:
            current, opened = number, shard.opened(given.places[number])
        assert opened is not None
        try:
            crops.append(encoder.crop_decoded(opened.pair(row - int(starts[number]))[0]))
        except TarError:
            broken += 1
        if len(crops) == _BATCH:
            parts.append(encoder.images(np.stack(crops)))
            crops = []
    if crops:
        parts.append(encoder.images(np.stack(crops)))
    if not parts:
        raise StageError(f"no picture in {given.path} can be decoded", repair="datacomp pool check finds broken tars")
    if broken:
        progress.say(f"{broken:,} {name} pictures cannot be decoded and are passed over")
    return np.concatenate(parts)
