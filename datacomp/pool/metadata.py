"""The metadata of a pool of the web, brought from the Hub or from a participant's own folder: metadata/*.parquet, *.npz, metadata.json last."""

import hashlib
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
import polars as pl

from datacomp import digest, files, hub, progress, tables, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts.pool import HubOrigin, PoolFile
from datacomp.declared.pool import UNPINNED, HubSource, PoolSpec
from datacomp.errors import PoolError, RecordError
from datacomp.records import Count, Digest, Line, Record

CONTENTS = "metadata.json"
WORK = "work"
_FROM_HUB, _PASSING = "hub", "files"  # folders in WORK: where the Hub's client works, and what may have to be cut


class Plan(Record):
    """What a folder is to hold, written first: a restart that asks for something else is refused."""

    name: Line
    samples: Count  # 0: all
    origin: HubOrigin | None  # of one's own metadata: none
    metadata_sha256: Digest | None  # of one's own files


class Contents(Record):
    """What metadata/ holds, written when it is complete and every digest held."""

    name: Line
    partial: bool
    origin: HubOrigin | None
    npz: bool
    files: tuple[PoolFile, ...]
    samples: Count
    uids_sha256: Digest
    repeated: tuple[Count, ...]  # rows, in file order, whose uid stood before


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pool to bring: one of tracks/pools/, or one's own folder of url tables."""

    out: Path
    spec: PoolSpec | None
    folder: Path | None = None
    samples: int = 0  # 0: all
    npz: bool = False

    @property
    def name(self) -> str:
        """What the pool calls itself."""
        return self.spec.name if self.spec else (self.folder or self.out).resolve().name

    def count(self) -> int:
        """How many samples that is, as far as it is known before anything was fetched."""
        known = self.spec.samples if self.spec else sum(tables.count_rows(path, "url") for path in _own_files(self))
        if self.samples > known:
            raise PoolError(f"{self.samples:,} samples were asked of pool {self.name}", allowed=f"1 to {known:,}")
        return self.samples or known


class Supply(Protocol):
    """Where files come from."""

    def names(self, suffix: str) -> list[str]:
        """The files of one kind in their order."""

    def bring(self, names: list[str], folder: Path) -> None:
        """Put them into a folder, each whole."""


def bring(wanted: Wanted) -> Contents:
    """Bring a pool's metadata; started again, it goes on. With `samples`, the first rows in file order.

    Raises PoolError where `out` holds something else, where the Hub cannot be reached, and for files that hold no urls and captions.
    """
    out, folder = wanted.out, wanted.out / "metadata"
    if (out / CONTENTS).is_file():
        _claim(wanted)
        contents = Contents.read(out / CONTENTS)
        if contents.npz or not wanted.npz:
            return contents
    with files.writing(out, wait=True):
        plan = _claim(wanted)
        supply = _supply(wanted, plan)
        names = supply.names(".parquet")
        if not names:
            raise PoolError(f"pool {wanted.name} has no metadata at its source", repair="check the pool's record in tracks/pools/")
        names = _first_rows(supply, names, folder, plan.samples, out) if plan.samples else _all(supply, names, folder)
        stems = [Path(name).stem for name in names]
        if wanted.npz:
            _features(supply, stems, folder, out)
        contents = _scan(plan, folder, stems, npz=wanted.npz)
        contents.write(out / CONTENTS)
        for name in (_FROM_HUB, _PASSING):
            shutil.rmtree(out / WORK / name, ignore_errors=True)
        with suppress(OSError):
            (out / WORK).rmdir()  # unless pictures are being fetched there
    return contents


def _claim(wanted: Wanted) -> Plan:
    out, path = wanted.out, wanted.out / pools.PLAN
    if not path.is_file():
        if next((out / "metadata").glob("*.parquet"), None) and wanted.folder != out / "metadata":
            raise PoolError(
                f"{out} holds metadata that this command did not bring", repair=f"choose another --out, or look at it with: datacomp pool check {out}"
            )
        plan = _plan(wanted, None)
        plan.write(path)
        return plan
    try:
        plan = Plan.read(path)
    except RecordError:
        raise PoolError(f"{out} holds a pool that was made in another way", repair="choose another --out") from None
    if plan != _plan(wanted, plan):
        raise PoolError(
            f"{out} is for pool {plan.name}{f', its first {plan.samples:,} samples' if plan.samples else ''}"
            f"{f', revision {plan.origin.revision[:12]}' if plan.origin else ''}, and something else is asked for",
            repair="ask for the same, or choose another --out",
        )
    return plan


def _plan(wanted: Wanted, before: Plan | None) -> Plan:
    """What is asked for; an unpinned pool stays at the commit that was chosen first."""
    if wanted.spec is None:
        own = digest.of_files({path.name: path for path in _own_files(wanted)})
        return Plan(name=wanted.name, samples=wanted.samples, origin=None, metadata_sha256=own)
    source = wanted.spec.origin
    if not isinstance(source, HubSource):
        raise PoolError(f"pool {wanted.spec.name} is generated", repair=f"datacomp pool make {wanted.spec.name} --out {wanted.out}")
    chosen = before.origin if before and before.origin and source.revision in {UNPINNED, before.origin.revision} else None
    if chosen:
        revision, pinned = chosen.revision, chosen.pinned
    else:
        revision = hub.commit(hub.Source(source.repository, source.revision.replace(UNPINNED, "")))
        pinned = source.revision != UNPINNED
    origin = HubOrigin(repository=source.repository, folder=source.folder, revision=revision, pinned=pinned)
    return Plan(name=wanted.name, samples=wanted.samples, origin=origin, metadata_sha256=None)


