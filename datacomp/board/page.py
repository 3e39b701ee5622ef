"""The page: entries in, a static site out; the same entries give the same bytes.

Entries come from strangers: every value is escaped by the templates, and a page may load nothing but its own two static files.
"""

from functools import cache
from pathlib import Path
from urllib.parse import quote

import jinja2

from datacomp import digest, files, pages, rooms
from datacomp.board import published, rank, view
from datacomp.board.rank import Board
from datacomp.errors import StageError

POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'"

_HERE = Path(__file__).parent
_STATIC = ("board.css", "table.js", "compare.js", "download.js", "board.js", "icon.svg")
_MARKER = ".datacomp-page"  # in a folder that `build` made, where it may remove pages of entries that are gone
_SHOWN_CHARACTERS = 300  # of a name that the entry's record does not limit
_SHOWN_ITEMS = 60


def build(entries: Path, out: Path, results: Path | None = None, *, names: str = "*.json") -> Board:
    """Write the site of all entries below a folder to `out`; return what is on it.

    `results` holds published ones, by default the project's own; `names` is the pattern of the entries' files. Raises StageError when `out` holds
    something else than an earlier page.
    """
    if not entries.is_dir():
        raise StageError(f"there is no folder of entries at {entries}", repair="check the path, or make it: an empty folder gives an empty board")
    _check_target(entries, out)
    board = rank.read(entries, names)
    written = texts(board, published.read(results or rooms.leaderboard() / "published" / published.FILE))
    files.write_text(out / _MARKER, "Made by datacomp. Pages of entries that are gone are removed from here.\n")
    for name, text in written.items():
        files.write_text(out / name, text)
    for path in (out / "entries").glob("*"):
        if f"entries/{path.name}" not in written:
            path.unlink()
    return board


def _check_target(entries: Path, out: Path) -> None:
    inside = entries.resolve().is_relative_to(out.resolve()) or out.resolve().is_relative_to(entries.resolve())
    beside = "choose another folder, such as build/board"
    if inside or (out.exists() and not out.is_dir()):
        raise StageError(f"the page cannot be written to {out}", allowed="a folder that neither holds the entries nor lies among them", repair=beside)
    if out.is_dir() and not (out / _MARKER).is_file() and any(out.iterdir()):
        raise StageError(f"{out} holds something that is no page of ours", allowed="an empty folder, or one with an earlier page", repair=beside)


def texts(board: Board, others: tuple[published.Table, ...]) -> dict[str, str]:
    """Every file of the site, by its path."""
    sections = [view.section(table) for table in board.tables]
    scales = view.across_scales([found for found in sections if not found.table.earlier])
    written = {f"static/{name}": (_HERE / "static" / name).read_text(encoding="utf-8") for name in _STATIC}
    written["static/board.css"] = pages.shared_style() + written["static/board.css"]
    written["index.html"] = _render("index.html", root="", sections=sections, scales=scales, left_out=board.left_out, field=published.best(others))
    written["published.html"] = _render("published.html", root="", tables=others, columns=published.COLUMNS)
    for section in sections:
        for place, listed in enumerate(section.table.listed):
            written[f"entries/{listed.slug}.html"] = _render("entry.html", root="../", view=view.entry_view(section, place))
            written[f"entries/{listed.slug}.json"] = digest.canonical(listed.entry.plain())
    return written


def _render(template: str, **values: object) -> str:
    return _templates().get_template(template).render(policy=POLICY, scripts=[name for name in _STATIC if name.endswith(".js")], **values)


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,  # for every template, whatever its name ends in
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": view.percent,
        "signed": view.signed,
        "count": _count,
        "clip": _clip,
        "some": _some,
        "address": lambda slug: quote(slug, safe=""),
    }
    environment.filters["amount"] = lambda text: "" if (found := published.amount(text)) is None else f"{found:.0f}"
    return environment


def _count(number: int) -> str:
    return f"{number:,}"


def _clip(text: object) -> str:
    """Cut a text that is longer than any honest one; a file's name may hold bytes that are no text."""
    whole = str(text).encode("utf-8", "replace").decode()
    return whole if len(whole) <= _SHOWN_CHARACTERS else whole[:_SHOWN_CHARACTERS] + "…"


def _some(items: dict[str, object]) -> list[tuple[str, object]]:
    """Take the first items of a mapping, in order."""
    return sorted(items.items())[:_SHOWN_ITEMS]
