"""The loss curve of a run, thinned so that an entry can carry it: the steps follow from their number alone, so the same run gives the same curve."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Self

import pydantic

from datacomp.records import Record

MAX_POINTS = 256
FIRST_STEPS = 20  # are all in it: whoever checks an entry takes them again
_SPREAD = 200  # so many points lie evenly over the run
_MAX_STEP = 10**9
_MAX_LOSS = 1e4  # a contrastive loss lies below the logarithm of the batch and twice the largest logit; that is a few hundred

Step = Annotated[int, pydantic.Field(ge=1, le=_MAX_STEP)]
Loss = Annotated[float, pydantic.Field(ge=0, le=_MAX_LOSS)]


class LossCurve(Record):
    """The mean loss over the global batch after some steps, as it was logged."""

    steps: Annotated[tuple[Step, ...], pydantic.Field(min_length=1, max_length=MAX_POINTS)]
    losses: Annotated[tuple[Loss, ...], pydantic.Field(min_length=1, max_length=MAX_POINTS)]

    @pydantic.model_validator(mode="after")
    def _rises(self) -> Self:
        if len(self.steps) != len(self.losses):
            raise ValueError("a loss curve has one loss for each step")
        if any(later <= earlier for earlier, later in pairwise(self.steps)):
            raise ValueError("the steps of a loss curve rise")
        return self


def steps(total: int) -> frozenset[int]:
    """The steps of the curve of a run of so many: the first ones, then evenly to the last. The trainer logs each of them."""
    spread = (round(total * part / _SPREAD) for part in range(1, _SPREAD + 1))
    return frozenset(step for step in (*range(1, FIRST_STEPS + 1), *spread) if 1 <= step <= total)


def of_log(lines: Iterable[tuple[int, float]], total: int) -> LossCurve | None:
    """The curve of a log's steps and losses; None where it has none of the curve's steps, as those of earlier versions may."""
    wanted = steps(total)
    found = {step: loss for step, loss in lines if step in wanted and 0 <= loss <= _MAX_LOSS}
    return LossCurve(steps=tuple(found), losses=tuple(found.values())) if found else None
