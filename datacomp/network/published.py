"""Networks that others trained: a CLIP as open_clip declares it, with weights from a file on this machine. Nothing is downloaded."""

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, SimpleTokenizer

from datacomp import digest
from datacomp.declared.scale import Pixels
from datacomp.errors import StageError
from datacomp.network import load
from datacomp.network.embed import Encoder

CONFIG, WEIGHTS, PICKLED_WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors", "open_clip_pytorch_model.bin"  # in a folder and on the Hub

_INTERPOLATIONS = ("bicubic", "bilinear")
_IMAGE_SIZE = 224  # open_clip's default
_WRONG = (TypeError, ValueError, LookupError, AttributeError, RuntimeError, AssertionError)  # what open_clip and timm end in when a config is none


@dataclass(frozen=True, slots=True)
class Declared:
    """A CLIP without its weights."""

    name: str
    model: dict[str, Any]  # as open_clip's list of architectures has it
    pixels: Pixels
    merges: Path | None = None  # of the tokenizer, where they are not open_clip's own

    def content(self) -> dict[str, Any]:
        """All that decides on the embeddings besides the weights, as plain values."""
        return {"model": self.model, "pixels": self.pixels.plain(), "merges": digest.of_file(self.merges) if self.merges else ""}


class OpenClip(Encoder):
    """A CLIP as open_clip builds it."""

    def __init__(self, declared: Declared, weights: Path, *, device: str = "cpu", batch_samples: int = 256) -> None:
        network = _fresh(declared)
        load.put(network, load.read_published(weights), weights)
        super().__init__(network, declared.pixels, _tokenizer(declared), declared.content(), device=device, batch_samples=batch_samples)


def _fresh(declared: Declared) -> torch.nn.Module:
    """The architecture without weights; open_clip's own factory would warn of that, and might download some."""
    config = copy.deepcopy(declared.model)
    try:
        config["vision_cfg"]["timm_model_pretrained"] = False
        kind: type[torch.nn.Module] = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
        return kind(**config, output_dict=True)
    except _WRONG as error:
        raise _no_clip(declared.name, error) from None


def _tokenizer(declared: Declared) -> SimpleTokenizer:
    """The tokenizer that open_clip.get_tokenizer gives, with merges from where they lie."""
    text = declared.model["text_cfg"]
    options = dict(text.get("tokenizer_kwargs", {}))
    if declared.merges:
        options["bpe_path"] = str(declared.merges)
    try:
        return SimpleTokenizer(context_length=text.get("context_length", DEFAULT_CONTEXT_LENGTH), **options)
    except (*_WRONG, OSError, EOFError) as error:
        raise _no_clip(declared.name, error) from None


def named(name: str) -> Declared:
    """A network of open_clip's list: an architecture, or ARCHITECTURE/TAG for weights that open_clip knows by that tag.

    The tag decides on the preprocessing and the activation; without one they are CLIP's and the architecture's own.
    Raises StageError for what open_clip does not know, and for what cannot be used without a download or is prepared otherwise.
    """
    architecture, _, tag = name.partition("/")
    if architecture not in open_clip.list_models():
        raise StageError(f"{architecture!r} is no architecture of open_clip", allowed="those of open_clip.list_models(), such as ViT-B-32 or ViT-L-14")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag and tag not in tags:
        raise StageError(f"open_clip knows no weights {tag!r} of {architecture}", allowed=", ".join(tags) or "no tag")
    preprocess: dict[str, Any] = open_clip.get_pretrained_cfg(architecture, tag) if tag else {}
    model = open_clip.get_model_config(architecture)
    model["quick_gelu"] = preprocess.get("quick_gelu", model.get("quick_gelu", False))
    return _declared(name, model, preprocess)


def configured(path: Path) -> Declared:
    """A network whose config lies in a file, as open_clip and our exports write it, or one of open_clip's list of architectures.

    Raises StageError for what is none, and as `named` does.
    """
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, IsADirectoryError):
        raise StageError(f"there is no config at {path}", allowed=f"{CONFIG} as open_clip writes it", repair="check the path") from None
    except (ValueError, RecursionError) as error:
        raise _no_clip(str(path), error) from None
    model = content.get("model_cfg", content) if isinstance(content, dict) else None
    preprocess = content.get("preprocess_cfg", {}) if isinstance(content, dict) else None
    if not isinstance(model, dict) or not isinstance(preprocess, dict):
        raise _no_clip(str(path), "it holds no model_cfg")
    return _declared(str(path), model, preprocess, path.parent)


def _declared(name: str, model: dict[str, Any], preprocess: dict[str, Any], folder: Path | None = None) -> Declared:
    try:
        vision, text = model["vision_cfg"], model["text_cfg"]
        if ":" in (vision.get("timm_model_name") or ""):  # timm would ask the Hub
            raise StageError(f"the image tower of {name} would have to be downloaded", allowed="timm's own architectures")
        merges, size = text.get("tokenizer_kwargs", {}).get("bpe_path"), vision.get("image_size", _IMAGE_SIZE)
        if "multimodal_cfg" in model or text.get("hf_tokenizer_name") or text.get("hf_model_name"):
            raise StageError(f"{name} is not CLIP, or its tokenizer would have to be downloaded", allowed="CLIP with its own tokenizer")
        if preprocess.get("resize_mode", "shortest") != "shortest" or preprocess.get("interpolation", "bicubic") not in _INTERPOLATIONS:
            raise StageError(f"{name} was trained on pictures that were squeezed to a square", allowed="networks that see the centre of a picture")
        content = {
            "size": size[0] if isinstance(size, list | tuple) else size,
            "crop_scale": (1.0, 1.0),  # it is not trained here
            "crop_ratio": (1.0, 1.0),
            "interpolation": preprocess.get("interpolation", "bicubic"),
            "flip": False,
            "mean": tuple(preprocess.get("mean", open_clip.OPENAI_DATASET_MEAN)),
            "std": tuple(preprocess.get("std", open_clip.OPENAI_DATASET_STD)),
        }
    except _WRONG as error:
        raise _no_clip(name, error) from None
    return Declared(name, model, Pixels.of(content, f"the preprocessing of {name}"), folder / Path(merges).name if folder and merges else None)


def _no_clip(name: str, error: object) -> StageError:
    return StageError(f"{name} declares no CLIP that can be built: {str(error)[:200]}", allowed=f"{CONFIG} as open_clip writes it")
