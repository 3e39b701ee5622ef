"""From a bare clone to a working environment: look at the machine, then make .venv with the locked packages.

Run as a script by the Makefile, before anything is installed: standard library only, and readable by any Python 3, so that an old one is
told what is wrong instead of stumbling over syntax.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time

PYTHON = (3, 11)
DISK_GB = 12  # the environment takes 7, its downloads 3 while it is made, the demonstration 2
MEMORY_GB = 6
DOWNLOAD_BYTES = 3_000_000_000
INSTALLED_BYTES = 6_700_000_000
ENVIRONMENT = ".venv"
LOCK = "requirements.lock"


def problems(folder: str) -> list[str]:
    """Say what this machine lacks, one line each with the remedy; empty when it has all."""
    found = []
    if sys.version_info < PYTHON:
        found.append("Python %d.%d came, 3.11 or newer is needed: install it and call: make PYTHON=python3.11" % sys.version_info[:2])
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        found.append("Python's venv module is missing: apt-get install python3-venv, or install Python from python.org")
    free = shutil.disk_usage(folder).free / 1e9
    if free < DISK_GB and not is_made(folder):
        found.append("%.0f GB are free in %s, %d are needed: make room, or clone elsewhere" % (free, folder, DISK_GB))
    memory = memory_gb()
    if memory is not None and memory < MEMORY_GB:
        found.append("this machine has %.1f GB of memory, %d are needed: use a larger one" % (memory, MEMORY_GB))
    return found


def memory_gb() -> float | None:
    """The machine's memory, None where it cannot be told."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (ValueError, OSError, AttributeError):
        return None


def stamp(folder: str) -> str:
    """What the environment is made of: it is made anew when this changes."""
    digest = hashlib.sha256(sys.version.encode())
    for name in (LOCK, "pyproject.toml"):
        with open(os.path.join(folder, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def is_made(folder: str) -> bool:
    """Whether the environment is complete and of today's lock."""
    try:
        with open(os.path.join(folder, ENVIRONMENT, "complete")) as file:
            return file.read() == stamp(folder)
    except OSError:
        return False


def make(folder: str) -> None:
    """Make the environment unless it is complete; an unfinished one goes on."""
    if is_made(folder):
        return
    print("Making %s: about %.0f GB to download, %.0f GB on disk." % (ENVIRONMENT, DOWNLOAD_BYTES / 1e9, INSTALLED_BYTES / 1e9), flush=True)
    environment = os.path.join(folder, ENVIRONMENT)
    python = os.path.join(environment, "bin", "python")
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--progress-bar", "off"]
    watched(install + ["--require-hashes", "--requirement", os.path.join(folder, LOCK)], environment)
    subprocess.run(install + ["--no-deps", "--no-build-isolation", "--editable", folder], check=True)
    with open(os.path.join(environment, "complete"), "w") as file:
        file.write(stamp(folder))


def watched(command: list[str], environment: str) -> None:
    """Run pip while showing how much has arrived and how long it may still take; end with pip's own exit code."""
    downloads = os.path.join(environment, "downloads")  # pip's temporary files, beside what it installs
    shutil.rmtree(downloads, ignore_errors=True)
    os.makedirs(downloads)
    started, shown, total = time.time(), -1, DOWNLOAD_BYTES + INSTALLED_BYTES
    process = subprocess.Popen(command, env=dict(os.environ, TMPDIR=downloads))
    most = 0
    while process.poll() is None:
        time.sleep(1)
        most = max(most, size(environment))
        percent = min(99, 100 * most // total)
        if percent >= shown + (1 if sys.stdout.isatty() else 10):
            left = (time.time() - started) * (100 - percent) / max(percent, 1)
            line = "%3d %%  %.1f of about %.1f GB, about %d s left" % (percent, most / 1e9, total / 1e9, left)
            print("\r" + line if sys.stdout.isatty() else line, end="" if sys.stdout.isatty() else "\n", flush=True)
            shown = percent
    shutil.rmtree(downloads, ignore_errors=True)
    if process.returncode:
        print("\npip could not install the locked packages: look at its message above, then call the same command again")
        sys.exit(process.returncode)
    print("\r100 %%  done in %d s%s" % (time.time() - started, " " * 40), flush=True)


def size(folder: str) -> int:
    """The bytes below a folder."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                pass  # pip moved it meanwhile
    return total


def main() -> None:
    """Check, then make."""
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = problems(folder)
    for problem in found:
        print("datacomp: " + problem, file=sys.stderr)
    if found:
        sys.exit(1)
    make(folder)


if __name__ == "__main__":
    main()
