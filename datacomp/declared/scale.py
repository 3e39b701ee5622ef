"""A scale: the frozen training recipe, whole. Units are in the names, nothing is left to a library's default."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

import pydantic

from datacomp import rooms
from datacomp.declared import lock
from datacomp.errors import RecordError
from datacomp.records import Record

_FIXED = ("name", "status", "summary", "source", "pool", "board", "budget.samples_seen", "sampling.shard_samples")  # no part of how a run computes

Positive = Annotated[int, pydantic.Field(gt=0)]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]


class VisionTransformer(Record):
    """The image tower of CLIP (Radford et al. 2021), in open_clip's terms."""

    kind: Literal["vision_transformer"]
    layers: Positive
    width: Positive
    head_width: Positive
    mlp_ratio: float
    patch_size: Positive


class TimmTower(Record):
    """An image tower of the timm library, untrained."""

    kind: Literal["timm"]
    timm_model: str
    pool: str
    projection: str
    drop: Share
    drop_path: Share


class TextTransformer(Record):
    """The text tower of CLIP."""

    context_length: Positive
    vocabulary_size: Positive
    width: Positive
    heads: Positive
    layers: Positive
    mlp_ratio: float


class Model(Record):
    """Both towers and what joins them."""

    open_clip_name: str  # the same architecture in open_clip's list, empty if it has none
    embed_dim: Positive
    quick_gelu: bool
    image: Annotated[VisionTransformer | TimmTower, pydantic.Field(discriminator="kind")]
    text: TextTransformer


class Pixels(Record):
    """From a stored picture to the tensor that the image tower sees."""

    size: Positive
    crop_scale: tuple[float, float]  # share of the area that a random crop takes
    crop_ratio: tuple[float, float]
    interpolation: Literal["bicubic", "bilinear"]
    flip: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    colour_jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # brightness, contrast, saturation, hue; open_clip's choice is .32, .32, .32, .08
    colour_jitter_share: Share = 0.0  # of the pictures
    grey_share: Share = 0.0  # of the pictures, drained of colour


class Tokens(Record):
    """From a caption to the numbers that the text tower sees: CLIP's byte-pair encoding with its first `merges` merges."""

    tokenizer: Literal["clip_bpe"]
    merges: Positive
    clean: Literal["lower"]


class Budget(Record):
    """How much is computed."""

    steps: Positive
    global_batch_samples: Positive
    samples_seen: Positive
    checkpoints: Positive

    @pydantic.model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.steps * self.global_batch_samples != self.samples_seen:
            raise ValueError(f"steps x global_batch_samples is {self.steps * self.global_batch_samples}, samples_seen says {self.samples_seen}")
        if self.checkpoints > self.steps:
            raise ValueError("there are more checkpoints than steps")
        return self


class Optimizer(Record):
    """AdamW (Loshchilov and Hutter 2019) and its schedule."""

    kind: Literal["adamw"]
    learning_rate: float
    warmup_steps: Annotated[int, pydantic.Field(ge=0)]
    schedule: Literal["cosine to zero"]
    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    no_decay_below_dims: int  # parameters with fewer dimensions are not decayed
    no_decay_names: tuple[str, ...]  # nor are those whose name holds one of these
    gradient_clipping: Literal["none"] | Annotated[float, pydantic.Field(gt=0)]  # of the norm of all gradients


class Loss(Record):
    """CLIP's contrastive loss over the global batch."""

    kind: Literal["clip"]
    local_loss: bool
    gather_with_gradient: bool
    logit_scale_start: float  # of the factor itself, before its logarithm is taken
    logit_scale_max: float


class Sampling(Record):
    """How batches are drawn; `datacomp.train.data` states the rule."""

    shards: Literal["with replacement"]
    shuffle_block_shards: Positive  # drawn shards whose samples are permuted together
    shard_samples: Positive


class Scale(lock.Declared):
    """One compute scale."""

    summary: str
    source: str
    pool: str
    board: bool  # false where results are for tests only
    precision: Literal["float32", "amp_bfloat16"]
    budget: Budget
    model: Model
    pixels: Pixels
    tokens: Tokens
    optimizer: Optimizer
    loss: Loss
    sampling: Sampling


def load(name: str) -> Scale:
    """Read one scale."""
    return lock.read(Scale, rooms.tracks(), "scales", name)


def changed(scale: Scale, changes: Mapping[str, str]) -> Scale:
    """A recipe that differs from a scale's, for the open division: `changes` are TOML values by their place, as optimizer.learning_rate = "1e-3".

    Samples seen follow from steps and batch. Raises RecordError for a place that the recipe does not have, and for a value that does not fit.
    """
    if not changes:
        return scale
    content = scale.plain()
    for place, value in changes.items():
        if place not in (places := list(_places(scale.model_dump(mode="json")))):  # what has its default is not among the plain values
            raise RecordError(f"the recipe has nothing to change at {place!r}", allowed=", ".join(places))
        *groups, name = place.split(".")
        group = content
        for part in groups:
            group = group[part]
        group[name] = _value(place, value)
    budget = content["budget"]
    if isinstance(budget["steps"], int) and isinstance(budget["global_batch_samples"], int):
        budget["samples_seen"] = budget["steps"] * budget["global_batch_samples"]
    return Scale.parse(json.dumps(content, allow_nan=True), f"scale {scale.name} with {', '.join(f'{place}={value}' for place, value in changes.items())}")


def _places(content: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _places(value, f"{above}{name}.")
        elif f"{above}{name}" not in _FIXED:
            yield f"{above}{name}"


def _value(place: str, text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        raise RecordError(f"{place}={text} is not a TOML value", allowed='a number, or text in quotes as in precision="float32"') from None


def names() -> tuple[str, ...]:
    """All scales."""
    return lock.available(rooms.tracks(), "scales")
