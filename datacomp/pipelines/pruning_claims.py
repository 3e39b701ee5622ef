"""What is claimed of density-based pruning, held against measured rows and the truth of lists: each verdict with its numbers, and none written down here."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from datacomp.board import averages
from datacomp.pipelines import paired
from datacomp.pipelines.paired import Gap, Table
from datacomp.pipelines.pruning_study import DEDUPLICATED, NONE, SHORT, titled
from datacomp.pipelines.pruning_truth import Kept

POOL = "pool"  # among lists, all of it
_THINNED = 0.5  # of the pool's share of near duplicates, what is left at most where they are said to be thinned


class Verdict(NamedTuple):
    """One claim: whether it shows, None while that cannot be told, and by what numbers."""

    claim: str
    shows: bool | None
    numbers: str

    def line(self) -> str:
        """In words."""
        word = "it cannot be told yet" if self.shows is None else "it shows" if self.shows else "it does not show"
        return f"{self.claim}: **{word}**. {self.numbers}"


def verdicts(whole: Table, short: Table, kept: Mapping[str, Kept], shares: Sequence[float], compared_share: float) -> list[Verdict]:
    """All of them: of averages at equal sizes, of cost, and of what lists keep."""
    found = [
        over_shares(whole, "Quotas by density induce more than the same share of each cluster, hard samples first in both (DBP, SSP)", "SSP", "DBP", shares),
        over_shares(whole, "DBP induces more than random samples of what passed the same steps", "random", "DBP", shares),
        over_shares(whole, "The same share of each cluster, hard first, induces more than random samples", "random", "SSP", shares),
        over_shares(whole, "DBP induces more than a CLIP score alone that keeps as many", "CLIP score", "DBP", shares),
        one("Dropping near duplicates alone induces more than no filter", whole.gap(NONE, DEDUPLICATED)),
        *cost(whole, short, compared_share),
    ]
    return found + ([thinned(kept), *rare(kept, shares)] if POOL in kept else [])


def over_shares(whole: Table, claim: str, first: str, second: str, shares: Sequence[float]) -> Verdict:
    """Whether the second method lies above the first, on the mean over the shares; their errors are taken to be wholly correlated."""
    gaps = {share: found for share in shares if (found := whole.gap(titled(first, share), titled(second, share)))}
    if not gaps:
        return Verdict(claim, None, "No seed of both is measured.")
    told = ", ".join(f"{said(found)} at {100 * share:g} %" for share, found in gaps.items())
    joined = _joined(list(gaps.values()))
    return Verdict(claim, _shows(joined), f"{second} over {first}: {told}; {said(joined)} on average.")


def one(claim: str, found: Gap | None) -> Verdict:
    """Whether one gap is above noise."""
    return Verdict(claim, _shows(found), f"The difference is {said(found)}." if found else "No seed of both is measured.")


def cost(whole: Table, short: Table, share: float) -> list[Verdict]:
    """Whether pruned data in fewer steps give more than other data in all steps."""
    pruned, scored = titled("DBP", share) + SHORT, titled("CLIP score", share)
    part = f"{short.scale.budget.steps / whole.scale.budget.steps:.3g} of the steps"
    return [
        one(f"{titled('DBP', share)} in {part} gives more than no filter in all of them", across(whole, NONE, short, pruned)),
        one(f"{titled('DBP', share)} in {part} gives more than a CLIP score of equal size in all of them", across(whole, scored, short, pruned)),
        one(f"{titled('DBP', share)} gives more than no filter, both in {part}", across(short, NONE + SHORT, short, pruned)),
    ]


def across(first_table: Table, first: str, second_table: Table, second: str) -> Gap | None:
    """How much an arm of one recipe lies above an arm of another, over common seeds, by the noise of the larger table."""
    below, above = first_table.rows.get(first, {}), second_table.rows.get(second, {})
    if not (common := sorted(below.keys() & above.keys())):
        return None
    tasks = averages.ranking(first_table.suite)[averages.AVERAGE]
    (one_side, one_error), (other, other_error) = (
        averages.seed_means(first_table.suite, tasks, [rows[seed].tasks for seed in common]) for rows in (below, above)
    )
    noisiest = max((first_table, second_table), key=lambda table: sum(map(len, table.rows.values())))
    return paired.gap(one_side, other, math.hypot(one_error, other_error), paired.rest(noisiest.values()))


def thinned(kept: Mapping[str, Kept]) -> Verdict:
    """Whether near duplicates were dropped far beyond what is dropped of everything."""
    claim = f"Deduplication leaves near duplicates at most {_THINNED:.0%} of their share of the pool"
    if DEDUPLICATED not in kept:
        return Verdict(claim, None, "There is no such list.")
    before, after = kept[POOL], kept[DEDUPLICATED]
    shares = f"{100 * before.repeated:.1f} % of the pool and {100 * after.repeated:.1f} % of what is left"
    told = f"They are {shares}; {before.shots:.1f} and {after.shots:.1f} shots of each scene."
    return Verdict(claim, after.repeated <= _THINNED * before.repeated, told)


def rare(kept: Mapping[str, Kept], shares: Sequence[float]) -> list[Verdict]:
    """Whether pruning keeps rare concepts: as much as the pool has of them, and more than uniform pruning does."""
    found, uniform = ({share: kept[arm].rare for share in shares if (arm := titled(method, share)) in kept} for method in ("DBP", "SSP"))
    verdicts = []
    for claim, others in (
        ("Rare concepts keep at least their share of the pool in every list of DBP", dict.fromkeys(found, kept[POOL].rare)),
        ("Rare concepts have a larger share in each of DBP's lists than in SSP's", uniform),
    ):
        pairs = {share: (found[share], other) for share, other in others.items() if share in found}
        told = ", ".join(f"{100 * mine:.1f} % against {100 * other:.1f} % at {100 * share:g} %" for share, (mine, other) in pairs.items())
        at_least = "at least" in claim
        shows = all(mine >= other if at_least else mine > other for mine, other in pairs.values()) if pairs else None
        verdicts.append(Verdict(claim, shows, f"{told}." if told else "There are no such lists."))
    return verdicts


def said(found: Gap) -> str:
    """A difference in percent points."""
    return f"{100 * found.difference:+.1f}" + (f" ± {100 * found.standard_error:.1f}" if found.standard_error is not None else "")


def _joined(gaps: list[Gap]) -> Gap:
    errors = [found.standard_error for found in gaps if found.standard_error is not None]
    error = statistics.fmean(errors) if len(errors) == len(gaps) else None
    return Gap(statistics.fmean(found.difference for found in gaps), error, None, min(found.seeds for found in gaps))


def _shows(found: Gap | None) -> bool | None:
    return None if found is None or found.standard_error is None else found.is_above
