"""Runs in short: what state each is in, and what it reached."""

from pathlib import Path
from typing import Literal

from datacomp.artifacts import run_folder
from datacomp.artifacts.run_folder import RunFolder
from datacomp.board import averages
from datacomp.declared import suite as suites
from datacomp.errors import DatacompError
from datacomp.records import Record


class Listed(Record):
    """One run; of a broken one the problem alone."""

    path: str
    state: Literal["finished", "unfinished", "broken"]
    problem: str = ""
    step: int = 0  # how many are done
    steps: int | None = None  # of how many, None where that is not known
    scale: str = ""
    division: str = ""
    seed: int = 0
    lists: tuple[str, ...] = ()  # the filter of each source's list
    loss: float | None = None  # the last one logged
    averages: dict[str, float | None] = {}  # noqa: RUF012 - pydantic copies defaults; by suite, None where it is another suite today


def below(folder: Path) -> list[Listed]:
    """Every run at or below a folder."""
    return [_listed(path) for path in run_folder.find(folder)]


def _listed(path: Path) -> Listed:
    try:
        found = run_folder.read(path)
    except DatacompError as error:
        return Listed(path=str(path), state="broken", problem=str(error))
    return Listed(
        path=str(path),
        state="finished" if found.record else "unfinished",
        step=found.step,
        steps=found.steps,
        scale=found.inputs.scale,
        division=found.inputs.division,
        seed=found.inputs.seed,
        lists=tuple(source.subset.filter for source in found.inputs.sources),
        loss=found.log[-1].loss if found.log else None,
        averages=means(found),
    )


def means(found: RunFolder) -> dict[str, float | None]:
    """The average under each suite that a run was evaluated on, None where the suite is another today."""
    reached: dict[str, float | None] = {}
    for results in found.evaluated:
        try:
            suite = suites.load(results.suite)
            same = suite.digest() == results.suite_sha256
            reached[results.suite] = averages.aggregates(suite, [results.tasks])[averages.AVERAGE].value if same else None
        except DatacompError:
            reached[results.suite] = None
    return reached
