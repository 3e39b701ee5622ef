"""Draw webdataset shards from a colour emoji font: pictures that datacomp's own generator did not make.

`python examples/emoji/draw.py OUT` writes OUT/web (a pool to be, with captions of every quality), OUT/clean (a small trusted set that names some
of the emoji rightly), OUT/truth.parquet (what each sample of web really is) and OUT/web.png (to be looked at). Sample i of a set is a function of
the seed, the set and i.
"""

# ruff: noqa: INP001

import hashlib
import io
import json
import sys
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import polars as pl
from PIL import Image, ImageDraw, ImageFont

from datacomp import digest, draws, files, progress, tables, tars
from datacomp.launch import local

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
STRIKE = 109  # the one size that the font's bitmaps have
GLYPH = (136, 128)
BLOCKS = (range(0x2190, 0x3300), range(0x1F000, 0x1FB00))
TONES = {"light": "\U0001f3fb", "medium light": "\U0001f3fc", "medium": "\U0001f3fd", "medium dark": "\U0001f3fe", "dark": "\U0001f3ff"}
BACKGROUNDS = {
    "white": (255, 255, 255), "black": (20, 20, 20), "grey": (128, 128, 128), "red": (200, 60, 50), "green": (70, 150, 80), "blue": (60, 90, 190),
    "yellow": (240, 210, 90), "pink": (240, 170, 190),
}  # fmt: skip

CAPTIONS = {"right": 0.50, "wrong": 0.30, "boilerplate": 0.14, "right, in a sentence": 0.06}
RIGHT = ("right", "right, in a sentence")
PICTURES = {"sound": 0.90, "tiny": 0.05, "extreme shape": 0.05}
FORMATS = {"jpg": 0.6, "png": 0.2, "webp": 0.2}
BROKEN = {"whole": 0.975, "duplicate": 0.01, "cut off": 0.005, "no caption": 0.005, "broken json": 0.005}
UNSEEN = 0.2  # of the emoji, which the clean set does not hold
SHORT = ("{name}", "{name} emoji", "{name}, {background} background", "an emoji of a {name}")
SENTENCES = ("I could not stop laughing when she sent me the {name} yesterday", "please use the {name} only where it makes sense in your message")
BOILERPLATE = (
    "IMG_{number}.jpg",
    "click here to see more",
    "download free png",
    "image may contain copyright",
    "photo {number} of 99",
    "best sticker pack of the year",
)

ORIGINAL_SIDE, STORED_SIDE, TINY_SIDE = 224, 64, 48  # stored small, as CommonPool stores 512; the json says how large it was
SAMPLES = {"web": 24_000, "clean": 6_000}
SHARD_SAMPLES = 1_000


class Emoji(NamedTuple):
    """One emoji of the font with its Unicode name; some can have a skin tone."""

    text: str
    name: str
    has_tones: bool


@cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONT, STRIKE)


@cache
def emoji() -> tuple[Emoji, ...]:
    """Every character of the blocks that the font draws in colour, by its name."""
    font, found = _font(), []
    for code in (code for block in BLOCKS for code in block):
        text, name = chr(code), unicodedata.name(chr(code), "")
        if name and not name.startswith(("EMOJI MODIFIER", "REGIONAL INDICATOR")) and glyph(text).getbbox():
            # a skin tone after an emoji that can have none stands beside it
            found.append(Emoji(text, name.lower(), font.getlength(text + TONES["dark"]) == font.getlength(text)))
    return tuple(found)


@cache
def glyph(text: str) -> Image.Image:
    """The font's bitmap, RGBA."""
    canvas = Image.new("RGBA", GLYPH)
    ImageDraw.Draw(canvas).text((0, 0), text, font=_font(), embedded_color=True)
    return canvas


def is_unseen(index: int) -> bool:
    """Whether the clean set lacks this emoji."""
    return bool(draws.uniform(0, "unseen emoji", index) < UNSEEN)


class Sample(NamedTuple):
    """One picture with its caption."""

    picture: bytes
    extension: str
    caption: str
    original_size: tuple[int, int]
    truth: dict[str, object]


def sample(which: str, number: int, seed: int) -> Sample:
    """Sample `number` of a set."""

    def below(limit: int, name: str) -> int:
        return int(draws.below(limit, seed, f"{which} {name}", number))

    def pick(shares: dict[str, float], name: str) -> str:
        return tuple(shares)[int(draws.choice(tuple(shares.values()), seed, f"{which} {name}", number))]

    known = [index for index in range(len(emoji())) if which != "clean" or not is_unseen(index)]
    shown = known[below(len(known), "emoji")]
    caption_kind, picture_kind = (pick(CAPTIONS, "caption"), pick(PICTURES, "picture")) if which == "web" else ("right", "sound")
    background = tuple(BACKGROUNDS)[below(len(BACKGROUNDS), "background")]
    tone = tuple(TONES)[below(len(TONES), "tone")] if emoji()[shown].has_tones and below(2, "with tone") else ""
    named = shown if caption_kind != "wrong" else (shown + 1 + below(len(emoji()) - 1, "another")) % len(emoji())
    name = emoji()[named].name + (f", {tone} skin" if tone and named == shown else "")
    templates = {"boilerplate": BOILERPLATE, "right, in a sentence": SENTENCES}.get(caption_kind, SHORT)
    caption = templates[below(len(templates), "template")].format(name=name, background=background, number=1000 + below(9000, "boilerplate number"))
    angle, scale = -20 + below(41, "angle"), 0.9 + 0.6 * float(draws.uniform(seed, f"{which} scale", number))
    drawn = _compose(emoji()[shown].text + TONES.get(tone, ""), BACKGROUNDS[background], angle, scale, picture_kind, (below(1000, "x"), below(1000, "y")))
    original_size = (TINY_SIDE, TINY_SIDE) if picture_kind == "tiny" else drawn.size
    drawn.thumbnail((drawn.width, TINY_SIDE if picture_kind == "tiny" else STORED_SIDE), Image.Resampling.BICUBIC)
    extension = pick(FORMATS, "format")
    buffer = io.BytesIO()
    drawn.save(buffer, {"jpg": "JPEG"}.get(extension, extension), quality=90)  # which PNG does not heed
    truth = {"emoji": emoji()[shown].name, "caption_kind": caption_kind, "picture_kind": picture_kind, "is_unseen": is_unseen(shown)}
    return Sample(buffer.getvalue(), extension, caption, original_size, truth)


