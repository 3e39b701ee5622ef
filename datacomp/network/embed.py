"""A trained network as a function from pictures and captions to unit vectors."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from open_clip.model import CLIP
from PIL import Image

from datacomp import tars
from datacomp.declared.scale import Pixels, Scale
from datacomp.errors import TarError
from datacomp.network import build, load

_FORMATS = ("JPEG", "PNG", "WEBP")

Tokenize: TypeAlias = Callable[[list[str]], torch.Tensor]  # captions to int64 (N, context length)


class Encoder:
    """A network with its preprocessing, in float32, for inference."""

    def __init__(self, network: torch.nn.Module, pixels: Pixels, tokens: Tokenize, config: dict[str, Any], *, device: str, batch_samples: int) -> None:
        self.network: Any = network.to(device).eval()
        self.pixels, self.device, self.batch_samples = pixels, device, batch_samples
        self.config = config  # all that decides on the embeddings besides the weights, as plain values
        self._crop, self._tokens = build.evaluation_pixels(pixels), tokens

    def crop(self, picture: bytes) -> build.Uint8Array:
        """Decode one picture to what `images` takes, uint8 of shape (size, size, 3)."""
        return self.crop_decoded(decode(picture))

    def crop_decoded(self, picture: Image.Image) -> build.Uint8Array:
        """What `images` takes of a picture that is decoded already."""
        return self._crop(picture)

    @torch.inference_mode()
    def images(self, crops: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Embed crops of shape (N, size, size, 3): unit vectors (N, D)."""
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # by default a GPU's convolutions round to ten bits
            parts = [
                self.network.encode_image(build.normalise(torch.from_numpy(batch).to(self.device), self.pixels), normalize=True)
                for batch in _batches(crops, self.batch_samples)
            ]
        return torch.cat(parts).float().cpu().numpy()

    @torch.inference_mode()
    def texts(self, captions: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Embed captions: unit vectors (N, D).

        Where no token sees those after it, what follows a caption's end has no say: captions go through the network sorted by length, each batch only as far
        as its longest. The vectors are those of the whole context but for rounding.
        """
        tokens = self._tokens(captions)
        if not _looks_back_only(self.network):
            whole = [self.network.encode_text(batch.to(self.device), normalize=True) for batch in _batches(tokens, self.batch_samples)]
            return torch.cat(whole).float().cpu().numpy()
        lengths = tokens.argmax(dim=1) + 1  # no token is higher than that of the end
        order = lengths.argsort(stable=True)
        parts = [_texts_up_to_here(self.network, tokens[batch, : lengths[batch[-1]]].to(self.device)) for batch in _batches(order, self.batch_samples)]
        return torch.cat(parts).float().cpu()[order.argsort()].numpy()


class Embedder(Encoder):
    """The network of a scale, with weights that this code trained."""

    def __init__(self, scale: Scale, weights: Path, *, device: str = "cpu", batch_samples: int = 256) -> None:
        network = build.model(scale.model, image_size=scale.pixels.size, logit_scale_start=scale.loss.logit_scale_start)
        load.load_weights(network, weights)
        tokens = build.Tokenizer(scale.tokens, scale.model.text.context_length)
        config = {"model": scale.model.plain(), "pixels": scale.pixels.plain(), "tokens": scale.tokens.plain()}
        super().__init__(network, scale.pixels, tokens, config, device=device, batch_samples=batch_samples)


def _looks_back_only(network: torch.nn.Module) -> bool:
    """Whether captions are read as CLIP's are: with a causal mask, and the end token's vector stands for the caption."""
    return isinstance(network, CLIP) and network.attn_mask is not None and network.text_pool_type == "argmax"


def _texts_up_to_here(network: CLIP, tokens: torch.Tensor) -> torch.Tensor:
    """Embed tokens (N, length) with a network whose context is as long or longer."""
    length = tokens.shape[1]
    cut = {"positional_embedding": network.positional_embedding[:length], "attn_mask": network.attn_mask[:length, :length]}
    found: torch.Tensor = torch.func.functional_call(network, cut, kwargs={"text": tokens})["text_features"]
    return found


def decode(picture: bytes) -> Image.Image:
    """Open a JPEG, PNG or WebP picture; other formats and broken files are refused."""
    try:
        opened = Image.open(io.BytesIO(picture), formats=_FORMATS)
        opened.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise TarError(f"a picture cannot be decoded: {error}", allowed=", ".join(_FORMATS)) from None
    return opened


def is_extreme(picture: Image.Image) -> bool:
    """Whether a picture is so long that its shorter side cannot be resized within reason."""
    return max(picture.size) > tars.MAX_ASPECT * min(picture.size)


def thumbnail(picture: bytes, pixels: int, quality: int) -> str:
    """A picture made small, its longer side at most `pixels`, as a data: address; empty if it cannot be decoded."""
    try:
        small = decode(picture).convert("RGB")
    except TarError:
        return ""
    small.thumbnail((pixels, pixels), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _batches(items: Any, size: int) -> list[Any]:
    return [items[start : start + size] for start in range(0, len(items), size)]
