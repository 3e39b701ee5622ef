"""Bringing a list that others published: its size is told, it is checked, and its record says where it comes from."""

import shutil
from pathlib import Path

from datacomp import digest, files, hub, progress
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.subset import Subset, SubsetRecord
from datacomp.declared.published_list import PublishedList
from datacomp.errors import SubsetError
from datacomp.hub import Source
from datacomp.subset import check

_LIST = "list"


def fetch(declared: PublishedList, out: Path, *, revision: str = "", pool: Pool | None = None) -> Subset:
    """Fetch a list to `out`; a call that was killed goes on where it was stopped, and the same list that is there is returned as it is.

    An unpinned list is taken from the newest commit, or from `revision`, and the record says which. With a pool, it must hold every uid. Raises SubsetError for
    what is no sorted list of uids, and for another than the record of it promises.
    """
    wish = revision or declared.commit
    work = out.with_name(f"{out.name}.parts")
    if out.is_file():
        shutil.rmtree(work, ignore_errors=True)
        return _there(declared, out, wish)
    commit = hub.commit(Source(declared.repository, wish))
    source = Source(declared.repository, commit)
    listing = hub.listing(source)
    if declared.file not in listing:
        raise SubsetError(f"{declared.repository} has no file {declared.file} at {commit[:12]}", repair="name a --revision that has it")
    file = listing[declared.file]
    progress.say(f"{declared.name}: {file.size / 1e6:,.1f} MB, {declared.repository} at {commit[:12]}, licence {declared.licence}")
    with files.writing(work):
        folder = work / commit  # of another commit may be another list
        hub.fetch(source, {_LIST: file}, folder, folder / "work", title="list")
        found = _checked(declared, folder / _LIST, commit, pool)
        found.write(subsets.sidecar(out))
        files.publish(folder / _LIST, out)
    shutil.rmtree(work)
    return subsets.read(out)


def _there(declared: PublishedList, out: Path, wish: str) -> Subset:
    there = subsets.read(out)
    if there.record.filter != declared.name or not str(there.record.options.get("revision")).startswith(wish):
        raise SubsetError(f"{out} is another list than {declared.name}{f' at {wish}' if wish else ''}", repair="choose another --out, or remove it")
    return there


def _checked(declared: PublishedList, path: Path, commit: str, pool: Pool | None) -> SubsetRecord:
    try:
        found = subsets.read(path).record
        if pool is not None:
            check.check(path, pool)
    except SubsetError:
        path.unlink()  # another try brings it anew
        subsets.sidecar(path).unlink(missing_ok=True)
        raise
    for what, promised, came in (("samples", declared.samples, found.samples), ("uids_sha256", declared.uids_sha256, found.uids_sha256)):
        if promised and promised != came:
            raise SubsetError(f"{declared.file} has {what} {came}, the record of {declared.name} says {promised}", repair="fetch the recorded revision")
    subsets.sidecar(path).unlink(missing_ok=True)
    return SubsetRecord.of(
        found.plain()
        | {
            "filter": declared.name,
            "options": {"repository": declared.repository, "file": declared.file, "revision": commit},
            "assets": {declared.file: digest.of_file(path)},
            "external_resources": declared.external_resources,
        }
        | ({"pool_uids_sha256": pool.record.uids_sha256} if pool is not None and pool.record is not None else {}),
        "a published list",
    )
