"""Slurm's own commands, each with an end in time, and what they say in words."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from datacomp.errors import StageError
from datacomp.launch.profile import SETTINGS

PATIENCE_S = 60.0  # with one command
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD", "CONFIGURING")
RUNNING = ("RUNNING", "COMPLETING", "SIGNALING", "STAGE_OUT", "SUSPENDED", "STOPPED", "RESIZING")

_REASONS = {
    "None": "about to be looked at by the scheduler",
    "Priority": "jobs with a higher priority come first",
    "Resources": "the nodes that it needs are busy",
    "Dependency": "waits for the job before it",
    "DependencyNeverSatisfied": "the job before it failed",
    "BeginTime": "was started again and waits a moment",
    "JobHeldUser": "is held by its user; release it with: scontrol release ID",
    "JobHeldAdmin": "is held by an administrator",
    "JobArrayTaskLimit": "as many tasks run as array_parallel of the profile lets run",
    "PartitionTimeLimit": f"asks for more time than its partition gives: lower time_min in {SETTINGS}",
    "PartitionNodeLimit": f"asks for more nodes than its partition gives: lower nodes in {SETTINGS}",
    "PartitionDown": "its partition is down",
    "PartitionInactive": "its partition takes no jobs now",
    "ReqNodeNotAvail": "a node that it asks for is down or reserved",
    "NodeDown": "a node that it needs is down",
    "BadConstraints": f"no node has what constraint asks for: look at it in {SETTINGS}",
    "InvalidAccount": f"its account may not be used: look at account in {SETTINGS}",
    "InvalidQOS": f"its QOS may not be used: look at qos in {SETTINGS}",
    "launch_failed_requeued_held": "could not be started on its node and is held; release it with: scontrol release ID",
}
_ENDS = {
    "TIMEOUT": "its time was over",
    "OUT_OF_MEMORY": f"it needed more memory than mem_gb in {SETTINGS} gives",
    "NODE_FAIL": "its node failed",
    "CANCELLED": "was cancelled",
    "PREEMPTED": "gave way to a more urgent job",
    "BOOT_FAIL": "its node could not be started",
    "DEADLINE": "could not end before its deadline",
    "FAILED": "failed",
}


class State(NamedTuple):
    """What Slurm says of a job."""

    name: str  # RUNNING, PENDING, …
    reason: str = ""
    starts: str = ""  # when it is expected to
    nodes: str = ""

    @property
    def is_over(self) -> bool:
        """Whether it will not run any more."""
        return self.name not in WAITING + RUNNING

    def words(self) -> str:
        """Why it waits, or how it ended."""
        if self.name in RUNNING:
            return f"on {self.nodes}" if self.nodes else ""
        if not self.is_over:
            known = _REASONS.get(self.reason) or next((text for name, text in _REASONS.items() if self.reason.startswith(name)), "")
            limited = "a limit of your account or QOS is reached" if re.match(r"(QOS|Assoc|Max)", self.reason) else f"Slurm says {self.reason or self.name}"
            return (known or limited) + (f"; expected to start {self.starts}" if self.starts else "")
        return _ENDS.get(self.name, "" if self.name == "COMPLETED" else f"Slurm says {self.name}")


def is_here() -> bool:
    """Whether this machine has Slurm's commands."""
    return shutil.which("sbatch") is not None


def states(ids: Iterable[str]) -> dict[str, State]:
    """What Slurm says of some jobs; an array's tasks are called ID_NUMBER. What it has forgotten is not there.

    Accounting is asked only for jobs that the queue no longer knows, and may be missing.
    """
    wanted = sorted({job.partition("_")[0] for job in ids})
    if not wanted:
        return {}
    found = {}
    for line in _lines("squeue", "--array", "--all", "--states=all", "--noheader", "--format=%i|%T|%r|%S|%N", f"--jobs={','.join(wanted)}"):
        job, name, reason, starts, nodes = line.split("|", 4)
        found[job] = State(name, reason, "" if starts == "N/A" else starts.replace("T", " "), nodes)
    known = {job.partition("_")[0] for job in found}
    if forgotten := [job for job in wanted if job not in known]:
        for line in _lines("sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State,NodeList", f"--jobs={','.join(forgotten)}"):
            job, name, nodes = line.split("|", 2)
            found[job] = State(name.partition(" ")[0], nodes=nodes)
    return found


def _run(command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)  # noqa: S603 - Slurm's commands, and no shell


def _lines(*command: str) -> list[str]:
    """What a command prints, nothing where it fails: an old job is unknown, accounting may be off, a busy controller is asked again later."""
    try:
        done = _run(command)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []


