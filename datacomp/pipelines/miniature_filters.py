"""The filters compared on the miniature at two scales, what must show if the miniature is like the web, and the published order of the same filters."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from datacomp.artifacts import pool as pools
from datacomp.artifacts.subset import Subset
from datacomp.board import published
from datacomp.errors import RecordError
from datacomp.filters.apply import apply
from datacomp.pipelines import miniature, paired
from datacomp.pipelines.compare import Arm
from datacomp.pipelines.paired import Gap, Ranks, Table

SMALL, LARGE = "nano", "micro"
PUBLISHED = ("small", "medium")
NONE, RANDOM, BASIC, TEXT, ORACLE = "no filter", "random 30 %", "basic", "text-based", "oracle"
WEAK, STRONG = "b32", "l14"
FRACTIONS = (10, 20, 30, 50)
_RANKS_AGREE = 0.9


def clip(score: str, percent: int) -> str:
    """The name of the best so many percent by a score."""
    return f"CLIP score {score} {percent} %"


NAMES = (NONE, RANDOM, BASIC, TEXT, *(clip(score, percent) for score in (WEAK, STRONG) for percent in FRACTIONS), ORACLE)
FIRST = (NONE, BASIC, clip(STRONG, 30), ORACLE, clip(STRONG, 10))  # which most claims need
_BOTH = {score: f"CLIP {score.upper()} score top" for score in (WEAK, STRONG)}
_TABLES = ("Table 25", "Table 26")  # of arXiv 2304.14108, small and medium
_METHODS = {
    NONE: ("No filtering", "Table 3"),
    BASIC: ("Basic filtering", "Table 3"),
    TEXT: ("Text-based", "Table 3"),
    RANDOM: ("Random subset (25%)", ""),  # the nearest that was published
} | {clip(score, percent): (f"{_BOTH[score]} {percent}%", "") for score in (WEAK, STRONG) for percent in FRACTIONS}


class Claim(NamedTuple):
    """Something that should show, whether it does, and by which numbers; None while it is not measured."""

    text: str
    shows: bool | None
    numbers: str

    @property
    def verdict(self) -> str:
        """In words."""
        return {True: "it shows", False: "it does not show", None: "not measured yet"}[self.shows]

    def __str__(self) -> str:
        return f"{self.text}: {self.verdict}. {self.numbers}"


def arms(pool: Path, *, first: Sequence[str] = ()) -> tuple[Arm, ...]:
    """Every filter on a pool, those that are named `first` first."""
    filters: dict[str, tuple[str, dict[str, float | int | str | bool]]] = {
        NONE: ("no_filter", {}),
        RANDOM: ("random", {"fraction": 0.3}),
        BASIC: ("basic_filter", {"language_model": "ftz"}),
        TEXT: ("text_based", {"language_model": "ftz"}),
    }
    filters |= {clip(score, percent): ("clip_score", {"score": score, "fraction": percent / 100}) for score in (WEAK, STRONG) for percent in FRACTIONS}
    found = {name: Arm(name, partial(_filtered, pool, *given)) for name, given in filters.items()}
    found[ORACLE] = Arm(ORACLE, partial(_oracle, pool), "made from the generated world's truth, which no filter may see")
    order = (*first, *(name for name in NAMES if name not in first))
    return tuple(found[name] for name in order)


def _filtered(pool: Path, name: str, options: dict[str, float | int | str | bool], path: Path) -> Subset:
    return apply(name, options, pools.read(pool), path)


def _oracle(pool: Path, path: Path) -> Subset:
    return miniature.oracle(pools.read(pool), path)


def published_averages(results: Path, scale: str) -> dict[str, float]:
    """DataComp's averages of the same filters at one of its scales, by our names, from leaderboard/published/results.csv.

    Raises RecordError where one is not there: an order of fewer filters would be another order.
    """
    rows = [row for table in published.read(results) if table.scale == scale for row in table.rows]
    found = {}
    for name, (method, table) in _METHODS.items():
        place = table or _TABLES[PUBLISHED.index(scale)]
        row = next((row for row in rows if row.method == method and row.source.endswith(place)), None)
        if row is None or row.average_38 is None:
            raise RecordError(f"{results} has no average of {method!r} at scale {scale} in {place}", repair="restore the file")
        found[name] = row.average_38
    return found


def claims(tables: Mapping[str, Table]) -> list[Claim]:
    """Everything that should show, held against what was measured."""
    small, large = tables[SMALL], tables[LARGE]
    return [
        *(_ladder(table) for table in (small, large)),
        *(_weaker_below(table) for table in (small, large)),
        _random_is_none(small),
        _repetition(small, large),
        _larger_is_better(small, large),
        _same_order(small, large),
    ]


def _ladder(table: Table) -> Claim:
    text = f"(1) at {table.scale.name}: {NONE} < {BASIC} < {clip(STRONG, 30)} < {ORACLE}, each step more than two standard errors"
    steps = list(pairwise((NONE, BASIC, clip(STRONG, 30), ORACLE)))
    found = {pair: table.gap(*pair) for pair in steps}
    if lacking := _unjudged(found):
        return Claim(text, None, lacking)
    gaps = [gap for gap in found.values() if gap]
    return Claim(text, all(gap.is_above for gap in gaps), ", ".join(f"{told(gap)} from {first} to {second}" for (first, second), gap in found.items() if gap))


def _weaker_below(table: Table) -> Claim:
    text = f"(2) at {table.scale.name}: the weaker score {WEAK} lies below the stronger {STRONG} at each fraction"
    found = {(clip(WEAK, percent), clip(STRONG, percent)): table.gap(clip(WEAK, percent), clip(STRONG, percent)) for percent in FRACTIONS}
    if lacking := _unjudged(found):
        return Claim(text, None, lacking)
    gaps = [gap for gap in found.values() if gap]
    numbers = ", ".join(f"{told(gap)} at {percent} %" for percent, gap in zip(FRACTIONS, gaps, strict=True))
    clear = sum(gap.is_above for gap in gaps)
    return Claim(text, all(gap.difference > 0 for gap in gaps), f"{numbers}; {clear} of {len(gaps)} by more than two standard errors")


def _random_is_none(table: Table) -> Claim:
    text = f"(3) at {table.scale.name}: {RANDOM} lies within two standard errors of {NONE}"
    found = table.gap(NONE, RANDOM)
    if lacking := _unjudged({(NONE, RANDOM): found}):
        return Claim(text, None, lacking)
    assert found is not None
    return Claim(text, found.is_within_noise, f"{told(found)}, {found.errors:+.1f} standard errors")


def _repetition(small: Table, large: Table) -> Claim:
    few, more = clip(STRONG, 10), clip(STRONG, 30)
    names = f"{small.scale.name} to {large.scale.name}"
    text = f"(4) repetition: {few} loses to {more} at {large.scale.name}, and the gap grows from {names}, both by more than two standard errors"
    before, after = small.gap(few, more), large.gap(few, more)
    lacking = "; ".join(filter(None, (_unjudged({(few, more): gap}, table) for table, gap in ((small, before), (large, after)))))
    if lacking:
        return Claim(text, None, lacking)
    assert before is not None
    assert after is not None
    growth = after.difference - before.difference
    error = ((before.standard_error or 0.0) ** 2 + (after.standard_error or 0.0) ** 2) ** 0.5
    grown = Gap(growth, error, None, min(before.seeds, after.seeds))
    numbers = f"{told(before)} at {small.scale.name}, {told(after)} at {large.scale.name}, {told(grown)} more"
    return Claim(text, after.is_above and grown.is_above, numbers)


def _larger_is_better(small: Table, large: Table) -> Claim:
    text = f"(5) every filter reaches more at {large.scale.name} than at {small.scale.name}"
    if lacking := "; ".join(filter(None, (_absent(table, NAMES) for table in (small, large)))):
        return Claim(text, None, lacking)
    rises = {name: large.mean(name).value - small.mean(name).value for name in NAMES}
    falls = [f"{name} by {_points(rise)}" for name, rise in rises.items() if rise <= 0]
    least = min(rises, key=rises.__getitem__)
    return Claim(text, not falls, f"these do not: {', '.join(falls)}" if falls else f"the least rise is {_points(rises[least])} of {least}")


def _same_order(small: Table, large: Table) -> Claim:
    text = f"(6) the order of all filters at {small.scale.name} and {large.scale.name} agrees: Spearman's rank correlation is at least {_RANKS_AGREE}"
    if lacking := "; ".join(filter(None, (_absent(table, NAMES) for table in (small, large)))):
        return Claim(text, None, lacking)
    found = paired.ranks(means(small), means(large))
    return Claim(text, found is not None and found.correlation >= _RANKS_AGREE, f"it is {_rank(found)}")


def agreement(tables: Mapping[str, Table], results: Path) -> list[str]:
    """How our order of the shared filters agrees with the published one: a line for each pair of scales."""
    lines = []
    for theirs in PUBLISHED:
        order = published_averages(results, theirs)
        for table in tables.values():
            found = paired.ranks({name: value for name, value in means(table).items() if name in order}, order)
            lacking = [name for name in order if name not in table.rows]
            without = f"; not measured yet: {', '.join(lacking)}" if lacking else ""
            lines.append(f"{table.scale.name} with DataComp's {theirs}: {_rank(found)}{without}")
    return lines


def means(table: Table) -> dict[str, float]:
    """The average of every filter that was measured, in our order."""
    return {name: table.mean(name).value for name in NAMES if name in table.rows}


def _rank(found: Ranks | None) -> str:
    return f"{found.correlation:.2f} over {len(found.shared)} filters" if found else "no order to compare"


def told(gap: Gap) -> str:
    """A gap in points with its standard error and seeds."""
    error = "" if gap.standard_error is None else f" ± {100 * gap.standard_error:.1f}"
    return f"{100 * gap.difference:+.1f}{error}"


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f} points"


def _absent(table: Table, names: Iterable[str]) -> str:
    """Which filters have no run at a scale, in words."""
    lacking = [name for name in names if name not in table.rows]
    return f"no run at {table.scale.name} of {', '.join(lacking)}" if lacking else ""


def _unjudged(gaps: Mapping[tuple[str, str], Gap | None], table: Table | None = None) -> str:
    """Why gaps cannot be judged, in words; empty where they can."""
    where = f" at {table.scale.name}" if table else ""
    if lacking := [f"{second} against {first}" for (first, second), gap in gaps.items() if gap is None]:
        return f"no common seed{where}: {', '.join(lacking)}"
    if any(gap is not None and gap.standard_error is None for gap in gaps.values()):
        return f"one seed{where}, and nothing tells how seeds differ"
    return ""
