"""The miniature world: what is in each picture and what its caption says, as pure functions of (seed, index).

A scene is a row of a table: the objects that are drawn, the vice that the web gave its caption or picture, and the caption.
docs/miniature.md states the rules; `datacomp.pool.draw` makes the pixels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from datacomp import draws

NAME = "miniature-1"

SHAPES = ("circle", "square", "triangle", "star", "heart", "cross", "ring", "diamond", "moon", "arrow")
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
SIZES = ("small", "medium", "large")
TEXTURES = ("plain", "striped", "dotted")
UNSEEN_TEXTURES = ("zigzag",)
BACKGROUNDS = ("grey", "gradient", "noisy")
UNSEEN_BACKGROUNDS = ("checkered",)
POSITIONS = ("centre", "left", "right", "top", "bottom")
COUNTS = ("one", "two", "three", "four")
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
_SHORT = ("a {colour} {shape}", "{colour} {shape}", "a photo of a {colour} {shape}", "picture of a {colour} {shape}", "one {colour} {shape} on a wall")
_SHORT_MANY = ("{count} {colour} {shapes}", "a photo of {count} {colour} {shapes}", "{count} {colour} {shapes} on a wall")
_LONG = ("a {size} {texture} {colour} {shape} {place} of the picture, on a {background} background",)
_LONG_MANY = ("{count} {size} {texture} {colour} {shapes} on a {background} background",)
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
_PLACES = {"centre": "in the centre", "left": "on the left", "right": "on the right", "top": "at the top", "bottom": "at the bottom"}


@dataclass(frozen=True, slots=True)
class Mixture:
    """How a world's captions and pictures are spoiled. Shares need not sum to one."""

    captions: dict[str, float]  # by kind
    pictures: dict[str, float]
    near_duplicates: float  # share of samples that are another shot of one of a few hundred scenes
    tail: float  # concept of rank r is drawn in proportion to r ** -tail


POOL = Mixture(
    captions={
        "faithful short": 0.22,
        "faithful long": 0.10,
        "foreign": 0.06,
        "vague": 0.12,
        "partly wrong": 0.14,
        "mismatched": 0.20,
        "boilerplate": 0.10,
        "text in picture": 0.06,
    },
    pictures={"sound": 0.88, "tiny": 0.07, "extreme aspect": 0.05},
    near_duplicates=0.15,
    tail=0.5,
)
# What the reference networks learnt from: a web of which about half is faithful.
WEB_LIKE = Mixture(
    captions={
        "faithful short": 0.35,
        "faithful long": 0.15,
        "foreign": 0.05,
        "vague": 0.10,
        "partly wrong": 0.08,
        "mismatched": 0.17,
        "boilerplate": 0.07,
        "text in picture": 0.03,
    },
    pictures={"sound": 0.90, "tiny": 0.05, "extreme aspect": 0.05},
    near_duplicates=0.10,
    tail=0.5,
)

_CLUSTERS = 400
_CLUSTER_BASE = 1 << 40  # scenes of near-duplicate clusters are numbered far beyond any pool,
_OTHER_BASE = 1 << 44  # and so are those that mismatched captions describe,
_TEST_BASE = 1 << 48  # and those of test sets


def scenes(mixture: Mixture, seed: int, indices: np.ndarray[Any, np.dtype[np.int64]]) -> pl.DataFrame:
    """The scenes of some samples, one row each, captions included."""
    duplicate = draws.uniform(seed, "duplicate", indices) < mixture.near_duplicates
    cluster = (draws.uniform(seed, "cluster", indices) ** 3 * _CLUSTERS).astype(np.int64)  # cubed: a few clusters are dense, most are thin
    scene = np.where(duplicate, _CLUSTER_BASE + cluster, indices)  # near-duplicates share what depends on `scene`
    kind = draws.choice([mixture.captions[name] for name in CAPTION_KINDS], seed, "caption kind", indices)
    picture = draws.choice([mixture.pictures[name] for name in PICTURE_KINDS], seed, "picture kind", scene)
    frame = _attributes(mixture, seed, scene).with_columns(
        scene=pl.Series(scene),
        shot=pl.Series(indices),
        cluster=pl.Series(np.where(duplicate, cluster, -1)),
        caption_kind=_pick(CAPTION_KINDS, kind),
        picture_kind=_pick(PICTURE_KINDS, picture),
        outline=pl.lit(False),
        noise=pl.lit(12.0),
    )
    described = np.where(kind == CAPTION_KINDS.index("mismatched"), _OTHER_BASE + indices, scene)  # a mismatched caption is that of another picture
    captions = _captions(_attributes(mixture, seed, described), kind, seed, indices)
    return frame.with_columns(caption=pl.Series(captions, dtype=pl.String))


