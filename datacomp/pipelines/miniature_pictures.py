"""Pictures of filters compared: averages with their errors at two scales, one measure against another, points or lines."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from datacomp import axes
from datacomp.pipelines import paired
from datacomp.pipelines.paired import Mean, Table
from datacomp.scaling import pictures
from datacomp.scaling.pictures import WIDTH, Dot, Line, Mark, Picture, Text

_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 560.0, 30.0, 380.0
_SIZE = (WIDTH, round(_BOTTOM + 48))
_ROW, _NAMES = 24.0, 150.0
_TINTS = ("#c47a18", "#12868f")  # the smaller scale, the larger one


class Point(NamedTuple):
    """One filter in two measures, each with its error."""

    name: str
    across: float
    up: float
    across_error: float = 0.0
    up_error: float = 0.0


class _Span(NamedTuple):
    """An axis: pixels and what they stand for."""

    start: float
    end: float
    least: float
    most: float

    def at(self, value: float) -> float:
        return self.start + (self.end - self.start) * (value - self.least) / (self.most - self.least)

    def ticks(self) -> list[float]:
        return axes.steps(self.least, self.most)


def _span(start: float, end: float, values: Sequence[float]) -> _Span:
    low, high = min(values), max(values)
    edge = max(0.06 * (high - low), 0.005)
    return _Span(start, end, max(low - edge, 0.0), min(high + edge, 1.0))


def averages(names: Sequence[str], tables: Mapping[str, Table]) -> Picture:
    """A row for each filter, in the order of the names, with its average at each scale and one standard error on either side."""
    found = {(name, scale): table.mean(name) for scale, table in tables.items() for name in names if name in table.rows}
    bottom = _TOP + _ROW * len(names)
    span = _span(_NAMES, WIDTH - 20, [mean.value + sign * (mean.standard_error or 0.0) for mean in found.values() for sign in (-1, 1)])
    marks: list[Mark] = list(_across(span, _TOP, bottom))
    for place, name in enumerate(names):
        y = _TOP + _ROW * (place + 0.5)
        marks.append(Text((_NAMES - 10, y + 4), name, "name", "end"))
        for scale, tint in zip(tables, _TINTS, strict=True):
            if mean := found.get((name, scale)):
                marks += _bar(span, mean, y, tint, f"{name} at {scale}: {_told(mean)}")
    for number, (scale, tint) in enumerate(zip(tables, _TINTS, strict=True)):
        marks += [Dot((_NAMES + 5 + 90 * number, 14), tint, hollow=False, title=scale), Text((_NAMES + 14 + 90 * number, 18), scale, "name")]
    marks.append(Text(((_NAMES + WIDTH) / 2, bottom + 38), "average in percent, ± one standard error", "axis", "middle"))
    said = "; ".join(f"{name} at {scale} {_told(mean)}" for (name, scale), mean in found.items())
    return Picture("averages", "Average of each filter at both scales", said, tuple(marks), (WIDTH, round(bottom + 48)))


def _bar(span: _Span, mean: Mean, y: float, tint: str, title: str) -> Iterator[Mark]:
    error = mean.standard_error or 0.0
    yield Line(((span.at(mean.value - error), y), (span.at(mean.value + error), y)), "", tint, title)
    yield Dot((span.at(mean.value), y), tint, hollow=False, title=title)


def against(key: str, title: str, points: Sequence[Point], names: tuple[str, str]) -> Picture:
    """One measure against another, a point for each filter."""
    plane = _Plane.around(points, names)
    ends = [(plane.at(point), point.name, "") for point in points]
    dots = [mark for point in points for mark in plane.point(point, _TINTS[1])]
    found = paired.ranks({point.name: point.across for point in points}, {point.name: point.up for point in points})
    told = f"Spearman's rank correlation is {found.correlation:.2f}. " if found else ""
    marks = (*plane.frame(), *pictures.name_ends(ends, _RIGHT, "context"), *dots)  # the dots above the lines to their names
    return Picture(key, title, told + "; ".join(map(_pair, points)), marks, _SIZE)


def joined(key: str, title: str, found: Mapping[str, Sequence[Point]], names: tuple[str, str]) -> Picture:
    """Up to two measures against another, each a line through its points, in their order."""
    plane = _Plane.around([point for points in found.values() for point in points], names)
    ends, marks = [], [*plane.frame()]
    for (name, points), tint in zip(found.items(), reversed(_TINTS), strict=False):
        marks += [Line(tuple(map(plane.at, points)), "", tint, name), *(mark for point in points for mark in plane.point(point, tint))]
        ends.append((plane.at(points[-1]), name, tint))
    said = ". ".join(f"{name}: {'; '.join(map(_pair, points))}" for name, points in found.items())
    return Picture(key, title, said, (*marks, *pictures.name_ends(ends, _RIGHT)), _SIZE)


class _Plane(NamedTuple):
    """Two axes and their names."""

    x: _Span
    y: _Span
    names: tuple[str, str]

    @classmethod
    def around(cls, points: Sequence[Point], names: tuple[str, str]) -> "_Plane":
        """As much as some points need with their errors."""
        x = _span(_LEFT, _RIGHT, [point.across + sign * point.across_error for point in points for sign in (-1, 1)])
        return cls(x, _span(_BOTTOM, _TOP, [point.up + sign * point.up_error for point in points for sign in (-1, 1)]), names)

    def at(self, point: Point) -> tuple[float, float]:
        return self.x.at(point.across), self.y.at(point.up)

    def frame(self) -> Iterator[Mark]:
        yield from _across(self.x, _TOP, _BOTTOM)
        for value in self.y.ticks():
            yield Line(((_LEFT, self.y.at(value)), (_RIGHT, self.y.at(value))), "grid")
            yield Text((_LEFT - 7, self.y.at(value) + 4), f"{100 * value:.3g}", "tick", "end")
        yield Text((8, 16), f"{self.names[1]}, %", "axis")
        yield Text(((_LEFT + _RIGHT) / 2, _BOTTOM + 38), f"{self.names[0]}, %", "axis", "middle")

    def point(self, point: Point, tint: str) -> Iterator[Mark]:
        """A dot with a bar for each of its errors."""
        x, y = self.at(point)
        said = f"{point.name}: {100 * point.across:.1f} % {self.names[0]}, {100 * point.up:.1f} % {self.names[1]}"
        yield Line(((self.x.at(point.across - point.across_error), y), (self.x.at(point.across + point.across_error), y)), "", tint, said)
        yield Line(((x, self.y.at(point.up - point.up_error)), (x, self.y.at(point.up + point.up_error))), "", tint, said)
        yield Dot((x, y), tint, hollow=False, title=said)


def _pair(point: Point) -> str:
    return f"{point.name} {100 * point.across:.1f} and {100 * point.up:.1f}"


def _across(span: _Span, top: float, bottom: float) -> Iterator[Mark]:
    for value in span.ticks():
        yield Line(((span.at(value), top), (span.at(value), bottom)), "grid")
        yield Text((span.at(value), bottom + 18), f"{100 * value:.3g}", "tick", "middle")
    yield Line(((span.start, bottom), (span.end, bottom)), "axis")


def _told(mean: Mean) -> str:
    error = "" if mean.standard_error is None else f" ± {100 * mean.standard_error:.1f}"
    return f"{100 * mean.value:.1f}{error} %"
