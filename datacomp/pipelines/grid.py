"""A grid of small runs for scaling laws: which parts of a pool are trained on, for how long, by which runs, and what that costs.

A pool is cut by the rank of a score into buckets of equal size; each is trained on alone. Where a run's checkpoints fall on shorter budgets, these need
no runs of their own; but a checkpoint in the middle of a schedule has a higher error than a run that ends there, and its points say so.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from datacomp.declared import scale as scales
from datacomp.declared.scale import Scale
from datacomp.declared.suite import Suite
from datacomp.errors import StageError
from datacomp.pipelines.estimate import estimate
from datacomp.records import Count, Digest, Line, Record
from datacomp.train import budget, cost

RECORD = "plan.json"
_MOST_CHECKPOINTS = 64  # of one run
_MOST_BUCKETS = 100


class Plan(Record):
    """What is measured, written first. Budgets are samples seen, whole batches."""

    scale: Line
    recipe_sha256: Digest
    suite: Line
    suite_sha256: Digest
    pool_uids_sha256: Digest | Literal[""]  # empty where the pool does not say
    score: dict[Line, Line]  # options of the filter that ranks
    buckets: Count
    budgets: tuple[Count, ...]  # whose errors are fitted
    check_budgets: tuple[Count, ...]  # whose errors are only compared with what is predicted
    check_unions: tuple[Count, ...]  # so many of the best buckets together, only compared as well
    seeds: tuple[Count, ...]
    share: bool  # whether checkpoints serve


class Part(NamedTuple):
    """Buckets from one place in the order of scores to another."""

    first: int
    end: int

    def name(self, buckets: int) -> str:
        """Its ranks in percent of the pool, as 0-10."""
        return f"{100 * self.first / buckets:.4g}-{100 * self.end / buckets:.4g}"


class Training(NamedTuple):
    """One run."""

    part: str
    steps: int
    checkpoints: int
    served: tuple[int, ...]  # after so many steps it is evaluated
    seed: int

    @property
    def name(self) -> str:
        """Its folder below that of all runs."""
        return f"{self.part}/s{self.steps}-seed{self.seed}"

    @property
    def changes(self) -> dict[str, str]:
        """To the scale's recipe."""
        return {"budget.steps": str(self.steps), "budget.checkpoints": str(self.checkpoints)}


class Cost(NamedTuple):
    """What a grid takes."""

    trainings: int
    evaluations: int
    samples_seen: int
    apart_samples_seen: int  # had each budget a run of its own
    device_hours: float | None  # None where only a measurement tells them
    source: str  # of the speed
    evaluation_hours: float | None  # as published for ViT-B/32 on a GPU, where that is known
    shards_samples: int
    shards_bytes: int | None  # None for a generated pool's, which take little
    checkpoint_bytes: int


def whole_batches(scale: Scale, budgets: Sequence[float]) -> tuple[int, ...]:
    """Budgets as whole batches, the smallest first. Raises StageError for one that a run of this recipe cannot have."""
    batch, warmup = scale.budget.global_batch_samples, scale.optimizer.warmup_steps
    steps = sorted({round(seen / batch) for seen in budgets})
    if steps and steps[0] <= warmup:
        raise StageError(
            f"a budget of {min(budgets):,.0f} samples seen is {steps[0]:,} steps",
            allowed=f"more than the {warmup:,} steps of {batch:,} samples in which the learning rate rises",
        )
    return tuple(step * batch for step in steps)


