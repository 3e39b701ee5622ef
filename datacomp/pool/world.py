"""The miniature world: what is in each picture and what its caption says, as pure functions of (seed, index).

A scene is a row of a table: the objects that are drawn, the vice that the web gave its caption or picture, and the caption.
docs/miniature.md states the rules; `datacomp.pool.draw` makes the pixels, `datacomp.pool.questions` the scenes of test sets.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from datacomp import draws

NAME = "miniature-2"

SHAPES = ("circle", "square", "triangle", "star", "heart", "cross", "ring", "diamond", "moon", "arrow")
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
SIZES = ("small", "medium", "large")
TEXTURES = ("plain", "striped", "dotted")
UNSEEN_TEXTURES = ("zigzag",)
BACKGROUNDS = ("grey", "gradient", "noisy")
UNSEEN_BACKGROUNDS = ("checkered",)
POSITIONS = ("centre", "left", "right", "top", "bottom")
COUNTS = ("one", "two", "three", "four", "five")
LIGHTS = ("day", "dusk", "night", "fog")
LIGHT_SHARES = (0.62, 0.20, 0.11, 0.07)
CONCEPTS = tuple((shape, colour) for shape in SHAPES for colour in COLOURS)

# What a caption is to its picture. Only the first two are faithful; a foreign one is true as well, in a language that most filters drop.
CAPTION_KINDS = ("faithful short", "faithful long", "foreign", "vague", "partly wrong", "mismatched", "boilerplate", "text in picture")
FAITHFUL = ("faithful short", "faithful long")
# What the web did to the picture, whatever its caption says.
PICTURE_KINDS = ("sound", "tiny", "extreme aspect")

_COLOUR_WORDS = {  # of COLOURS, in order
    "de": ("rot", "orange", "gelb", "grün", "türkis", "blau", "lila", "rosa"),
    "fr": ("rouge", "orange", "jaune", "vert", "cyan", "bleu", "violet", "rose"),
    "es": ("rojo", "naranja", "amarillo", "verde", "cian", "azul", "morado", "rosado"),
}
_SHAPE_WORDS = {  # of SHAPES, in order
    "de": ("Kreis", "Quadrat", "Dreieck", "Stern", "Herz", "Kreuz", "Ring", "Raute", "Mond", "Pfeil"),
    "fr": ("cercle", "carré", "triangle", "étoile", "cœur", "croix", "anneau", "losange", "lune", "flèche"),
    "es": ("círculo", "cuadrado", "triángulo", "estrella", "corazón", "cruz", "anillo", "rombo", "luna", "flecha"),
}
_FOREIGN = {
    "de": ("das Bild zeigt die Form {shape} in der Farbe {colour}", "Bild: {shape}, Farbe {colour}, kostenlos herunterladen"),
    "fr": ("une image avec la forme {shape} de couleur {colour}", "dessin : {shape}, couleur {colour}, à télécharger gratuitement"),
    "es": ("una imagen con la forma {shape} de color {colour}", "dibujo: {shape}, color {colour}, descargar gratis"),
}
# Short captions name the concept alone. Long ones name all that is in the picture: only they tell count and position.
_SHORT = ("a {colour} {shape}", "the {colour} {shape}", "a photo of a {colour} {shape}", "picture of a {colour} {shape}", "{colour} {shape} on a wall")
_SHORT_MANY = ("some {colour} {shapes}", "a photo of {colour} {shapes}", "picture of {colour} {shapes}", "many {colour} {shapes} on a wall")
_LONG = ("a {size} {texture} {colour} {shape} {place} of the picture, on a {background} background",)
_LONG_MANY = ("{count} {texture} {colour} {shapes} on a {background} background",)
_VAGUE = (
    "a nice picture for your wall",
    "best design of the year",
    "something beautiful to look at",
    "free image, high quality",
    "my favourite one so far",
    "you will love this",
    "wallpaper for phone and desktop",
    "what a lovely day it was",
)
_BOILERPLATE = ("IMG_{number}.jpg", "DSC{number}", "image {number}", "click here", "buy now", "untitled-{number}", "{number}x{number}", "photo")
PLACES = {"centre": "in the centre", "left": "on the left", "right": "on the right", "top": "at the top", "bottom": "at the bottom"}


@dataclass(frozen=True, slots=True)
class Mixture:
    """How a world's captions and pictures are spoiled. Shares need not sum to one."""

    captions: dict[str, float]  # by kind
    pictures: dict[str, float]
    near_duplicates: float  # share of samples that are another shot of one of a few hundred scenes
    tail: float  # concept of rank r is drawn in proportion to r ** -tail
    several: float = 0.4  # share of pictures with two to five objects, each number as often


