"""An open shard: its samples as picture and caption, whether it is a tar or a list of places in a pool's tars."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from PIL import Image

from datacomp import tars
from datacomp.artifacts import shards
from datacomp.artifacts.shards import VirtualShard
from datacomp.errors import TarError
from datacomp.network import embed
from datacomp.tars import Piece, Reader, Sample, TarReader

_OPEN_TARS = 256


class OpenShard:
    """A shard whose samples are read by number."""

    @abstractmethod
    def find(self, number: int) -> tuple[Reader, Sample]:
        """A sample, and where its members are read."""

    def pair(self, number: int) -> tuple[Image.Image, str]:
        """The picture, decoded, and the caption of a sample. Raises TarError where one is missing or broken."""
        reader, sample = self.find(number)
        image = sample.image()
        if image is None or "txt" not in sample.members:
            raise TarError(f"{reader.path}: sample {sample.key!r} lacks its picture or its caption", repair="reshard again")
        try:
            return embed.decode(reader.read(image)), reader.read(sample.members["txt"]).decode("utf-8", "replace")
        except TarError as error:
            raise TarError(
                f"{reader.path}: sample {sample.key!r}: {error.what}", repair="remove it from the list, or download the pool's shard again"
            ) from None


class _Tar(OpenShard):
    def __init__(self, path: Path) -> None:
        self._reader = tars.opened(path)
        self._samples = [sample for sample in _whole_samples(self._reader) if sample.is_pair()]

    def find(self, number: int) -> tuple[Reader, Sample]:
        return self._reader, self._samples[number]


class _Virtual(OpenShard):
    def __init__(self, shard: VirtualShard) -> None:
        planned = shards.read_plan(shard.plan)[shard.start : shard.stop]
        self._planned = planned[planned["paired"]]
        self._reader = lru_cache(_OPEN_TARS)(lambda number: tars.opened(shard.tars[number]))

    def find(self, number: int) -> tuple[Reader, Sample]:
        row = self._planned[number]
        reader = self._reader(int(row["tar"]))
        piece = Piece(reader.path, reader.read_at(int(row["start"]), int(row["bytes"])))
        return piece, next(tars.samples(piece))


def _whole_samples(reader: TarReader) -> Iterator[Sample]:
    """The samples of a tar, up to where it is cut off: its source counted no more."""
    with suppress(TarError):
        yield from tars.samples(reader)


def opened(shard: Path | VirtualShard) -> OpenShard:
    """Open a shard."""
    return _Virtual(shard) if isinstance(shard, VirtualShard) else _Tar(shard)
