"""What is claimed of data filtering networks (Fang et al. 2023, arXiv 2309.17425), held against measured rows: verdicts with numbers, none written here."""

import math
import statistics
from collections.abc import Callable, Mapping
from itertools import permutations
from typing import NamedTuple

from datacomp.pipelines.claims import MISSING, Verdict
from datacomp.pipelines.filter_networks import Networks, title
from datacomp.pipelines.filter_study import CLASSIFIERS, NONE, SCORES, TRAINED
from datacomp.pipelines.paired import Gap, Mean, Table
from datacomp.pipelines.pruning_claims import said

CLEAN, WORST = title(0.0), title(max(Networks.poison))
BEHIND = (*SCORES, *TRAINED, *CLASSIFIERS)  # arms with a network


class Measured(NamedTuple):
    """The runs of one scale, and what the network behind each arm reaches itself."""

    table: Table
    own: Mapping[str, Mean]


class Tested(NamedTuple):
    """A claim, its place in the paper, how it is judged at a scale, and the arms that it needs."""

    key: str
    place: str
    text: str
    judge: Callable[[Measured], Verdict]
    arms: tuple[str, ...]


class Turned(NamedTuple):
    """Two arms, of which the first induces more while the second's network reaches more itself: both differences, more than nought where it is so."""

    first: str
    second: str
    induced: Gap
    own: Gap

    @property
    def errors(self) -> float:
        """The smaller of both in standard errors."""
        return min(self.induced.errors, self.own.errors)


def better(found: Measured) -> Verdict:
    """Whether the network on clean data induces more than each CLIP score, and all of them more than no filter, each by more than noise."""
    pairs = [(score, CLEAN) for score in SCORES] + [(NONE, arm) for arm in (*SCORES, CLEAN)]
    gaps = {pair: gap for pair in pairs if (gap := found.table.gap(*pair))}
    if len(gaps) < len(pairs):
        return MISSING
    shows = None if _is_unknown(*gaps.values()) else all(gap.is_above for gap in gaps.values())
    return Verdict(shows, ", ".join(f"{second} over {first} {said(gap)}" for (first, second), gap in gaps.items()))


def poisoned(found: Measured) -> Verdict:
    """Whether the largest share of raw pairs costs induced average, and a larger part of it than of what the network reaches itself, by more than noise."""
    gaps = {arm: gap for arm in TRAINED if arm != CLEAN and (gap := found.table.gap(arm, CLEAN))}
    if WORST not in gaps or not {CLEAN, WORST} <= found.own.keys():
        return MISSING
    gap, own = gaps[WORST], _above(found.own, WORST, CLEAN)
    induced, reached = _common_mean(found.table, CLEAN, WORST), found.own[CLEAN].value
    if not (induced and reached):
        return Verdict(None, f"{CLEAN} induces {100 * induced:.1f} % and reaches {100 * reached:.1f} % itself: of nothing, nothing can be lost")
    lost, own_lost = _part(gap, induced), _part(own, reached)
    more = Gap(lost.difference - own_lost.difference, _joined(lost, own_lost), None, gap.seeds)
    told = ", ".join(f"{said(each._replace(difference=-each.difference))} with {arm}" for arm, each in gaps.items())
    parts = f"{WORST} loses {_percent(lost)} of the induced average and {_percent(own_lost)} of its own, {said(more)} points more of the induced one"
    return Verdict(None if _is_unknown(gap, more) else gap.is_above and more.is_above, f"{told} against {CLEAN}; {parts}")


def unordered(found: Measured) -> Verdict:
    """Whether some two networks are ordered by what they induce, by more than noise, and by what they reach themselves the other way round, by as much."""
    known = [arm for arm in BEHIND if arm in found.own and arm in found.table.rows]
    pairs = [
        Turned(first, second, gap, _above(found.own, first, second))
        for first, second in permutations(known, 2)
        if (gap := found.table.gap(second, first)) and not _is_unknown(gap)
    ]
    turned = [pair for pair in pairs if pair.induced.is_above and pair.own.is_above]
    count = len(pairs) // 2
    if turned:
        most = max(turned, key=lambda pair: pair.errors)
        told = f"{most.first} induces {said(most.induced)} more than {most.second}, whose network reaches {said(most.own)} more itself"
        return Verdict(True, f"{told}; {len(turned)} of {count} pairs are turned round like that")
    if count < math.comb(len(BEHIND), 2):
        return MISSING
    nearest = max(pairs, key=lambda pair: pair.errors)
    told = f"{nearest.first} over {nearest.second} {said(nearest.induced)} induced, {said(nearest.own._replace(difference=-nearest.own.difference))} itself"
    return Verdict(False, f"none of {count} pairs is turned round by more than two standard errors in both; the nearest to it: {told}")


TESTED = (
    Tested(
        "dfn-clean",
        "abstract",
        "A network trained on a small clean set induces better data than CLIP scores, and these than no filter",
        better,
        (NONE, *SCORES, CLEAN),
    ),
    Tested(
        "dfn-poison",
        "on data quality: poisoned filter sets",
        "Raw pairs in its training hurt what a network induces, and its own accuracy less",
        poisoned,
        TRAINED,
    ),
    Tested("dfn-own", "abstract", "A network's own accuracy does not order what networks induce", unordered, BEHIND),
)


def _above(own: Mapping[str, Mean], first: str, second: str) -> Gap:
    """How much more a second network reaches itself; the test samples count as if they were others for each."""
    below, above = own[first], own[second]
    return Gap(above.value - below.value, math.hypot(below.standard_error or 0.0, above.standard_error or 0.0), None, 1)


def _part(gap: Gap, of: float) -> Gap:
    """A loss as a part of what there was; the error of that itself would make it smaller, as long as something is lost."""
    return gap._replace(difference=gap.difference / of, standard_error=None if gap.standard_error is None else gap.standard_error / of)


def _common_mean(table: Table, arm: str, other: str) -> float:
    values = table.values()
    return statistics.fmean(value for seed, value in values[arm].items() if seed in values[other])


def _joined(*gaps: Gap) -> float | None:
    errors = [gap.standard_error for gap in gaps if gap.standard_error is not None]
    return math.hypot(*errors) if len(errors) == len(gaps) else None


def _is_unknown(*gaps: Gap) -> bool:
    return any(gap.standard_error is None for gap in gaps)


def _percent(part: Gap) -> str:
    error = "" if part.standard_error is None else f" ± {100 * part.standard_error:.1f}"
    return f"{100 * part.difference:.1f}{error} %"