POOL = Mixture(
    captions={
        "faithful short": 0.13,
        "faithful long": 0.09,
        "foreign": 0.22,
        "vague": 0.09,
        "partly wrong": 0.12,
        "mismatched": 0.17,
        "boilerplate": 0.13,
        "text in picture": 0.05,
    },
    pictures={"sound": 0.80, "tiny": 0.12, "extreme aspect": 0.08},
    near_duplicates=0.20,
    tail=0.5,
)
# What reference networks learn from: a web of which about half is faithful, nearly all of it in English. Its long captions are few, for a network
# that has seen many gives them higher scores than short ones that are as true. Some of its pictures spell out their captions, so that the networks
# read, as CLIP does: what is read is among the best by score, and teaches nothing about objects (Maini et al. 2023, arXiv 2307.03132).
WEB_LIKE = Mixture(
    captions={
        "faithful short": 0.40,
        "faithful long": 0.12,
        "foreign": 0.03,
        "vague": 0.10,
        "partly wrong": 0.08,
        "mismatched": 0.17,
        "boilerplate": 0.07,
        "text in picture": 0.07,
    },
    pictures={"sound": 0.90, "tiny": 0.05, "extreme aspect": 0.05},
    near_duplicates=0.10,
    tail=0.5,
)
# The stronger one's: in a batch, the pairs of one concept push each other's similarity down, so that what is frequent scores lower than what is
# rare and as true. Concepts are as frequent as each other here, and several objects, which are easier to recognize, are more frequent than one.
BALANCED_WEB = replace(WEB_LIKE, tail=0.0, several=0.75)
# The weaker one's: two captions in five belong to other pictures, and a fifth is faithful.
_MISMATCHED = {"faithful short": 0.16, "faithful long": 0.05, "partly wrong": 0.15, "mismatched": 0.45, "text in picture": 0.10}
MISMATCHED_WEB = replace(WEB_LIKE, captions=WEB_LIKE.captions | _MISMATCHED)

_CLUSTERS = 800
_FOREIGN_FAITHFUL = 0.5  # the others stand on pages of shops, beside any picture
_CLUSTER_BASE = 1 << 40  # scenes of near-duplicate clusters are numbered far beyond any pool,
_OTHER_BASE = 1 << 44  # and so are those that mismatched captions describe,
TEST_BASE = 1 << 48  # and those of test sets


def scenes(mixture: Mixture, seed: int, indices: np.ndarray[Any, np.dtype[np.int64]]) -> pl.DataFrame:
    """The scenes of some samples, one row each, captions included."""
    duplicate = draws.uniform(seed, "duplicate", indices) < mixture.near_duplicates
    cluster = (draws.uniform(seed, "cluster", indices) ** 3 * _CLUSTERS).astype(np.int64)  # cubed: a few clusters are dense, most are thin
    scene = np.where(duplicate, _CLUSTER_BASE + cluster, indices)  # near-duplicates share what depends on `scene`
    kind = draws.choice([mixture.captions[name] for name in CAPTION_KINDS], seed, "caption kind", indices)
    picture = draws.choice([mixture.pictures[name] for name in PICTURE_KINDS], seed, "picture kind", scene)
    frame = _attributes(mixture, seed, scene).with_columns(
        light=pick(LIGHTS, draws.choice(LIGHT_SHARES, seed, "light", scene)),
        scene=pl.Series(scene),
        shot=pl.Series(indices),
        cluster=pl.Series(np.where(duplicate, cluster, -1)),
        caption_kind=pick(CAPTION_KINDS, kind),
        picture_kind=pick(PICTURE_KINDS, picture),
        outline=pl.lit(False),
        noise=pl.lit(12.0),
    )
    elsewhere = kind == CAPTION_KINDS.index("mismatched")
    elsewhere |= (kind == CAPTION_KINDS.index("foreign")) & (draws.uniform(seed, "foreign page", indices) >= _FOREIGN_FAITHFUL)
    described = np.where(elsewhere, _OTHER_BASE + indices, scene)  # such a caption is that of another picture
    captions = _captions(_attributes(mixture, seed, described), kind, seed, indices)
    return frame.with_columns(caption=pl.Series(captions, dtype=pl.String))


