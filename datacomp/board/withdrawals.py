"""Records beside entries that take them off the tables."""

from pathlib import Path

from datacomp.artifacts.entry import WITHDRAWAL, Withdrawal
from datacomp.errors import DatacompError

IRREGULAR = "it is no regular file"  # a link could lead anywhere, also to something without an end


def read(folder: Path) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Why entries were withdrawn, by the digests of their files; and the withdrawals that are none."""
    found, broken = {}, []
    for path in sorted(folder.rglob(f"*{WITHDRAWAL}")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file():
            broken.append((name, IRREGULAR))
            continue
        try:
            record = Withdrawal.read(path)
        except DatacompError as error:
            broken.append((name, str(error).replace(str(path), name)))
        else:
            found[record.entry_sha256] = f"withdrawn: {record.reason}" + (f"; replaced by {record.replaced_by}" if record.replaced_by else "")
    return found, broken
