"""Networks that others trained: an architecture of open_clip's list with weights from a file on this machine. Nothing is downloaded."""

from pathlib import Path
from typing import Any

import open_clip
import torch

from datacomp.declared.scale import Pixels
from datacomp.errors import StageError
from datacomp.network import load
from datacomp.network.embed import Encoder

_INTERPOLATIONS = ("bicubic", "bilinear")


class OpenClip(Encoder):
    """A CLIP of open_clip's list. `name` is an architecture, or ARCHITECTURE/TAG for weights that open_clip knows by that tag.

    The tag decides on the preprocessing and the activation; without one they are CLIP's and the architecture's own.
    """

    def __init__(self, name: str, weights: Path, *, device: str = "cpu", batch_samples: int = 256) -> None:
        architecture, declared = check(name)
        tensors = load.read_published(weights)
        network = _fresh(architecture, declared)
        load.put(network, tensors, weights)
        super().__init__(network, _pixels(network, declared), open_clip.get_tokenizer(architecture), device=device, batch_samples=batch_samples)


def _fresh(architecture: str, declared: dict[str, Any]) -> torch.nn.Module:
    """The architecture without weights; open_clip's own factory would warn of that, and might download some."""
    config = open_clip.get_model_config(architecture)
    config["quick_gelu"] = declared.get("quick_gelu", config.get("quick_gelu", False))
    config["vision_cfg"]["timm_model_pretrained"] = False
    kind: type[torch.nn.Module] = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    return kind(**config)


def check(name: str) -> tuple[str, dict[str, Any]]:
    """Split a name into the architecture and what open_clip declares of its tag.

    Raises StageError for what open_clip does not know, and for what cannot be used without a download or is prepared otherwise.
    """
    architecture, _, tag = name.partition("/")
    if architecture not in open_clip.list_models():
        raise StageError(f"{architecture!r} is no architecture of open_clip", allowed="those of open_clip.list_models(), such as ViT-B-32 or ViT-L-14")
    config = open_clip.get_model_config(architecture)
    if "multimodal_cfg" in config or config["text_cfg"].get("hf_tokenizer_name") or config["text_cfg"].get("hf_model_name"):
        raise StageError(f"{architecture} is not CLIP, or its tokenizer would have to be downloaded", allowed="CLIP with its own tokenizer")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag and tag not in tags:
        raise StageError(f"open_clip knows no weights {tag!r} of {architecture}", allowed=", ".join(tags) or "no tag")
    declared: dict[str, Any] = open_clip.get_pretrained_cfg(architecture, tag) if tag else {}
    if declared.get("resize_mode", "shortest") != "shortest" or declared.get("interpolation", "bicubic") not in _INTERPOLATIONS:
        raise StageError(f"{name} was trained on pictures that were squeezed to a square", allowed="networks that see the centre of a picture")
    return architecture, declared


def _pixels(network: Any, declared: dict[str, Any]) -> Pixels:
    size = network.visual.image_size
    return Pixels(
        size=size[0] if isinstance(size, tuple) else size,
        crop_scale=(1.0, 1.0),  # it is not trained here
        crop_ratio=(1.0, 1.0),
        interpolation=declared.get("interpolation", "bicubic"),
        flip=False,
        mean=tuple(declared.get("mean", open_clip.OPENAI_DATASET_MEAN)),
        std=tuple(declared.get("std", open_clip.OPENAI_DATASET_STD)),
    )
