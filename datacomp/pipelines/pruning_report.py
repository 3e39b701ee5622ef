"""The page about density-based pruning on the generated world: tables, verdicts and pictures, all from measured rows and the truth of lists."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from datacomp import files
from datacomp.pipelines import pruning_truth
from datacomp.pipelines.paired import Table
from datacomp.pipelines.pruning_claims import POOL, Verdict, said
from datacomp.pipelines.pruning_study import DEDUPLICATED, METHODS, NONE, PREFILTERED, SHORT, Study, titled
from datacomp.pipelines.pruning_truth import Kept
from datacomp.scaling import draw, pictures
from datacomp.scaling.pictures import Picture, Value

PAGE = "pruning.md"
_ERRORS = """Differences are in percent points of the suite's average, paired by seed. ± is one standard error, by the noise of seeds pooled over all arms and
by the test samples; a claim shows where a difference is above two of them. On the average over shares their errors are taken to be wholly correlated."""
_CLUSTERS = """at either end the pictures nearest to and farthest
from the centroid. What is far is hard, and comes first in DBP and SSP alike: look there at what
that means here. Those with a green edge are in the list of"""
_TRUTHS = {
    "rare": ("Share of rare concepts in each list", "the quarter of all concepts with the fewest samples"),
    "good": ("Share of sound pictures with faithful captions", "what an oracle would keep"),
    "repeated": ("Share of near duplicates", "shots of scenes that come up again and again"),
}


def write(study: Study, whole: Table, short: Table, kept: Mapping[str, Kept], verdicts: Sequence[Verdict], folder: Path) -> Path:
    """Write the page and its pictures into a folder; the report of clusters goes beside them if its steps are there."""
    drawn = [picture for picture in (averages(whole, study.shares), *truths(kept, study.shares)) if picture]
    for picture in drawn:
        files.write_text(folder / f"{picture.key}.svg", draw.svg(picture))
    report = study.folder / "dbp" / "report.html"
    if report.is_file():
        files.write_text(folder / "clusters.html", report.read_text(encoding="utf-8"))
    text = page(study, whole, short, kept, verdicts, drawn, has_clusters=(folder / "clusters.html").is_file())
    files.write_text(folder / PAGE, text)
    return folder / PAGE


def page(
    study: Study, whole: Table, short: Table, kept: Mapping[str, Kept], verdicts: Sequence[Verdict], drawn: Sequence[Picture], *, has_clusters: bool
) -> str:
    """The page in Markdown."""
    fewer = f"{short.scale.budget.steps:,} instead of {whole.scale.budget.steps:,} steps"
    parts = [
        "# Density-based pruning on the generated world",
        f"Scale {whole.scale.name}, suite {whole.suite.spec.name}. {_method(study)}",
        "## What is claimed, and what shows",
        "\n".join(f"* {verdict.line()}" for verdict in verdicts),
        _ERRORS,
        "## Averages",
        _table(whole, NONE),
        f"In the open division, {fewer}:",
        _table(short, NONE + SHORT),
        "## What the lists hold, by the truth",
        "No filter sees the truth of the pool; it is what each sample was drawn as.",
        pruning_truth.table(kept),
        "## Pictures",
        "\n\n".join(f"![{picture.title}]({picture.key}.svg)" for picture in drawn),
    ]
    if has_clusters:
        parts.append(f"[clusters.html](clusters.html) shows the clusters that were pruned; {_CLUSTERS} {titled('DBP', study.compared_share)}.")
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def averages(whole: Table, shares: Sequence[float]) -> Picture | None:
    """The average of each method against how much it keeps; what all begin with stands at its own size."""
    series = {method: [_value(whole, titled(method, share)) for share in shares] for method in METHODS}
    series |= {name: [_value(whole, name)] for name in (NONE, DEDUPLICATED, PREFILTERED)}
    found = {name: [value for value in values if value] for name, values in series.items()}
    found = {name: values for name, values in found.items() if values}
    return pictures.measured("averages", "Average of the suite against the samples kept", "samples kept of the pool", found) if found else None


def truths(kept: Mapping[str, Kept], shares: Sequence[float]) -> list[Picture]:
    """What the lists of each method hold, against how much they keep, with the whole pool."""
    drawn = []
    for name, (title, what) in _TRUTHS.items():
        found = {
            method: [Value(kept[arm].samples, getattr(kept[arm], name)) for share in shares if (arm := titled(method, share)) in kept] for method in METHODS
        } | {arm: [Value(kept[arm].samples, getattr(kept[arm], name))] for arm in (DEDUPLICATED, PREFILTERED, POOL) if arm in kept}
        if found := {arm: values for arm, values in found.items() if values}:
            drawn.append(pictures.measured(name, f"{title}: {what}", "samples kept of the pool", found))
    return drawn


def _value(whole: Table, arm: str) -> Value | None:
    if arm not in whole.rows:
        return None
    found, row = whole.mean(arm), next(iter(whole.rows[arm].values()))
    return Value(row.samples, found.value, found.standard_error or 0.0)


def _method(study: Study) -> str:
    is_found = (study.folder / "epsilon.json").is_file()
    epsilon = f"{study.epsilon:g} (a cosine above {1 - study.epsilon:.5g})" if is_found else "found on another machine"
    shares = ", ".join(f"{100 * share:g}" for share in study.shares)
    return (
        f"Near duplicates are dropped first (SemDeDup on `l14_img`), with ε = {epsilon}: that which leaves {100 * study.deduplicated_share:g} % of the pool, "
        f"as is said of the paper's DataComp medium; the truth has no part in it. Of what is left the best {100 * study.prefilter_fraction:g} % by CLIP score "
        f"pass: the paper does not say how many do. They are put into {study.clusters} clusters and pruned to {shares} %: **DBP** with quotas by density "
        "(T 0.1, l 20), **SSP** with the same share of each cluster, both hard samples first; **random** samples of the same list; "
        "**CLIP score** is the best of the whole pool, as many as the others keep."
    )


def _table(table: Table, base: str) -> str:
    """A line for each arm, the best first, with its gap to another."""
    lines = [f"| list | samples | seeds | average | over {base} |", "|---|---|---|---|---|"]
    means = {arm: table.mean(arm) for arm in table.rows}
    for arm, mean in sorted(means.items(), key=lambda item: -item[1].value):
        error = f" ± {100 * mean.standard_error:.1f}" if mean.standard_error is not None else ""
        found = table.gap(base, arm) if arm != base else None
        samples = next(iter(table.rows[arm].values())).samples
        lines.append(f"| {arm} | {samples:,} | {mean.seeds} | {100 * mean.value:.1f}{error} | {said(found) if found else ''} |")
    return "\n".join(lines)
