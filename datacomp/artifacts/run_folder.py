"""Run folders as they lie on a disk, finished or not: inputs, log, record, results. Weights are not read."""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from datacomp.artifacts.results import Results
from datacomp.artifacts.run import RECORD, Inputs, RunRecord
from datacomp.declared import scale as scales
from datacomp.errors import DatacompError, StageError

INPUTS, LOG = "inputs.json", "log.jsonl"


class Logged(NamedTuple):
    """One line of the training log."""

    step: int  # how many were done
    loss: float
    samples_per_s: float  # since the line before
    time: float = 0.0  # in seconds, by the clock


@dataclass(frozen=True, slots=True)
class RunFolder:
    """What a run's folder holds."""

    path: Path
    inputs: Inputs
    record: RunRecord | None  # None until the run is finished
    log: tuple[Logged, ...]
    results: tuple[Results, ...]  # one for each suite, also of another checkpoint

    @property
    def evaluated(self) -> tuple[Results, ...]:
        """The results of the last checkpoint."""
        return tuple(found for found in self.results if self.record and found.weights_sha256 == self.record.checkpoints[-1].sha256)

    @property
    def step(self) -> int:
        """How many steps are done, as far as the log says."""
        return self.record.checkpoints[-1].step if self.record else self.log[-1].step if self.log else 0

    @property
    def steps(self) -> int | None:
        """How many steps there are to be, None for a recipe that is not today's."""
        if self.record:
            return self.step
        try:
            scale = scales.changed(scales.load(self.inputs.scale), self.inputs.changes)
        except DatacompError:
            return None
        return (self.inputs.rehearsed_steps or scale.budget.steps) if scale.digest() == self.inputs.recipe_sha256 else None


def of_seed(out: Path, seed: int) -> Path:
    """Where `datacomp run` trains with a seed, beside the entry."""
    return out / f"seed{seed}"


def find(folder: Path) -> Iterator[Path]:
    """Every run folder at or below a folder, by name; links and hidden folders are not followed.

    Raises StageError where there is no such folder.
    """
    if not folder.is_dir():
        raise StageError(f"there is no folder {folder}", repair="name the folder that runs lie in, as in: datacomp runs list build")
    for place, below, names in os.walk(folder):
        found = INPUTS in names or RECORD in names
        below[:] = [] if found else sorted(name for name in below if not name.startswith("."))
        if found:
            yield Path(place)


def read(path: Path) -> RunFolder:
    """Read what a run's folder holds.

    Raises StageError where there is no run, RecordError where a record is broken.
    """
    record = RunRecord.read(path / RECORD) if (path / RECORD).is_file() else None
    if record is None and not (path / INPUTS).is_file():
        raise StageError(f"{path} holds no run: it has neither {RECORD} nor {INPUTS}", repair="check the path, or find runs with: datacomp runs list")
    inputs = record.inputs if record else Inputs.read(path / INPUTS)
    results = tuple(map(Results.read, sorted((path / "evaluation").glob("*.json"))))
    return RunFolder(path, inputs, record, log(path), results)


def log(run: Path) -> tuple[Logged, ...]:
    """The lines of a run's log that state a step and a loss; of steps that were taken again after a restart the last time counts."""
    path = run / LOG
    lines: list[Logged] = []
    for text in path.read_bytes().splitlines() if path.is_file() else ():
        line = _line(text)
        while line and lines and lines[-1].step >= line.step:
            lines.pop()
        lines += [line] if line else []
    return tuple(lines)


def _line(text: bytes) -> Logged | None:
    """One line; None for another kind of line and for one that a kill cut off."""
    try:
        line: Any = json.loads(text)
        found = Logged(int(line["step"]), float(line["loss"]), float(line.get("samples_per_s", 0.0)), float(line.get("time", 0.0)))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return found if math.isfinite(found.loss) else None
