"""Writing datacomp.toml: what a user would have to find out about a site, as far as sinfo tells it."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from datacomp import files
from datacomp.errors import StageError
from datacomp.launch import queue
from datacomp.launch.profile import HERE, SETTINGS, Settings
from datacomp.launch.queue import Partition

_LOCAL = f"""
[profiles.{HERE}]
where = "here"
"""

_SLURM = """
# partitions that sinfo shows: {seen}
[profiles.{name}]
where = "slurm"
partition = "{partition}"
account = ""                # what sbatch --account would get; sacctmgr show associations user=$USER lists yours
qos = ""
constraint = ""
time_min = {time}             # of a job; what is not done by then goes on in the next start
tries = 3                   # a job that fails so often is given up; time-outs, preemptions and lost nodes do not count
modules = []                # as ["cuda/12.4"]
environment = {{}}            # as {{ NCCL_DEBUG = "WARN" }}
setup = []                  # further lines of the script, before the command
container = ""              # what stands before python, as "apptainer exec --nv image.sif"
sbatch = {{}}                 # any further option, as {{ mail-type = "END" }}
array_tasks = 64            # into so many tasks filters, scores and reshardings are cut, at most
array_parallel = 16         # of these at once, at most

[profiles.{name}.train]     # any of the lines above, for this kind of job
nodes = 1
gpus_per_node = {gpus}
gpu_type = "{gpu_type}"
gpus_by = "gpus-per-node"   # or "gres", or "gpus-per-task": what the site understands
cpus_per_task = {train_cpus}

[profiles.{name}.evaluate]
gpus_per_node = {evaluate_gpus}
cpus_per_task = {train_cpus}

[profiles.{name}.reshard]
cpus_per_task = {cpus}

[profiles.{name}.array]
cpus_per_task = {array_cpus}
"""


def write(values: Mapping[str, str], name: str, *, overwrite: bool = False) -> tuple[Path, list[Partition]]:
    """Write datacomp.toml with these values and, where there is Slurm, a profile called `name` that is then the one in use.

    Raises StageError where the file is there, unless it is to be overwritten.
    """
    if SETTINGS.exists() and not overwrite:
        raise StageError(f"{SETTINGS} is there already", repair="edit it, or give --overwrite")
    partitions = queue.partitions()
    chosen = name if partitions else HERE
    text = "# What datacomp's commands use where nothing else is said.\n"
    for key, value in values.items():
        text += f'{key} = "{value}"\n' if value else f'# {key} = "…"\n'
    text += f'jobs = "build/jobs"        # scripts, logs and copies of the code; on a disk that all nodes see\nprofile = "{chosen}"\n{_LOCAL}'
    if partitions:
        text += _slurm(name, partitions)
    Settings.parse(json.dumps(tomllib.loads(text)), "what was asked for")
    files.write_text(SETTINGS, text)
    return SETTINGS, partitions


def _slurm(name: str, partitions: Sequence[Partition]) -> str:
    best = max(partitions, key=lambda partition: (partition.gpus, partition.is_default))
    per_gpu = max(1, best.cpus // max(1, best.gpus))
    return _SLURM.format(
        name=name,
        seen="; ".join(
            f"{found.name} ({found.nodes} nodes of {found.cpus} cores, {found.memory_gb} GB, {found.gpus} GPUs {found.gpu_type}, limit {found.time_limit})"
            for found in partitions
        ),
        partition=best.name,
        time=_minutes(best.time_limit),
        gpus=best.gpus,
        gpu_type=best.gpu_type,
        evaluate_gpus=min(1, best.gpus),
        train_cpus=per_gpu,
        cpus=best.cpus,
        array_cpus=min(4, best.cpus),
    )


def _minutes(limit: str) -> int:
    """Of a time limit as sinfo shows it, [[days-]hours:]minutes:seconds; a day where it is longer, or where there is none."""
    found = re.fullmatch(r"(?:(?:(\d+)-)?(\d+):)?(\d+):\d+", limit)
    days, hours, minutes = (int(number or 0) for number in found.groups()) if found else (1, 0, 0)
    return min(1440, days * 1440 + hours * 60 + minutes)
