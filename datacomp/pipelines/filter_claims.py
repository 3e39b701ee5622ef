"""What the comparison of filters says of its paper's claims (Fang et al. 2023, arXiv 2309.17425), and the comparison as a study that is measured again."""

import json
from collections.abc import Sequence
from pathlib import Path

from datacomp import files
from datacomp.declared import filter_recipe
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.network import choose
from datacomp.pipelines import claims, filter_study
from datacomp.pipelines.claims import MISSING, Claim, Settings, Verdict, Where
from datacomp.pipelines.filter_study import Row, Study, own, score_title, title
from datacomp.pipelines.run import ENTRY


def better(rows: Sequence[Row]) -> Verdict:
    """Whether the network on clean data induces more than CLIP scores, and all of them more than no filter."""
    by = {row.arm: row for row in rows}
    clean, plain, none = by.get(title(0.0)), [row for arm, row in by.items() if arm.startswith("CLIP score")], by.get("no filter")
    if not (clean and plain and none):
        return MISSING
    shows = all(clean.induced > row.induced for row in plain) and min(row.induced for row in (clean, *plain)) > none.induced
    others = ", ".join(f"{row.arm} {100 * row.induced:.1f}" for row in (*plain, none))
    return Verdict(shows, f"DFN {100 * clean.induced:.1f}, {others}")


def poisoned(rows: Sequence[Row]) -> Verdict:
    """Whether the network with the largest share of raw pairs induces less, and loses less of its own accuracy than of what it induces."""
    by = {row.arm: row for row in rows}
    clean, raw = by.get(title(0.0)), [row for arm, row in by.items() if arm.startswith("DFN, ")]
    if not (clean and raw) or clean.own is None:
        return MISSING
    worst = raw[-1]
    lost, own_lost = 1 - worst.induced / clean.induced, 1 - own(worst) / clean.own
    told = f"{worst.arm} loses {100 * lost:.1f} % of the induced average and {100 * own_lost:.1f} % of its own"
    return Verdict(lost > 0 and own_lost < lost, told)


def unordered(rows: Sequence[Row]) -> Verdict:
    """Whether of some two networks one has the higher average of its own, and the other induces more."""
    known = [row for row in rows if row.own is not None]
    if len(known) < 2:
        return MISSING
    turned = [(one, other) for one in known for other in known if own(one) > own(other) and one.induced < other.induced]
    if not turned:
        return Verdict(False, f"all {len(known)} networks are ordered alike")
    return Verdict(True, f"{turned[0][0].arm} has the higher own average, {turned[0][1].arm} the higher induced one")


_SCORES, _NETWORKS = tuple(map(score_title, choose.PREFIXES)), tuple(map(title, Study.poison))
ARMS = ("no filter", "random", *_SCORES, *_NETWORKS, "classifier")
CLAIMS = (
    Claim(
        "dfn-clean", "dfn", "abstract", "A network trained on a small clean set induces better data than CLIP scores, and these than no filter", better,
        ("no filter", *_SCORES, title(0.0)),
    ),
    Claim(
        "dfn-poison", "dfn", "on data quality: poisoned filter sets", "Raw pairs in its training hurt what a network induces, and its own accuracy less",
        poisoned,
        _NETWORKS,
    ),
    Claim("dfn-own", "dfn", "abstract", "A network's own accuracy does not order what networks induce", unordered, (*_SCORES, *_NETWORKS)),
)  # fmt: skip


def read(record: Path) -> list[Row]:
    """The rows of a record."""
    return [Row(**values) for values in json.loads(record.read_text(encoding="utf-8"))] if record.is_file() else []


def run(where: Where, settings: Settings, arms: Sequence[str]) -> None:
    """Take the arms the whole way; after each the record has its row, in the order of all arms."""
    for row in of(where.out, settings).rows(tuple(arms)):
        rows = {other.arm: other for other in read(where.record)} | {row.arm: row}
        files.write_text(where.record, json.dumps([rows[arm]._asdict() for arm in ARMS if arm in rows], indent=1) + "\n")


def plan(where: Where, settings: Settings, arms: Sequence[str]) -> list[str]:
    """What would be done."""
    asked = of(where.out, settings)
    seen = len(arms) * len(settings.seeds) * asked.scale.budget.samples_seen
    lines = [f"{len(arms)} arms with {len(settings.seeds)} seeds: {seen:,} samples seen in all, besides the networks' own training"]
    return lines + [f"{'done ' if (asked.folder(arm) / ENTRY).is_file() else 'to do'}  {arm} -> {asked.folder(arm)}" for arm in arms]


def of(out: Path, settings: Settings) -> Study:
    """The comparison that some settings ask for."""
    scale, suite = scales.load(settings.scale), suites.load(settings.suite)
    return Study(out, scale, suite, filter_recipe.load("miniature"), settings.seeds, workers=settings.at_once)


STUDY = claims.Study(
    name="dfn",
    says="what filter networks induce that were trained on clean and on poisoned sets",
    command="datacomp reproduce dfn --out build/reproduced",
    minutes=dict.fromkeys(ARMS, 8.0),
    claims=CLAIMS,
    plan=plan,
    run=run,
    read=read,
    table=lambda rows: filter_study.table(list(rows)),
)
