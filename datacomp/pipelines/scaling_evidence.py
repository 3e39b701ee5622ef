"""What the runs of the scaling study say: how far predictions are off, what the laws choose, and the verdicts on what their paper claims.

All is computed from rows, one a run. Laws are fitted to single buckets, for each seed alone where predictions are counted, and to all seeds together where
something is chosen, as one would who has them all.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from datacomp.errors import StageError
from datacomp.pipelines.claims import MISSING, Claim, Verdict
from datacomp.scaling import choose
from datacomp.scaling import fit as fitting
from datacomp.scaling.choose import JOINED, Checked, Crossover, Union
from datacomp.scaling.fit import Fit, Point
from datacomp.scaling.pictures import union_name
from datacomp.scaling.points import Measured

_CERTAIN = 2.0  # standard errors
_BEYOND = 4.0  # times the least and the largest budget: so far a change is looked for


class Row(NamedTuple):
    """One run: what it was trained on, how long, and its error."""

    pool: str  # a bucket by its ranks in percent, or several, joined
    samples: int
    seen: int
    seed: int
    error: float
    fitted: bool  # whether laws may see it
    is_half: bool = False  # trained on a random half of the bucket


def seeds(found: Sequence[Row]) -> list[int]:
    """All seeds."""
    return sorted({row.seed for row in found})


def measured(found: Sequence[Row], seed: int | None = None) -> Measured:
    """The points of one seed, or of all, as laws are fitted to them; the best bucket comes first, as in the rows."""
    own = [row for row in found if seed in (None, row.seed)]
    samples = {row.pool: float(row.samples) for row in own if row.fitted and not row.is_half}
    points: dict[bool, list[Point]] = {True: [], False: []}
    for row in own:
        points[row.fitted].append(Point(row.pool, float(row.seen), row.error, samples=float(row.samples) if row.is_half else None))
    return Measured(samples, tuple(points[True]), checks=tuple(points[False]))


def fit(found: Sequence[Row], seed: int | None = None) -> Fit:
    """Laws of the single buckets. Raises StageError for fewer points than parameters."""
    return _fit(tuple(row for row in found if seed in (None, row.seed)))


@lru_cache(maxsize=16)
def _fit(found: tuple[Row, ...]) -> Fit:
    there = measured(found)
    return fitting.fit(there.samples, there.points, by_size=True)


def is_enough(found: Sequence[Row]) -> bool:
    """Whether laws can be fitted to each seed alone, and so to all together."""
    try:
        return bool([fit(found, seed) for seed in seeds(found)])
    except StageError:  # fewer points than parameters
        return False


@lru_cache(maxsize=16)
def _checked(found: tuple[Row, ...]) -> tuple[Checked, ...]:
    """What the laws did not see, beside what they and simpler guesses say."""
    return tuple(choose.check(_fit(found), measured(found).checks))


class Missed(NamedTuple):
    """Mean absolute errors over what the fit did not see: of the law, and of two guesses that are simpler.

    The nearest point: the error of the same bucket at the nearest budget that was fitted, and for a union the mean of its buckets' ones. The plain power law:
    the same fit with half-lives without end, so that a second look is worth as much as the first.
    """

    seed: int
    kind: str
    points: int
    law: float
    nearest: float
    power: float


KINDS: Mapping[str, Callable[[Checked, int], bool]] = {
    "all": lambda _one, _most: True,
    "unions": lambda one, most: len(one.union) > 1 and one.seen <= most,
    "unseen budget": lambda one, most: len(one.union) == 1 and one.seen > most,
    "unions at the unseen budget": lambda one, most: len(one.union) > 1 and one.seen > most,
}


def missed(found: Sequence[Row], kind: str = "all") -> list[Missed]:
    """How far predictions are off, for each seed by laws of that seed alone."""
    made = []
    most = max(row.seen for row in found if row.fitted)
    for seed in seeds(found):
        checked = [one for one in _checked(tuple(row for row in found if row.seed == seed)) if KINDS[kind](one, most)]
        if checked:
            off = np.abs([[one.predicted.error - one.measured, one.nearest - one.measured, one.power - one.measured] for one in checked]).mean(axis=0)
            made.append(Missed(seed, kind, len(checked), *map(float, off)))
    return made


class Paired(NamedTuple):
    """The mean difference of two errors, seed by seed, with its standard error."""

    mean: float
    error: float

    def __str__(self) -> str:
        return f"{100 * self.mean:+.2f} ± {100 * self.error:.2f} points"


def errors(found: Sequence[Row], union: Union, seen: int) -> dict[int, float]:
    """The errors of one union at one budget, by seed."""
    return {row.seed: row.error for row in found if (row.pool, row.seen) == (JOINED.join(union), seen) and not row.is_half}


def paired(found: Sequence[Row], one: Union, other: Union, seen: int) -> Paired:
    """How much higher the first one's error is."""
    first, second = errors(found, one, seen), errors(found, other, seen)
    differences = [first[seed] - second[seed] for seed in sorted(set(first) & set(second))]
    return Paired(float(np.mean(differences)), float(np.std(differences, ddof=1) / np.sqrt(len(differences))))


