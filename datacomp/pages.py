"""Pages of one file that hold everything and load nothing: their look, their policy, and where they are written.

What stands on them comes from strangers: every value is escaped by the templates, and the policy lets only the page's own style and script, known by
their digests, and pictures that stand in the page take effect.
"""

import base64
import hashlib
from pathlib import Path

import jinja2

from datacomp.errors import StageError

_STATIC = Path(__file__).parent / "static"
_HTML = (".html", ".htm")


def target(out: Path) -> Path:
    """The page's path for `out`, a .html file or a folder.

    Raises StageError where `out` is another file.
    """
    page = out if out.suffix in _HTML else out / "index.html"
    if (out.is_file() and page != out) or page.is_dir():
        raise StageError(f"the page cannot be written to {out}", allowed="a folder, or a file that ends in .html", repair="choose another --out")
    return page


def shared_style() -> str:
    """The look that these pages and the leaderboard share."""
    return (_STATIC / "base.css").read_text(encoding="utf-8")


def dress(style: str, script: str = "") -> dict[str, str]:
    """What a template's head needs: the style that such pages share with the page's own, its script, the icon, and the policy."""
    style = shared_style() + (_STATIC / "page.css").read_text(encoding="utf-8") + style
    icon = base64.b64encode((_STATIC / "icon.svg").read_bytes()).decode()
    scripts = f"script-src {_hash(script)}; " if script else ""
    return {
        "policy": f"default-src 'none'; style-src {_hash(style)}; {scripts}img-src data:; base-uri 'none'; form-action 'none'",
        "style": style,
        "script": script,
        "icon": f"data:image/svg+xml;base64,{icon}",
    }


def _hash(content: str) -> str:
    """A policy's name for an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def environment(templates: Path) -> jinja2.Environment:
    """Templates that escape every value."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