def _compose(text: str, background: tuple[int, int, int], angle: int, scale: float, picture_kind: str, place: tuple[int, int]) -> Image.Image:
    """Put an emoji on a background; `place` is in thousandths of the room that is left."""
    turned = glyph(text).resize((int(GLYPH[0] * scale), int(GLYPH[1] * scale)), Image.Resampling.BICUBIC).rotate(angle, Image.Resampling.BICUBIC, expand=True)
    canvas = Image.new("RGB", (ORIGINAL_SIDE * (4 if picture_kind == "extreme shape" else 1), ORIGINAL_SIDE), background)
    corner = (canvas.width - turned.width) * place[0] // 1000, (canvas.height - turned.height) * place[1] // 1000
    canvas.paste(turned, corner, turned)
    return canvas


def _uid(drawn: Sample) -> str:
    """The uid that `datacomp pool build` gives a pair (docs/guide.md)."""
    return hashlib.sha256(hashlib.sha256(drawn.picture).digest() + drawn.caption.encode()).hexdigest()[:32]


def _members(drawn: Sample, accident: str) -> Iterator[tuple[str, bytes]]:
    yield drawn.extension, drawn.picture[: len(drawn.picture) // 3] if accident == "cut off" else drawn.picture
    if accident != "no caption":
        yield "txt", drawn.caption.encode()
    width, height = drawn.original_size
    about = json.dumps({"licence": "OFL-1.1", "font": FONT.name, "original_width": width, "original_height": height}).encode()
    yield "json", about[:12] if accident == "broken json" else about


def draw_shard(task: tuple[Path, str, int, int, int]) -> list[dict[str, object]]:
    """Draw one tar; return what its samples are."""
    path, which, start, end, seed = task
    truth: list[dict[str, object]] = []
    with files.whole(path) as temporary, tars.TarWriter(temporary) as writer:
        for number in range(start, end):
            accident = tuple(BROKEN)[int(draws.choice(tuple(BROKEN.values()), seed, "accident", number))] if which == "web" else "whole"
            if accident == "duplicate" and number > 0:
                number -= 1  # noqa: PLW2901 - this sample is the one before it, again
            drawn = sample(which, number, seed)
            for extension, data in _members(drawn, accident):
                writer.add(f"{path.stem}-{len(truth):05d}.{extension}", data)
            truth.append({"uid": _uid(drawn), "accident": accident, **drawn.truth})
    return truth


def draw(out: Path, *, samples: dict[str, int] | None = None, seed: int = 0) -> None:
    """Draw both sets, unless they are there."""
    if (out / "truth.parquet").is_file():
        return
    samples = samples or SAMPLES
    tasks = [
        (out / which / f"{which}-{number:04d}.tar", which, start, min(start + SHARD_SAMPLES, samples[which]), seed)
        for which in samples
        for number, start in enumerate(range(0, samples[which], SHARD_SAMPLES))
    ]
    drawn = list(progress.show(local.run_all(draw_shard, tasks), total=len(tasks), unit=" tars", title="draw emoji"))
    truth = [row for task, rows in zip(tasks, drawn, strict=True) if task[1] == "web" for row in rows if row["accident"] == "whole"]
    tables.write_parquet(out / "truth.parquet", pl.DataFrame(truth).unique("uid", keep="first", maintain_order=True))


def contact_sheet(which: str, count: int = 80, seed: int = 0) -> Image.Image:
    """The first pictures of a set, with their captions, to be looked at."""
    sheet = Image.new("RGB", (10 * 160, -(-count // 10) * 160), (255, 255, 255))
    for number in range(count):
        drawn = sample(which, number, seed)
        picture = Image.open(io.BytesIO(drawn.picture)).convert("RGB")
        picture.thumbnail((150, 110))
        corner = (number % 10 * 160 + 5, number // 10 * 160 + 5)
        sheet.paste(picture, corner)
        words = f"{str(drawn.truth['caption_kind'])[:10]}|{str(drawn.truth['picture_kind'])[:7]}"
        ImageDraw.Draw(sheet).multiline_text((corner[0], corner[1] + 115), f"{words}\n{drawn.caption[:26]}\n{drawn.caption[26:52]}", fill=(0, 0, 0))
    return sheet


if __name__ == "__main__":
    out = Path(sys.argv[1])
    draw(out)
    contact_sheet("web").save(out / "web.png")
    sys.stdout.write(f"{len(emoji())} emoji of {FONT.name} ({digest.of_file(FONT)[:12]}) in {out}\n")
