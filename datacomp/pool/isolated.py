"""img2dataset's own environment, made once in the cache: its pins conflict with ours."""

import subprocess
import sys
from pathlib import Path

from datacomp import digest, files, progress
from datacomp.declared import asset
from datacomp.errors import AssetError

REQUIREMENTS = Path(__file__).with_name("img2dataset.txt")
_DRIVER = Path(__file__).with_name("driver.py")
_READY = "complete"  # written last
_SIZE_MB = 820


def folder() -> Path:
    """Where the environment lies: another one for other requirements or another Python."""
    stamp = digest.of_content({"requirements": digest.of_file(REQUIREMENTS), "python": sys.version})
    return asset.cache_folder() / "img2dataset" / stamp[:16]


def command() -> tuple[str, ...]:
    """What runs img2dataset; the path of a job is added."""
    return str(python()), "-I", str(_DRIVER)


def version() -> str:
    """img2dataset with its version, as it is pinned."""
    return next(line.split()[0] for line in REQUIREMENTS.read_text().splitlines() if line.startswith("img2dataset=="))


def python() -> Path:
    """The interpreter that has img2dataset; its environment is made now if there is none.

    Raises AssetError that says how to make it by hand.
    """
    place = folder()
    environment = place / "venv"
    interpreter = environment / "bin" / "python"
    if (place / _READY).is_file():
        return interpreter
    with files.writing(place, wait=True):
        if not (place / _READY).is_file():  # another process may have made it meanwhile
            progress.say(f"Making img2dataset's own environment in {place}: a minute or two, {_SIZE_MB} MB, once")
            _run([sys.executable, "-m", "venv", "--clear", str(environment)], place)
            _run([str(interpreter), *_INSTALL, str(REQUIREMENTS)], place)
            files.write_text(place / _READY, "")
    return interpreter


_INSTALL = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--requirement")


def _run(command: list[str], place: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.startswith("ERROR")] or ["no message"]
        raise AssetError(
            f"img2dataset's own environment cannot be made: {said[-1]}",
            repair=f"connect to the network and start again, or by hand: {sys.executable} -m venv {place / 'venv'} && "
            f"{place / 'venv'}/bin/pip install --require-hashes -r {REQUIREMENTS} && touch {place / _READY}",
        )
