"""Where the three data rooms lie: beside this file in a wheel, around the package in a checkout."""

from functools import cache
from pathlib import Path

from datacomp.errors import RecordError


@cache
def _base() -> Path:
    package = Path(__file__).resolve().parent
    for base in (package / "_rooms", package.parent):
        if (base / "tracks" / "LOCK.toml").is_file():
            return base
    raise RecordError(
        f"the data rooms are not at {package / '_rooms'} nor at {package.parent}",
        allowed="folders tracks/, eval_suite/ and leaderboard/, tracks/ with its LOCK.toml",
        repair="install the package again, or run from a complete checkout",
    )


def tracks() -> Path:
    """Rules, scales, pools, baselines: what participants are promised."""
    return _base() / "tracks"


def eval_suite() -> Path:
    """Tasks, groups and averages: the measuring stick."""
    return _base() / "eval_suite"


def leaderboard() -> Path:
    """Entries and queued lists: what others hand in. Untrusted."""
    return _base() / "leaderboard"
