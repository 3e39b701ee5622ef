"""The CLIP score: the cosine of the embeddings of a picture and its caption, without temperature (Hessel et al. 2021, arXiv 2104.08718).

By a data filtering network it is the DFN score (Fang et al. 2023, arXiv 2309.17425, section 3). `flip` is the same of the picture mirrored left to
right, in which text that is part of the picture can no longer be read (arXiv 2309.15954). Inputs: pictures and captions.
"""

import numpy as np
import torch
from PIL import Image

from datacomp.errors import StageError
from datacomp.network.build import Uint8Array
from datacomp.network.embed import Encoder
from datacomp.network.pictures import PictureEncoder
from datacomp.score.base import BFLOAT16, FLOAT32, Given, Judged, Vectors


class Cosine:
    """The cosine of a network's two embeddings."""

    def __init__(self, encoder: Encoder, precision: str, *, flipped: bool) -> None:
        self._encoder, self._precision, self._flipped = encoder, precision, flipped
        self.shape: tuple[int, ...] = (encoder.pixels.size, encoder.pixels.size, 3)
        self.assets: dict[str, str] = {}
        self.external_resources: tuple[str, ...] = ()

    def prepare(self, picture: Image.Image) -> Uint8Array:
        """The crop that the network sees."""
        crop = self._encoder.crop_decoded(picture)
        return np.ascontiguousarray(crop[:, ::-1]) if self._flipped else crop

    def judge(self, pictures: Uint8Array, captions: list[str]) -> Judged:
        """Embed both and take the cosine; lengths have no say in it."""
        images, texts = embed(self._encoder, self._precision, pictures, captions)
        return Judged((images * texts).sum(axis=1), images, texts)


class Pictures:
    """A network of pictures alone: embeddings to be kept. The product of each with itself stands for a score, so that one that is no number is seen."""

    def __init__(self, encoder: PictureEncoder, precision: str) -> None:
        self._encoder, self._precision = encoder, precision
        self.shape: tuple[int, ...] = (encoder.pixels.size, encoder.pixels.size, 3)
        self.assets: dict[str, str] = {}
        self.external_resources: tuple[str, ...] = ()

    def prepare(self, picture: Image.Image) -> Uint8Array:
        """The crop that the network sees."""
        return self._encoder.crop_decoded(picture)

    def judge(self, pictures: Uint8Array, captions: list[str]) -> Judged:  # noqa: ARG002 - the face of every scorer
        """Embed pictures; captions have no say."""
        with torch.autocast(torch.device(self._encoder.device).type, torch.bfloat16, enabled=self._precision == BFLOAT16):
            images = self._encoder.images(pictures)
        images = images if self._precision == FLOAT32 else unit(images)
        return Judged((images * images).sum(axis=1), images)


def embed(encoder: Encoder, precision: str, pictures: Uint8Array, captions: list[str]) -> tuple[Vectors, Vectors]:
    """Unit vectors of pictures and captions, each (N, D) in float32; with bfloat16 autocast they are brought to length 1 once more, in float32."""
    with torch.autocast(torch.device(encoder.device).type, torch.bfloat16, enabled=precision == BFLOAT16):
        images, texts = encoder.images(pictures), encoder.texts(captions)
    return (images, texts) if precision == FLOAT32 else (unit(images), unit(texts))


def unit(vectors: Vectors) -> Vectors:
    """Vectors (N, D) divided by their lengths; zeros stay zeros."""
    found: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return found


def needed(given: Given, name: str) -> Encoder:
    """The network. Raises StageError where none was named, or one that knows no captions."""
    if given.encoder is None or isinstance(given.encoder, PictureEncoder):
        raise StageError(f"scorer {name} needs a network of pictures and captions", repair="add --run RUN or --model MODEL")
    return given.encoder


def make(given: Given) -> Cosine | Pictures:
    """The CLIP score by the network; of one that knows no captions, what it says of pictures."""
    if isinstance(given.encoder, PictureEncoder):
        return Pictures(given.encoder, given.precision)
    return Cosine(needed(given, "cosine"), given.precision, flipped=False)


def make_flipped(given: Given) -> Cosine:
    """The CLIP score of the mirrored picture by the network."""
    return Cosine(needed(given, "flip"), given.precision, flipped=True)
