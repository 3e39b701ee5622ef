"""Being told to end: by a cluster on which the time is up or somebody more urgent comes. What resumes from the disk ends at once; training ends its step."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGUSR2, signal.SIGTERM)  # the first is what Slurm is asked to send some time before the end


class Stopped(SystemExit):
    """Ended as told, with more done than when it began: no failure."""


_told = False
_finishing = False


def listen() -> None:
    """Take the signals as a request to end; for the main thread of a job."""
    for number in SIGNALS:
        signal.signal(number, _tell)


def _tell(number: int, _frame: FrameType | None) -> None:
    global _told  # noqa: PLW0603 - a signal's handler has nowhere else to leave a word
    _told = True
    sys.stderr.write(f"datacomp: told to end by {signal.Signals(number).name}\n")
    if not _finishing:
        sys.exit(1)


@contextmanager
def finishing() -> Iterator[Callable[[], bool]]:
    """Within the block nothing is interrupted: it asks by itself whether it is to end."""
    global _finishing  # noqa: PLW0603
    _finishing = True
    try:
        yield lambda: _told
    finally:
        _finishing = False


def leave_to_parent(_worker: int = 0) -> None:
    """In a loader process, which inherits the handlers: only its parent is told."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