def check(plan: Plan) -> None:
    """Raise StageError for a plan that no law could be fitted to."""
    if not 1 <= plan.buckets <= _MOST_BUCKETS:
        raise StageError(f"{plan.buckets} buckets were asked for", allowed=f"1 to {_MOST_BUCKETS}")
    points, parameters = plan.buckets * len(plan.budgets) * len(plan.seeds), 2 * plan.buckets + 2
    if len(plan.budgets) < 3 or points <= parameters:
        raise StageError(
            f"{len(plan.budgets)} budgets give {points} points for {parameters} parameters",
            allowed="three budgets or more, so that a half-life can be told from a utility, and more points than parameters",
            repair="add to --budgets",
        )
    if both := set(plan.budgets) & set(plan.check_budgets):
        raise StageError(f"the budget of {min(both):,} samples seen is both fitted and checked", repair="name it once")
    if bad := [count for count in plan.check_unions if not 2 <= count <= plan.buckets]:
        raise StageError(f"a union of {bad[0]} buckets is to be checked", allowed=f"2 to {plan.buckets} of the best buckets")
    if repeated := [seed for seed in plan.seeds if plan.seeds.count(seed) > 1]:
        raise StageError(f"seed {repeated[0]} came twice")


def parts(plan: Plan) -> dict[str, Part]:
    """What is trained on, by name: the buckets, the best first, then unions."""
    found = [*(Part(place, place + 1) for place in range(plan.buckets)), *(Part(0, count) for count in sorted(set(plan.check_unions)))]
    return {part.name(plan.buckets): part for part in found}


def buckets(plan: Plan) -> list[str]:
    """The names of the buckets, the best first."""
    return [Part(place, place + 1).name(plan.buckets) for place in range(plan.buckets)]


def trainings(plan: Plan, scale: Scale) -> list[Training]:
    """All runs, those of one part together."""
    batch = scale.budget.global_batch_samples
    steps = [seen // batch for seen in (*plan.budgets, *plan.check_budgets)]
    courses = _shared(scale, steps) if plan.share else [(step, 1, (step,)) for step in sorted(steps, reverse=True)]
    return [Training(part, *course, seed) for part in parts(plan) for course in courses for seed in plan.seeds]


def _shared(scale: Scale, steps: Sequence[int]) -> list[tuple[int, int, tuple[int, ...]]]:
    """Runs whose evenly spaced checkpoints reach all numbers of steps: length, checkpoints, and which of the numbers it serves; the longest first."""
    found, left = [], sorted(steps)
    while left:
        longest = left[-1]
        reached = {
            count: tuple(step for step in left if step in budget.checkpoint_steps(_budget(scale, longest, count)))
            for count in range(1, min(_MOST_CHECKPOINTS, longest) + 1)
        }
        count = max(reached, key=lambda count: (len(reached[count]), -count))
        found.append((longest, count, reached[count]))
        left = [step for step in left if step not in reached[count]]
    return found


def _budget(scale: Scale, steps: int, checkpoints: int) -> scales.Budget:
    batch = scale.budget.global_batch_samples
    return scales.Budget(steps=steps, global_batch_samples=batch, samples_seen=steps * batch, checkpoints=checkpoints)


def price(plan: Plan, scale: Scale, suite: Suite, pool_samples: int, *, card: str, samples_per_s: float | None = None) -> Cost:
    """What all runs take on one device, at a speed that is given or guessed from a card's peak."""
    listed = sum((part.end - part.first) * pool_samples // plan.buckets for part in parts(plan).values())
    one = estimate(scale, devices=1, card=card, list_samples=listed)
    speed = samples_per_s or (one.speed.samples_per_s if one.speed else None)
    runs, batch = trainings(plan, scale), scale.budget.global_batch_samples
    evaluations = sum(len(run.served) for run in runs)
    seconds = [task.upstream_seconds for task in suite.tasks]
    seen = sum(run.steps for run in runs) * batch
    parameters = cost.cost(scale).parameters
    return Cost(
        trainings=len(runs),
        evaluations=evaluations,
        samples_seen=seen,
        apart_samples_seen=sum(sum(run.served) for run in runs) * batch,
        device_hours=None if speed is None else seen / speed / 3600,
        source="as given" if samples_per_s else one.speed.source if one.speed else "",
        evaluation_hours=None if None in seconds else evaluations * sum(each or 0.0 for each in seconds) / 3600,
        shards_samples=listed,
        shards_bytes=one.shards_bytes if one.pool else None,
        checkpoint_bytes=sum(cost.checkpoint_bytes(scales.changed(scale, run.changes), parameters) for run in runs),
    )
