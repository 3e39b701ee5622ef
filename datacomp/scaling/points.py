"""Errors that were measured, as a table in text: one line for each pool and budget."""

import csv
import io
import math
from pathlib import Path
from typing import NamedTuple

from datacomp import files
from datacomp.errors import StageError
from datacomp.scaling.choose import JOINED
from datacomp.scaling.fit import Point

_NEEDED = ("pool", "samples", "seen")
_ALLOWED = (
    "a CSV with columns pool, samples (in the pool), seen (in training) and error or accuracy, each from 0 to 1; and, if they are known, deviation, "
    "schedule (end, or mid for a checkpoint before its run's end) and use (fit, or check for what the fit is not to see, such as a union, NAME + NAME)"
)
_CHOICES = {"schedule": ("end", "mid"), "use": ("fit", "check")}


class Measured(NamedTuple):
    """Pools in the order of their first lines, which is that of their scores, with their sizes; and the points."""

    samples: dict[str, float]
    points: tuple[Point, ...]
    is_known: bool = False  # whether deviations were given
    checks: tuple[Point, ...] = ()  # measured, and not to be fitted: unions (their pools joined) and further budgets


def read(path: Path) -> Measured:
    """Read a table. Raises StageError that names the line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file, strict=True)
            columns = tuple(lines.fieldnames or ())
            found = [(number, line) for number, line in enumerate(lines, start=2)]
    except OSError as error:
        raise StageError(f"{path} cannot be read: {error.strerror}", allowed=_ALLOWED) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise StageError(f"{path} is no table in text: {error}", allowed=_ALLOWED) from None
    if absent := [name for name in _NEEDED if name not in columns]:
        raise StageError(f"{path} has no column {', '.join(absent)}", allowed=_ALLOWED)
    if ("error" in columns) == ("accuracy" in columns):
        raise StageError(f"{path} needs one of the columns error and accuracy", allowed=_ALLOWED)
    samples: dict[str, float] = {}
    points: dict[str, list[Point]] = {use: [] for use in _CHOICES["use"]}
    for number, line in found:
        where, name = f"{path} line {number}", (line["pool"] or "").strip()
        if not name:
            raise StageError(f"{where} names no pool", allowed=_ALLOWED)
        size, use = _number(line, "samples", where), _choice(line, "use", where)
        if use == "fit" and samples.setdefault(name, size) != size:
            raise StageError(f"{where} says that pool {name} has {size:,.0f} samples, a line before it {samples[name]:,.0f}")
        missed = _number(line, "error", where, most=1.0) if "error" in columns else 1 - _number(line, "accuracy", where, most=1.0)
        deviation = _number(line, "deviation", where) if "deviation" in columns else 1.0
        points[use].append(Point(name, _number(line, "seen", where), missed, deviation, _choice(line, "schedule", where) == "mid"))
    return Measured(samples, tuple(points["fit"]), "deviation" in columns, tuple(points["check"]))


def write(path: Path, measured: Measured) -> None:
    """Write what was measured without known deviations, as `read` reads it."""
    lines = io.StringIO()
    table = csv.writer(lines, lineterminator="\n")
    table.writerow((*_NEEDED, "error", *_CHOICES))
    for use, points in (("fit", measured.points), ("check", measured.checks)):
        for point in points:
            size = sum(measured.samples[name] for name in point.pool.split(JOINED))
            table.writerow((point.pool, f"{size:.0f}", f"{point.seen:.0f}", f"{point.error:.6f}", _CHOICES["schedule"][point.is_mid], use))
    files.write_text(path, lines.getvalue())


def _choice(line: dict[str, str | None], column: str, where: str) -> str:
    """A word of a column that may be missing."""
    text, allowed = (line.get(column) or "").strip(), _CHOICES[column]
    if text and text not in allowed:
        raise StageError(f"{where}: {column} is {text!r}", allowed=", ".join(allowed))
    return text or allowed[0]


def _number(line: dict[str, str | None], column: str, where: str, most: float = math.inf) -> float:
    text = (line[column] or "").strip()
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and 0 < found <= most):
        raise StageError(f"{where}: {column} is {text!r}", allowed="a number above 0" + (f", {most:g} at most" if most < math.inf else ""))
    return found
