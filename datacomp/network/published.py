"""Networks that others trained: an architecture of open_clip's list, or a config of its form, and weights from a file. Nothing is downloaded."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import open_clip
import torch

from datacomp import digest
from datacomp.declared.scale import Pixels
from datacomp.errors import StageError
from datacomp.network import load
from datacomp.network.embed import Encoder, Tokenize

_INTERPOLATIONS = ("bicubic", "bilinear")
_PREPROCESSING = ("mean", "std", "interpolation", "resize_mode", "quick_gelu")  # what matters of all that is declared of a tag
_HUB = "hf-hub:"
_BUILDING = (TypeError, ValueError, KeyError, AttributeError, RuntimeError, AssertionError)  # what a config that is none ends in
_CONFIG = "open_clip's JSON: embed_dim, vision_cfg and text_cfg, or model_cfg and preprocess_cfg as in an open_clip_config.json"


@dataclass(frozen=True, slots=True)
class Declared:
    """A network before its weights: open_clip's config of the model, and how it is told to see pictures."""

    name: str
    config: dict[str, Any]
    preprocess: dict[str, Any]
    tokenizer: Callable[[], Tokenize]

    def digest(self) -> str:
        """The sha256 of what makes two networks with the same weights differ."""
        return digest.of_content({"config": self.config, "preprocess": self.preprocess})


class OpenClip(Encoder):
    """A CLIP of open_clip's list. `name` is an architecture, ARCHITECTURE/TAG for weights that open_clip knows by that tag, or a config's path.

    The tag or the config decides on the preprocessing and the activation; without them they are CLIP's and the architecture's own.
    """

    def __init__(self, name: str, weights: Path, *, device: str = "cpu", batch_samples: int = 256) -> None:
        declared = check(name)
        tensors = load.read_published(weights)
        network = _fresh(declared)
        load.put(network, tensors, weights)
        super().__init__(network, _pixels(network, declared.preprocess), declared.tokenizer(), device=device, batch_samples=batch_samples)


def _fresh(declared: Declared) -> torch.nn.Module:
    """The architecture without weights; open_clip's own factory would warn of that, and might download some."""
    config = json.loads(json.dumps(declared.config))  # open_clip changes what it is given
    config["quick_gelu"] = declared.preprocess.get("quick_gelu", config.get("quick_gelu", False))
    kind: type[torch.nn.Module] = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    try:
        config["vision_cfg"]["timm_model_pretrained"] = False
        return kind(**config)
    except _BUILDING as error:
        raise StageError(f"{declared.name} is no model that open_clip builds: {str(error)[:200]}", allowed=_CONFIG) from None


def check(name: str) -> Declared:
    """Find out what a name or a config's path stands for.

    Raises StageError for what open_clip does not know, and for what cannot be used without a download or is prepared otherwise.
    """
    if name.startswith(_HUB):
        files = "open_clip_config.json and open_clip_model.safetensors"
        raise StageError(f"{name} would have to be downloaded", repair=f"fetch {files} of that repository, and give their paths as --model and --weights")
    declared = _of_config(Path(name)) if name.endswith(".json") else _of_list(name)
    text, vision = (declared.config.get(part) for part in ("text_cfg", "vision_cfg"))
    if not isinstance(text, dict) or not isinstance(vision, dict):
        raise StageError(f"{name} describes no model", allowed=_CONFIG)
    needs_download = text.get("hf_tokenizer_name") or text.get("hf_model_name") or ":" in str(vision.get("timm_model_name", ""))
    if "multimodal_cfg" in declared.config or needs_download:
        raise StageError(f"{declared.name} is not CLIP, or its tokenizer would have to be downloaded", allowed="CLIP with its own tokenizer")
    preprocess = declared.preprocess
    if preprocess.get("resize_mode", "shortest") != "shortest" or preprocess.get("interpolation", "bicubic") not in _INTERPOLATIONS:
        raise StageError(f"{name} was trained on pictures that were squeezed to a square", allowed="networks that see the centre of a picture")
    return declared


def _of_list(name: str) -> Declared:
    architecture, _, tag = name.partition("/")
    if architecture not in open_clip.list_models():
        raise StageError(
            f"{architecture!r} is no architecture of open_clip",
            allowed="those of open_clip.list_models(), such as ViT-B-32 or ViT-L-14, or the path of a config, NAME.json",
        )
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag and tag not in tags:
        raise StageError(f"open_clip knows no weights {tag!r} of {architecture}", allowed=", ".join(tags) or "no tag")
    known = open_clip.get_pretrained_cfg(architecture, tag) if tag else {}
    preprocess = {key: known[key] for key in _PREPROCESSING if key in known}
    return Declared(name, open_clip.get_model_config(architecture), preprocess, partial(open_clip.get_tokenizer, architecture))


def _of_config(path: Path) -> Declared:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise StageError(f"there is no config at {path}", repair="check the path") from None
    except (ValueError, RecursionError) as error:
        raise StageError(f"{path} is not JSON: {str(error)[:200]}", allowed=_CONFIG) from None
    whole = content if isinstance(content, dict) else {}
    config, preprocess = whole.get("model_cfg", whole), whole.get("preprocess_cfg", {})
    if not isinstance(config, dict) or not isinstance(preprocess, dict) or not isinstance(config.get("text_cfg"), dict):
        raise StageError(f"{path} describes no model", allowed=_CONFIG)
    text = config["text_cfg"]
    options = text.get("tokenizer_kwargs") or {}
    if not isinstance(options, dict) or not options.keys() <= {"bpe_path", "clean"}:
        raise StageError(f"{path} wants a tokenizer that is not CLIP's", allowed="tokenizer_kwargs bpe_path and clean")
    if "bpe_path" in options:
        options = options | {"bpe_path": str(path.parent / Path(str(options["bpe_path"])).name)}  # beside the config, wherever that says it lay
        if not Path(options["bpe_path"]).is_file():
            raise StageError(f"there are no merges at {options['bpe_path']}", repair=f"put the file that {path.name} names beside it")
    return Declared(path.name, config, preprocess, partial(open_clip.SimpleTokenizer, context_length=text.get("context_length", 77), **options))


def _pixels(network: Any, preprocess: dict[str, Any]) -> Pixels:
    size = network.visual.image_size
    told: dict[str, object] = {
        "size": size[0] if isinstance(size, tuple) else size,
        "crop_scale": (1.0, 1.0),  # it is not trained here
        "crop_ratio": (1.0, 1.0),
        "interpolation": preprocess.get("interpolation", "bicubic"),
        "flip": False,
        "mean": tuple(preprocess.get("mean", open_clip.OPENAI_DATASET_MEAN)),
        "std": tuple(preprocess.get("std", open_clip.OPENAI_DATASET_STD)),
    }
    return Pixels.of(told, "the preprocessing")
