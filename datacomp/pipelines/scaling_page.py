"""The document of the scaling study: what was trained, how far the laws were off, what they chose, and pictures of both."""

from collections.abc import Iterator, Sequence

import numpy as np

from datacomp.pipelines import scaling_evidence as evidence
from datacomp.pipelines.claims import Measurement
from datacomp.pipelines.scaling_evidence import CLAIMS, KINDS, Row
from datacomp.scaling import choose, draw, pictures
from datacomp.scaling import fit as fitting
from datacomp.scaling.fit import Point

PAGE, CURVES, UNIONS = "scaling-miniature.md", "scaling/curves.svg", "scaling/unions.svg"
_COMMAND = "python benchmarks/scaling_miniature.py --out build/scaling --record docs/scaling/runs.json"
_INTRODUCTION = """# Scaling laws on the miniature

Written by `make docs` from the recorded runs in `docs/scaling/runs.json`. A generated pool is cut into twentieths by the score of a filter network that
learnt from 20,480 clean pairs of another world. Laws are fitted to the best four, each trained on alone at some budgets; the same buckets at a larger budget,
and unions of them, are only compared with what the laws predict.

* Why not by a CLIP score: the paper's buckets are by scores that see no text in pictures. The pool's reference networks read it, as published CLIPs do, so
  that a fifth of their best tenth is text, and buckets do not fall in quality from the first on.
* Each budget has a run of its own that ends there. A checkpoint in the middle of a cosine schedule has a higher error than a run that ends at it, so that
  laws fitted to checkpoints would not be those of finished runs.
* The error is one less the suite's average. It was chosen before anything was measured: it ranks on the board, and more test samples stand behind it than
  behind the main task.
* Budgets begin at 25,600 samples seen, of which a quarter is warm-up, and errors are fitted up to 102,400. A random half of each bucket is trained on as
  well: as many samples seen are twice as many looks, which tells what a look is worth. By the theorem on unions a half has half the half-life of its bucket.
* This is the sixth design, and each was fixed before its own runs (`docs/log.md`). The first three cut half of the pool into tenths by L/14's score, under
  other questions about places and numbers: laws beat both guesses for one, three and three seeds of three; where 204,800 was measured, they chose the best
  tenth there, up to 6.3 ± 2.8 points behind the best union. The fourth cut it into tenths by the filter network (rows in `docs/scaling/tenths`): laws beat
  both guesses for all seeds; the best tenth wins at 25,600 and two tenths together at 204,800, which the laws do not tell, 2.7 ± 0.8 points behind. Its
  tenths are 93, 84, 39 and 4 % faithful, by the truth that no filter sees, and from the last nothing is learnt.
* The fifth cut the same half into twentieths, which are 96, 91, 88 and 80 % faithful (rows in `docs/scaling/half-pool`): every claim shows but that on
  choosing, as the laws choose the best union at 204,800, and at 25,600 0-10 %, 1.04 ± 0.49 points behind the best bucket. Its buckets are looked at 10 to 40
  times where laws are fitted, and wear out beyond what laws can say. Here twentieths of the whole pool, 96, 92, 88 and 80 % faithful, are looked at 5 to 20
  times. No list here was trained on before.
* Seed 2 learns late on the best bucket. That was seen, and seeds 3 and 4 were added at every budget, before anything was trained on 204,800 samples.
  With the first three seeds alone all claims show but that on compute: 0-10 % is then the best union at 204,800, and at 25,600 only 0.3 ± 1.0 points behind.
* *Nearest point* guesses the error of the same bucket at the nearest budget that was fitted, for a union the mean of its buckets' ones. *Plain power law* is
  the same fit with half-lives without end: a second look at a sample is worth as much as the first. Both are made of whole buckets.
"""
_OF_CURVES = "A panel for each bucket: points of every seed and the law with its band, below of the bucket, above of halves of it; the others' laws in grey."
_OF_UNIONS = "Points are means over seeds, of what the laws did not see. A dashed line is where they say that another union becomes the best."


def pages(found: Sequence[Row], measurement: Measurement | None) -> dict[str, str]:
    """The files of the document, by their names."""
    if not evidence.is_enough(found):
        return {PAGE: _INTRODUCTION + f"\nNot measured yet, or too little of it for laws. The command:\n\n    {_COMMAND}\n"}
    told = [*([_told(measurement)] if measurement else []), _verdicts(found), _misses(found), _chosen(found), _parameters(found), table(found)]
    shown = f"\n![errors of single buckets]({CURVES})\n\n{_OF_CURVES}\n\n![predicted and measured errors of unions]({UNIONS})\n\n{_OF_UNIONS}\n"
    drawn = dict(zip((CURVES, UNIONS), map(draw.svg, _pictures(found)), strict=True))
    return {PAGE: _INTRODUCTION + "\n" + "\n".join(told) + shown} | drawn


