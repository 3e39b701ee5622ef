"""A real Slurm cluster of two nodes on this machine (tests/slurm), and a folder to submit from."""

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

SCRIPT = Path(__file__).parent / "slurm" / "slurm-lab.sh"
TESTS = Path(__file__).parent
END_S = 240  # of whatever is waited for


@contextmanager
def started():
    """Start a cluster; its folder is what `SLURM_CONF` lies in."""
    folder = Path(tempfile.mkdtemp(prefix="lab"))  # short: sockets lie in it
    port = 17_000 + 32 * (os.getpid() % 90)  # of 32, for each process that tests
    environment = os.environ | {"LAB_NS": "1", "LAB_PORT": str(port)}
    try:
        done = subprocess.run(["bash", SCRIPT, "start", folder, "2", "4", "4"], env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        yield folder
    finally:
        subprocess.run(["bash", SCRIPT, "stop", folder], capture_output=True, timeout=120, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def power(folder, verb, node):
    """Switch a node off or on."""
    subprocess.run(["bash", SCRIPT, verb, folder, node], capture_output=True, timeout=60, check=True)


def profile(**options):
    """A datacomp.toml whose profile `lab` is that cluster; options are TOML lines, `train` a table."""
    tables = {name: value for name, value in options.items() if isinstance(value, dict)}
    plain = {"partition": '"debug"', "cpus_per_task": "1", "time_min": "10", "environment": f'{{ PYTHONPATH = "{TESTS}" }}'}
    lines = [f"{name} = {value}" for name, value in (plain | options).items() if name not in tables]
    text = 'profile = "lab"\n[profiles.lab]\nwhere = "slurm"\n' + "\n".join(lines)
    for name, table in tables.items():
        text += f"\n[profiles.lab.{name}]\n" + "\n".join(f"{key} = {value}" for key, value in table.items())
    return text + "\n"


def until(happened, what):
    """Wait for something, but not for ever."""
    end = time.monotonic() + END_S
    while not (found := happened()):
        assert time.monotonic() < end, f"waited {END_S} s for {what}\n{seen()}"
        time.sleep(0.3)
    return found


def seen():
    """How the cluster looks, for whoever must find out why something did not happen."""
    asked = (["squeue", "--all"], ["sinfo", "--Node", "--format=%N %t %E"], ["scontrol", "show", "job", "-o"])
    parts = [subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout for command in asked]
    log = Path(os.environ["SLURM_CONF"]).parent / "log" / "slurmctld.log"
    return "\n".join([*parts, *log.read_text().splitlines()[-60:]])


def ranks(job):
    """The processes of a job of this cluster by rank."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            said = dict(entry.split("=", 1) for entry in (process / "environ").read_text(errors="replace").split("\0") if "=" in entry)
            command = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        is_ours = said.get("SLURM_CONF") == os.environ["SLURM_CONF"]
        if is_ours and said.get("SLURM_JOB_ID") == job and "SLURM_PROCID" in said and "submitit.core._submit" in command and "srun" not in command:
            found[int(said["SLURM_PROCID"])] = int(process.name)
    return found


def restarts(job):
    """How often Slurm started a job again."""
    said = subprocess.run(["scontrol", "show", "job", "-o", job], capture_output=True, text=True, timeout=60, check=True).stdout
    return int(next(word for word in said.split() if word.startswith("Restarts=")).removeprefix("Restarts="))
