"""The comparison of filters on the miniature as a study that is measured again; its claims are those of `miniature_filters`, held against DataComp's."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from datacomp.declared import pool as pools
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.pipelines import claims, compared, miniature_filters
from datacomp.pipelines.claims import Claim, Settings, Verdict, Where
from datacomp.pipelines.compare import Comparison
from datacomp.pipelines.compared import Row
from datacomp.pipelines.miniature_filters import BASIC, FRACTIONS, LARGE, NAMES, NONE, ORACLE, RANDOM, SMALL, STRONG, WEAK, clip
from datacomp.pipelines.paired import Table

_JOINED = ": "  # a scale and a filter there
_MINUTES = {SMALL: 2.5, LARGE: 18.0}  # of a filter with three seeds
_LADDER, _SCORES = (NONE, BASIC, clip(STRONG, 30), ORACLE), tuple(clip(score, percent) for score in (WEAK, STRONG) for percent in FRACTIONS)
_FEW = (clip(STRONG, 10), clip(STRONG, 30))


def tables(rows: Sequence[Row], suite_name: str = Settings().suite) -> dict[str, Table]:
    """The rows of both scales that hold today."""
    suite, found = suites.load(suite_name), {name: scales.load(name) for name in (SMALL, LARGE)}
    return {name: Table(rows, scale, suite, uids_sha256=pools.load(scale.pool).uids_sha256) for name, scale in found.items()}


def read(record: Path) -> list[Row]:
    """The rows of a record."""
    return list(compared.read(record).values())


def comparisons(where: Where, settings: Settings, arms: Sequence[str]) -> list[Comparison]:
    """The runs at each scale."""
    found = []
    for name in (SMALL, LARGE):
        pool = where.out / name / "pool"
        wanted = tuple(arm for arm in miniature_filters.arms(pool) if f"{name}{_JOINED}{arm.name}" in arms)
        scale, suite = scales.load(name), suites.load(settings.suite)
        if wanted:
            found.append(Comparison(where.out / name, where.record, scale, suite, pool, wanted, settings.seeds, at_once=settings.at_once))
    return found


def plan(where: Where, settings: Settings, arms: Sequence[str]) -> list[str]:
    """What would be done."""
    return [asked.told() for asked in comparisons(where, settings, arms)]


def run(where: Where, settings: Settings, arms: Sequence[str]) -> None:
    """Do what the record does not hold."""
    for asked in comparisons(where, settings, arms):
        asked.complete()


def table(rows: Sequence[Row]) -> str:
    """Averages in percent, in Markdown."""
    lines = ["| scale | filter | seeds | average |", "|---|---|---|---|"]
    for name, found in tables(rows).items():
        for arm in found.rows:
            mean = found.mean(arm)
            error = "" if mean.standard_error is None else f" ± {100 * mean.standard_error:.1f}"
            lines.append(f"| {name} | {arm} | {mean.seeds} | {100 * mean.value:.1f}{error} |")
    return "\n".join(lines) + "\n"


def seeds(rows: Sequence[Row], arms: Sequence[str]) -> str:
    """With which some arms were measured, in words."""
    found = {name: table.seeds(arm for arm in NAMES if f"{name}{_JOINED}{arm}" in arms) for name, table in tables(rows).items()}
    return "; ".join(f"{told} at {name}" for name, told in found.items() if told)


def _judge(place: int, rows: Sequence[Row]) -> Verdict:
    found = miniature_filters.claims(tables(rows))[place]
    return Verdict(found.shows, found.numbers)


def _claims(told: Mapping[str, tuple[str, tuple[str, ...]]]) -> tuple[Claim[Row], ...]:
    """Claims in the order in which they are judged, each with its place in the paper and the arms it needs."""
    texts = [claim.text.partition(") ")[2] if claim.text.startswith("(") else claim.text for claim in miniature_filters.claims(tables(()))]
    return tuple(
        Claim(key, "datacomp", paper, text, partial(_judge, place), arms)
        for place, (text, (key, (paper, arms))) in enumerate(zip(texts, told.items(), strict=True))
    )


def _at(names: Sequence[str], *places: str) -> tuple[str, ...]:
    return tuple(f"{place}{_JOINED}{name}" for place in places for name in names)


CLAIMS = _claims(
    {
        "datacomp-ladder": ("table 3", _at(_LADDER, SMALL)),
        "datacomp-ladder-micro": ("table 3", _at(_LADDER, LARGE)),
        "datacomp-scores": ("tables 25 and 26", _at(_SCORES, SMALL)),
        "datacomp-scores-micro": ("tables 25 and 26", _at(_SCORES, LARGE)),
        "datacomp-random": ("tables 25 and 26", _at((NONE, RANDOM), SMALL)),
        "datacomp-repetition": ("table 12", _at(_FEW, SMALL, LARGE)),
        "datacomp-scale": ("table 3", _at(NAMES, SMALL, LARGE)),
        "datacomp-order": ("rank correlations of scales", _at(NAMES, SMALL, LARGE)),
    }
)
STUDY = claims.Study(
    name="miniature",
    says="filters compared at two scales of the generated world",
    command="datacomp reproduce datacomp --out build/reproduced",
    minutes={arm: _MINUTES[arm.partition(_JOINED)[0]] for arm in _at(NAMES, SMALL, LARGE)},
    claims=CLAIMS,
    plan=plan,
    run=run,
    read=read,
    table=table,
    seeds=seeds,
)