def cancel(ids: Iterable[str]) -> None:
    """End jobs. Raises StageError where Slurm does not take it."""
    if wanted := sorted({job.partition("_")[0] for job in ids}):
        ask("scancel", *wanted)


def ask(*command: str) -> str:
    """What one of Slurm's commands says. Raises StageError with the reason and what to change, and for one that does not answer in time."""
    try:
        done = _run(command)
    except FileNotFoundError:
        raise StageError(f"{command[0]} is not on this machine", repair="start the command where jobs are submitted, or choose --profile here") from None
    except subprocess.TimeoutExpired:
        raise StageError(
            f"{command[0]} did not answer within {PATIENCE_S:g} s", repair="look whether Slurm is well with: scontrol ping; then start again"
        ) from None
    if done.returncode:
        raise refused(done.stderr)
    return f"{done.stdout}\n{done.stderr}".strip()


def refused(said: str) -> StageError:
    """A refusal of sbatch in words: what it said, and which line of datacomp.toml is concerned."""
    text = said.strip().splitlines()[-1] if said.strip() else "nothing"
    what = re.sub(r"^(sbatch|scancel|squeue|sinfo|srun): (error: )?", "", text).removeprefix("Batch job submission failed: ")
    lower = said.lower()
    if "partition" in lower and "account" not in lower and "time" not in lower and "limit" not in lower:
        names = ", ".join(dict.fromkeys(partition.name for partition in partitions()))
        return StageError(f"Slurm refused the job: {what}", allowed=f"partition = one of: {names}", repair=f"correct partition in {SETTINGS}")
    for words, name in _REFUSALS.items():
        if any(word in lower for word in words):
            return StageError(f"Slurm refused the job: {what}", repair=name)
    return StageError(f"Slurm refused: {what}", repair=f"look at the profile in {SETTINGS}; --dry-run prints the script")


_REFUSALS = {
    ("unable to contact", "connection refused", "timed out", "communication"): "Slurm's controller does not answer; look with scontrol ping, and start again",
    ("temporarily unable", "resource temporarily", "queue is full", "maxjobcount"): "the cluster's queue is full; start the same command again later",
    ("submit limit", "qosmax", "assocmax", "assocgrp"): "your account or QOS allows no more, or no larger, jobs now: start again later, or ask for less",
    ("account",): f"correct account in {SETTINGS}; sacctmgr show associations user=$USER says which are yours",
    ("qos",): f"correct qos in {SETTINGS}, or wait until fewer of your jobs are in the queue",
    ("time limit",): f"lower time_min in {SETTINGS}: sinfo -o '%P %l' says what each partition gives",
    (
        "node configuration",
        "more processors",
        "node count",
        "gres",
        "feature",
    ): f"lower nodes, gpus_per_node, cpus_per_task or mem_gb in {SETTINGS}",
    ("dependency",): "the job before it has gone; start the same command again, what is done is skipped",
    ("unrecognized option", "invalid option", "unknown option"): f"correct table sbatch of the profile in {SETTINGS}",
}


class Partition(NamedTuple):
    """A partition as sinfo shows it."""

    name: str
    is_default: bool
    nodes: int
    cpus: int
    memory_gb: int
    gpus: int  # of a node
    gpu_type: str
    time_limit: str


def partitions() -> list[Partition]:
    """The partitions that there are; nothing where sinfo does not answer. Of nodes that differ the smallest counts."""
    found = []
    for line in _lines("sinfo", "--noheader", "--format=%P|%D|%c|%m|%G|%l"):
        name, nodes, cpus, memory, gres, limit = line.split("|", 5)
        gpu = re.search(r"gpu:(?:([A-Za-z][^:,()]*):)?(\d+)", gres)
        numbers = [int(re.sub(r"\D.*", "", text) or 0) for text in (nodes, cpus, memory)]
        found.append(
            Partition(
                name.rstrip("*"),
                name.endswith("*"),
                numbers[0],
                numbers[1],
                numbers[2] // 1024,
                int(gpu[2]) if gpu else 0,
                (gpu[1] or "") if gpu else "",
                limit,
            )
        )
    return found


def when(script: Path) -> str:
    """When the scheduler would start a job. Raises StageError where it would not take it."""
    said = ask("sbatch", "--test-only", str(script))
    found = re.search(r"to start at (\S+) using (\d+) processors on (?:nodes )?(\S+)", said)
    return f"would start {found[1].replace('T', ' ')} on {found[3]}, {found[2]} processors" if found else said