def _attributes(mixture: Mixture, seed: int, scene: np.ndarray[Any, np.dtype[np.int64]]) -> pl.DataFrame:
    """What is in some pictures."""
    ranks = draws.permutation(len(CONCEPTS), seed, "ranks")
    concept = ranks[draws.choice(np.arange(1, len(CONCEPTS) + 1) ** -mixture.tail, seed, "concept", scene)]
    count = draws.choice((1 - mixture.several, *[mixture.several / 4] * 4), seed, "count", scene)
    return pl.DataFrame(
        {
            "concept": concept,
            "shape": pick(SHAPES, concept // len(COLOURS)),
            "colour": pick(COLOURS, concept % len(COLOURS)),
            "size": pick(SIZES, draws.below(len(SIZES), seed, "size", scene)),
            "texture": pick(TEXTURES, draws.choice((0.6, 0.2, 0.2), seed, "texture", scene)),
            "count": count + 1,
            "position": pick(POSITIONS, np.where(count == 0, draws.choice((0.4, 0.15, 0.15, 0.15, 0.15), seed, "position", scene), 0)),
            "background": pick(BACKGROUNDS, draws.below(len(BACKGROUNDS), seed, "background", scene)),
        }
    )


def pick(names: tuple[str, ...], which: Any) -> pl.Series:
    """The names that some numbers stand for."""
    return pl.Series(np.array(names)[which].tolist(), dtype=pl.String)


def _captions(described: pl.DataFrame, kind: Any, seed: int, indices: np.ndarray[Any, np.dtype[np.int64]]) -> list[str]:
    form = draws.bits(seed, "caption form", indices) >> np.uint64(1)
    wrong = draws.bits(seed, "wrong word", indices) >> np.uint64(1)
    rows = zip(described.iter_rows(named=True), kind, form.tolist(), wrong.tolist(), strict=True)
    return [_caption(row, CAPTION_KINDS[k], f, w) for row, k, f, w in rows]


def _caption(row: dict[str, Any], kind: str, form: int, wrong: int) -> str:
    """One caption; `form` decides the wording, `wrong` the false word of a partly wrong one."""
    shape, colour = row["shape"], row["colour"]
    if kind == "vague":
        return _VAGUE[form % len(_VAGUE)]
    if kind == "boilerplate":
        return _BOILERPLATE[form % len(_BOILERPLATE)].format(number=form // 8 % 9000 + 1000)
    if kind == "foreign":
        language = tuple(_FOREIGN)[form % len(_FOREIGN)]
        wording = _FOREIGN[language][form // 8 % 2]
        return wording.format(shape=_SHAPE_WORDS[language][SHAPES.index(shape)], colour=_COLOUR_WORDS[language][COLOURS.index(colour)])
    if kind == "partly wrong" and form & 1:
        shape = _another(SHAPES, shape, wrong)
    elif kind == "partly wrong":
        colour = _another(COLOURS, colour, wrong)
    many = row["count"] > 1 and kind != "text in picture"
    if kind == "faithful long" or (kind in ("mismatched", "partly wrong") and form // 2 % 4 == 0):
        wordings: tuple[str, ...] = _LONG_MANY if many else _LONG
    else:
        wordings = _SHORT_MANY if many else _SHORT
    return wordings[form // 8 % len(wordings)].format(
        shape=shape,
        shapes=plural(shape),
        colour=colour,
        size=row["size"],
        texture=row["texture"],
        background=row["background"],
        place=PLACES[row["position"]],
        count=COUNTS[row["count"] - 1],
    )


def plural(shape: str) -> str:
    """Several of a shape."""
    return shape + ("es" if shape.endswith("s") else "s")


def _another(words: tuple[str, ...], word: str, which: int) -> str:
    return words[(words.index(word) + 1 + which % (len(words) - 1)) % len(words)]