def _told(measurement: Measurement) -> str:
    seeds = ", ".join(map(str, measurement.seeds))
    return f"Scale {measurement.scale}, suite {measurement.suite}, seeds {seeds}; {measurement.minutes:.0f} minutes on {measurement.device}.\n"


def _verdicts(found: Sequence[Row]) -> str:
    lines = ["## Claims\n"]
    for claim in CLAIMS:
        verdict = claim.judge(found)
        lines.append(f"* {claim.text}: **{verdict.says}**. {verdict.told}.")
    return "\n".join(lines) + "\n"


def _misses(found: Sequence[Row]) -> str:
    lines = ["## How far predictions are off\n", "Mean absolute errors, in points; laws of each seed alone.\n"]
    lines += ["| what is predicted | seed | points | law | nearest point | plain power law |", "|---|---|---|---|---|---|"]
    for kind in KINDS:
        for one in evidence.missed(found, kind):
            lines.append(f"| {kind} | {one.seed} | {one.points} | {100 * one.law:.2f} | {100 * one.nearest:.2f} | {100 * one.power:.2f} |")
    return "\n".join(lines) + "\n"


def _chosen(found: Sequence[Row]) -> str:
    lines = ["## What the laws choose\n", "By laws of all seeds, and in brackets by those of each; the difference from the best is paired by seed.\n"]
    lines += ["| samples seen | chosen | best measured | behind the best |", "|---|---|---|---|"]
    for one in evidence.choices(found):
        each = ", ".join(evidence.named(found, union) for union in one.by_seed)
        behind = "" if one.chosen == one.best else str(one.behind)
        lines.append(f"| {one.seen:,} | {evidence.named(found, one.chosen)} ({each}) | {evidence.named(found, one.best)} | {behind} |")
    return "\n".join(lines) + "\n"


def _parameters(found: Sequence[Row]) -> str:
    fitted = evidence.fit(found)
    lines = ["## The laws\n", "Of all seeds, with profile intervals of 95 %.\n", "| parameter | value | from | to |", "|---|---|---|---|"]
    for name, one in fitting.intervals(fitted).items():
        lines.append(f"| {name} | {one.value:.4g} | {one.low:.4g} | {one.high:.4g}{' or beyond' if one.is_open else ''} |")
    lines += ["", *(f"* {warning}" for warning in fitted.warnings)]
    return "\n".join(lines).rstrip() + "\n"


def table(found: Sequence[Row]) -> str:
    """Every error that was measured, in percent, over seeds, beside what laws of all seeds say."""
    fitted, names = evidence.fit(found), list(evidence.measured(found).samples)
    lines = ["## Errors\n", "In percent, mean ± standard error over seeds; what laws of all seeds say.\n"]
    lines += ["| trained on | samples | samples seen | fitted | error | law |", "|---|---|---|---|---|---|"]
    for one, errors in _grouped(found):
        spread = f" ± {100 * np.std(errors, ddof=1) / np.sqrt(len(errors)):.2f}" if len(errors) > 1 else ""
        union = tuple(one.pool.split(choose.JOINED))
        own = choose.sized(fitted, Point(one.pool, one.seen, 0.0, samples=one.samples)) if one.is_half else fitted
        law = choose.predict(own, one.seen, union).error
        used = "yes" if one.fitted else ""
        name = ("half of " if one.is_half else "") + pictures.union_name(union, names)
        lines.append(f"| {name} % | {one.samples:,} | {one.seen:,} | {used} | {100 * np.mean(errors):.2f}{spread} | {100 * law:.2f} |")
    return "\n".join(lines) + "\n"


def _grouped(found: Sequence[Row]) -> Iterator[tuple[Row, list[float]]]:
    """One row for each pool and budget, with the errors of all seeds; halves last."""
    groups: dict[tuple[bool, str, int], list[Row]] = {}
    for row in found:
        groups.setdefault((row.is_half, row.pool, row.seen), []).append(row)
    for _, rows in sorted(groups.items(), key=lambda group: group[0][0]):
        yield rows[0], [row.error for row in rows]


def _pictures(found: Sequence[Row]) -> tuple[pictures.Picture, pictures.Picture]:
    """The laws of the single buckets, and what they predict of unions beside what was measured."""
    there, fitted = evidence.measured(found), evidence.fit(found)
    names, (compared, _) = list(there.samples), evidence.candidates(found)
    seen = sorted({float(row.seen) for row in found})
    ends = (seen[0], seen[-1])
    crossings = choose.crossovers(fitted, compared, *ends)
    return pictures.curves(fitted, names, ends), pictures.unions(fitted, compared, names, ends, crossings, choose.check(fitted, there.checks))
