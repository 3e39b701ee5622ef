"""The report of a fit: pictures and numbers on one page that holds everything and loads nothing, and the pictures as files."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from datacomp import axes, files, pages
from datacomp.scaling import choose, draw, fit, pictures
from datacomp.scaling.choose import Checked, Crossover, LeftOut, Picked, Predicted, Union
from datacomp.scaling.fit import Fit, Interval
from datacomp.scaling.pictures import Picture
from datacomp.scaling.points import Measured

_MOST_DRAWN = 12  # candidates in one picture
_BEYOND = 4.0  # times the largest budget that was measured: so far curves are drawn


class Report(NamedTuple):
    """What the page shows."""

    name: str
    fitted: Fit
    names: list[str]  # of the pools, as they were given
    intervals: dict[str, Interval]
    compared: list[Union]
    chosen: dict[float, list[Predicted]]  # by budget, the best first
    crossings: list[Crossover]
    left_out: list[LeftOut]
    checked: list[Checked]
    picked: list[Picked]
    pictures: list[Picture]
    largest_seen: float  # that was fitted


def make(name: str, measured: Measured, fitted: Fit, budgets: Sequence[float] = (), kind: str = "score") -> Report:
    """Compute everything; without budgets those are taken that were fitted: the least, the largest, one between, and one beyond."""
    seen = [point.seen for point in fitted.points]
    least, largest = min(seen), max(seen)
    asked = sorted(set(budgets)) or [least, float(np.sqrt(least * largest)), largest, _BEYOND * largest]
    ends = (min(least, asked[0]) / 1.15, max(_BEYOND * largest, asked[-1]) * 1.15)
    compared, names = choose.candidates(fitted, kind), list(measured.samples)
    crossings = choose.crossovers(fitted, compared, *ends)
    checked = choose.check(fitted, measured.checks)
    at_best = {union for each in crossings for union in (each.before, each.after)}
    rest = [union for union in compared if union not in at_best]
    prefixes = choose.prefixes(names)
    rest.sort(key=lambda union: (union not in prefixes, len(union)))
    shown = {*at_best, *rest[: max(0, _MOST_DRAWN - len(at_best))]}
    drawn = sorted(shown, key=lambda union: (len(union), compared.index(union)))
    return Report(
        name=name,
        fitted=fitted,
        names=names,
        intervals=fit.intervals(fitted),
        compared=compared,
        chosen={budget: choose.choose(fitted, budget, compared) for budget in asked},
        crossings=crossings,
        left_out=list(choose.leave_one_budget_out(measured.samples, measured.points)),
        checked=checked,
        picked=choose.picked(checked),
        pictures=[
            pictures.curves(fitted, names, (ends[0], largest * 1.5)),
            pictures.unions(fitted, drawn, names, ends, crossings, checked),
            pictures.front(fitted, drawn, names, asked),
            pictures.kept(fitted, compared, names, ends, crossings),
        ],
        largest_seen=largest,
    )


def write(found: Report, page: Path, *, apart: bool = False) -> None:
    """Write the page, with `apart` also each picture as an .svg and a .png file beside it."""
    if apart:
        for picture in found.pictures:
            draw.write(picture, page.parent)
    files.write_text(page, text(found))


def text(found: Report) -> str:
    """The page."""
    environment = draw.environment()
    drawn = environment.get_template("picture.svg")
    mean = {name: float(np.mean([getattr(each, name) for each in found.left_out])) for name in ("law", "nearest", "power")} if found.left_out else None
    missed = {
        name: float(np.mean([abs(each.measured - guess) for each, guess in zip(found.checked, guesses, strict=True)])) if found.checked else 0.0
        for name, guesses in (
            ("law", [each.predicted.error for each in found.checked]),
            ("nearest", [each.nearest for each in found.checked]),
            ("power", [each.power for each in found.checked]),
        )
    }
    return environment.get_template("report.html").render(
        **pages.dress(draw.style() + (Path(__file__).parent / "static" / "report.css").read_text(encoding="utf-8")),
        found=found,
        drawn=[(picture, Markup(drawn.render(picture=picture, style="", alone=False))) for picture in found.pictures],  # noqa: S704 - a template escaped it
        short=axes.short,
        percent=lambda share: f"{100 * share:.2f}",
        number=lambda value: f"{value:.4g}",
        union=lambda union: pictures.union_name(union, found.names),
        mean=mean,
        missed=missed,
    )
