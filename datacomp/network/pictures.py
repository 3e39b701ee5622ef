"""Networks that embed pictures alone: timm's, with weights from a file on this machine. Nothing is downloaded."""

from pathlib import Path
from typing import Any

import timm
import torch
from timm.data.config import resolve_data_config

from datacomp.declared.scale import Pixels
from datacomp.errors import StageError
from datacomp.network import load
from datacomp.network.embed import Encoder

_INTERPOLATIONS = ("bicubic", "bilinear")


class PictureEncoder(Encoder):
    """A network of timm's without its classifier. It sees the whole centre of a picture at the size that timm states."""

    def __init__(self, name: str, weights: Path, *, device: str = "cpu", batch_samples: int = 256) -> None:
        check(name)
        tower: Any = timm.create_model(name, pretrained=False, num_classes=0)
        stated = resolve_data_config({}, model=tower)  # type: ignore[no-untyped-call]
        content = {
            "size": stated["input_size"][-1],
            "crop_scale": (1.0, 1.0),  # it is not trained here
            "crop_ratio": (1.0, 1.0),
            "interpolation": stated["interpolation"] if stated["interpolation"] in _INTERPOLATIONS else _INTERPOLATIONS[0],
            "flip": False,
            "mean": tuple(stated["mean"]),
            "std": tuple(stated["std"]),
        }
        heads = tower.pretrained_cfg.get("classifier") or ()
        dropped = tuple(f"{head}." for head in ((heads,) if isinstance(heads, str) else heads))
        tensors = load.read_published(weights)
        load.put(tower, {key: tensor for key, tensor in tensors.items() if not key.startswith(dropped)} if dropped else tensors, weights)
        pixels = Pixels.of(content, f"the preprocessing of {name}")
        config = {"timm": name, "pixels": pixels.plain()}
        super().__init__(_Tower(tower), pixels, _no_captions, config, device=device, batch_samples=batch_samples)


class _Tower(torch.nn.Module):
    """A picture's network with the face of CLIP's."""

    def __init__(self, tower: torch.nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def encode_image(self, pictures: torch.Tensor, *, normalize: bool) -> torch.Tensor:
        """Vectors (N, D) of pictures (N, 3, size, size)."""
        vectors: torch.Tensor = self.tower(pictures)
        return torch.nn.functional.normalize(vectors, dim=-1) if normalize else vectors


def _no_captions(captions: list[str]) -> Any:
    raise AssertionError(f"{len(captions)} captions came to a network of pictures alone")


def check(name: str) -> None:
    """Raise StageError unless timm has an architecture of that name."""
    if not timm.is_model(name):
        raise StageError(f"{name!r} is no architecture of timm", allowed="those of timm.list_models(), such as vit_large_patch14_dinov2")
