"""The page of a list: numbers and pairs in, one HTML file out that holds everything and loads nothing.

Captions, addresses and names come from strangers: every value is escaped by the template, and the policy lets only the page's own
style and script, known by their digests, and pictures that stand in the page take effect.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path

import jinja2

from datacomp import files
from datacomp.artifacts import list_report
from datacomp.errors import StageError
from datacomp.subset import charts, view, wording
from datacomp.subset.inspect import Inspected

_HERE = Path(__file__).parent
_HTML = (".html", ".htm")
_SHOWN_ITEMS = 60  # of a record's options


def target(out: Path) -> Path:
    """The page's path for `out`, a .html file or a folder.

    Raises StageError where `out` is another file.
    """
    page = out if out.suffix in _HTML else out / "index.html"
    if (out.is_file() and page != out) or page.is_dir():
        raise StageError(f"the page cannot be written to {out}", allowed="a folder, or a file that ends in .html", repair="choose another --out")
    return page


def write(found: Inspected, page: Path, *, numbers: bool = False) -> None:
    """Write the page, with `numbers` also the record of all numbers beside it; not as .json, which is the record of a list of that name."""
    if numbers:
        found.numbers.write(page.with_suffix(".numbers.json"))
    files.write_text(page, text(found))


def text(found: Inspected) -> str:
    """The page."""
    style, script, icon = (_static(name) for name in ("inspect.css", "inspect.js", "icon.svg"))
    scores, others = charts.of(found.numbers)
    return _template().render(
        policy=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; base-uri 'none'; form-action 'none'",
        style=style,
        script=script,
        icon=f"data:image/svg+xml;base64,{base64.b64encode(icon.encode()).decode()}",
        found=found,
        numbers=found.numbers,
        scores=scores,
        charts=others,
        languages=view.languages(found.numbers.languages) if found.numbers.languages else None,
        wall=view.wall(found.at_random),
        edges=view.edges(found),
        overlaps=view.overlaps(found),
        captions=view.tables(found.numbers.captions, "captions", "caption") if found.numbers.captions else (),
        domains=view.tables(found.numbers.domains, "domains", "domain") if found.numbers.domains else (),
        orders=view.orders(found.numbers),
    )


def _static(name: str) -> str:
    return (_HERE / "static" / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """A policy's name for an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": wording.percent, "count": lambda number: f"{number:,}", "clean": lambda words: wording.clean(str(words))}
    environment.filters |= {"some": lambda items: sorted(items.items())[:_SHOWN_ITEMS]}
    environment.globals |= {"plot": charts.PLOT, "strip": charts.STRIP, "most_times": list_report.MAX_TIMES}
    return environment.get_template("inspect.html")
