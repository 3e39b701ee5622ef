"""Measuring what papers claim, study by study, and the document that says what came out.

    python -m datacomp.pipelines.reproduce DOCS

writes DOCS/reproductions.md and the studies' own pages from the records DOCS/STUDY/runs.json.
"""

import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datacomp import digest, files
from datacomp.errors import StageError
from datacomp.launch import local
from datacomp.pipelines import filter_reproduced, miniature_claims, pruning_reproduced, scaling_study
from datacomp.pipelines.claims import PAPERS, Claim, Measurement, Settings, Study, Verdict, Where, needed

STUDIES: tuple[Study[Any], ...] = (miniature_claims.STUDY, filter_reproduced.STUDY, pruning_reproduced.STUDY, scaling_study.study())
PAGE, MEASURED = "reproductions.md", "measured.json"


class Judged(NamedTuple):
    """A claim with its study, how that was measured, if it is known, and the verdict."""

    claim: Claim[Any]
    study: Study[Any]
    measurement: Measurement | None
    verdict: Verdict
    seeds: str  # of what it rests on, in words


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


def take(study: Study[Any], where: Where, settings: Settings, arms: Sequence[str] = (), command: str = "") -> Measurement | None:
    """Do what the record of a study does not hold; if that was something, write beside it how it was measured. Return what stands there.

    The minutes of earlier calls are added; those of one that was killed are not known.
    """
    started, held = time.monotonic(), _content(where.record)
    before = _measurement(where.record)
    try:
        study.run(where, settings, tuple(arms) or study.arms)
    finally:
        if _content(where.record) != held:
            Measurement(
                command=(command or study.command)[:200],
                scale=settings.scale,
                suite=settings.suite,
                seeds=settings.seeds,
                code_sha256=digest.of_code(),
                device=f"{local.cores()} cores, {platform.machine()}",
                minutes=round((before.minutes if before else 0.0) + (time.monotonic() - started) / 60, 2),
            ).write(where.record.parent / MEASURED)
    return _measurement(where.record)


def judged(study: Study[Any], folder: Path) -> list[Judged]:
    """What the record of a study in a folder says of each of its claims."""
    record = study.record(folder)
    rows, measurement = study.read(record), _measurement(record)
    found = []
    for claim in study.claims:
        verdict = claim.judge(rows) if rows else Verdict(None, "")
        found.append(Judged(claim, study, measurement, verdict, study.seeds(rows, needed(study, [claim]))))
    return found


def _measurement(record: Path) -> Measurement | None:
    """How a record was measured, where that is known."""
    path = record.parent / MEASURED
    return Measurement.read(path) if path.is_file() else None


def _content(record: Path) -> bytes:
    return record.read_bytes() if record.is_file() else b""


def pages(docs: Path, studies: Sequence[Study[Any]] = STUDIES) -> dict[str, str]:
    """The document of all claims, and the studies' own pages, from the records that are there."""
    made: dict[str, str] = {}
    found: list[Judged] = []
    for study in studies:
        mine = judged(study, docs)
        made |= study.pages(study.read(study.record(docs)), mine[0].measurement)
        found += mine
    return {PAGE: _page(found)} | made


def _page(found: Sequence[Judged]) -> str:
    lines = [
        "# Reproductions",
        "",
        "Written by `make docs` from the recorded runs; every verdict is computed anew from them. What papers claim of the web's data is tested on the",
        "generated miniature, which is not the web: a claim that does not show here may hold there, and the other way round. To measure again:",
        "",
        "    datacomp reproduce --list",
        "    datacomp reproduce qqt-choose --out build/reproduced --dry-run",
    ]
    for key, paper in PAPERS.items():
        own = [one for one in found if one.claim.paper == key]
        if own:
            lines += ["", f"## {paper.short}", "", f"{paper.title}, [arXiv {paper.arxiv}](https://arxiv.org/abs/{paper.arxiv}).", ""]
            lines += ["| claim | in the paper | what was run | does it hold | what came out |", "|---|---|---|---|---|"]
            lines += [_line(one) for one in own]
    return "\n".join(lines) + "\n"


def _line(one: Judged) -> str:
    claim, how = one.claim, one.measurement
    ran = f"`{how.command}`" if how else f"`datacomp reproduce {claim.key}`: about {one.study.cost(claim.arms):.0f} minutes with three seeds"
    ran += f"; measured with seeds {one.seeds}" if one.seeds else ""
    ran += f"; scale {how.scale}; the study took {how.minutes:.0f} minutes on {how.device}" if how else ""
    return f"| `{claim.key}`: {claim.text} | {claim.place} | {ran} | {one.verdict.says} | {one.verdict.told} |"


def main(docs: Path) -> None:
    """Write the pages."""
    for name, text in pages(docs).items():
        files.write_text(docs / name, text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
