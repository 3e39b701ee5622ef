"""A wall of examples: what each vice of the generated world looks like, with the captions that its pictures have.

`python -m datacomp.pipelines.wall OUT.png` hangs it.
"""

import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image, ImageDraw, ImageFont

from datacomp import files
from datacomp.pool import draw, world

_DRAWN = 20_000  # samples that examples are taken from
_COLUMNS = 7
_NEAR = "near-duplicates of one scene"
_SIDE, _GAP, _TITLE, _LINE, _LINES = 96, 14, 26, 14, 4  # pixels


def hang(path: Path, mixture: world.Mixture = world.POOL, seed: int = 0) -> Path:
    """Write the wall as PNG: a row for each kind of caption, each kind of picture, each light, and the densest cluster of near-duplicates."""
    scenes = world.scenes(mixture, seed, np.arange(_DRAWN))
    rows = [(title, found.head(_COLUMNS)) for title, found in _rows(scenes)]
    height = _TITLE + _SIDE + _LINES * _LINE + _GAP
    wall = Image.new("RGB", (_GAP + _COLUMNS * (_SIDE + _GAP), _GAP + len(rows) * height), "white")
    pen, font = ImageDraw.Draw(wall), _font(11)
    for number, (title, found) in enumerate(rows):
        top = _GAP + number * height
        pen.text((_GAP, top), f"{title}: {_share(scenes, title):.0%} of the pool", "black", _font(16))
        for column, scene in enumerate(found.iter_rows(named=True)):
            _example(wall, pen, font, scene, seed, (_GAP + column * (_SIDE + _GAP), top + _TITLE))
    with files.whole(path) as temporary:
        wall.quantize(128).save(temporary, "PNG", optimize=True)
    return path


def _font(size: int) -> Any:
    """One that knows accents, where the machine has it."""
    try:
        return ImageFont.truetype("DejaVuSans.ttf", size)
    except OSError:
        return ImageFont.load_default(size)


def _rows(scenes: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    sound, single = pl.col("picture_kind") == "sound", pl.col("cluster") < 0
    day = pl.col("light") == "day"
    found = [(kind, scenes.filter((pl.col("caption_kind") == kind) & sound & single & day)) for kind in world.CAPTION_KINDS]
    found += [(kind, scenes.filter((pl.col("picture_kind") == kind) & single & day)) for kind in world.PICTURE_KINDS[1:]]
    found += [(light, scenes.filter((pl.col("light") == light) & sound & single)) for light in world.LIGHTS[1:]]
    return [*found, (_NEAR, scenes.filter(pl.col("cluster") == 0))]


def _share(scenes: pl.DataFrame, title: str) -> float:
    """How often a row's kind comes."""
    if title == _NEAR:
        return float((scenes["cluster"] == 0).mean())  # type: ignore[arg-type]
    return float(scenes.select(pl.any_horizontal(pl.col("caption_kind", "picture_kind", "light") == title).mean()).item())


def _example(wall: Image.Image, pen: ImageDraw.ImageDraw, font: Any, scene: dict[str, Any], seed: int, corner: tuple[int, int]) -> None:
    picture = Image.fromarray(draw.picture(scene, seed)).resize((_SIDE, _SIDE), Image.Resampling.NEAREST)
    wall.paste(picture, corner)
    for line, text in enumerate(textwrap.wrap(scene["caption"], 15)[:_LINES]):
        pen.text((corner[0], corner[1] + _SIDE + 2 + line * _LINE), text, "black", font)


if __name__ == "__main__":
    hang(Path(sys.argv[1]))
