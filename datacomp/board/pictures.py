"""Pictures of a board as places on a canvas: averages against list size and compute, the Pareto front, trends across scales, loss curves.

The templates draw them; nothing here knows about markup, and the same rows give the same numbers.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from datacomp import axes
from datacomp.artifacts.loss_curve import LossCurve

WIDTH, HEIGHT = 480, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 466, 16, 252  # of what the axes enclose
_LINE, _LABEL_LETTERS = 16, 26
_DESCRIBED = 5  # entries of the front that the description names


class Point(NamedTuple):
    """One entry."""

    name: str
    amount: int  # samples of the list, or seen in training
    average: float
    reference: bool  # no valid entry: shown, never on the front
    series: str = ""  # points of one series are joined


class Mark(NamedTuple):
    """One point on the canvas."""

    x: str
    y: str
    title: str
    reference: bool


class Label(NamedTuple):
    """A name beside a point of the front."""

    x: str
    y: str
    name: str
    ends_here: bool  # the name ends at the place, for it would leave the canvas


class Tick(NamedTuple):
    """One line of a grid with its label."""

    at: str
    label: str


class Line(NamedTuple):
    """One run's losses on the canvas."""

    points: str
    title: str


class Curves(NamedTuple):
    """The loss of some runs over their steps."""

    key: str
    title: str
    description: str
    axis: str
    lines: tuple[Line, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    frame: tuple[int, int, int, int] = (_LEFT, _TOP, _RIGHT, _BOTTOM)
    size: tuple[int, int] = (WIDTH, HEIGHT)


class Picture(NamedTuple):
    """Everything that is drawn."""

    key: str
    title: str
    description: str
    axis: str  # what the horizontal one shows
    marks: tuple[Mark, ...]
    front: str  # the Pareto front as a staircase's points
    labels: tuple[Label, ...]
    trends: tuple[str, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    frame: tuple[int, int, int, int] = (_LEFT, _TOP, _RIGHT, _BOTTOM)
    size: tuple[int, int] = (WIDTH, HEIGHT)


def picture(key: str, title: str, axis: str, points: Sequence[Point]) -> Picture:
    """Lay points on a logarithmic axis of amounts and one of averages in percent."""
    amounts, averages = [point.amount for point in points], [point.average for point in points]
    low, high = math.log10(max(min(amounts), 1)) - 0.12, math.log10(max(*amounts, 1)) + 0.12
    bottom, top = _widened(min(averages), max(averages))

    def x(amount: float) -> str:
        return f"{_LEFT + (_RIGHT - _LEFT) * (math.log10(max(amount, 1)) - low) / (high - low):.1f}"

    def y(average: float) -> str:
        return f"{_BOTTOM - (_BOTTOM - _TOP) * (average - bottom) / (top - bottom):.1f}"

    def line(over: Sequence[Point]) -> str:
        return " ".join(f"{x(point.amount)},{y(point.average)}" for point in over)

    best = front(points)
    named = ", ".join(_said(point) for point in best[-_DESCRIBED:])
    more = f" and {len(best) - _DESCRIBED} smaller ones" if len(best) > _DESCRIBED else ""
    series = dict.fromkeys(point.series for point in points if point.series)
    joined = (sorted((point for point in points if point.series == name), key=lambda point: (point.amount, point.average)) for name in series)
    return Picture(
        key=key,
        title=title,
        description=f"{len(points)} entries. On the front, where none is better with as little: {named or 'none'}{more}.",
        axis=axis,
        marks=tuple(Mark(x(point.amount), y(point.average), _said(point), point.reference) for point in points),
        front=_stairs([(x(point.amount), y(point.average)) for point in best]),
        labels=_labels([(x(point.amount), y(point.average), point.name) for point in best]),
        trends=tuple(line(found) for found in joined if len({point.amount for point in found}) > 1),
        across=tuple(Tick(x(amount), axes.short(amount)) for amount in axes.amounts(low, high)),
        up=tuple(Tick(y(average), f"{100 * average:.3g}") for average in axes.steps(bottom, top)),
    )


def curves(key: str, runs: Sequence[tuple[int, LossCurve]], batch_samples: int) -> Curves:
    """Lay the loss curves of runs, each with its seed, on linear axes of samples seen and losses."""
    last = max(curve.steps[-1] for _, curve in runs)
    losses = [loss for _, curve in runs for loss in curve.losses]
    edge = max(0.04 * (max(losses) - min(losses)), 1e-3)
    bottom, top = min(losses) - edge, max(losses) + edge

    def x(step: float) -> str:
        return f"{_LEFT + (_RIGHT - _LEFT) * step / last:.1f}"

    def y(loss: float) -> str:
        return f"{_BOTTOM - (_BOTTOM - _TOP) * (loss - bottom) / (top - bottom):.1f}"

    def line(seed: int, curve: LossCurve) -> Line:
        points = " ".join(f"{x(step)},{y(loss)}" for step, loss in zip(curve.steps, curve.losses, strict=True))
        return Line(points, f"seed {seed}: {_ends(curve)}")

    return Curves(
        key=key,
        title="Loss in training",
        description=". ".join(f"Seed {seed}: {_ends(curve)}" for seed, curve in runs) + ".",
        axis="samples seen in training",
        lines=tuple(line(seed, curve) for seed, curve in runs),
        across=tuple(Tick(x(amount / batch_samples), axes.short(amount)) for amount in axes.spread(0, last * batch_samples)),
        up=tuple(Tick(y(loss), f"{loss:.4g}") for loss in axes.spread(bottom, top)),
    )


def _ends(curve: LossCurve) -> str:
    half = next(place for place, step in enumerate(curve.steps) if 2 * step >= curve.steps[-1])
    return ", ".join(f"{curve.losses[place]:.3f} after step {curve.steps[place]:,}" for place in sorted({0, half, len(curve.steps) - 1}))


def front(points: Sequence[Point]) -> list[Point]:
    """Valid entries that no other with as little or less reaches, the smallest amount first."""
    found: list[Point] = []
    for point in sorted(points, key=lambda point: (point.amount, -point.average, point.name)):
        if not point.reference and (not found or point.average > found[-1].average):
            found.append(point)
    return found


def _stairs(corners: list[tuple[str, str]]) -> str:
    """From each corner level to where the next begins, and to the frame's edge in the end."""
    ends = [x for x, _ in corners[1:]] + [str(_RIGHT)]
    return " ".join(f"{x},{y} {end},{y}" for (x, y), end in zip(corners, ends, strict=True))


def _labels(places: list[tuple[str, str, str]]) -> tuple[Label, ...]:
    """Names from the best down, but none so near the one before that they overlap."""
    found: list[Label] = []
    for x, y, name in reversed(places):
        cut = name if len(name) <= _LABEL_LETTERS else f"{name[: _LABEL_LETTERS - 1]}…"
        if not found or float(y) - float(found[-1].y) > _LINE:
            found.append(Label(x, y, cut, float(x) > (_LEFT + _RIGHT) / 2))
    return tuple(found)


def _said(point: Point) -> str:
    return f"{point.name}: {100 * point.average:.1f} % with {point.amount:,} samples"


def _widened(low: float, high: float) -> tuple[float, float]:
    edge = max(0.08 * (high - low), 0.005)
    return max(low - edge, 0.0), min(high + edge, 1.0)
