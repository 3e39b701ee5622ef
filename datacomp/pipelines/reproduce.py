"""Measuring what papers claim, study by study, and the document that says what came out.

    python -m datacomp.pipelines.reproduce DOCS

writes DOCS/reproductions.md and the studies' own pages from the measurements that are kept in DOCS/measurements.
"""

import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datacomp import digest, files
from datacomp.declared import pool as pools
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.errors import StageError
from datacomp.launch import local
from datacomp.pipelines import filter_claims, scaling_study
from datacomp.pipelines.claims import PAPERS, Claim, Measurement, Settings, Study, Verdict

STUDIES: tuple[Study[Any], ...] = (filter_claims.STUDY, scaling_study.study())
MEASUREMENTS, PAGE = "measurements", "reproductions.md"
_MINUTES = "minutes.json"


class Judged(NamedTuple):
    """A claim with its study, and what a measurement says of it, if there is one."""

    claim: Claim[Any]
    study: Study[Any]
    measurement: Measurement | None
    verdict: Verdict


def known(studies: Sequence[Study[Any]] = STUDIES) -> dict[str, tuple[Study[Any], Claim[Any]]]:
    """All claims by their keys."""
    return {claim.key: (study, claim) for study in studies for claim in study.claims}


def asked(keys: Sequence[str], studies: Sequence[Study[Any]] = STUDIES) -> list[tuple[Study[Any], list[Claim[Any]]]]:
    """The claims that are meant, by their studies; a paper's key means all of its claims. Raises StageError for a name of neither."""
    everything = known(studies)
    if unknown := set(keys) - set(everything) - set(PAPERS):
        raise StageError(f"there is no claim {min(unknown)!r}", allowed=", ".join([*everything, *PAPERS]))
    found = [(study, [claim for claim in study.claims if {claim.key, claim.paper} & set(keys)]) for study in studies]
    return [(study, wanted) for study, wanted in found if wanted]


def take(study: Study[Any], out: Path, settings: Settings, arms: Sequence[str] = (), command: str = "") -> Measurement:
    """Do what is not done of a study, and write its measurement into `out`.

    The minutes of earlier calls that ended by themselves, or were interrupted, are added; those of one that was killed are not known.
    """
    record, path, started = out / f"{study.name}.json", out / _MINUTES, time.monotonic()
    wanted = set(arms) or set(study.arms)
    if record.is_file() and (earlier := Measurement.read(record)).seeds == settings.seeds:
        wanted |= set(earlier.arms)  # which are done, and stay in the record
    taken = tuple(arm for arm in study.arms if arm in wanted)
    before = float(path.read_text(encoding="utf-8")) if path.is_file() else 0.0
    try:
        rows = study.run(out, settings, taken)
    finally:
        minutes = before + (time.monotonic() - started) / 60
        files.write_text(path, f"{minutes:.2f}\n")
    scale, suite = scales.load(settings.scale), suites.load(settings.suite)
    made = Measurement(
        study=study.name,
        command=command or study.command,
        scale=scale.name,
        recipe_sha256=scale.digest(),
        suite=suite.spec.name,
        suite_sha256=suite.digest(),
        pool_sha256=pools.load(scale.pool).digest(),
        seeds=settings.seeds,
        arms=taken,
        code_sha256=digest.of_code(),
        device=f"{local.cores()} cores, {platform.machine()}",
        minutes=round(minutes, 1),
        rows=tuple(row._asdict() for row in rows),
    )
    made.write(record)
    return made


def judge(claim: Claim[Any], study: Study[Any], measurement: Measurement | None) -> Judged:
    """What a measurement says of a claim."""
    return Judged(claim, study, measurement, claim.judge(study.rows(measurement)) if measurement else Verdict(None, ""))


def kept(study: Study[Any], docs: Path) -> Measurement | None:
    """The measurement of a study that the documents hold."""
    path = docs / MEASUREMENTS / f"{study.name}.json"
    return Measurement.read(path) if path.is_file() else None


def pages(docs: Path, studies: Sequence[Study[Any]] = STUDIES) -> dict[str, str]:
    """The document of all claims, and the studies' own pages, from the measurements that are there."""
    made: dict[str, str] = {}
    judged = []
    for study in studies:
        measurement = kept(study, docs)
        made |= study.pages(study.rows(measurement) if measurement else [], measurement)
        judged += [judge(claim, study, measurement) for claim in study.claims]
    return {PAGE: _page(judged)} | made


def _page(judged: Sequence[Judged]) -> str:
    lines = [
        "# Reproductions",
        "",
        "Written by `make docs` from the measurements in `docs/measurements`; every verdict is computed anew from their rows. What papers claim of the",
        "web's data is tested on the generated miniature, which is not the web: a claim that does not show here may hold there, and the other way round.",
        "Minutes are those of two cores. To measure again:",
        "",
        "    datacomp reproduce --list",
        "    datacomp reproduce qqt-choose --out build/reproduced --dry-run",
    ]
    for key, paper in PAPERS.items():
        own = [one for one in judged if one.claim.paper == key]
        if own:
            lines += ["", f"## {paper.short}", "", f"{paper.title}, [arXiv {paper.arxiv}](https://arxiv.org/abs/{paper.arxiv}).", ""]
            lines += ["| claim | in the paper | what was run | does it hold | what came out |", "|---|---|---|---|---|"]
            lines += [_line(one) for one in own]
    return "\n".join(lines) + "\n"


def _line(one: Judged) -> str:
    claim, measured = one.claim, one.measurement
    ran = f"not measured yet: about {one.study.cost(claim.arms):.0f} minutes"
    if measured:
        seeds = ", ".join(map(str, measured.seeds))
        ran = f"`{measured.command}`; scale {measured.scale}, seeds {seeds}; the whole study took {measured.minutes:.0f} minutes on {measured.device}"
    return f"| `{claim.key}`: {claim.text} | {claim.place} | {ran} | {one.verdict.says} | {one.verdict.told} |"


def main(docs: Path) -> None:
    """Write the pages."""
    for name, text in pages(docs).items():
        files.write_text(docs / name, text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
