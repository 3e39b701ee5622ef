"""The study of density-based pruning as one that is measured again: its claims of averages, which rows alone can judge.

What lists hold by the truth is told by `benchmarks/pruning.py`, which has the lists.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.pipelines import claims, compared, pruning_claims
from datacomp.pipelines.claims import Claim, Settings, Verdict, Where
from datacomp.pipelines.compared import Row
from datacomp.pipelines.paired import Table
from datacomp.pipelines.pruning_study import DEDUPLICATED, NONE, SHORT, Study, titled

_MINUTES, _SHORT_MINUTES = 2.0, 0.7  # of an arm with three seeds


def study(where: Where, settings: Settings, arms: Sequence[str] = ()) -> Study:
    """The study in a folder, its pool beside it."""
    scale, suite = scales.load(settings.scale), suites.load(settings.suite)
    return Study(where.out / "study", where.record, scale, suite, where.out / "pool", settings.seeds, at_once=settings.at_once, only=tuple(arms))


_AS_IT_IS = study(Where(Path(), Path()), Settings())


def plan(where: Where, settings: Settings, arms: Sequence[str]) -> list[str]:
    """What would be done."""
    return [asked.told() for asked in study(where, settings, arms).comparisons() if asked.arms]


def run(where: Where, settings: Settings, arms: Sequence[str]) -> None:
    """Do what the record does not hold."""
    for asked in study(where, settings, arms).comparisons():
        asked.complete()


def read(record: Path) -> list[Row]:
    """The rows of a record."""
    return list(compared.read(record).values())


def tables(rows: Sequence[Row]) -> tuple[Table, Table]:
    """The rows of whole and of shorter runs that hold today."""
    whole, short = (Table(rows, asked.scale, asked.suite) for asked in _AS_IT_IS.comparisons())
    return whole, short


def table(rows: Sequence[Row]) -> str:
    """Averages in percent, in Markdown."""
    lines = ["| list | seeds | average |", "|---|---|---|"]
    for found in tables(rows):
        for arm in found.rows:
            mean = found.mean(arm)
            error = "" if mean.standard_error is None else f" ± {100 * mean.standard_error:.1f}"
            lines.append(f"| {arm} | {mean.seeds} | {100 * mean.value:.1f}{error} |")
    return "\n".join(lines) + "\n"


def seeds(rows: Sequence[Row], arms: Sequence[str]) -> str:
    """With which some arms were measured, in words."""
    found = dict.fromkeys(table.seeds(arms) for table in tables(rows))
    return "; ".join(filter(None, found))


def verdicts(rows: Sequence[Row]) -> list[pruning_claims.Verdict]:
    """What rows say of all claims, in their order."""
    return pruning_claims.verdicts(*tables(rows), {}, _AS_IT_IS.shares, _AS_IT_IS.compared_share)


def _judge(place: int, rows: Sequence[Row]) -> Verdict:
    found = verdicts(rows)[place]
    return Verdict(found.shows, found.numbers)


def _claims() -> tuple[Claim[Row], ...]:
    """Each with its place in the paper and the arms it needs."""
    one = _AS_IT_IS.compared_share

    def at_all(*methods: str) -> tuple[str, ...]:
        return tuple(titled(method, share) for method in methods for share in _AS_IT_IS.shares)

    told = {
        "dbp-quotas": ("pruning by density beside SSP-Pruning", at_all("DBP", "SSP")),
        "dbp-random": ("pruning by density beside random subsets", at_all("DBP", "random")),
        "dbp-uniform": ("SSP-Pruning beside random subsets", at_all("SSP", "random")),
        "dbp-score": ("results on DataComp medium", at_all("DBP", "CLIP score")),
        "dbp-duplicates": ("deduplication, the first step", (NONE, DEDUPLICATED)),
        "dbp-cost": ("abstract", (NONE, titled("DBP", one) + SHORT)),
        "dbp-cost-score": ("abstract", (titled("CLIP score", one), titled("DBP", one) + SHORT)),
        "dbp-cost-equal": ("abstract", (NONE + SHORT, titled("DBP", one) + SHORT)),
    }
    pairs = zip(verdicts(()), told.items(), strict=True)
    return tuple(Claim(key, "dbp", paper, verdict.claim, partial(_judge, place), arms) for place, (verdict, (key, (paper, arms))) in enumerate(pairs))


STUDY = claims.Study(
    name="pruning",
    says="density-based pruning of the generated world",
    command="datacomp reproduce dbp --out build/reproduced",
    minutes={arm.name: _MINUTES for arm in _AS_IT_IS.arms()} | {arm.name: _SHORT_MINUTES for arm in _AS_IT_IS.short_arms()},
    claims=_claims(),
    plan=plan,
    run=run,
    read=read,
    table=table,
    seeds=seeds,
)
