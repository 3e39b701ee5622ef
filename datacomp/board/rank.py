"""Entries, read from a folder and put in order: one table for each track, division, scale and suite version."""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from datacomp import digest
from datacomp.artifacts.entry import VERIFICATION, WITHDRAWAL, Entry, Verification
from datacomp.board import averages, verifications, verify, withdrawals
from datacomp.board.verify import SuiteOf
from datacomp.declared import suite as suites
from datacomp.errors import DatacompError

PLAIN_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*/)*[A-Za-z0-9][A-Za-z0-9._-]*\.json")  # it becomes a file's name and part of an address


class Listed(NamedTuple):
    """An entry on the board."""

    slug: str  # its file's name without the ending, unique on a board
    entry: Entry
    verification: Verification | None = None  # by whom, if anybody vouches for it

    @property
    def trust(self) -> str:
        """The level of trust that it reached."""
        return self.verification.level if self.verification else verify.SELF_REPORTED


class Table(NamedTuple):
    """Entries that can be compared with each other, the best first."""

    track: str
    division: str
    scale: str
    suite: str
    suite_version: int
    listed: tuple[Listed, ...]
    today: int  # the suite's version

    @property
    def earlier(self) -> bool:
        """Whether it is of a version of the suite that was: shown, and compared with nothing of today."""
        return self.suite_version != self.today


class Board(NamedTuple):
    """All tables, those of earlier suite versions last, and why some files are in none."""

    tables: tuple[Table, ...]
    left_out: tuple[tuple[str, str], ...]  # file, reason


def read(folder: Path, names: str = "*.json") -> Board:
    """Read every entry below a folder; one that does not hold is left out, with the reason. `names` is the pattern of its files."""
    listed: dict[str, Listed] = {}
    suite_of = cache(suites.load)  # a suite is 40 files
    withdrawn, left_out = withdrawals.read(folder)
    verified, broken = verifications.read(folder)
    left_out += broken
    for path in sorted(path for path in folder.rglob(names) if not path.name.endswith((WITHDRAWAL, VERIFICATION))):
        name = path.relative_to(folder).as_posix()
        slug = name.removesuffix(".json").replace("/", "-")
        entry, problem = _entry(path, name, suite_of)
        if entry is not None and (reason := withdrawn.get(digest.of_file(path))):
            entry, problem = None, reason
        if entry is None:
            left_out.append((name, problem))
        elif slug.casefold() in listed:
            left_out.append((name, "another entry's file has the same name on the page; rename this one"))
        else:
            listed[slug.casefold()] = Listed(slug, entry, verified.get(entry.digest()))
    return Board(_tables(list(listed.values())), tuple(left_out))


def _entry(path: Path, name: str, suite_of: SuiteOf) -> tuple[Entry | None, str]:
    """Read the entry of a file, or say why it has no place on a board."""
    if not PLAIN_NAME.fullmatch(name):
        return None, "its name holds more than letters, digits, dots, underscores and hyphens"
    if path.is_symlink() or not path.is_file():
        return None, withdrawals.IRREGULAR
    try:
        entry, checks = verify.for_board(path, suite_of)
        problems = [f"{check.name}: {check.problem}" for check in checks if check.problem]
    except DatacompError as error:
        return None, str(error).replace(str(path), name)  # the page says the same wherever the folder lies
    return (None, problems[0]) if problems else (entry, "")


def _tables(listed: list[Listed]) -> tuple[Table, ...]:
    groups: dict[tuple[str, str, str, str, int], list[Listed]] = {}
    for found in listed:
        entry = found.entry
        groups.setdefault((entry.track, entry.division, entry.scale, entry.suite, entry.suite_version), []).append(found)
    today = cache(lambda name: suites.load(name).spec.version)
    tables = (Table(*key, tuple(sorted(group, key=_rank)), today(key[3])) for key, group in groups.items())
    return tuple(sorted(tables, key=lambda table: (table.earlier, *table[:4], -table.suite_version)))


def _rank(listed: Listed) -> tuple[float, str]:
    """Best average first; of equals the one whose name comes first."""
    return -listed.entry.aggregates[averages.AVERAGE].value, listed.slug
