"""The page of what the miniature measures: a table for each scale, the claims with their verdicts, the noise of seeds, pictures."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from datacomp import files
from datacomp.pipelines import miniature_claims, miniature_filters, miniature_pictures
from datacomp.pipelines.miniature_filters import LARGE, NAMES, NONE, PUBLISHED, SMALL
from datacomp.pipelines.miniature_pictures import Point
from datacomp.pipelines.paired import Mean, Table
from datacomp.scaling import draw
from datacomp.scaling.pictures import Picture

_MISSING = "not measured yet"
_FEWEST = 3  # points that a picture of two measures needs


def tables(record: Path, suite_name: str) -> dict[str, Table]:
    """The rows of both scales that hold today."""
    return miniature_claims.tables(miniature_claims.read(record), suite_name)


def write(found: Mapping[str, Table], results: Path, record: Path, page: Path) -> None:
    """Write the page, and its pictures as SVG beside the record; the record lies in the page's folder or below it."""
    drawn = drawings(found, results)
    for picture in drawn:
        files.write_text(record.parent / f"{picture.key}.svg", draw.svg(picture))
    files.write_text(page, text(found, results, drawn, record.resolve().relative_to(page.parent.resolve())))


def text(found: Mapping[str, Table], results: Path, drawn: Sequence[Picture], record: Path) -> str:
    """The page in Markdown; the record by its path from the page."""
    suite = found[SMALL].suite.spec
    about = (
        f"Filters of the generated world compared at scales {SMALL} and {LARGE} under suite {suite.name}, version {suite.version}. "
        f"`python benchmarks/miniature.py page` writes this page from the [recorded runs]({record.as_posix()}); `run` in its place measures what is missing. "
        "Averages are in percent, differences in points, ± one standard error."
    )
    errors = (
        "Errors of differences are paired by seed. They join the noise of seeds, pooled over all filters of a scale, with that of the test samples "
        "(`datacomp/pipelines/paired.py` says how)."
    )
    agreement = "Spearman's rank correlation of averages over the filters that both have; random 30 % stands beside the published random 25 %."
    parts = ["# What the miniature measures", about, "## Claims", _list(miniature_filters.claims(found)), errors]
    parts += ["## Agreement with DataComp", agreement, _list(miniature_filters.agreement(found, results))]
    for table in found.values():
        parts += [f"## Scale {table.scale.name}", _rows(table, results), _noise(table), *_left_out(table)]
    parts += ["## Pictures"] * bool(drawn)
    parts += [f"![{picture.title}]({(record.parent / picture.key).as_posix()}.svg)" for picture in drawn]
    return "\n\n".join(parts) + "\n"


def _list(lines: Iterable[object]) -> str:
    return "\n".join(f"* {line}" for line in lines)


def _rows(table: Table, results: Path) -> str:
    """Every filter, the highest average first; those without a run are named as such."""
    titles = {group.name: group.title for group in table.suite.spec.groups}
    groups = [name for name in table.aggregates if name in titles]
    theirs = {scale: miniature_filters.published_averages(results, scale) for scale in PUBLISHED}
    head = [
        "filter",
        "samples",
        "seeds",
        "average",
        f"above {NONE}",
        *(titles[name].lower() for name in groups),
        *(f"DataComp's {scale}" for scale in PUBLISHED),
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    measured = sorted((name for name in NAMES if name in table.rows), key=lambda name: -table.mean(name).value)
    for name in measured:
        row = next(iter(table.rows[name].values()))
        gap = table.gap(NONE, name) if name != NONE else None
        cells = [
            f"{name} (no valid entry)" if row.note else name,
            f"{row.samples:,}" + (f" ({row.distinct_samples:,} different)" if row.distinct_samples != row.samples else ""),
            str(len(table.rows[name])),
            _mean(table.mean(name)),
            miniature_filters.told(gap) if gap else "",
            *(_mean(table.mean(name, group)) for group in groups),
        ]
        lines.append(f"| {' | '.join([*cells, *_published(theirs, name)])} |")
    missing = [[name, _MISSING, "0", "", "", *[""] * len(groups), *_published(theirs, name)] for name in NAMES if name not in table.rows]
    lines += [f"| {' | '.join(cells)} |" for cells in missing]
    return "\n".join(lines)


def _published(theirs: Mapping[str, Mapping[str, float]], name: str) -> list[str]:
    return [f"{100 * order[name]:.1f}" if name in order else "" for order in theirs.values()]


def _mean(mean: Mean) -> str:
    return f"{100 * mean.value:.1f}" + ("" if mean.standard_error is None else f" ± {100 * mean.standard_error:.1f}")


def _noise(table: Table) -> str:
    spread = table.spread()
    if spread is None:
        return f"How much of the spread is the noise of seeds: {_MISSING}, for no two seeds have two filters in common."
    return (
        f"Filters differ by a standard deviation of {100 * spread.between_arms:.1f} points, runs of one filter by {100 * spread.seeds.deviation:.1f} "
        f"({spread.seeds.freedom} degrees of freedom; what a seed does to every filter is taken off). Of the variance between single runs with one seed "
        f"{100 * spread.share_of_runs:.1f} % is the noise of seeds, between the means above {100 * spread.share_of_means:.1f} %."
    )


def _left_out(table: Table) -> list[str]:
    if not table.left_out:
        return []
    return [f"{table.left_out} recorded runs are of another recipe, suite or pool than today's and are left out."]


def drawings(found: Mapping[str, Table], results: Path) -> list[Picture]:
    """The pictures for which there is enough."""
    small, large = found[SMALL], found[LARGE]
    drawn = [miniature_pictures.averages(NAMES, found)] if small.rows or large.rows else []
    both = [_point(name, small.mean(name), large.mean(name)) for name in NAMES if name in small.rows and name in large.rows]
    if len(both) >= _FEWEST:
        drawn.append(miniature_pictures.against("scales", f"Averages at {SMALL} and at {LARGE}", both, (SMALL, LARGE)))
    order = miniature_filters.published_averages(results, PUBLISHED[-1])
    for table in (small, large):
        shared = [_point(name, Mean(order[name], None, 1), table.mean(name)) for name in order if name in table.rows]
        if len(shared) >= _FEWEST:
            title = f"Averages at {table.scale.name} against those that were published for {PUBLISHED[-1]}"
            names = (f"DataComp's {PUBLISHED[-1]}", table.scale.name)
            drawn.append(miniature_pictures.against(f"published-{table.scale.name}", title, shared, names))
    return drawn


def _point(name: str, across: Mean, up: Mean) -> Point:
    return Point(name, across.value, up.value, across.standard_error or 0.0, up.standard_error or 0.0)
