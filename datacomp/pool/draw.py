"""Pixels of the miniature world's scenes."""

from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from datacomp import draws

SIDE = 48  # pixels of a stored picture
_FINE = 3  # objects are drawn this much finer and averaged

_RGB = {
    "red": (214, 40, 40),
    "orange": (243, 132, 22),
    "yellow": (240, 214, 40),
    "green": (48, 160, 64),
    "cyan": (40, 196, 208),
    "blue": (42, 82, 204),
    "purple": (132, 52, 168),
    "pink": (242, 128, 176),
}
_RADIUS = {"small": 0.17, "medium": 0.24, "large": 0.32}  # of the side
_CENTRES = {"centre": (0.5, 0.5), "left": (0.27, 0.5), "right": (0.73, 0.5), "top": (0.5, 0.27), "bottom": (0.5, 0.73)}
_CELLS = tuple((x, y) for y in (0.19, 0.5, 0.81) for x in (0.19, 0.5, 0.81))  # where several objects may stand
_LIGHTS = {"day": (1.0, (0, 0, 0)), "dusk": (0.6, (60, 30, 25)), "night": (0.32, (8, 10, 40)), "fog": (0.4, (120, 122, 126))}  # what is left, and what is added

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Plane = np.ndarray[Any, np.dtype[np.float32]]


