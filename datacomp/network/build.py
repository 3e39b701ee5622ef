"""Models, tokenizers and transforms as a scale declares them, made of open_clip's and torchvision's parts."""

import gzip
import tempfile
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from open_clip.loss import ClipLoss
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer, default_bpe
from PIL import Image
from torchvision import transforms

from datacomp.declared.scale import Loss, Model, Pixels, TimmTower, Tokens, VisionTransformer
from datacomp.errors import StageError
from datacomp.network import crops

SPECIAL_TOKENS = 2
BATCH_STATISTICS = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d, torch.nn.SyncBatchNorm)
_REMEMBERED_CAPTIONS = 1 << 15  # of 77 tokens: some 30 MB
BYTE_TOKENS = 512  # 256 bytes, each also as the last of a word

Uint8Array: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]


def model(declared: Model, *, image_size: int, logit_scale_start: float) -> CLIP:
    """Build a CLIP with fresh weights drawn from torch's current seed.

    Raises StageError for a model with batch statistics: several ranks would not give the full batch's gradients.
    """
    built = CLIP(**open_clip_config(declared, image_size=image_size), init_logit_scale=float(np.log(logit_scale_start)), output_dict=True)
    if batch_norm := [name for name, part in built.named_modules() if isinstance(part, BATCH_STATISTICS)]:
        raise StageError(
            f"the model keeps batch statistics in {batch_norm[0]}", allowed="models without BatchNorm, so that ranks and accumulation do not change the result"
        )
    return built


def open_clip_config(declared: Model, *, image_size: int) -> dict[str, Any]:
    """The model as open_clip's list of architectures has them: what training builds, and what an export tells open_clip to build."""
    return {
        "embed_dim": declared.embed_dim,
        "quick_gelu": declared.quick_gelu,
        "vision_cfg": {"image_size": image_size, **_image_tower(declared.image)},
        "text_cfg": {
            "context_length": declared.text.context_length,
            "vocab_size": declared.text.vocabulary_size,
            "width": declared.text.width,
            "heads": declared.text.heads,
            "layers": declared.text.layers,
            "mlp_ratio": declared.text.mlp_ratio,
        },
    }


def _image_tower(tower: VisionTransformer | TimmTower) -> dict[str, Any]:
    if isinstance(tower, TimmTower):
        return {
            "timm_model_name": tower.timm_model,
            "timm_model_pretrained": False,
            "timm_pool": tower.pool,
            "timm_proj": tower.projection,
            "timm_drop": tower.drop,
            "timm_drop_path": tower.drop_path,
        }
    return {
        "layers": tower.layers,
        "width": tower.width,
        "head_width": tower.head_width,
        "mlp_ratio": tower.mlp_ratio,
        "patch_size": tower.patch_size,
    }


class Tokenizer:
    """CLIP's byte-pair encoding: captions to int64 tokens of shape (N, context length)."""

    def __init__(self, declared: Tokens, context_length: int) -> None:
        self._of_one = _caption_tokens(declared.merges, context_length)
        self.context_length = context_length

    def __call__(self, captions: list[str]) -> torch.Tensor:
        """Tokens of some captions; longer ones are cut off and still end with the end token."""
        rows = [self._of_one(caption) for caption in captions]
        return torch.from_numpy(np.array(rows, np.int64).reshape(len(rows), self.context_length))


@cache
def _caption_tokens(merges: int, context_length: int) -> Callable[[str], np.ndarray[Any, np.dtype[np.int32]]]:
    """A function from a caption to its tokens that remembers some: a small pool's captions come again and again."""
    encode = _simple_tokenizer(merges)
    return lru_cache(_REMEMBERED_CAPTIONS)(lambda caption: encode(caption, context_length=context_length)[0].int().numpy())


@cache
def _simple_tokenizer(merges: int) -> SimpleTokenizer:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "merges.txt.gz"
        path.write_bytes(first_merges(merges))
        tokenizer = SimpleTokenizer(bpe_path=str(path), clean="lower")
    tokenizer.clean_fn = _cleaned(tokenizer.clean_fn)
    return tokenizer


