"""Which samples make up global batch k, and how they are read.

The stream of samples is cut into blocks. Block b draws `shuffle_block_shards` shards with replacement and permutes all their
samples; batch k is the k-th run of `global_batch_samples` in the blocks laid end to end. Both draws are functions of seed and b, so
batch k depends on seed, shards and k alone, whatever the number of ranks and loader workers.

A source's weight is its share of the *samples* drawn. Within a source every shard is equally likely, hence every sample as well.

A sample that cannot be read is replaced by another one of its source, drawn by seed and position, and counted.
"""

import itertools
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from datacomp import draws
from datacomp.artifacts.shards import ShardSet, VirtualShard
from datacomp.declared.scale import Sampling, Scale
from datacomp.errors import DatacompError, StageError, TarError
from datacomp.launch import stopping
from datacomp.network import build
from datacomp.train.shard import OpenShard, opened

_OPEN_SHARDS = 64
_PART_SAMPLES = 256  # of 224 pixels: 38 MB
_AHEAD_PARTS = 4  # of each loader process
_TRIES = 20  # samples that cannot be read, one after another: then the source is broken


class Drawable(NamedTuple):
    """A source as the stream sees it: its shards, how many samples each holds, and its weight."""

    shards: tuple[Path | VirtualShard, ...]
    samples: tuple[int, ...]
    weight: float


def drawable(shards: ShardSet, weight: float = 1.0) -> Drawable:
    """Shards as a source: only their pairs of picture and caption are drawn."""
    return Drawable(shards.places, tuple(shard.pairs for shard in shards.record.shards), weight)


