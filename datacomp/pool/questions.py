"""What the generated test sets ask: their scenes, labels, classes and prompts, as pure functions of a seed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from datacomp.pool import world


def _clean(caption: str) -> world.Mixture:
    """Sound pictures, every concept as often, with captions of one kind."""
    captions, pictures = ({kind: float(kind == wanted) for kind in kinds} for wanted, kinds in ((caption, world.CAPTION_KINDS), ("sound", world.PICTURE_KINDS)))
    return world.Mixture(captions, pictures, near_duplicates=0.0, tail=0.0)


_SHORT, _LONG = _clean("faithful short"), _clean("faithful long")
_TEMPLATES = {
    "objects": ("a {c}", "the {c}", "a photo of a {c}", "picture of a {c}"),
    "shape": ("a {c}", "a photo of a {c}", "picture of a {c}", "{c} on a wall"),
    "colour": ("a {c} shape", "a photo of a {c} object", "picture of a {c} thing"),
    "count": ("{c} on a grey background",),
    "position": ("a medium plain {c} of the picture, on a grey background",),
}
# Questions about structure show and name a few concepts, one of each colour: captions that tell of count or place name what is there as well, and what
# prompts of other concepts say on average about a place is a matter of chance.
_NAMED = tuple(zip(("star", "cross", "heart", "square", "diamond", "circle", "arrow", "moon"), world.COLOURS, strict=True))
_MOST_DRAWN = 4  # scenes drawn for each pair that is kept, so that no caption comes twice


@dataclass(frozen=True, slots=True)
class Questions:
    """A test set before it is drawn: its scenes, and for each what its family of tasks reads."""

    scenes: pl.DataFrame
    classes: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()  # {c} is the class
    labels: tuple[int, ...] = ()
    rows: tuple[tuple[int, ...], ...] = ()  # of whole numbers, such as the group
    captions: tuple[str, ...] = ()


def ask(variant: str, seed: int, samples: int) -> Questions:
    """The questions of one variant; every class comes as often, and so does every group."""
    if variant == "pairs":
        return _pairs(seed, samples)
    scenes = world.scenes(_SHORT, seed, np.arange(samples) + world.TEST_BASE)
    number = np.arange(samples)
    if variant in ("count", "position"):
        return _structure(variant, scenes, number)
    concept = number % len(world.CONCEPTS)
    shape, colour = np.divmod(concept, len(world.COLOURS))
    light = number // len(world.CONCEPTS) % len(world.LIGHTS) if variant == "light" else np.zeros_like(number)
    scenes = _showing(scenes, concept).with_columns(light=world.pick(world.LIGHTS, light), count=pl.lit(1, pl.Int64), **_CHANGES.get(variant, {}))
    if variant == "shape":
        return Questions(scenes, world.SHAPES, _TEMPLATES["shape"], tuple(shape.tolist()))
    if variant == "colour":
        return Questions(scenes, world.COLOURS, _TEMPLATES["colour"], tuple(colour.tolist()))
    rows = tuple((group, 0) for group in light.tolist()) if variant == "light" else ()
    classes = tuple(f"{colour} {shape}" for shape, colour in world.CONCEPTS)
    return Questions(scenes, classes, _TEMPLATES["objects"], tuple(concept.tolist()), rows)


_CHANGES: dict[str, dict[str, pl.Expr]] = {  # what a shift changes in its scenes
    "noise": {"noise": pl.lit(45.0)},
    "texture": {"texture": pl.lit(world.UNSEEN_TEXTURES[0])},
    "background": {"background": pl.lit(world.UNSEEN_BACKGROUNDS[0])},
    "sketch": {"outline": pl.lit(True)},
}


def _showing(scenes: pl.DataFrame, concept: Any) -> pl.DataFrame:
    """The scenes with other objects in them."""
    shapes, colours = zip(*world.CONCEPTS, strict=True)
    return scenes.with_columns(concept=pl.Series(concept), shape=world.pick(shapes, concept), colour=world.pick(colours, concept))


def _structure(variant: str, scenes: pl.DataFrame, number: Any) -> Questions:
    """Each of a few concepts in each number or place, which together are the class."""
    if variant == "count":  # one object has captions of another form
        ways = [(f"{word} plain {{colour}} {{shapes}}", count, "centre") for count, word in enumerate(world.COUNTS[1:], 2)]
    else:
        ways = [(f"{{colour}} {{shape}} {words}", 1, position) for position, words in world.PLACES.items()]
    names, counts, positions = zip(*ways, strict=True)
    classes = tuple(name.format(colour=colour, shape=shape, shapes=world.plural(shape)) for shape, colour in _NAMED for name in names)
    label = number % len(classes)
    named, way = np.divmod(label, len(ways))
    concepts = np.array([world.CONCEPTS.index(one) for one in _NAMED])
    scenes = _showing(scenes, concepts[named]).with_columns(
        light=pl.lit(world.LIGHTS[0]), count=pl.Series(np.array(counts)[way]), position=world.pick(positions, way)
    )
    return Questions(scenes, classes, _TEMPLATES[variant], tuple(label.tolist()))


def _pairs(seed: int, samples: int) -> Questions:
    """Pictures with long captions of their own, no two alike."""
    drawn = world.scenes(_LONG, seed, np.arange(_MOST_DRAWN * samples) + world.TEST_BASE)
    scenes = drawn.unique("caption", keep="first", maintain_order=True).head(samples)
    return Questions(scenes, captions=tuple(scenes["caption"]))