def candidates(found: Sequence[Row]) -> tuple[list[Union], list[int]]:
    """The best bucket and the unions that begin with it, and the budgets at which all of them were measured with all seeds."""
    compared = [union for union in choose.prefixes(list(measured(found).samples)) if any(row.pool == JOINED.join(union) for row in found)]
    budgets = sorted({row.seen for row in found})
    return compared, [seen for seen in budgets if all(len(errors(found, union, seen)) == len(seeds(found)) for union in compared)]


def best(found: Sequence[Row], unions: Sequence[Union], seen: int) -> Union:
    """The union with the least mean error that was measured."""
    return min(unions, key=lambda union: float(np.mean(list(errors(found, union, seen).values()))))


class Choice(NamedTuple):
    """At one budget: what laws of all seeds choose, what those of each seed do, the best that was measured, and how far the first is from it."""

    seen: int
    chosen: Union
    by_seed: tuple[Union, ...]
    best: Union
    behind: Paired


def choices(found: Sequence[Row]) -> list[Choice]:
    """At every budget at which all candidates were measured."""
    compared, budgets = candidates(found)
    pooled, own = fit(found), [fit(found, seed) for seed in seeds(found)]
    made = []
    for seen in budgets:
        chosen, top = choose.choose(pooled, seen, compared)[0].union, best(found, compared, seen)
        by_seed = tuple(choose.choose(one, seen, compared)[0].union for one in own)
        made.append(Choice(seen, chosen, by_seed, top, paired(found, chosen, top, seen)))
    return made


class Turn(NamedTuple):
    """From where on the best bucket alone is no longer the best: as predicted, and as measured between two budgets."""

    predicted: Crossover | None
    measured: float | None
    between: tuple[int, int] | None


def turn(found: Sequence[Row]) -> Turn:
    """The predicted one may lie beyond the budgets; the measured one is interpolated between the mean errors at two, linearly on a logarithmic axis."""
    compared, budgets = candidates(found)
    alone, unions = compared[0], compared[1:]
    told = [one for one in choose.crossovers(fit(found), compared, budgets[0] / _BEYOND, budgets[-1] * _BEYOND) if one.before == alone]
    behind = [paired(found, alone, best(found, unions, seen), seen).mean for seen in budgets]
    for place, (before, after) in enumerate(pairwise(behind)):
        if before <= 0 < after:
            low, high = budgets[place], budgets[place + 1]
            return Turn(told[0] if told else None, float(low * (high / low) ** (-before / (after - before))), (low, high))
    return Turn(told[0] if told else None, None, None)


def named(found: Sequence[Row], union: Union) -> str:
    """A union by the ranks of its ends."""
    return union_name(union, list(measured(found).samples)) + " %"


# Verdicts