def _cleaned(clean: Callable[[str], str]) -> Callable[[str], str]:
    """open_clip's cleaning, without looking for broken encodings and HTML where there can be none."""
    return lambda text: " ".join(text.split()).lower() if text.isascii() and text.isprintable() and "&" not in text else clean(text)


def first_merges(merges: int) -> bytes:
    """CLIP's first so many merges as open_clip's tokenizer reads them, gzip: a header, then one merge a line."""
    lines = gzip.decompress(Path(default_bpe()).read_bytes()).decode().split("\n")
    return gzip.compress("\n".join(lines[: 1 + merges]).encode(), mtime=0)


@cache
def has_all_merges(tokens: Tokens) -> bool:
    """Whether these are the tokens that open_clip gives without being told of merges."""
    return tokens.merges == len(SimpleTokenizer().bpe_ranks)


def vocabulary_size(tokens: Tokens) -> int:
    """How many tokens the tokenizer knows."""
    return BYTE_TOKENS + tokens.merges + SPECIAL_TOKENS


def training_pixels(pixels: Pixels) -> Callable[[Image.Image], Uint8Array]:
    """The recipe's random crop and augmentation, drawn from torch's current seed: a picture to uint8 of shape (size, size, 3)."""
    resampling = Image.Resampling[pixels.interpolation.upper()]
    steps: list[Any] = [crops.random_resized_crop(pixels.size, pixels.crop_scale, pixels.crop_ratio, resampling)]
    if pixels.flip:
        steps.append(transforms.RandomHorizontalFlip())
    if pixels.colour_jitter_share:
        brightness, contrast, saturation, hue = pixels.colour_jitter
        jitter = transforms.ColorJitter(brightness, contrast, saturation, hue)
        steps += [_as_rgb, transforms.RandomApply([jitter], pixels.colour_jitter_share)]
    if pixels.grey_share:
        steps += [_as_rgb, transforms.RandomGrayscale(pixels.grey_share)]
    return _as_array(transforms.Compose(steps))


def _as_rgb(picture: Image.Image) -> Image.Image:
    return picture.convert("RGB")  # other modes have no hue to change


def evaluation_pixels(pixels: Pixels) -> Callable[[Image.Image], Uint8Array]:
    """Resize the shorter side and crop the centre: a picture to uint8 of shape (size, size, 3)."""
    return _as_array(transforms.Compose([transforms.Resize(pixels.size, interpolation=_mode(pixels)), transforms.CenterCrop(pixels.size)]))


def _as_array(transform: Callable[[Image.Image], Image.Image]) -> Callable[[Image.Image], Uint8Array]:
    return lambda picture: np.asarray(transform(picture).convert("RGB"))  # resized before the conversion, as open_clip does


def _mode(pixels: Pixels) -> transforms.InterpolationMode:
    return transforms.InterpolationMode.BICUBIC if pixels.interpolation == "bicubic" else transforms.InterpolationMode.BILINEAR


def normalise(batch: torch.Tensor, pixels: Pixels) -> torch.Tensor:
    """uint8 (N, H, W, 3) to normalised float32 (N, 3, H, W): ToTensor and Normalize, bit for bit, on the batch's device."""
    mean = torch.tensor(pixels.mean, device=batch.device)[:, None, None]
    std = torch.tensor(pixels.std, device=batch.device)[:, None, None]
    return batch.permute(0, 3, 1, 2).contiguous().float().div_(255).sub_(mean).div_(std)  # turned round while it is a quarter as large


def loss(declared: Loss, *, rank: int = 0, world_size: int = 1) -> ClipLoss:
    """CLIP's loss as the recipe declares it."""
    return ClipLoss(local_loss=declared.local_loss, gather_with_grad=declared.gather_with_gradient, rank=rank, world_size=world_size)
