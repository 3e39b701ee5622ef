"""What runs inside a job: a function with its arguments, called where Slurm started one process or several.

A job may be started more than once: after a time-out, a preemption, the loss of a node, even while its earlier start still runs. So nothing is
carried over but what lies on the disk; a second writer waits for the first; and what a user has to repair is not tried again.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datacomp import digest, files
from datacomp.errors import DatacompError, StageError
from datacomp.launch import local, stopping

_PATIENCE_S = 24 * 3600.0  # for an earlier start of the same job that still runs; the job's own time ends sooner
_PORTS = range(20_000, 40_000)


@dataclass(frozen=True)
class Work:
    """One job's work: `function` is importable, and is called once in each of the job's processes."""

    function: Callable[..., object]
    arguments: dict[str, Any]
    needs: tuple[Path, ...] = ()  # records of the jobs before, which a slow file system may show late

    def __call__(self) -> object:
        """Called in the job; beside its log it leaves why it refused, or that it was stopped and is to go on."""
        stopping.listen()
        folder, job = Path(os.environ["SUBMITIT_FOLDER"]), _own_id(os.environ)
        if os.environ.get("SLURM_PROCID", "0") == "0":
            refusal(folder, job).unlink(missing_ok=True)  # of an earlier start
        files.patience_s = _PATIENCE_S
        os.environ.update(_rendezvous(os.environ))
        try:
            for record in self.needs:
                files.await_file(record)
            return self.function(**self.arguments)
        except DatacompError as error:
            said = {"what": error.what, "allowed": error.allowed, "repair": error.repair}
            files.write_text(refusal(folder, job), digest.canonical(said))
            raise
        except stopping.Stopped:
            stopped(folder, job).touch()
            raise


def answer(function: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Any]:
    """One share of an array's tasks, by all cores of the job; where it has a GPU, by one process."""
    return list(local.run_all(function, tasks, workers=1 if os.environ.get("CUDA_VISIBLE_DEVICES") else None))


def refusal(folder: Path, job: str) -> Path:
    """Where a job leaves why it refused."""
    return folder / f"{job}_refused.json"


def stopped(folder: Path, job: str) -> Path:
    """What a job leaves when it was stopped in time: it did not fail."""
    return folder / f"{job}_stopped"


def refused(folder: Path, job: str) -> StageError | None:
    """Why a job refused, if it did."""
    path = refusal(folder, job)
    if not path.is_file():
        return None
    said = json.loads(path.read_text())
    return StageError(said["what"], allowed=said["allowed"], repair=said["repair"])


def _own_id(environment: "os._Environ[str]") -> str:
    if "SLURM_ARRAY_JOB_ID" in environment:
        return f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"
    return environment["SLURM_JOB_ID"]


def _rendezvous(environment: "os._Environ[str]") -> dict[str, str]:
    """What torch's processes find each other by; nothing for a job of one process. Each start meets at another port than the one before."""
    if int(environment.get("SLURM_NTASKS", 1)) == 1:
        return {}
    meeting = digest.of_content([environment["SLURM_JOB_ID"], environment.get("SLURM_RESTART_COUNT", "0")])
    return {
        "RANK": environment["SLURM_PROCID"],
        "WORLD_SIZE": environment["SLURM_NTASKS"],
        "LOCAL_RANK": environment["SLURM_LOCALID"],
        "LOCAL_WORLD_SIZE": environment["SLURM_NTASKS_PER_NODE"],
        "MASTER_ADDR": environment["SLURM_LAUNCH_NODE_IPADDR"],
        "MASTER_PORT": str(_PORTS[int(meeting[:8], 16) % len(_PORTS)]),
    }
