"""Where work runs: datacomp.toml, with a named profile for each place. Slurm is used only where a profile says so."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from datacomp.errors import StageError
from datacomp.records import Line, Record

SETTINGS = Path("datacomp.toml")
HERE = "here"

Kind = Literal["reshard", "train", "evaluate", "enter", "array"]


class Wish(Record):
    """What one job asks Slurm for. What is empty or 0 is left to the site's own defaults."""

    partition: Line = ""
    account: Line = ""
    qos: Line = ""
    constraint: Line = ""
    nodes: int = 1
    tasks_per_node: int = 0  # processes; by default one a GPU, and one without GPUs
    gpus_per_node: int = 0
    gpu_type: Line = ""
    gpus_by: Literal["gpus-per-node", "gres", "gpus-per-task"] = "gpus-per-node"  # the option that the site understands
    cpus_per_task: int = 0
    mem_gb: float = 0  # of a node
    time_min: int = 60
    warn_s: int = 120  # before the time is over: long enough to finish a step and save
    sbatch: dict[Line, Line] = {}  # noqa: RUF012 - pydantic copies defaults; any further option of sbatch

    @property
    def tasks(self) -> int:
        """Processes on each node."""
        return self.tasks_per_node or max(1, self.gpus_per_node)

    @property
    def processes(self) -> int:
        """Processes of the whole job."""
        return self.nodes * self.tasks


class Profile(Wish):
    """A place to work at, and what each kind of job asks for differently there."""

    where: Literal["here", "slurm"]
    modules: tuple[Line, ...] = ()
    environment: dict[Line, Line] = {}  # noqa: RUF012
    setup: tuple[Line, ...] = ()  # lines of the script before the command
    container: Line = ""  # what stands before python, as: apptainer exec --nv image.sif
    tries: int = 3  # a job that fails so often is given up; one that was preempted, lost its node, or was stopped in time and went on did not fail
    array_tasks: int = 64  # into so many tasks an array's work is cut, at most
    array_parallel: int = 16  # of these run at once, at most
    reshard: dict[Line, Any] = {}  # noqa: RUF012
    train: dict[Line, Any] = {}  # noqa: RUF012
    evaluate: dict[Line, Any] = {}  # noqa: RUF012
    enter: dict[Line, Any] = {}  # noqa: RUF012
    array: dict[Line, Any] = {}  # noqa: RUF012

    def wish(self, kind: Kind) -> Wish:
        """What one kind of job asks for. Raises RecordError that names a key which is no option of a job."""
        common = {name: getattr(self, name) for name in Wish.model_fields}
        own: Mapping[str, Any] = getattr(self, kind)
        return Wish.of(common | dict(own), f"table {kind} of a profile in {SETTINGS}")


class Settings(Record):
    """datacomp.toml: what a command uses where nothing else is said, and the places to work at."""

    pool: Line = ""
    subset: Line = ""
    out: Line = "build"
    scale: Line = ""
    suite: Line = ""
    data: Line = ""
    author: Line = ""
    jobs: Line = "build/jobs"  # scripts, logs and copies of the code; on a disk that all nodes see
    profile: Line = HERE
    profiles: dict[Line, Profile] = {}  # noqa: RUF012


class Place(NamedTuple):
    """Where a command runs, and why there."""

    profile: Profile
    name: str
    why: str
    jobs: Path

    @property
    def is_slurm(self) -> bool:
        """Whether jobs are submitted."""
        return self.profile.where == "slurm"

    def told(self) -> str:
        """One line for who started the command."""
        where = "on Slurm" + (f", partition {self.profile.partition}" if self.profile.partition else "") if self.is_slurm else "on this machine"
        return f"runs {where}: {self.why}"


def settings() -> Settings:
    """What the datacomp.toml of this folder says; the defaults where there is none."""
    return Settings.read(SETTINGS) if SETTINGS.is_file() else Settings()


def choose(name: str = "") -> Place:
    """The place that was asked for by name, else the one that datacomp.toml names, else this machine.

    Raises StageError for a name that datacomp.toml does not know.
    """
    found = settings()
    chosen = name or found.profile
    jobs = Path(found.jobs)
    if chosen in found.profiles:
        why = f"profile {chosen!r}, " + ("as asked for" if name else f"which {SETTINGS} names")
        return Place(found.profiles[chosen], chosen, why, jobs)
    if chosen != HERE:
        raise StageError(
            f"no profile is called {chosen!r}",
            allowed=", ".join(sorted({HERE, *found.profiles})),
            repair=f"write a table [profiles.{chosen}] into {SETTINGS}, or have it written by: datacomp init --profile {chosen}",
        )
    why = "as asked for" if name else f"no profile is chosen in {SETTINGS}" if SETTINGS.is_file() else f"there is no {SETTINGS} here"
    return Place(Profile(where="here"), HERE, why, jobs)


def needed(given: str | None, name: str, *, option: str, example: str) -> str:
    """A value from the command line, else from datacomp.toml. Raises StageError that says where to set it."""
    value: str = given or getattr(settings(), name)
    if not value:
        raise StageError(f"{name} is missing", repair=f'give {option}, or write a line {name} = "{example}" into {SETTINGS} (datacomp init makes one)')
    return value
