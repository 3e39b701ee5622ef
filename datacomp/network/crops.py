"""torchvision's RandomResizedCrop at a fraction of its time: the same draws of torch's generator, in the same order, and the same pixels."""

import math
from collections.abc import Callable

import torch
from PIL import Image

_TRIES = 10  # crops that are larger than the picture, then its centre is taken


def random_resized_crop(
    size: int, scale: tuple[float, float], ratio: tuple[float, float], resampling: Image.Resampling
) -> Callable[[Image.Image], Image.Image]:
    """A function from a picture to a part of it, of a random share of its area and a random ratio of its sides, resized to a square."""
    logarithms = torch.log(torch.tensor(ratio)).tolist()

    def crop(picture: Image.Image) -> Image.Image:
        top, left, height, width = place(picture.width, picture.height, scale, ratio, logarithms)
        return picture.crop((left, top, left + width, top + height)).resize((size, size), resampling)

    return crop


def place(width: int, height: int, scale: tuple[float, float], ratio: tuple[float, float], logarithms: list[float]) -> tuple[int, int, int, int]:
    """Draw top, left, height and width of a crop; `logarithms` are those of the ratios, rounded to float32 as torchvision rounds them."""
    drawn, whole = torch.empty(()), torch.empty((), dtype=torch.int64)
    for _ in range(_TRIES):
        area = width * height * drawn.uniform_(*scale).item()
        drawn_ratio = drawn.uniform_(*logarithms).exp_().item()
        crop_width, crop_height = round(math.sqrt(area * drawn_ratio)), round(math.sqrt(area / drawn_ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = int(whole.random_(0, height - crop_height + 1).item())
            return top, int(whole.random_(0, width - crop_width + 1).item()), crop_height, crop_width
    crop_width, crop_height = width, height
    if width / height < min(ratio):
        crop_height = round(width / min(ratio))
    elif width / height > max(ratio):
        crop_width = round(height * max(ratio))
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width
