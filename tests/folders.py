"""What a folder holds, to compare with what another run made."""

import hashlib


def content(folder):
    """The digest of every file below a folder by its name, but for clocks, locks and the indexes kept beside tars, which hold the tars' times."""
    timed = ("*/.lock", "*/log.jsonl", "*/tensorboard/*", "*.index.npz")
    made = (path for path in sorted(folder.rglob("*")) if path.is_file() and not any(path.match(pattern) for pattern in timed))
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in made}
