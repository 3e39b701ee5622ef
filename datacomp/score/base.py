"""What a scorer is: a number for each pair of a picture and a caption, whatever other pairs there are."""

from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from PIL import Image

from datacomp.network.build import Uint8Array
from datacomp.network.embed import Encoder

FLOAT32, BFLOAT16 = "float32", "amp_bfloat16"

Vectors: TypeAlias = np.ndarray[Any, np.dtype[np.floating[Any]]]


class Method(NamedTuple):
    """Which scorer, and with what."""

    name: str = "cosine"
    options: tuple[tuple[str, str], ...] = ()
    precision: str = FLOAT32


COSINE = Method()


class Given(NamedTuple):
    """What a scorer is made with, besides its own options."""

    encoder: Encoder | None  # the network that was asked for, if one was
    device: str
    batch_samples: int
    precision: str


class Judged(NamedTuple):
    """Scores of pairs, float32 (N,); and unit vectors of their pictures and captions, each (N, D), where the scorer has such."""

    scores: Vectors
    images: Vectors | None = None
    texts: Vectors | None = None


class Scorer(Protocol):
    """A scorer, made by a function `make(given: Given, **options: str)`.

    It may be asked by several processes, each of which makes its own. Its scores must not depend on the other pairs of a batch. It may
    have a function `content()`, whose plain values the scores' record keeps as a digest.
    """

    shape: tuple[int, ...]  # of a prepared picture
    assets: dict[str, str]  # name and sha256 of the files that it uses, the network's weights aside
    external_resources: tuple[str, ...]  # models and data behind it, likewise

    def prepare(self, picture: Image.Image) -> Uint8Array:
        """A decoded picture as `judge` takes it, uint8; several threads may ask at once."""

    def judge(self, pictures: Uint8Array, captions: list[str]) -> Judged:
        """Score a batch of N pairs, pictures of shape (N, *shape); N is always the same, for the last batch is padded."""
