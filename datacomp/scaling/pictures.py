"""Pictures of fitted laws as marks on a canvas: curves of buckets, unions, the front of curation, how much to keep; and of what was measured.

Nothing here knows about markup or pixels (`draw` does), and the same fit gives the same marks.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from datacomp import axes
from datacomp.scaling import choose
from datacomp.scaling.choose import Checked, Crossover, Union
from datacomp.scaling.fit import Fit, Point
from datacomp.scaling.laws import Values

WIDTH = 760
_LEFT, _RIGHT, _TOP, _BELOW = 52, 592, 30, 54  # of what the axes enclose; names stand to the right of it
_STEPS = 121  # of a curve
_LINE = 15.0  # from one name to the next
_LETTERS = 24  # that fit between the axes and the edge
_PANEL, _PANEL_HEIGHT, _PANELS = 208, 132, 3  # pixels, and how many beside each other
_RANKS = re.compile(r"([0-9.]+)-([0-9.]+)")
_COLOURS = ((18, 134, 143), (95, 110, 200), (170, 90, 170), (201, 90, 90), (196, 122, 24))  # from the best bucket to the worst

Place: TypeAlias = tuple[float, float]


class Line(NamedTuple):
    """Places that are joined; a role is grid, axis, context, front or crossing."""

    places: tuple[Place, ...]
    role: str = ""
    colour: str = ""
    title: str = ""


class Area(NamedTuple):
    """A band, pale."""

    places: tuple[Place, ...]
    colour: str


class Dot(NamedTuple):
    """A point; a hollow one is of the middle of a schedule."""

    place: Place
    colour: str
    hollow: bool
    title: str
    large: bool = True


class Text(NamedTuple):
    """Words; a role is tick, axis, name or note."""

    place: Place
    words: str
    role: str
    anchor: str = "start"


class Value(NamedTuple):
    """A share that was measured at an amount, with its standard error."""

    amount: float
    share: float
    error: float = 0.0


Mark: TypeAlias = Line | Area | Dot | Text


class Picture(NamedTuple):
    """Everything that is drawn."""

    key: str
    title: str
    description: str
    marks: tuple[Mark, ...]
    size: tuple[int, int]


class _Axes(NamedTuple):
    """A frame in pixels with what it shows: an axis of amounts, a logarithmic one, and one of shares of answers or other amounts."""

    left: float
    top: float
    right: float
    bottom: float
    low: float  # logarithms to the base of 10
    high: float
    least: float
    most: float

    def x(self, amount: Any) -> Any:
        """Where an amount stands."""
        return self.left + (self.right - self.left) * (np.log10(amount) - self.low) / (self.high - self.low)

    def y(self, value: Any) -> Any:
        """Where a value stands; what is beyond the frame stands at its edge."""
        return self.bottom - (self.bottom - self.top) * (np.clip(value, self.least, self.most) - self.least) / (self.most - self.least)

    def line(self, amounts: Values, values: Values) -> tuple[Place, ...]:
        """The places of a curve, as far as it lies below the frame's top."""
        inside = values <= self.most
        return tuple(zip(self.x(amounts[inside]).tolist(), self.y(values[inside]).tolist(), strict=True))

    def grid(self, across: Sequence[float], up: Sequence[float], *, names: str = "xy", label: Callable[[float], str]) -> Iterator[Mark]:
        """Lines and numbers."""
        for value in up:
            yield Line(((self.left, self.y(value)), (self.right, self.y(value))), "grid")
            if "y" in names:
                yield Text((self.left - 7, self.y(value) + 4), label(value), "tick", "end")
        for amount in across:
            yield Line(((self.x(amount), self.bottom), (self.x(amount), self.bottom + 4)), "grid")
            if "x" in names:
                yield Text((self.x(amount), self.bottom + 18), axes.short(amount), "tick", "middle")
        yield Line(((self.left, self.bottom), (self.right, self.bottom)), "axis")


