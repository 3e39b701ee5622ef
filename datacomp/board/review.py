"""What a pull request proposes for the board: new entries and withdrawals are checked, what is there is not touched. Files are read, nothing of them is run."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from datacomp import digest
from datacomp.artifacts.entry import VERIFICATION, WITHDRAWAL, Entry, Verification, Withdrawal
from datacomp.board import rank, repeats, texts, verify, withdrawals
from datacomp.board.verify import Check
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
    withdrawn, _ = withdrawals.read(proposed)
    earlier = {name: entry for name, entry in repeats.read(base, base).items() if digest.of_file(before[name]) not in withdrawn}
    found = [Reviewed(name, (Check("an entry is never removed", "a correction is a new entry"),)) for name in sorted(set(before) - set(after))]
    for name, path in sorted(after.items()):
        if name in before:
            found += [] if _same(path, before[name]) else [Reviewed(name, (Check("an entry is never edited", "a correction is a new entry"),))]
            continue
        if name.endswith((WITHDRAWAL, VERIFICATION)):
            found.append(_about(name, path, before))
            continue
        entry, reviewed = _new(name, path, earlier)
        found.append(reviewed)
        earlier |= {name: entry} if entry else {}
    return tuple(found)


def report(found: tuple[Reviewed, ...]) -> str:
    """The review as a comment in Markdown. Words of strangers stand in a block of code, which no line of theirs can end."""
    lines = [line for one in found for line in _lines(one)] or ["nothing was proposed"]
    verdict = "Every proposed entry holds." if all(one.holds for one in found) else "Some of what is proposed does not hold."
    text = "\n".join(texts.printable(line)[:500] for line in lines)
    return f"{verdict}\n\n~~~text\n{text[:50_000]}\n~~~\n"


def _lines(one: Reviewed) -> Iterator[str]:
    yield f"file  {one.name}"
    for check in one.checks:
        yield f"{'FAIL' if check.problem else 'pass'}  {check.name}{': ' + check.problem if check.problem else ''}"
    for note in one.notes:
        yield f"note  {note}"


def _new(name: str, path: Path, earlier: dict[str, Entry]) -> tuple[Entry | None, Reviewed]:
    if not rank.PLAIN_NAME.fullmatch(name) or path.is_symlink():
        return None, Reviewed(name, (Check("it is an entry's file", _ALLOWED),))
    try:
        entry, checks = verify.for_newcomer(path)
    except DatacompError as error:
        return None, Reviewed(name, (Check("it is an entry", str(error).replace(str(path), name)),))
    place = f"{entry.track}/{entry.scale}/{path.name}"
    checks.append(Check("its place is that of its track and scale", "" if name == place else f"it belongs at {place}"))
    checks += among(entry, earlier)
    notes = tuple(f"{other} is of the same list" for other in repeats.same_list(entry, earlier))
    return entry, Reviewed(name, tuple(checks), notes)


def among(entry: Entry, earlier: Mapping[str, Entry]) -> list[Check]:
    """What the entries that are there say against a new one."""
    parted = ", ".join(repeats.split(entry, earlier))
    told = f"{parted} is of the same list and recipe and run by the same: hand in one entry of all seeds, and withdraw the other" if parted else ""
    return [Check("no repeat of an earlier entry", "; ".join(repeats.of_earlier(entry, earlier))), Check("all seeds of a list stand in one entry", told)]


def _about(name: str, path: Path, before: dict[str, Path]) -> Reviewed:
    """A record that takes an entry off the tables, or vouches for one; who may do that is for people to say."""
    kind, what, does = (Withdrawal, "withdrawal", "withdraws") if name.endswith(WITHDRAWAL) else (Verification, "verification", "vouches for")
    if not rank.PLAIN_NAME.fullmatch(name) or path.is_symlink():
        return Reviewed(name, (Check(f"it is a {what}'s file", _ALLOWED),))
    try:
        record = kind.read(path)
    except DatacompError as error:
        return Reviewed(name, (Check(f"it is a {what}", str(error).replace(str(path), name)),))
    meant = [other for other, there in before.items() if there.is_file() and not there.is_symlink() and digest.of_file(there) == record.entry_sha256]
    check = Check("it names an entry that is there", "" if meant else f"none has the digest {record.entry_sha256[:12]}…")
    checks = (check, Check("texts can be shown", "; ".join(texts.hidden(record.plain(), what))))
    return Reviewed(name, checks, tuple(f"it {does} {other}: a keeper of the board has to see who asks for it" for other in meant))


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for place, below, names in os.walk(folder):
        linked = [name for name in below if (Path(place) / name).is_symlink()]
        for name in (*names, *linked):
            if name != ".gitkeep":
                yield (Path(place) / name).relative_to(folder).as_posix(), Path(place) / name


def _same(first: Path, second: Path) -> bool:
    return not first.is_symlink() and first.is_file() and digest.of_file(first) == digest.of_file(second)
