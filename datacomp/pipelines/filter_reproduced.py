"""The comparison of data filtering networks as a study that is measured again, at one scale."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from datacomp.declared import filter_recipe
from datacomp.declared import pool as pools
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.pipelines import claims, compared, filter_networks, filter_report
from datacomp.pipelines.claims import Claim, Settings, Verdict, Where
from datacomp.pipelines.compared import Row
from datacomp.pipelines.filter_claims import TESTED, Measured
from datacomp.pipelines.filter_networks import FILE, Networks, OwnScores
from datacomp.pipelines.filter_study import ARMS, TRAINED, At, Study
from datacomp.pipelines.paired import Table

Found: TypeAlias = Row | OwnScores
_MINUTES, _TRAINED_MINUTES = 2.5, 6.5  # of an arm with three seeds; of one whose network is trained first


def study(where: Where, settings: Settings, arms: Sequence[str] = ()) -> Study:
    """The study in a folder."""
    at = At(scales.load(settings.scale), settings.seeds)
    networks = Networks(where.out / "networks", where.record.parent / FILE, suites.load(settings.suite), filter_recipe.load(filter_networks.RECIPE))
    return Study(where.out, where.record, networks, (at,), at_once=settings.at_once, only=tuple(arms))


def plan(where: Where, settings: Settings, arms: Sequence[str]) -> list[str]:
    """What would be done."""
    return study(where, settings, arms).told()


def run(where: Where, settings: Settings, arms: Sequence[str]) -> None:
    """Do what the records do not hold."""
    study(where, settings, arms).run()


def read(record: Path) -> list[Found]:
    """The rows of a record, and what the networks reach, which stands beside it."""
    return [*compared.read(record).values(), *compared.read_all(record.parent / FILE, OwnScores)]


def measured(rows: Sequence[Found], scale_name: str = Settings().scale) -> Measured:
    """What holds today of a scale."""
    scale, suite = scales.load(scale_name), suites.load(Settings().suite)
    table = Table([row for row in rows if isinstance(row, Row)], scale, suite, uids_sha256=pools.load(scale.pool).uids_sha256)
    return Measured(table, filter_networks.own([row for row in rows if isinstance(row, OwnScores)], suite))


def table(rows: Sequence[Found]) -> str:
    """Averages in percent, in Markdown."""
    return filter_report.table(measured(rows)) + "\n"


def seeds(rows: Sequence[Found], arms: Sequence[str]) -> str:
    """With which some arms were measured, in words."""
    return measured(rows).table.seeds(arms)


def _judge(judge: Callable[[Measured], Verdict], rows: Sequence[Found]) -> Verdict:
    return judge(measured(rows))


STUDY = claims.Study(
    name="dfn",
    says="what filter networks induce that were trained on clean and on poisoned sets",
    command="datacomp reproduce dfn --out build/reproduced",
    minutes={arm: _TRAINED_MINUTES if arm in TRAINED else _MINUTES for arm in ARMS},
    claims=tuple(Claim(claim.key, "dfn", claim.place, claim.text, partial(_judge, claim.judge), claim.arms) for claim in TESTED),
    plan=plan,
    run=run,
    read=read,
    table=table,
    seeds=seeds,
)
