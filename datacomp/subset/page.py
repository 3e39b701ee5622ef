"""The page of a list: numbers and pairs in, one HTML file out that holds everything and loads nothing."""

from functools import cache
from pathlib import Path

import jinja2

from datacomp import files, pages
from datacomp.artifacts import list_report
from datacomp.subset import charts, view, wording
from datacomp.subset.inspect import Inspected

_HERE = Path(__file__).parent
_SHOWN_ITEMS = 60  # of a record's options


def write(found: Inspected, page: Path, *, numbers: bool = False) -> None:
    """Write the page, with `numbers` also the record of all numbers beside it; not as .json, which is the record of a list of that name."""
    if numbers:
        found.numbers.write(page.with_suffix(".numbers.json"))
    files.write_text(page, text(found))


def text(found: Inspected) -> str:
    """The page."""
    style, script = (_static(name) for name in ("inspect.css", "inspect.js"))
    scores, others = charts.of(found.numbers)
    return _template().render(
        **pages.dress(style, script),
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


@cache
def _template() -> jinja2.Template:
    environment = pages.environment(_HERE / "templates")
    environment.filters |= {"percent": wording.percent, "count": lambda number: f"{number:,}", "clean": lambda words: wording.clean(str(words))}
    environment.filters |= {"some": lambda items: sorted(items.items())[:_SHOWN_ITEMS]}
    environment.globals |= {"plot": charts.PLOT, "strip": charts.STRIP, "most_times": list_report.MAX_TIMES}
    return environment.get_template("inspect.html")
