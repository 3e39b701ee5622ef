"""What a pull request proposes for the board: new entries are checked, what is there already is not touched. Only files are read, nothing of them is run."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from datacomp import digest
from datacomp.artifacts.entry import Entry
from datacomp.board import rank, repeats, verify
from datacomp.board.verify import Beside, Check
from datacomp.errors import DatacompError, StageError

_ALLOWED = "allowed are files TRACK/SCALE/NAME.json of letters, digits, dots, underscores and hyphens"


class Reviewed(NamedTuple):
    """One file that was added, changed or removed."""

    name: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether it may be merged."""
        return not any(check.problem for check in self.checks)


def review(proposed: Path, base: Path) -> tuple[Reviewed, ...]:
    """Compare two folders of entries: every file that `base` lacks must be an entry that holds, in its place, and repeat none.

    Raises StageError where one of them is no folder.
    """
    for folder in (proposed, base):
        if not folder.is_dir():
            raise StageError(f"there is no folder {folder}", repair="name the folders of entries as proposed and as they are")
    before, after = (dict(_files(folder)) for folder in (base, proposed))
    earlier = repeats.read(base, base)
    found = [Reviewed(name, (Check("an entry is never removed", "a correction is a new entry"),)) for name in sorted(set(before) - set(after))]
    for name, path in sorted(after.items()):
        if name in before:
            found += [] if _same(path, before[name]) else [Reviewed(name, (Check("an entry is never edited", "a correction is a new entry"),))]
            continue
        entry, reviewed = _new(name, path, earlier)
        found.append(reviewed)
        earlier |= {name: entry} if entry else {}
    return tuple(found)


def report(found: tuple[Reviewed, ...]) -> str:
    """The review as a comment in Markdown. Words of strangers stand in a block of code, which no line of theirs can end."""
    lines = [line for one in found for line in _lines(one)] or ["nothing was proposed"]
    verdict = "Every proposed entry holds." if all(one.holds for one in found) else "Some of what is proposed does not hold."
    text = "\n".join("".join(character if character.isprintable() else "?" for character in line)[:500] for line in lines)
    return f"{verdict}\n\n~~~text\n{text[:50_000]}\n~~~\n"


def _lines(one: Reviewed) -> Iterator[str]:
    yield f"file  {one.name}"
    for check in one.checks:
        yield f"{'FAIL' if check.problem else 'pass'}  {check.name}{': ' + check.problem if check.problem else ''}"
    for note in one.notes:
        yield f"note  {note}"


def _new(name: str, path: Path, earlier: dict[str, Entry]) -> tuple[Entry | None, Reviewed]:
    if not rank.PLAIN_NAME.fullmatch(name) or path.is_symlink():
        return None, Reviewed(
            name, (Check("it is an entry's file", "allowed are files TRACK/SCALE/NAME.json of letters, digits, dots, underscores and hyphens"),)
        )
    try:
        entry, checks, _ = verify.verify(path, Beside(earlier=earlier))
    except DatacompError as error:
        return None, Reviewed(name, (Check("it is an entry", str(error).replace(str(path), name)),))
    place = f"{entry.track}/{entry.scale}/{path.name}"
    checks.append(Check("its place is that of its track and scale", "" if name == place else f"it belongs at {place}"))
    checks.append(Check("its scale has a board", f"scale {entry.scale} is for tests only" if "for tests only" in entry.marks else ""))
    notes = tuple(f"{other} is of the same list" for other in repeats.same_list(entry, earlier))
    return entry, Reviewed(name, tuple(checks), notes)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for place, below, names in os.walk(folder):
        linked = [name for name in below if (Path(place) / name).is_symlink()]
        for name in (*names, *linked):
            if name != ".gitkeep":
                yield (Path(place) / name).relative_to(folder).as_posix(), Path(place) / name


def _same(first: Path, second: Path) -> bool:
    return not first.is_symlink() and first.is_file() and digest.of_file(first) == digest.of_file(second)