def _judged(judge: Callable[[Sequence[Row]], Verdict], found: Sequence[Row]) -> Verdict:
    """A verdict, where there are two seeds or more, laws can be fitted, and two budgets or more have all candidates."""
    if len(seeds(found)) < 2 or not is_enough(found) or any(len(some) < 2 for some in candidates(found)):
        return MISSING
    return judge(found)


def predicts(found: Sequence[Row]) -> Verdict:
    """Whether the law is nearer than both guesses for two seeds of three."""
    by_kind = {kind: missed(found, kind) for kind in KINDS}
    if not (by_kind["unions"] and by_kind["unseen budget"]):
        return MISSING
    won = [one.law < one.nearest and one.law < one.power for one in by_kind["all"]]
    told = "; ".join(f"seed {one.seed}: {one.law:.4f}, nearest point {one.nearest:.4f}, plain power law {one.power:.4f}" for one in by_kind["all"])
    return Verdict(3 * sum(won) >= 2 * len(won), f"mean absolute error of the law over {by_kind['all'][0].points} points, {told}")


def chooses(found: Sequence[Row]) -> Verdict:
    """Whether the choice is within two standard errors of the best, at the least and at the largest budget."""
    made = choices(found)
    ends = (made[0], made[-1])
    told = [
        f"at {one.seen:,} samples seen the laws choose {named(found, one.chosen)}, the best measured is {named(found, one.best)}"
        + ("" if one.chosen == one.best else f", better by {one.behind}")
        for one in ends
    ]
    return Verdict(all(one.behind.mean <= _CERTAIN * one.behind.error for one in ends), "; ".join(told))


def depends(found: Sequence[Row]) -> Verdict:
    """Whether the best bucket wins at the least budget and a union at the largest, each against the other by more than two standard errors."""
    compared, budgets = candidates(found)
    alone, (low, high) = compared[0], (budgets[0], budgets[-1])
    winners = [best(found, compared, seen) for seen in (low, high)]
    other = winners[1] if winners[1] != alone else best(found, compared[1:], high)
    gains = paired(found, other, alone, low), paired(found, alone, other, high)
    certain = all(gain.mean > _CERTAIN * gain.error for gain in gains)
    first, last, name = (named(found, union) for union in (*winners, other))
    told = f"the best measured is {first} at {low:,} samples seen and {last} at {high:,}; {named(found, alone)} against {name}: "
    told += f"better by {gains[0]} at the least budget, worse by {gains[1]} at the largest"
    return Verdict(winners[0] == alone and winners[1] != alone and certain, told)


def crosses(found: Sequence[Row]) -> Verdict:
    """Whether the interval of the predicted budget meets the two budgets between which the change was measured."""
    there = turn(found)
    predicted = "no change is predicted"
    if one := there.predicted:
        predicted = f"predicted from {one.seen:,.0f} samples seen on ({one.low:,.0f} to {one.high:,.0f})"
    if there.between is None or there.measured is None:
        return Verdict(False, f"{predicted}; none was measured")
    low, high = there.between
    told = f"{predicted}; measured from {there.measured:,.0f} on, between {low:,} and {high:,}"
    return Verdict(one is not None and one.low <= high and one.high >= low, told)


CLAIMS = (
    Claim(
        "qqt-predict", "qqt", "abstract (iii), theorem 1",
        "Laws of single buckets predict unions that were never trained together, and budgets never trained at", partial(_judged, predicts),
    ),
    Claim("qqt-choose", "qqt", "section 5", "The laws choose the best bucket or union for a budget, at low and at high compute", partial(_judged, chooses)),
    Claim(
        "qqt-compute", "qqt", "title, abstract",
        "Which data are best depends on compute: the best-scored bucket at low compute, a larger union at high compute", partial(_judged, depends),
    ),
    Claim("qqt-crossover", "qqt", "section 5", "The laws tell the budget from which on a union is better than the best bucket", partial(_judged, crosses)),
)  # fmt: skip