def _attributes(mixture: Mixture, seed: int, scene: np.ndarray[Any, np.dtype[np.int64]]) -> pl.DataFrame:
    """What is in some pictures."""
    ranks = draws.permutation(len(CONCEPTS), seed, "ranks")
    concept = ranks[draws.choice(np.arange(1, len(CONCEPTS) + 1) ** -mixture.tail, seed, "concept", scene)]
    count = draws.choice((0.7, 0.1, 0.1, 0.1), seed, "count", scene)
    return pl.DataFrame(
        {
            "concept": concept,
            "shape": _pick(SHAPES, concept // len(COLOURS)),
            "colour": _pick(COLOURS, concept % len(COLOURS)),
            "size": _pick(SIZES, draws.below(len(SIZES), seed, "size", scene)),
            "texture": _pick(TEXTURES, draws.choice((0.6, 0.2, 0.2), seed, "texture", scene)),
            "count": count + 1,
            "position": _pick(POSITIONS, np.where(count == 0, draws.choice((0.4, 0.15, 0.15, 0.15, 0.15), seed, "position", scene), 0)),
            "background": _pick(BACKGROUNDS, draws.below(len(BACKGROUNDS), seed, "background", scene)),
        }
    )


def _pick(names: tuple[str, ...], which: Any) -> pl.Series:
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
        shapes=shape + ("es" if shape.endswith("s") else "s"),
        colour=colour,
        size=row["size"],
        texture=row["texture"],
        background=row["background"],
        place=_PLACES[row["position"]],
        count=COUNTS[row["count"] - 1],
    )


def _another(words: tuple[str, ...], word: str, which: int) -> str:
    return words[(words.index(word) + 1 + which % (len(words) - 1)) % len(words)]


def test_scenes(variant: str, seed: int, samples: int) -> tuple[pl.DataFrame, list[int], tuple[str, ...], tuple[str, ...]]:
    """The scenes of a test set with labels, class names and prompt templates ({c} is the class); every class as often."""
    shot = np.arange(samples) + _TEST_BASE
    clean = Mixture(
        captions={name: float(name == "faithful short") for name in CAPTION_KINDS},
        pictures={"sound": 1.0, "tiny": 0.0, "extreme aspect": 0.0},
        near_duplicates=0.0,
        tail=0.0,
    )
    frame = scenes(clean, seed, shot)
    concept = np.arange(samples) % len(CONCEPTS)
    frame = frame.with_columns(
        concept=pl.Series(concept),
        shape=_pick(SHAPES, concept // len(COLOURS)),
        colour=_pick(COLOURS, concept % len(COLOURS)),
        count=pl.lit(1, pl.Int64),
    )
    frame = frame.with_columns(**_VARIANTS[variant])
    if variant == "shape":
        return frame, (concept // len(COLOURS)).tolist(), SHAPES, ("a {c}", "a photo of a {c}", "one {c} on a wall")
    if variant == "colour":
        return frame, (concept % len(COLOURS)).tolist(), COLOURS, ("a {c} shape", "a photo of a {c} object", "one {c} thing on a wall")
    classes = tuple(f"{colour} {shape}" for shape, colour in CONCEPTS)
    return frame, concept.tolist(), classes, ("a {c}", "{c}", "a photo of a {c}", "picture of a {c}")


_VARIANTS: dict[str, dict[str, pl.Expr]] = {  # what a test set changes in its scenes
    "objects": {},
    "shape": {},
    "colour": {},
    "noise": {"noise": pl.lit(45.0)},
    "texture": {"texture": pl.lit(UNSEEN_TEXTURES[0])},
    "background": {"background": pl.lit(UNSEEN_BACKGROUNDS[0])},
    "sketch": {"outline": pl.lit(True)},
}