class Stream:
    """The order of training samples. A place in it is (shard, sample); shards of all sources are numbered through."""

    def __init__(self, sources: tuple[Drawable, ...], sampling: Sampling, seed: int) -> None:
        self.shards = tuple(shard for source in sources for shard in source.shards)
        self._shard_samples = np.array([samples for source in sources for samples in source.samples])  # (shards,)
        self._shares = np.concatenate([_shares(source) for source in sources])  # (shards,)
        self._source_starts = np.cumsum([0, *(len(source.shards) for source in sources)])  # number of each source's first shard
        self._block_shards, self._seed = sampling.shuffle_block_shards, seed
        self._starts = [0]  # position of the first sample of each block so far
        self._cached: tuple[int, np.ndarray[Any, np.dtype[np.int64]]] | None = None

    def _drawn(self, block: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        return draws.choice(self._shares, self._seed, "shard", block, np.arange(self._block_shards))

    def _places(self, block: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The samples of one block in order, shape (samples, 2)."""
        if self._cached is None or self._cached[0] != block:
            drawn = self._drawn(block)
            places = np.concatenate([np.stack([np.full(n, shard), np.arange(n)], axis=1) for shard, n in zip(drawn, self._shard_samples[drawn], strict=True)])
            self._cached = block, places[draws.permutation(len(places), self._seed, "order", block)]
        return self._cached[1]

    def places(self, first: int, last: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The samples at positions first to last - 1 of the stream, shape (last - first, 2)."""
        while self._starts[-1] < last:
            self._starts.append(self._starts[-1] + int(self._shard_samples[self._drawn(len(self._starts) - 1)].sum()))
        parts = []
        block = int(np.searchsorted(self._starts, first, side="right")) - 1
        while first < last:
            start, end = self._starts[block], min(self._starts[block + 1], last)
            parts.append(self._places(block)[first - start : end - start])
            first, block = end, block + 1
        return np.concatenate(parts)

    def substitute(self, position: int, shard: int, failures: int) -> tuple[int, int]:
        """What stands in for a sample of a shard that cannot be read: any sample of the same source is equally likely."""
        source = int(np.searchsorted(self._source_starts, shard, side="right")) - 1
        first, last = self._source_starts[source : source + 2]
        samples = self._shard_samples[first:last]
        chosen = int(draws.choice(samples, self._seed, "substitute shard", position, failures))
        return int(first) + chosen, int(draws.below(int(samples[chosen]), self._seed, "substitute sample", position, failures))


def _shares(source: Drawable) -> np.ndarray[Any, np.dtype[np.float64]]:
    """How likely each shard of a source is: a source whose shards are larger is drawn from less often for the same weight."""
    return np.full(len(source.samples), source.weight / sum(source.samples))


class Batch(NamedTuple):
    """What one step is computed from."""

    step: int
    pixels: torch.Tensor  # uint8 (N, H, W, 3)
    tokens: torch.Tensor  # int64 (N, context)
    corrupt_samples: int = 0  # of the N, how many stand in for one that cannot be read


class Batches(Dataset[Batch | DatacompError]):
    """One rank's slices of the global batches, in parts that a loader process reads at a time.

    Item `step * parts + n` is part n of a step's slice; what cannot be read comes back as an error, whole across processes.
    """

    def __init__(self, stream: Stream, scale: Scale, seed: int, *, rank: int, rank_batch_samples: int) -> None:
        self._stream, self._scale, self._seed = stream, scale, seed
        self._rank, self._rank_batch_samples = rank, rank_batch_samples
        self.parts = -(-rank_batch_samples // _PART_SAMPLES)
        self._opened: OrderedDict[int, OpenShard] = OrderedDict()

    def __getitem__(self, item: int) -> Batch | DatacompError:
        try:
            return self._part(*divmod(item, self.parts))
        except DatacompError as error:
            return error

    def _part(self, step: int, number: int) -> Batch:
        slice_start = step * self._scale.budget.global_batch_samples + self._rank * self._rank_batch_samples
        first = slice_start + number * _PART_SAMPLES
        last = min(first + _PART_SAMPLES, slice_start + self._rank_batch_samples)
        crop = build.training_pixels(self._scale.pixels)
        pixels, captions, corrupt = [], [], 0
        crop_seeds = draws.bits(self._seed, "crop", np.arange(first, last)) >> np.uint64(1)  # a crop belongs to its place in the stream
        with torch.random.fork_rng(devices=[]):
            for position, place, crop_seed in zip(range(first, last), self._stream.places(first, last), crop_seeds, strict=True):
                picture, caption, failures = self._pair(position, int(place[0]), int(place[1]))
                torch.default_generator.manual_seed(int(crop_seed))  # torch.manual_seed also walks the call stack, which costs as much as the crop
                pixels.append(crop(picture))
                captions.append(caption)
                corrupt += failures > 0
        tokens = build.Tokenizer(self._scale.tokens, self._scale.model.text.context_length)(captions)
        return Batch(step, torch.from_numpy(np.stack(pixels)), tokens, corrupt)

    def _pair(self, position: int, shard: int, sample: int) -> tuple[Image.Image, str, int]:
        """The picture and caption at a position, and how many samples were tried in vain before them."""
        errors: list[TarError] = []
        while len(errors) < _TRIES:
            try:
                return *self._open(shard).pair(sample), len(errors)
            except TarError as error:
                errors.append(error)
            shard, sample = self._stream.substitute(position, shard, len(errors))
        raise errors[0]

    def _open(self, shard: int) -> OpenShard:
        if shard not in self._opened:
            self._opened[shard] = opened(self._stream.shards[shard])
            if len(self._opened) > _OPEN_SHARDS:
                self._opened.popitem(last=False)
        self._opened.move_to_end(shard)
        return self._opened[shard]


def load(batches: Batches, steps: range, *, workers: int, device: str = "cpu") -> Iterator[Batch]:
    """Read the batches of some steps, in order, by `workers` processes (0: in this one), onto a device."""
    parts = batches.parts
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=range(steps.start * parts, steps.stop * parts),
        num_workers=workers,
        prefetch_factor=_AHEAD_PARTS if workers else None,
        pin_memory=device != "cpu",
        worker_init_fn=stopping.leave_to_parent,
    )
    try:
        loaded = (_sound(part) for part in loader)
        while whole := list(itertools.islice(loaded, parts)):
            pixels, tokens = (
                torch.cat([tensor.to(device, non_blocking=True) for tensor in tensors]) for tensors in zip(*(part[1:3] for part in whole), strict=True)
            )
            yield Batch(whole[0].step, pixels, tokens, sum(part.corrupt_samples for part in whole))
    except RuntimeError as error:
        if "DataLoader worker" in str(error):
            raise StageError("a loader process was killed", repair="give the machine more memory or use fewer loader workers, and start again") from error
        raise


def _sound(part: Batch | DatacompError) -> Batch:
    if isinstance(part, DatacompError):
        raise part
    return part