def picture(scene: dict[str, Any], seed: int) -> Pixels:
    """Draw one scene: uint8 (SIDE, SIDE, 3)."""
    look, shot = draws.uniform(seed, "look", scene["scene"], np.arange(8)), draws.uniform(seed, "shot", scene["shot"], np.arange(8))
    canvas = _background(scene["background"], look)
    if scene["caption_kind"] == "text in picture":
        _blend(canvas, _written((scene["colour"], scene["shape"]), shot), (235.0, 235.0, 235.0))
    else:
        mask = _objects(scene, look, shot)
        tint = np.array(_RGB[scene["colour"]]) + (look[3] - 0.5) * 30
        _blend(canvas, mask * _texture(scene["texture"]), tuple(tint))
        _blend(canvas, mask * (1 - _texture(scene["texture"])), tuple(tint * 0.45))
    left, added = _LIGHTS[scene["light"]]
    canvas = canvas * np.float32(left) + np.array(added, np.float32)
    canvas += (draws.bits(seed, "noise", scene["shot"], np.arange(SIDE * SIDE * 3 // 8)).view(np.uint8).reshape(canvas.shape) - 127.5) * np.float32(
        scene["noise"] / 64
    )
    pixels = np.clip(canvas, 0, 255).astype(np.uint8)
    return pixels if scene["picture_kind"] == "sound" else _degrade(pixels, scene["picture_kind"])


def _background(kind: str, look: np.ndarray[Any, Any]) -> Any:
    base = 70 + 120 * look[0] + (look[4:7] - 0.5) * 40  # a greyish colour
    canvas: Any = np.broadcast_to(base, (SIDE, SIDE, 3)).astype(np.float32)
    if kind == "gradient":
        canvas = canvas + ((_grid()[0] - 0.5) * 110 * (1 if look[1] < 0.5 else -1))[:, :, None]
    elif kind == "noisy":
        coarse = draws.uniform(int(look[7] * 2**30), "coarse", np.arange(64)).reshape(8, 8).repeat(SIDE // 8, 0).repeat(SIDE // 8, 1)
        canvas = canvas + ((coarse - 0.5) * 90)[:, :, None]
    elif kind == "checkered":
        canvas = canvas + (((_grid()[0] * 6).astype(int) + (_grid()[1] * 6).astype(int)) % 2 * 70.0 - 35)[:, :, None]
    return canvas.astype(np.float32)


@cache
def _grid() -> Any:
    axis = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    return np.meshgrid(axis, axis, indexing="ij")  # rows, columns in (0, 1)


@cache
def _texture(kind: str) -> Any:
    """Where the object keeps its colour: float32 (SIDE, SIDE) of zeros and ones."""
    rows, columns = (_grid()[0] * SIDE).astype(int), (_grid()[1] * SIDE).astype(int)
    if kind == "striped":
        kept = (rows + columns) % 6 >= 2
    elif kind == "dotted":
        kept = (rows % 5 >= 2) | (columns % 5 >= 2)
    elif kind == "zigzag":
        kept = (rows + np.abs(columns % 8 - 4)) % 6 >= 2
    else:
        kept = np.ones((SIDE, SIDE), bool)
    return kept.astype(np.float32)


def _blend(canvas: Any, mask: Any, colour: Any) -> None:
    canvas += mask[:, :, None] * (np.asarray(colour, np.float32) - canvas)


def _objects(scene: dict[str, Any], look: np.ndarray[Any, Any], shot: np.ndarray[Any, Any]) -> Any:
    """Coverage of each pixel by the objects: float32 (SIDE, SIDE) in [0, 1]."""
    fine = Image.new("L", (SIDE * _FINE, SIDE * _FINE))
    pen = ImageDraw.Draw(fine)
    centres: tuple[tuple[float, float], ...] = (_CENTRES[scene["position"]],)
    if scene["count"] == 1:
        radius = _RADIUS[scene["size"]]
    else:
        cells = draws.permutation(len(_CELLS), int(look[1] * 2**30), "cells")[: scene["count"]]
        centres, radius = tuple(_CELLS[cell] for cell in cells), 0.155
    radius *= 0.9 + 0.2 * look[2]
    turn = (shot[0] - 0.5) * 0.5
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    for centre in centres:
        middle = np.array(centre) + (shot[1:3] - 0.5) * 0.06
        for value, outline in _outlines(scene["shape"]):
            corners = ((outline @ spin.T) * radius + middle) * SIDE * _FINE
            if scene["outline"]:
                pen.line([*map(tuple, corners.tolist()), tuple(corners[0].tolist())], fill=255, width=2 * _FINE)
            else:
                pen.polygon([tuple(corner) for corner in corners.tolist()], fill=value)
    return np.asarray(fine.reduce(_FINE), np.float32) / 255


@cache
def _outlines(shape: str) -> tuple[tuple[int, Any], ...]:
    """Polygons in the unit circle (x right, y down) with the value to fill them with; a 0 cuts a hole."""
    turn = np.linspace(0, 2 * np.pi, 25)[:-1]
    circle = np.stack([np.sin(turn), -np.cos(turn)], axis=1)
    if shape == "heart":
        heart = np.stack([np.sin(turn) ** 3, -(13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)) / 16], axis=1)
        return ((255, heart),)
    if shape == "star":
        points = np.arange(10) * np.pi / 5
        reach = np.where(np.arange(10) % 2 == 0, 1.0, 0.42)
        return ((255, np.stack([np.sin(points) * reach, -np.cos(points) * reach], axis=1)),)
    polygons: dict[str, tuple[tuple[int, Any], ...]] = {
        "circle": ((255, circle * 0.9),),
        "ring": ((255, circle), (0, circle * 0.55)),
        "moon": ((255, circle), (0, circle * 0.8 + np.array([0.45, 0.0]))),
        "square": ((255, np.array([(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)])),),
        "triangle": ((255, np.array([(0, -1), (0.95, 0.75), (-0.95, 0.75)])),),
        "diamond": ((255, np.array([(0, -1.1), (0.65, 0), (0, 1.1), (-0.65, 0)])),),
        "cross": (
            (
                255,
                np.array(
                    [(-0.3, -1), (0.3, -1), (0.3, -0.3), (1, -0.3), (1, 0.3), (0.3, 0.3), (0.3, 1), (-0.3, 1), (-0.3, 0.3), (-1, 0.3), (-1, -0.3), (-0.3, -0.3)]
                ),
            ),
        ),
        "arrow": ((255, np.array([(-1, -0.28), (0.1, -0.28), (0.1, -0.8), (1, 0), (0.1, 0.8), (0.1, 0.28), (-1, 0.28)])),),
    }
    return polygons[shape]


def _written(words: tuple[str, str], shot: np.ndarray[Any, Any]) -> Any:
    """Coverage by two words, one below the other."""
    page = Image.new("L", (SIDE, SIDE))
    pen = ImageDraw.Draw(page)
    for line, word in enumerate(words):
        pen.text((2 + int(shot[3] * 6), 8 + 16 * line + int(shot[4] * 6)), word, fill=255, font=_font())
    return np.asarray(page, np.float32) / 255


@cache
def _font() -> ImageFont.ImageFont:
    return ImageFont.load_default_imagefont()


def _degrade(pixels: Pixels, kind: str) -> Pixels:
    """A tiny picture is one that was enlarged, an extreme one was squeezed into a square."""
    size = (10, 10) if kind == "tiny" else (SIDE, 8)
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BOX)
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
