"""A descriptor that stays nearly the same when a picture is copied and altered a little: where it gets lighter and darker.

It needs no network, so that anybody can look for copies anywhere. Differences of neighbouring brightnesses on a coarse grid do not depend on
size, encoding, brightness and contrast; what mirrors and crops change is met by describing the test picture several times.
"""

from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps

GRID = 17  # brightnesses a side; with 16 differences in each direction
DIMENSIONS = 2 * (GRID - 1) ** 2
CROPS = (0.05, 0.1)  # of each side, all around
CORNER_CROP = 0.08  # of two sides that meet
VARIANTS = 2 + len(CROPS) + 4

Vector: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]


def describe(picture: Image.Image) -> Vector:
    """A unit vector of shape (DIMENSIONS,), zeros for a picture of one brightness: the cosine of two is how alike their layouts are."""
    small = picture.convert("L").resize((GRID, GRID), Image.Resampling.BOX if min(picture.size) >= GRID else Image.Resampling.BICUBIC)
    light = np.asarray(small, np.float32)
    steps = np.concatenate([np.diff(light, axis=1)[:-1].ravel(), np.diff(light, axis=0)[:, :-1].ravel()])
    length = np.linalg.norm(steps)
    return steps / length if length else steps


def variants(picture: Image.Image) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A test picture as it is, mirrored and cropped, shape (VARIANTS, DIMENSIONS)."""
    views = [picture, ImageOps.mirror(picture), *(_cropped(picture, crop, crop, crop, crop) for crop in CROPS)]
    for left, top in ((0.0, 0.0), (CORNER_CROP, 0.0), (0.0, CORNER_CROP), (CORNER_CROP, CORNER_CROP)):
        views.append(_cropped(picture, left, top, CORNER_CROP - left, CORNER_CROP - top))
    return np.stack([describe(view) for view in views])


def _cropped(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """Without those shares of the sides."""
    width, height = picture.size
    box = (int(width * left), int(height * top), max(width - int(width * right), 1), max(height - int(height * bottom), 1))
    return picture.crop(box)
