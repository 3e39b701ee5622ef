"""What a public text must not tell: e-mail addresses, and what this machine and its user are called."""

import getpass
import re
import socket
from collections.abc import Iterable
from pathlib import Path

_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
_TELLS_NOTHING = {"root", "user", "localhost", "ubuntu", "debian", "docker", "runner", "datacomp", "cpu", "cuda", "filtering", "byod", "smoke", "nano", "micro"}
_SHORT = 3  # letters; shorter names stand in any text


def told(text: str, *, meant: Iterable[str] = ()) -> list[str]:
    """What a text tells that it must not, in words that do not repeat it; names that somebody means to be known by are no secret."""
    public = {word for name in meant for word in re.findall(r"[\w.-]+", name)}
    home = str(Path.home())
    names = {"the name of this machine": socket.gethostname(), "your name on this machine": _user()}
    found = ["a path in your home folder"] if home != "/" and home in text else []
    found += ["an e-mail address"] if _ADDRESS.search(text) else []
    return found + [what for what, name in names.items() if name not in public and _is_telling(name) and re.search(rf"\b{re.escape(name)}\b", text)]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in some containers
        return ""


def _is_telling(name: str) -> bool:
    return len(name) >= _SHORT and name not in _TELLS_NOTHING
