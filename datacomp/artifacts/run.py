"""A training run on disk: checkpoints, log.jsonl (clock and speed), and run.json, written last, which holds no clock."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from datacomp import digest
from datacomp.artifacts.shards import Reachable
from datacomp.artifacts.subset import SubsetRecord
from datacomp.declared import scale as scales
from datacomp.declared.scale import Scale
from datacomp.errors import StageError
from datacomp.records import Count, Digest, Line, Record

REHEARSAL: Final = "rehearsal"
Division = Literal["closed", "open", "rehearsal"]  # a rehearsal takes some steps and is no entry

RECORD = "run.json"
WEIGHTS = "model.safetensors"


class Source(Record):
    """One set of training shards and how often it is drawn from."""

    name: Line
    weight: float  # share of the drawn samples, relative to the other sources' weights
    samples: Count
    shards_sha256: Digest
    subset: SubsetRecord
    pool: Line
    pool_uids_sha256: Digest | Literal[""]
    effective_pool: Reachable
    missing_samples: dict[Line, Count]


class Code(Record):
    """The program: its version and the digest of its files."""

    version: Line
    sha256: Digest


class Inputs(Record):
    """What a run is a function of, written first: a restart with other inputs is refused."""

    scale: Line
    recipe_sha256: Digest
    division: Division
    seed: int
    sources: tuple[Source, ...]
    changes: dict[Line, Line] = {}  # noqa: RUF012 - pydantic copies defaults; to the scale's recipe, in the open division
    rehearsed_steps: Count = 0  # of the recipe's, in a rehearsal
    initial_sha256: Digest | Literal[""] = ""  # of the weights that it began with, in the open division; by default fresh ones

    def recipe(self) -> Scale:
        """The recipe that was followed, if the scale still is what it was."""
        recipe = scales.changed(scales.load(self.scale), self.changes)
        self.check(recipe)
        return recipe

    def check(self, recipe: Scale) -> None:
        """Raise StageError for another recipe than that which was followed."""
        if recipe.digest() != self.recipe_sha256:
            raise StageError(f"the run was trained by another recipe than today's {self.scale}", repair="use the version of datacomp that trained it")


class Checkpoint(Record):
    """Weights after some steps."""

    step: Count
    samples_seen: Count
    sha256: Digest


class RunRecord(Record):
    """A finished run."""

    inputs: Inputs
    samples_seen: Count
    corrupt_samples: Count
    checkpoints: tuple[Checkpoint, ...]
    code: Code
    packages: dict[Line, Line]
    device: Line
    threads: Count
    processes: Count = 1


@dataclass(frozen=True, slots=True)
class Run:
    """The folder of a finished run."""

    path: Path
    record: RunRecord
    digest: str

    def weights(self) -> Path:
        """The last checkpoint's tensors."""
        return weights_path(self.path, self.record.checkpoints[-1].step)


LAST, ALL = "last", "all"


def checkpoints(run: Run, wish: str) -> tuple[Checkpoint, ...]:
    """The checkpoints that somebody asks for: the last one, that after so many steps, or all of them, the earliest first."""
    kept = run.record.checkpoints
    if wish in (LAST, ALL):
        return kept if wish == ALL else kept[-1:]
    found = tuple(checkpoint for checkpoint in kept if str(checkpoint.step) == wish)
    if not found:
        steps = ", ".join(str(checkpoint.step) for checkpoint in kept)
        raise StageError(f"{run.path} has no checkpoint {wish!r}", allowed=f"{LAST}, {ALL}, or a number of steps: {steps}")
    return found


def weights_path(run: Path, step: int) -> Path:
    """Where the tensors of one checkpoint lie."""
    return run / "checkpoints" / f"step_{step:08d}" / WEIGHTS


def read_record(path: Path) -> Run:
    """Open a finished run whose weights need not be here."""
    if not (path / RECORD).is_file():
        raise StageError(
            f"{path} holds no finished run: {RECORD} is missing", repair="start the same datacomp train command again; it goes on where it stopped"
        )
    return Run(path, RunRecord.read(path / RECORD), digest.of_file(path / RECORD))


def read(path: Path) -> Run:
    """Open a finished run whose last weights are those of its record."""
    run = read_record(path)
    if not run.weights().is_file():
        raise StageError(f"{path} lacks {run.weights().relative_to(path)}", repair="train again")
    if digest.of_file(run.weights()) != run.record.checkpoints[-1].sha256:
        raise StageError(f"{run.weights()} is not the checkpoint that {RECORD} names", repair="restore the file, or train again")
    return run
