"""Metadata that tries every rule of DataComp's filters, from a seed: what benchmarks/parity/filters.py shows the published code.

Two folders: `strict`, which every published filter survives, and `lenient`, with missing captions and scores and an empty file, which only
no_filter and clip_score do.
"""

import random
from pathlib import Path

import numpy as np
import pandas as pd

FEATURE_DIMENSIONS, CENTROIDS, TARGETS = 16, 24, 30
ENGLISH = """
a photo of a dog in the garden
the white house on the hill at night
two black cats sleeping on an old wooden chair
Wedding dress with lace sleeves
how to bake a chocolate cake with fresh strawberries
vintage red car parked near the beach
three wise men riding camels through the desert at sunset
children playing football in the park on a sunny afternoon
stock illustration of a running horse
the geese flew over the lake while mice hid in the straw
I was running because it was raining
he said that she would never have done it
DOGS AND CATS LIVING TOGETHER
hot_dog with mustard and a glass of beer
an unbelievably beautiful and rather expensive thing
could you please tell me where we are going tomorrow""".strip().splitlines()
OTHERS = """
das ist ein schönes Bild von einem Hund im Garten
une vieille voiture rouge devant la maison
el perro negro duerme en la casa de mi abuela
красная машина стоит возле дома
这是一只可爱的小狗在花园里
かわいい犬の写真です
صورة جميلة لكلب في الحديقة
uma fotografia do gato preto
een foto van een hond in de tuin
Haus mit Garten
la plage
전통 한옥 마을의 아름다운 풍경""".strip().splitlines()
LENGTHS = ["", " ", "   \t ", "a", "a b", "a b c", "ab c d", "abc d e", "a b cd", "abcde", "abcdef", "IMG_2041.jpg", "click here", "1 2 3 4 5", "É", "ß" * 10]
SPACES = [
    "dog\ncat",
    "dog\n",
    "\ndog house here",
    "the dog\tand\rthe cat",
    "the\x0bdog\x0ccat\u00a0mouse",
    "the\u2003dog\u3000runs",
    "null\x00byte in the dog house",
    "the\tblack\tdog",
    "white\nhouse",
    "where\rare\ryou",
    "this\x0bis\x0bthe\x0bgarden",
    "the\x00dog",
]
SIGNS = [
    "😀",
    "😀 😀 😀 dog",
    "🐶🐱 the dog and the cat 🎂",
    "\u200b\u200b the dog is here",
    "<b>dog</b> &amp; cat",
    "http://example.com/dog.jpg",
    "dog, cat; house.",
    "2019-2020 / 50% OFF!!!",
    "cafe\u0301 dog",
    "naïve façade résumé",
    "ﬁne dog photo",
    "İstanbul dogs",
    "\ufeffdog in the house",
    "a\u0300" * 40,
    "__label__en is a label",
]
LONG = ["the quick brown fox " * 1200, "x" * 20_000, "ses " * 50, "eses" * 10]
WORDS = [
    "dog",
    "Dog",
    "dogs",
    "dogsss",
    "geese",
    "men",
    "eseseses",
    "best easiest bigger",
    "running runs ran",
    "axes leaves knives",
    "hot dog",
    "hot_dog",
    "physics is news",
    "New York",
    "USA",
    "u.s.",
    "it's a dog's life",
    "a_b_c",
    # These match ImageNet-21k by the number alone: their first synset is no noun
    "an athletic and visual thing",
    "it was tested by her",
    "he would install it",
    "gentlemanly",
    "they lapsed",
    "a morbid premarital try_out",
]
ODD = [*LENGTHS, *SPACES, *SIGNS, *LONG, *WORDS]
SIDES = [0, 1, 50, 199, 200, 201, 256, 400, 599, 600, 601, 1024, 4000, 2**31 - 1]


def captions(draw: random.Random, rows: int) -> list[str]:
    """Every odd caption once, then a mixture; some are put together."""
    found = list(ODD)
    while len(found) < rows:
        text = draw.choice(draw.choice([ENGLISH, ENGLISH, OTHERS, ODD]))
        if draw.random() < 0.2:
            text = f"{text[:200]} {draw.choice(draw.choice([ENGLISH, OTHERS]))}"
        found.append(text)
    draw.shuffle(found)
    return found[:rows]


def uids(draw: random.Random, rows: int) -> list[str]:
    """Random ones, with leading zeros, the smallest, the largest, and some twice."""
    found = [f"{draw.getrandbits(128):032x}" for _ in range(rows)]
    special = ["0" * 32, "f" * 32, f"{1:032x}", "0" * 16 + "f" * 16, "f" * 16 + "0" * 16, f"{draw.getrandbits(64):032x}", f"{2**63:032x}", f"{2**64:032x}"]
    for place, uid in zip(draw.sample(range(rows), len(special)), special, strict=True):
        found[place] = uid
    for place in draw.sample(range(rows), rows // 50):
        found[place] = draw.choice(found)
    return found


def scores(draw: random.Random, rows: int, dtype: str) -> np.ndarray:
    """A few values many times, so that thresholds meet ties; NaN, infinities and both zeros."""
    values = [round(0.1 + 0.01 * step, 2) for step in range(30)] + [0.28, 0.3, 0.25, 0.0, -0.0, 0.7]
    found = [draw.choice(values) if draw.random() < 0.8 else draw.gauss(0.22, 0.06) for _ in range(rows)]
    for place, value in zip(draw.sample(range(rows), 6), [float("nan"), float("nan"), float("inf"), float("-inf"), 0.28, 1.0], strict=True):
        found[place] = value
    return np.array(found, dtype)


def table(draw: random.Random, rows: int) -> pd.DataFrame:
    """One metadata file."""
    return pd.DataFrame(
        {
            "uid": uids(draw, rows),
            "url": [f"https://example.com/{row}.jpg" for row in range(rows)],
            "text": captions(draw, rows),
            "original_width": np.array([draw.choice(SIDES) for _ in range(rows)], "int64"),
            "original_height": np.array([draw.choice(SIDES) for _ in range(rows)], "int64"),
            "clip_b32_similarity_score": scores(draw, rows, "float32"),
            "clip_l14_similarity_score": scores(draw, rows, "float64"),
        }
    )


def write(folder: Path, seed: int) -> None:
    """Write both folders, centroids and target features."""
    draw, numbers = random.Random(seed), np.random.RandomState(seed)
    for kind, sizes in (("strict", (611, 97, 130)), ("lenient", (120, 40))):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number, rows in enumerate(sizes):
            frame = table(draw, rows)
            if kind == "lenient":
                frame.loc[draw.sample(range(rows), 5), "text"] = None
                frame.loc[draw.sample(range(rows), 5), "clip_l14_similarity_score"] = None
                frame["original_width"] = frame["original_width"].astype("Int64").mask(numbers.rand(rows) < 0.05)
            features = numbers.randn(rows, FEATURE_DIMENSIONS).astype("float16")
            features[numbers.rand(rows) < 0.02] = 0
            features[numbers.rand(rows) < 0.02] = np.nan
            frame.to_parquet(folder / kind / f"{number:08d}.parquet")
            np.savez(folder / kind / f"{number:08d}.npz", l14_img=features)
    frame.head(0).to_parquet(folder / "lenient" / "empty.parquet")
    np.save(folder / "centroids.npy", numbers.randn(CENTROIDS, FEATURE_DIMENSIONS).astype("float32"))
    np.save(folder / "targets.npy", numbers.randn(TARGETS, FEATURE_DIMENSIONS).astype("float16"))
