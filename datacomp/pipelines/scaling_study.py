"""Laws fitted to single buckets of a generated pool, held against unions and a budget that were trained and not fitted.

The pool is cut into buckets by the score of a filter network that learnt from clean pairs, or by a column of its metadata. The best are each trained on
alone at some budgets, to which laws are fitted; the same buckets at a larger budget, and unions of them, are only compared with what the laws predict.
Every budget has a run of its own that ends there: a checkpoint in the middle of a cosine schedule has a higher error than a run that ends at it, by more
early in the schedule than late, so that errors along one run fall faster than those of finished runs and repetition would seem to cost less than it does.
The error is one less the suite's average, which ranks on the board and whose test samples are more than the main task's, so that it tells smaller
differences apart.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from datacomp.artifacts import pool as artifacts
from datacomp.artifacts import scores
from datacomp.board import averages
from datacomp.declared import filter_recipe
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.declared.scale import Scale
from datacomp.errors import StageError
from datacomp.filters.apply import apply
from datacomp.filters.catalog import Option
from datacomp.launch import local
from datacomp.pipelines import compared, filter_networks, scaling_evidence, scaling_page
from datacomp.pipelines.claims import Settings, Study, Where
from datacomp.pipelines.compare import Arm, Comparison
from datacomp.pipelines.filter_networks import Networks
from datacomp.pipelines.grid import Part, whole_batches
from datacomp.pipelines.scaling_evidence import Row
from datacomp.scaling.choose import JOINED

NETWORK = "dfn"  # a filter network on clean pairs, which is trained first
NAME = "scaling"
_HALF = "half of "
_SAMPLES_PER_S = 1_500.0  # of nano's model on one core, as seen with two at once and evaluations among them


class Design(NamedTuple):
    """What is trained. A twentieth of the default pool, nano's, is looked at 5 to 20 times where laws are fitted, the paper's tenths 2 to 10 times.

    Fewer samples seen than 25,600 are half warm-up, and errors fall by more with each doubling: no power law does that.
    """

    pool_samples: int = 102_400
    buckets: int = 20
    best: int = 4  # so many of them are trained on
    budgets: tuple[int, ...] = (25_600, 38_400, 51_200, 102_400)  # samples seen, whose errors are fitted
    unseen: tuple[int, ...] = (204_800,)
    unions: tuple[int, ...] = (2, 3, 4)  # so many of the best buckets together
    union_budgets: tuple[int, ...] = (25_600, 51_200, 102_400, 204_800)  # of those above
    half_budgets: tuple[int, ...] = (51_200, 102_400)  # of those fitted: at these a random half of each bucket is trained on as well
    score: str = NETWORK  # or a column of the pool's metadata
    pool: Path | None = None  # one that lies there already


def comparisons(design: Design, where: Where, settings: Settings) -> list[Comparison]:
    """The runs of each budget, the least budget first."""
    scale, suite, pool = scales.load(settings.scale), suites.load(settings.suite), design.pool or where.out / "pool"
    ranked = cache(partial(_ranked, design, where, settings, pool))  # once, however many lists
    alone, together = _parts(design)
    joint, half, found = whole_batches(scale, design.union_budgets), whole_batches(scale, design.half_budgets), []
    for seen in whole_batches(scale, (*design.budgets, *design.unseen)):
        parts = alone + together if seen in joint else alone
        arms = [Arm(_pool(part, design), partial(_write, design, ranked, pool, part, "score")) for part in parts]
        if seen in half:
            arms += [Arm(_HALF + _pool(part, design), partial(_write, design, ranked, pool, part, "score & random(0.5)")) for part in alone]
        found.append(Comparison(where.out, where.record, budgeted(scale, seen), suite, pool, tuple(arms), settings.seeds, at_once=settings.at_once))
    return found


def run(design: Design, where: Where, settings: Settings, _: Sequence[str] = ()) -> None:
    """Do what the record does not hold."""
    for asked in comparisons(design, where, settings):
        if design.pool is None:
            asked.complete(design.pool_samples)
        elif not asked.is_measured:
            asked.run()


def plan(design: Design, where: Where, settings: Settings, _: Sequence[str] = ()) -> list[str]:
    """What would be done, and what it costs."""
    asked = comparisons(design, where, settings)
    left = [one.scale.budget.samples_seen for one in asked for run in one.plan() if not run.is_measured]
    at_once = settings.at_once or local.cores()
    minutes = sum(left) / (_SAMPLES_PER_S * at_once * 60)
    lines = [f"{len(left)} runs to do, {sum(left):,} samples seen in all, {at_once} at a time: about {minutes:.0f} minutes of training"]
    made = (asked[0].pool / "pool.json").is_file()
    lines.append(f"{'done ' if made else 'to do'}  pool of {design.pool_samples:,} generated samples -> {asked[0].pool}")
    if design.score == NETWORK:
        scored = (_scores(where) / scores.RECORD).is_file()
        lines.append(f"{'done ' if scored else 'to do'}  scores of the pool by a filter network, which is trained first -> {_scores(where)}")
    return lines + [one.told() for one in asked]


def read(design: Design, settings: Settings, record: Path) -> list[Row]:
    """The rows of a record that are of the design and of today's recipe and suite: buckets before unions, the best first.

    Raises StageError where they are of pools that differ.
    """
    scale, suite = scales.load(settings.scale), suites.load(settings.suite)
    fitted = whole_batches(scale, design.budgets)
    asked = {one.name: one for one in (budgeted(scale, seen) for seen in whole_batches(scale, (*design.budgets, *design.unseen)))}
    held = [row for row in compared.read(record).values() if row.scale in asked and row.about.suite_sha256 == suite.digest()]
    held = [row for row in held if row.about.recipe_sha256 == asked[row.scale].digest()]
    order = [_pool(part, design) for parts in _parts(design) for part in parts]
    held = [row for row in held if row.arm.removeprefix(_HALF) in order]
    if len({row.about.pool_content_sha256 for row in held}) > 1:
        raise StageError(f"{record} has rows of pools that differ", repair="run the study again: what is of an older pool is replaced")
    found = []
    for row in held:
        seen, error = asked[row.scale].budget.samples_seen, 1 - averages.aggregate(suite, suite.counting, [row.tasks]).value
        pool = row.arm.removeprefix(_HALF)
        found.append(Row(pool, row.samples, seen, row.seed, error, JOINED not in pool and seen in fitted, pool != row.arm))
    return sorted(found, key=lambda row: (order.index(row.pool), row.is_half, row.seen, row.seed))


def budgeted(scale: Scale, seen: int) -> Scale:
    """The scale with another budget and a name that says which, for a record of runs at several."""
    batch = scale.budget.global_batch_samples
    changed = scales.changed(scale, {"budget.steps": str(seen // batch), "budget.checkpoints": "1"})
    return changed.model_copy(update={"name": f"{scale.name}, {seen} samples seen"})


def _parts(design: Design) -> tuple[list[Part], list[Part]]:
    """What is trained on: buckets alone and together, the best first."""
    return [Part(place, place + 1) for place in range(design.best)], [Part(0, count) for count in design.unions]


def _pool(part: Part, design: Design) -> str:
    """The buckets of a part, joined as laws name a union."""
    return JOINED.join(Part(place, place + 1).name(design.buckets) for place in range(part.first, part.end))


def _write(design: Design, ranked: Callable[[], dict[str, Option]], pool: Path, part: Part, filters: str, path: Path) -> None:
    """Write the list of a part, by filters of which one ranks."""
    band: dict[str, Option] = {"fraction": part.end / design.buckets, "skip_fraction": part.first / design.buckets, "exact_count": True}
    apply(filters, ranked() | band, artifacts.read(pool), path)


def _ranked(design: Design, where: Where, settings: Settings, pool: Path) -> dict[str, Option]:
    """What a pool is ranked by, as the filter `score` is told it."""
    if design.score != NETWORK:
        return {"score": design.score}
    out = where.out / "networks"
    recipe = filter_recipe.load(filter_networks.RECIPE)
    networks = Networks(out, out / filter_networks.FILE, suites.load(settings.suite), recipe, workers=settings.at_once)
    return {"scores": str(networks.scored(pool, _scores(where), share=0.0).path)}


def _scores(where: Where) -> Path:
    return where.out / "scores"


def study(design: Design = Design(), settings: Settings = Settings()) -> Study[Row]:  # noqa: B008 - tuples, which nobody changes
    """The measurement of a design; the settings are those that rows are read by."""
    return Study(
        name=NAME,
        says="laws of single buckets, held against unions and a larger budget",
        command="datacomp reproduce qqt --out build/reproduced",
        minutes={"all": 65.0},
        claims=scaling_evidence.CLAIMS,
        plan=partial(plan, design),
        run=partial(run, design),
        read=partial(read, design, settings),
        table=scaling_page.table,
        seeds=lambda rows, _arms: ", ".join(map(str, scaling_evidence.seeds(rows))),
        pages=scaling_page.pages,
    )