def _own_files(wanted: Wanted) -> list[Path]:
    assert wanted.folder is not None
    found = sorted(wanted.folder.glob("*.parquet"))
    if not found:
        raise PoolError(f"{wanted.folder} holds no *.parquet", allowed="tables with columns url and text, and uid if there is one", repair="check the folder")
    return found


def own_columns(wanted: Wanted) -> list[str]:
    """The columns of one's own tables, and the uid that they are given if they have none."""
    return [*tables.columns(_own_files(wanted)[0]), "uid"]


def _supply(wanted: Wanted, plan: Plan) -> Supply:
    if plan.origin is None:
        return _Own(wanted.folder or wanted.out)
    return _Hub(plan.origin, wanted.out / WORK / _FROM_HUB)


class _Hub:
    def __init__(self, origin: HubOrigin, work: Path) -> None:
        self._source, self._folder, self._work = hub.Source(origin.repository, origin.revision), origin.folder, work

    def names(self, suffix: str) -> list[str]:
        """Sorted by the plain name under which files will lie: sub-folders are flattened."""
        there = hub.listing(self._source, self._folder)
        wanted = [path for path in there if path.endswith(suffix)]
        self._files = {PurePosixPath(path).name: there[path] for path in wanted}
        if len(self._files) < len(wanted):
            raise PoolError(f"{self._source.repository} holds two files of one name in two folders", repair="write to the keepers of that repository")
        return sorted(self._files)

    def bring(self, names: list[str], folder: Path) -> None:
        hub.fetch(self._source, {name: self._files[name] for name in names}, folder, self._work, title="metadata")


class _Own:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self, suffix: str) -> list[str]:
        return sorted(path.name for path in self._folder.glob(f"*{suffix}"))

    def bring(self, names: list[str], folder: Path) -> None:
        for name in names:
            source, target = self._folder / name, folder / name
            if target.is_file():
                continue
            if source.suffix == ".parquet" and "uid" not in tables.columns(source):
                tables.count_rows(source, "text")  # it must have captions
                tables.write_parquet(target, with_uids(tables.read_parquet(source)))
            else:
                with files.whole(target) as temporary:
                    shutil.copyfile(source, temporary)


def with_uids(frame: pl.DataFrame) -> pl.DataFrame:
    """Give rows without uids one each: the first 128 bits of the sha256 of url, line feed, text."""
    pairs = zip(frame["url"].fill_null(""), frame["text"].fill_null(""), strict=True)
    return frame.with_columns(uid=pl.Series([hashlib.sha256(f"{url}\n{text}".encode()).hexdigest()[: uids.HEX_DIGITS] for url, text in pairs], dtype=pl.String))


def _all(supply: Supply, names: list[str], folder: Path) -> list[str]:
    supply.bring(names, folder)
    return names


def _first_rows(supply: Supply, names: list[str], folder: Path, samples: int, out: Path) -> list[str]:
    """Bring files one by one until there are enough rows; the last is cut."""
    taken, rows, passing = [], 0, out / WORK / _PASSING
    for name in names:
        if not (folder / name).is_file():
            supply.bring([name], passing)
            table = passing / name
            if rows + tables.count_rows(table, "uid") > samples:
                tables.write_parquet(folder / name, tables.read_parquet(table).head(samples - rows))
                table.unlink()
            else:
                folder.mkdir(parents=True, exist_ok=True)
                files.publish(table, folder / name)
        taken.append(name)
        rows += tables.count_rows(folder / name, "uid")
        if rows >= samples:
            return taken
    raise PoolError(f"{samples:,} samples were asked for, the pool's metadata have {rows:,} rows", repair="ask for no more than that")


def _features(supply: Supply, stems: list[str], folder: Path, out: Path) -> None:
    """Bring the npz file of each table; that of a cut table is cut, too."""
    there = set(supply.names(".npz"))
    if missing := [stem for stem in stems if f"{stem}.npz" not in there]:
        raise PoolError(f"there is no {missing[0]}.npz beside {missing[0]}.parquet at its source", repair="leave --npz away")
    passing = out / WORK / _PASSING
    supply.bring([f"{stem}.npz" for stem in stems[:-1]], folder)
    last = f"{stems[-1]}.npz"
    if not (folder / last).is_file():
        supply.bring([last], passing)
        rows, features = tables.count_rows(folder / f"{stems[-1]}.parquet", "uid"), tables.npz_rows(passing / last)
        if min(features.values()) > rows:
            tables.write_npz(folder / last, {key: tables.read_npz(passing / last, key, rows=rows) for key in features})
        else:
            files.publish(passing / last, folder / last)


def _scan(plan: Plan, folder: Path, stems: list[str], *, npz: bool) -> Contents:
    """Count rows, parse every uid, and see that there are urls and captions."""
    found, counts = [], []
    for stem in progress.show(stems, total=len(stems), unit=" files", title="check metadata"):
        path = folder / f"{stem}.parquet"
        tables.count_rows(path, "text")
        found.append(uids.parse(tables.read_parquet(path, ["uid", "url"])["uid"], str(path)))
        counts.append(PoolFile(stem=stem, samples=len(found[-1])))
    everything = np.concatenate(found)
    order = uids.order(everything)
    ordered: Any = everything[order]
    return Contents(
        name=plan.name,
        partial=bool(plan.samples),
        origin=plan.origin,
        npz=npz,
        files=tuple(counts),
        samples=len(everything),
        uids_sha256=uids.digest_of(ordered),
        repeated=tuple(sorted(order[~uids.firsts(ordered)].tolist())),
    )