def colour(place: int, count: int) -> str:
    """The colour of one of several in an order, as #rrggbb; all stand out from paper white and from night."""
    at = (len(_COLOURS) - 1) * place / max(count - 1, 1)
    first = min(int(at), len(_COLOURS) - 2)
    mixed = (round(one + (at - first) * (other - one)) for one, other in zip(_COLOURS[first], _COLOURS[first + 1], strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def cut(name: str) -> str:
    """A name that is not longer than its room."""
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"


def union_name(union: Union, names: Sequence[str]) -> str:
    """A union in few letters: neighbours in the order by their ends, ranks such as 0-10 and 10-20 by those of both."""
    if len(union) == 1 or not set(union) <= set(names):
        return choose.JOINED.join(union)
    start = names.index(union[0])
    if tuple(names[start : start + len(union)]) != union:
        return choose.JOINED.join(union)
    ends = [_RANKS.fullmatch(name) for name in (union[0], union[-1])]
    return f"{ends[0][1]}-{ends[1][2]}" if ends[0] and ends[1] else f"{union[0]} to {union[-1]}"


def curves(fitted: Fit, names: Sequence[str], budgets: tuple[float, float]) -> Picture:
    """A panel for each bucket: its law with a band and its points, those of the others pale behind it."""
    seen = np.geomspace(*budgets, _STEPS)
    drawn = {name: [choose.curve(choose.sized(fitted, one), seen, (name,)) for one in _draws(fitted, name)] for name in names}
    shown = [error for found in drawn.values() for error, _ in found] + [np.array([point.error for point in fitted.points])]
    least, most = _widened(min(each.min() for each in shown), max(each.max() for each in shown))
    rows, pitch = -(-len(names) // _PANELS), _PANEL_HEIGHT + 34
    marks: list[Mark] = []
    for place, name in enumerate(names):
        row, column = divmod(place, _PANELS)
        left, top = _LEFT + column * (_PANEL + 18), _TOP + row * pitch
        frame = _Axes(left, top, left + _PANEL, top + _PANEL_HEIGHT, math.log10(budgets[0]), math.log10(budgets[1]), least, most)
        last = row == rows - 1 or place + _PANELS >= len(names)
        across = axes.amounts(frame.low, frame.high)
        across = across if len(across) <= 5 else across[::2]
        marks += frame.grid(across, axes.steps(least, most), names="x" * last + "y" * (column == 0), label=_percent)
        marks += [Line(frame.line(seen, error), "context") for other, found in drawn.items() if other != name for error, _ in found]
        tint = colour(place, len(names))
        for error, half in drawn[name]:
            marks += [_band(frame, seen, error, half, tint), Line(frame.line(seen, error), colour=tint, title=_parameters(fitted, name))]
        marks += [_dot(frame, point, tint) for point in fitted.points if point.pool == name]
        marks.append(Text((left, top - 8), cut(name), "name"))
    height = _TOP + rows * pitch + 22
    marks += [Text((_LEFT - 44, _TOP - 8), "%", "axis"), Text(((_LEFT + WIDTH) / 2, height - 6), "samples seen in training", "axis", "middle")]
    told = f"{len(names)} buckets, {len(fitted.points)} points. " + "; ".join(_parameters(fitted, name) for name in names)
    return Picture("curves", "Error of each bucket against the budget", told, tuple(marks), (WIDTH, height))


def unions(
    fitted: Fit, compared: Sequence[Union], names: Sequence[str], budgets: tuple[float, float], crossings: Sequence[Crossover], checked: Sequence[Checked] = ()
) -> Picture:
    """Predicted error against the budget for each candidate, with the budgets at which another becomes the best, and what was measured of them."""
    seen = np.geomspace(*budgets, _STEPS)
    errors = [choose.curve(fitted, seen, union)[0] for union in compared]
    measured = [each for each in checked if each.union in compared]
    values = [*(float(error[error <= 1].max(initial=0.0)) for error in errors), *(each.measured for each in measured)]
    least, most = _widened(min([*(float(error.min()) for error in errors), *(each.measured for each in measured)]), max(values))
    frame = _Axes(_LEFT, _TOP, _RIGHT, 380, math.log10(budgets[0]), math.log10(budgets[1]), least, most)
    marks: list[Mark] = [*frame.grid(axes.amounts(frame.low, frame.high), axes.steps(least, most), label=_percent)]
    at_best = {each.before for each in crossings} | {each.after for each in crossings} or {compared[int(np.argmin([error[-1] for error in errors]))]}
    for place, (union, error) in enumerate(zip(compared, errors, strict=True)):
        tint = colour(place, len(compared))
        if union in at_best:
            marks.append(_band(frame, seen, error, choose.curve(fitted, seen, union)[1], tint))
        marks.append(Line(frame.line(seen, error), colour=tint, title=union_name(union, names)))
        marks += [_check_dot(frame, each, tint) for each in measured if each.union == union]
    for number, each in enumerate(crossings):
        x = float(frame.x(each.seen))
        marks.append(Line(((x, frame.top), (x, frame.bottom)), "crossing"))
        marks.append(Text((x, frame.top - 6 - 11 * (number % 2)), axes.short(each.seen), "note", "middle"))
    largest = max(point.seen for point in fitted.points)
    x = float(frame.x(largest))
    marks += [Line(((x, frame.top), (x, frame.bottom)), "context"), Text((x - 6, frame.bottom - 8), f"fitted up to {axes.short(largest)}", "note", "end")]
    ends = zip(compared, errors, range(len(compared)), strict=True)
    marks += name_ends([((_RIGHT, float(frame.y(error[-1]))), union_name(union, names), colour(place, len(compared))) for union, error, place in ends])
    told = [f"from {axes.short(each.seen)} samples seen on {union_name(each.after, names)} instead of {union_name(each.before, names)}" for each in crossings]
    marks += [Text((_LEFT - 44, _TOP - 8), "%", "axis"), Text(((_LEFT + _RIGHT) / 2, 428), "samples seen in training", "axis", "middle")]
    description = f"{len(compared)} candidates. " + ("Where the best changes: " + "; ".join(told) if told else "The best one does not change.")
    return Picture("unions", "Predicted error of each candidate against the budget", description, tuple(marks), (WIDTH, 436))


def front(fitted: Fit, compared: Sequence[Union], names: Sequence[str], budgets: Sequence[float]) -> Picture:
    """For some budgets: error against how much is kept, and the front, where none that keeps as little is better."""
    sizes = [sum(fitted.pools[name].samples for name in union) for union in compared]
    errors = [np.array([choose.predict(fitted, seen, union).error for union in compared]) for seen in budgets]
    least, most = _widened(min(float(each.min()) for each in errors), min(max(float(each.max()) for each in errors), 1.0))
    frame = _Axes(_LEFT, _TOP, _RIGHT, 380, math.log10(min(sizes)) - 0.05, math.log10(max(sizes)) + 0.05, least, most)
    marks: list[Mark] = [*frame.grid(axes.amounts(frame.low, frame.high), axes.steps(least, most), label=_percent)]
    ends, told = [], []
    for place, (seen, error) in enumerate(zip(budgets, errors, strict=True)):
        tint, best = colour(place, len(budgets)), on_front(sizes, error)
        corners = [(float(frame.x(sizes[n])), float(frame.y(error[n]))) for n in best]
        marks.append(Line(_stairs(corners, frame.right), "front", tint, f"{axes.short(seen)} samples seen"))
        for n, union in enumerate(compared):
            place_of = (float(frame.x(sizes[n])), float(frame.y(error[n])))
            marks.append(Dot(place_of, tint, n not in best, f"{union_name(union, names)}: {100 * error[n]:.1f} %", large=n in best))
        ends.append(((_RIGHT, corners[-1][1]), f"{axes.short(seen)} seen", tint))
        told.append(f"at {axes.short(seen)} samples seen {union_name(compared[best[-1]], names)}")
    marks += name_ends(ends)
    marks += [Text((_LEFT - 44, _TOP - 8), "%", "axis"), Text(((_LEFT + _RIGHT) / 2, 428), "samples kept of the pool", "axis", "middle")]
    description = f"The front of curation, where no candidate that keeps as little is better. It ends {'; '.join(told)}."
    return Picture("front", "The Pareto front of curation: error against how much is kept", description, tuple(marks), (WIDTH, 436))


def kept(fitted: Fit, compared: Sequence[Union], names: Sequence[str], budgets: tuple[float, float], crossings: Sequence[Crossover]) -> Picture:
    """How much the best candidate keeps at each budget; bars are the intervals of the budgets at which it changes."""
    whole = sum(pool.samples for pool in fitted.pools.values())
    start = compared[int(np.argmin([choose.predict(fitted, budgets[0], union).error for union in compared]))]
    frame = _Axes(_LEFT, _TOP, _RIGHT, 250, math.log10(budgets[0]), math.log10(budgets[1]), 0.0, 1.0)
    marks: list[Mark] = [*frame.grid(axes.amounts(frame.low, frame.high), (0, 0.25, 0.5, 0.75, 1), label=_percent)]
    places, now = [(float(frame.left), _share(fitted, start, whole, frame))], start
    for each in crossings:
        level = _share(fitted, each.after, whole, frame)
        x, low, high = (float(frame.x(np.clip(amount, *budgets))) for amount in (each.seen, each.low, each.high))
        middle = (places[-1][1] + level) / 2
        marks.append(Line(((low, middle), (high, middle)), "whisker", title=f"{axes.short(each.low)} to {axes.short(each.high)}"))
        places += [(x, places[-1][1]), (x, level)]
        now = each.after
    marks.append(Line((*places, (float(frame.right), places[-1][1])), colour=colour(0, 2)))
    told = "; ".join(
        f"from {axes.short(each.seen)} ({axes.short(each.low)} to {axes.short(each.high)}) on {union_name(each.after, names)}" for each in crossings
    )
    marks += [Text((_LEFT - 44, _TOP - 8), "%", "axis"), Text(((_LEFT + _RIGHT) / 2, 298), "samples seen in training", "axis", "middle")]
    marks.append(Text((_RIGHT + 8, places[-1][1] + 4), cut(union_name(now, names)), "name"))
    description = f"At first {union_name(start, names)}" + (f"; {told}." if told else ", and it stays.")
    return Picture("kept", "How much of the pool the best candidate keeps", description, tuple(marks), (WIDTH, 306))


def measured(key: str, title: str, across: str, series: Mapping[str, Sequence[Value]]) -> Picture:
    """Shares that were measured, against an amount: a line for each series, with a bar of one standard error at each point."""
    values = [value for found in series.values() for value in found]
    least, most = _widened(min(value.share - value.error for value in values), max(value.share + value.error for value in values))
    low, high = (math.log10(each(value.amount for value in values)) for each in (min, max))
    frame = _Axes(_LEFT, _TOP, _RIGHT, 380, low - 0.05, high + 0.05, least, most)
    marks: list[Mark] = [*frame.grid(axes.amounts(frame.low, frame.high), axes.steps(least, most), label=_percent)]
    ends, told = [], []
    for place, (name, found) in enumerate(series.items()):
        tint, points = colour(place, len(series)), sorted(found)
        at = [(float(frame.x(value.amount)), float(frame.y(value.share))) for value in points]
        marks.append(Line(tuple(at), colour=tint, title=name))
        for (x, y), value in zip(at, points, strict=True):
            said = f"{name}, {axes.short(value.amount)}: {100 * value.share:.1f} ± {100 * value.error:.1f} %"
            marks.append(Line(((x, float(frame.y(value.share - value.error))), (x, float(frame.y(value.share + value.error)))), colour=tint))
            marks.append(Dot((x, y), tint, hollow=False, title=said))
            told.append(said)
        ends.append((at[-1], name, tint))
    marks += name_ends(ends, role="context")
    marks += [Text((_LEFT - 44, _TOP - 8), "%", "axis"), Text(((_LEFT + _RIGHT) / 2, 428), across, "axis", "middle")]
    return Picture(key, title, "; ".join(told), tuple(marks), (WIDTH, 436))


def on_front(sizes: Sequence[float], errors: Values) -> list[int]:
    """Candidates that no other beats with as little or less, the smallest first."""
    found: list[int] = []
    for place in sorted(range(len(sizes)), key=lambda place: (sizes[place], errors[place])):
        if not found or errors[place] < errors[found[-1]]:
            found.append(place)
    return found


def _draws(fitted: Fit, name: str) -> list[Point]:
    """A point of each size that a pool was drawn in."""
    return list({point.samples: point for point in fitted.points if point.pool == name}.values())


def _share(fitted: Fit, union: Union, whole: float, frame: _Axes) -> float:
    return float(frame.y(sum(fitted.pools[name].samples for name in union) / whole))


def _stairs(corners: Sequence[Place], right: float) -> tuple[Place, ...]:
    ends = [x for x, _ in corners[1:]] + [right]
    return tuple(place for (x, y), end in zip(corners, ends, strict=True) for place in ((x, y), (end, y)))


def _band(frame: _Axes, seen: Values, error: Values, half: Values, tint: str) -> Area:
    inside = error <= frame.most
    seen, upper, lower = seen[inside], np.minimum(error + half, frame.most)[inside], (error - half)[inside]
    return Area((*frame.line(seen, upper), *reversed(frame.line(seen, lower))), tint)


def _dot(frame: _Axes, point: Point, tint: str) -> Dot:
    title = f"{100 * point.error:.1f} % after {axes.short(point.seen)}" + (", in the middle of a schedule" if point.is_mid else "")
    return Dot((float(frame.x(point.seen)), float(frame.y(point.error))), tint, point.is_mid, title)


def _check_dot(frame: _Axes, each: Checked, tint: str) -> Dot:
    title = f"measured {100 * each.measured:.1f} % after {axes.short(each.seen)}, predicted {100 * each.predicted.error:.1f} %"
    return Dot((float(frame.x(each.seen)), float(frame.y(each.measured))), tint, each.is_mid, title)


def _parameters(fitted: Fit, name: str) -> str:
    pool = fitted.pools[name]
    return f"{name}: utility {pool.utility:.3f}, half-life {pool.half_life:.2g}"


def name_ends(ends: Sequence[tuple[Place, str, str]], right: float = _RIGHT, role: str = "") -> Iterator[Mark]:
    """Names to the right of a frame, moved apart where they would overlap, each joined with its place by a line of its colour or role."""
    order = sorted(range(len(ends)), key=lambda place: ends[place][0][1])
    at: list[float] = []
    for place in order:
        at.append(max(ends[place][0][1], at[-1] + _LINE if at else -math.inf))
    over = max(0.0, at[-1] - 384) if at else 0.0
    for number in reversed(range(len(at))):  # what was pushed below the frame goes up again
        at[number] = min(at[number], (at[number + 1] - _LINE) if number + 1 < len(at) else at[number] - over)
    for number, place in enumerate(order):
        start, name, tint = ends[place]
        yield Line((start, (right + 10, at[number])), role, tint)
        yield Text((right + 14, at[number] + 4), cut(name), "name")


def _percent(share: float) -> str:
    return f"{100 * share:.3g}"


def _widened(low: float, high: float) -> tuple[float, float]:
    edge = max(0.06 * (high - low), 0.004)
    return max(low - edge, 0.0), min(high + edge, 1.0)
