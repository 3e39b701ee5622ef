"""Records beside entries that say who held them against their artefacts, or made part of them again."""

from pathlib import Path

import datacomp
from datacomp import digest
from datacomp.artifacts.entry import VERIFICATION, Verification
from datacomp.artifacts.run import Code
from datacomp.board import texts, verify, withdrawals
from datacomp.errors import DatacompError, EntryError

_ORDER = (verify.ARTEFACTS_CHECKED, verify.RERUN)


def record(entry: Path, out: Path, level: str, by: str, again: tuple[tuple[str, ...], int]) -> None:
    """Write down beside an entry what level it reached, by whom, and which tasks and steps were made again.

    Raises EntryError for what reached no level.
    """
    if level not in _ORDER:
        raise EntryError(f"{entry} is {level}", allowed=" or ".join(_ORDER), repair="give every seed's run, and the list: --run RUN, --subset LIST.npy")
    if not out.name.endswith(VERIFICATION):
        raise EntryError(f"{out} is no name of a verification", allowed=f"a name that ends in {VERIFICATION}")
    said: dict[str, object] = {"format": "datacomp-verification/1", "entry_sha256": digest.of_file(entry), "level": level, "verified_by": by}
    said["code"] = Code(version=datacomp.__version__, sha256=digest.of_code())
    if level == verify.RERUN:
        said |= {"tasks": again[0], "steps": again[1]}
    Verification.of(said, "what is said of the verification").write(out)


def read(folder: Path) -> tuple[dict[str, Verification], list[tuple[str, str]]]:
    """The highest level of entries that somebody vouches for, by the digests of their files; and the records that are none."""
    found: dict[str, Verification] = {}
    broken = []
    for path in sorted(folder.rglob(f"*{VERIFICATION}")):
        name = path.relative_to(folder).as_posix()
        try:
            one = _read(path)
        except DatacompError as error:
            broken.append((name, str(error).replace(str(path), name)))
            continue
        known = found.get(one.entry_sha256)
        if known is None or _ORDER.index(one.level) > _ORDER.index(known.level):
            found[one.entry_sha256] = one
    return found, broken


def _read(path: Path) -> Verification:
    if path.is_symlink() or not path.is_file():
        raise EntryError(withdrawals.IRREGULAR)
    found = Verification.read(path)
    if hostile := texts.hidden(found.plain(), "verification"):
        raise EntryError("; ".join(hostile))
    return found
