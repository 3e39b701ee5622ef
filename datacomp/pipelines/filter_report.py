"""The page about data filtering networks on the generated world: verdicts, a table and pictures for each scale, all from measured rows."""

from collections.abc import Mapping, Sequence

from datacomp.pipelines import miniature_pictures
from datacomp.pipelines.filter_claims import BEHIND, TESTED, Measured
from datacomp.pipelines.filter_networks import Networks, title
from datacomp.pipelines.filter_study import ARMS, NONE
from datacomp.pipelines.miniature_pictures import Point
from datacomp.pipelines.paired import Mean
from datacomp.pipelines.pruning_claims import said
from datacomp.scaling import draw
from datacomp.scaling.pictures import Picture

PAGE = "dfn.md"
COMMAND = "python benchmarks/dfn.py --out build/dfn --scales nano,micro"
_FEWEST = 3  # points of a picture
_ERRORS = """Averages are in percent, differences in points, ± one standard error. Differences of what lists induce are paired by seed; their errors join the
noise of seeds, pooled over all arms of a scale, with that of the test samples. A claim shows where each difference that it needs is above two of them. A
network's own average has the error of the test samples alone: each filter network was trained once, and how much another seed would change it, or its list,
is in no error here."""


def files(found: Sequence[Measured], networks: Networks, fraction: float, command: str = COMMAND) -> dict[str, str]:
    """The page and its pictures, by their names, with the command that measures what is missing; a scale without any runs is left out."""
    found = [one for one in found if one.table.rows or one.table.left_out]
    drawn = {one.table.scale.name: drawings(one) for one in found}
    return {PAGE: page(found, networks, fraction, command, drawn)} | {f"{picture.key}.svg": draw.svg(picture) for held in drawn.values() for picture in held}


def page(found: Sequence[Measured], networks: Networks, fraction: float, command: str, drawn: Mapping[str, Sequence[Picture]]) -> str:
    """The page in Markdown."""
    untuned = "" if networks.recipe.tuning else ", untuned"
    parts = [f"# Data filtering networks on the generated world{untuned}", _method(networks, fraction), _ERRORS]
    parts.append(f"What is not in `runs.json` and `networks.json` beside this page is measured, and the page written anew, by:\n\n    {command}")
    for one in found:
        scale, suite = one.table.scale.name, one.table.suite.spec
        parts += [f"## Scale {scale}, suite {suite.name} version {suite.version}"]
        parts += ["\n".join(f"* {claim.text}: **{(verdict := claim.judge(one)).says}**. {verdict.told}." for claim in TESTED)]
        parts += [table(one), *_not_run(one), *_left_out(one), *(f"![{picture.title}]({picture.key}.svg)" for picture in drawn[scale])]
    return "\n\n".join(parts) + "\n"


def table(found: Measured) -> str:
    """A line for each arm, the best first, with its gap to no filter and what its network reaches itself."""
    lines = ["| filter | samples | seeds | induced average | over no filter | its network's own |", "|---|---|---|---|---|---|"]
    means = {arm: found.table.mean(arm) for arm in found.table.rows}
    for arm, mean in sorted(means.items(), key=lambda item: -item[1].value):
        gap = found.table.gap(NONE, arm) if arm != NONE else None
        samples = next(iter(found.table.rows[arm].values())).samples
        own = _told(found.own[arm]) if arm in found.own else ""
        lines.append(f"| {arm} | {samples:,} | {mean.seeds} | {_told(mean)} | {said(gap) if gap else ''} | {own} |")
    return "\n".join(lines)


def drawings(found: Measured) -> list[Picture]:
    """What is induced against the networks' own averages, and both against the share of raw pairs, as far as there is enough to draw."""
    scale, known = found.table.scale.name, [arm for arm in BEHIND if arm in found.own and arm in found.table.rows]
    induced = {arm: found.table.mean(arm) for arm in known}
    against = [Point(arm, found.own[arm].value, induced[arm].value, _error(found.own[arm]), _error(induced[arm])) for arm in known]
    poison = {
        what: [Point(arm, share, means[arm].value, 0.0, _error(means[arm])) for share in Networks.poison if (arm := title(share)) in known]
        for what, means in (("induced", induced), ("network's own", found.own))
    }
    drawn = []
    if len(against) >= _FEWEST:
        names = ("its network's own average", "induced average")
        drawn.append(miniature_pictures.against(f"own-{scale}", f"Induced averages at {scale} against the networks' own", against, names))
    if len(poison["induced"]) >= _FEWEST:
        names = ("raw pairs in the network's training", "average")
        drawn.append(miniature_pictures.joined(f"poison-{scale}", f"Averages at {scale} against raw pairs in training", poison, names))
    return drawn


def _method(networks: Networks, fraction: float) -> str:
    shares = ", ".join(f"{100 * share:g}" for share in networks.poison if share)
    tuned = ", then tuned on labelled pictures" if networks.recipe.tuning else ""
    return (
        f"Every filter keeps {100 * fraction:g} % of the pool; models are trained on what it keeps, and their average is what it induces. **DFN** is a network "
        f"trained by recipe `{networks.recipe.name}` on a clean set of a world of its own, {networks.clean_samples:,} sound pictures with faithful captions"
        f"{tuned}; in others {shares} % of the pairs are raw ones, such as the pool's. A **classifier** tells clean from raw pictures by the features of one "
        "of the pool's two reference networks, whose own average stands beside it. **CLIP score** is that of these."
    )


def _not_run(found: Measured) -> list[str]:
    missing = [arm for arm in ARMS if arm not in found.table.rows]
    return [f"Not run at this scale: {'; '.join(missing)}."] * bool(missing)


def _left_out(found: Measured) -> list[str]:
    count = found.table.left_out
    return [f"{count} recorded runs are of another recipe, suite or pool than today's and are left out."] * bool(count)


def _told(mean: Mean) -> str:
    return f"{100 * mean.value:.1f}" + ("" if mean.standard_error is None else f" ± {100 * mean.standard_error:.1f}")


def _error(mean: Mean) -> float:
    return mean.standard_error or 0.0
