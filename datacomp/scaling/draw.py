"""Pictures as SVG and as PNG, from the same marks."""

import io
from functools import cache
from pathlib import Path

import jinja2
from PIL import Image, ImageDraw, ImageFont

from datacomp import files, pages
from datacomp.scaling.pictures import Area, Dot, Line, Picture, Text

_HERE = Path(__file__).parent
_FINER = 3  # pixels that become one, for smooth edges
_SCALE = 2  # of a PNG against the SVG's pixels
_GROUND = "#ffffff"
_ROLES = {"grid": "#e2e4df", "axis": "#c9cec9", "context": "#d4d8d4", "crossing": "#8a949b", "whisker": "#56626b"}
_INK = {"tick": "#56626b", "axis": "#56626b", "name": "#1b2227", "note": "#56626b"}
_WIDTHS = {"grid": 1.0, "axis": 1.0, "context": 1.0, "crossing": 1.2, "whisker": 3.0, "front": 1.8, "": 2.0}
_LETTERS = {"tick": 12, "axis": 12, "name": 12.5, "note": 11.5}
_BAND = 38  # of 255
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


def style() -> str:
    """The rules that a picture's classes need."""
    return (_HERE / "static" / "picture.css").read_text(encoding="utf-8")


def svg(picture: Picture) -> str:
    """A file of its own."""
    return environment().get_template("picture.svg").render(picture=picture, style=style(), alone=True)


@cache
def environment() -> jinja2.Environment:
    """The templates, which tell marks apart by their kind."""
    made = pages.environment(_HERE / "templates")
    made.filters |= {"kind": lambda mark: type(mark).__name__.lower(), "places": _places}
    return made


def _places(places: tuple[tuple[float, float], ...]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def png(picture: Picture) -> bytes:
    """The same picture by pixels, on white."""
    factor = _SCALE * _FINER
    size = (picture.size[0] * factor, picture.size[1] * factor)
    image = Image.new("RGB", size, _GROUND)
    pen = ImageDraw.Draw(image, "RGBA")
    for mark in picture.marks:
        if isinstance(mark, Line | Area) and len(mark.places) < 2:
            continue  # a curve that lies above the frame
        if isinstance(mark, Line):
            _line(pen, mark, factor)
        elif isinstance(mark, Area):
            pen.polygon([(x * factor, y * factor) for x, y in mark.places], fill=(*_rgb(mark.colour), _BAND))
        elif isinstance(mark, Dot):
            _circle(pen, mark, factor)
    image = image.resize((picture.size[0] * _SCALE, picture.size[1] * _SCALE), Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(image)
    for mark in picture.marks:
        if isinstance(mark, Text):
            font = ImageFont.load_default(_LETTERS[mark.role] * _SCALE)
            pen.text((mark.place[0] * _SCALE, mark.place[1] * _SCALE), mark.words, fill=_INK[mark.role], font=font, anchor=_ANCHORS[mark.anchor])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _line(pen: ImageDraw.ImageDraw, mark: Line, factor: int) -> None:
    places = [(x * factor, y * factor) for x, y in mark.places]
    ink, width = mark.colour or _ROLES[mark.role], round(_WIDTHS[mark.role] * factor)
    if mark.role != "crossing":
        pen.line(places, fill=ink, width=width, joint="curve")
        return
    (x, top), (_, bottom) = places
    for start in range(round(top), round(bottom), 7 * factor):
        pen.line([(x, start), (x, min(start + 4 * factor, bottom))], fill=ink, width=width)


def _circle(pen: ImageDraw.ImageDraw, mark: Dot, factor: int) -> None:
    (x, y), radius = mark.place, 3.6 if mark.large else 2.4
    box = [(x - radius) * factor, (y - radius) * factor, (x + radius) * factor, (y + radius) * factor]
    pen.ellipse(box, fill=_GROUND if mark.hollow else mark.colour, outline=mark.colour, width=round(1.6 * factor))


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def write(picture: Picture, folder: Path) -> None:
    """Write both files."""
    files.write_text(folder / f"{picture.key}.svg", svg(picture))
    files.write_bytes(folder / f"{picture.key}.png", png(picture))
