"""Errors that were measured, from a table in text: one line for each pool and budget."""

import csv
import math
from pathlib import Path
from typing import NamedTuple

from datacomp.errors import StageError
from datacomp.scaling.fit import Point

_NEEDED = ("pool", "samples", "seen")
_ALLOWED = "a CSV with columns pool, samples (in the pool), seen (in training) and error or accuracy, each from 0 to 1; and deviation, if it is known"


class Measured(NamedTuple):
    """Pools in the order of their first lines, which is that of their scores, with their sizes; and the points."""

    samples: dict[str, float]
    points: tuple[Point, ...]
    is_known: bool  # whether deviations were given


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
    points = []
    for number, line in found:
        where, name = f"{path} line {number}", (line["pool"] or "").strip()
        if not name:
            raise StageError(f"{where} names no pool", allowed=_ALLOWED)
        size = _number(line, "samples", where)
        if samples.setdefault(name, size) != size:
            raise StageError(f"{where} says that pool {name} has {size:,.0f} samples, a line before it {samples[name]:,.0f}")
        missed = _number(line, "error", where, most=1.0) if "error" in columns else 1 - _number(line, "accuracy", where, most=1.0)
        points.append(Point(name, _number(line, "seen", where), missed, _number(line, "deviation", where) if "deviation" in columns else 1.0))
    return Measured(samples, tuple(points), "deviation" in columns)


def _number(line: dict[str, str | None], column: str, where: str, most: float = math.inf) -> float:
    text = (line[column] or "").strip()
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and 0 < found <= most):
        raise StageError(f"{where}: {column} is {text!r}", allowed="a number above 0" + (f", {most:g} at most" if most < math.inf else ""))
    return found
