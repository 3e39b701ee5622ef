"""The page of a decontamination: what was found, picture beside picture, in one file that loads nothing."""

from functools import cache
from pathlib import Path

import jinja2

from datacomp import files, tars
from datacomp.decontaminate.run import Found, Pair
from datacomp.network.embed import thumbnail

SHOWN = 200
THUMBNAIL_PIXELS = 160
_JPEG_QUALITY = 85


def write(found: Found, tests: dict[int, tuple[str, bytes]], page: Path) -> None:
    """Write the page; `tests` has name and picture of each test picture that a shown pair names."""
    shown = [
        {
            "uid": pair.uid,
            "similarity": f"{pair.similarity:.3f}",
            "is_copy": pair.similarity >= found.threshold,
            "mine": thumbnail(_picture(pair), THUMBNAIL_PIXELS, _JPEG_QUALITY),
            "test": thumbnail(tests[pair.test][1], THUMBNAIL_PIXELS, _JPEG_QUALITY),
            "name": tests[pair.test][0],
        }
        for pair in shown_pairs(found)
    ]
    files.write_text(page, _template().render(found=found, copies=len(found.copies), pairs=shown, left_out=len(found.pairs) - len(shown)))


def shown_pairs(found: Found) -> tuple[Pair, ...]:
    """The pairs on the page: half of the room for the copies that are least alike, where mistakes are, half for what is nearly one."""
    copies = [pair for pair in found.pairs if pair.similarity >= found.threshold]
    return (*copies[-SHOWN // 2 :], *found.pairs[len(copies) :][: SHOWN // 2])


def _picture(pair: Pair) -> bytes:
    sample = tars.index(pair.tar)[pair.row]
    image = sample.image()
    assert image is not None
    with tars.TarReader(pair.tar) as reader:
        return reader.read(image)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.get_template("report.html")
