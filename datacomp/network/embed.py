"""A trained network as a function from pictures and captions to unit vectors."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from datacomp.declared.scale import Scale
from datacomp.errors import TarError
from datacomp.network import build, load

_FORMATS = ("JPEG", "PNG", "WEBP")


class Embedder:
    """A network with its preprocessing, in float32, for inference."""

    def __init__(self, scale: Scale, weights: Path, *, device: str = "cpu", batch_samples: int = 256) -> None:
        self.network = build.model(scale.model, image_size=scale.pixels.size, logit_scale_start=scale.loss.logit_scale_start)
        load.load_weights(self.network, weights)
        self.network.to(device).eval()
        self.device, self.batch_samples = device, batch_samples
        self._pixels = scale.pixels
        self._crop = build.evaluation_pixels(scale.pixels)
        self._tokens = build.Tokenizer(scale.tokens, scale.model.text.context_length)

    def crop(self, picture: bytes) -> build.Uint8Array:
        """Decode one picture to what `images` takes, uint8 of shape (size, size, 3)."""
        return self._crop(decode(picture))

    @torch.inference_mode()
    def images(self, crops: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Embed crops of shape (N, size, size, 3): unit vectors (N, D)."""
        parts = [
            self.network.encode_image(build.normalise(torch.from_numpy(batch).to(self.device), self._pixels), normalize=True)
            for batch in _batches(crops, self.batch_samples)
        ]
        return torch.cat(parts).cpu().numpy()

    @torch.inference_mode()
    def texts(self, captions: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Embed captions: unit vectors (N, D)."""
        parts = [self.network.encode_text(self._tokens(batch).to(self.device), normalize=True) for batch in _batches(captions, self.batch_samples)]
        return torch.cat(parts).cpu().numpy()


def decode(picture: bytes) -> Image.Image:
    """Open a JPEG, PNG or WebP picture; other formats and broken files are refused."""
    try:
        opened = Image.open(io.BytesIO(picture), formats=_FORMATS)
        opened.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise TarError(f"a picture cannot be decoded: {error}", allowed=", ".join(_FORMATS)) from None
    return opened


def _batches(items: Any, size: int) -> list[Any]:
    return [items[start : start + size] for start in range(0, len(items), size)]
