"""Looking for a suite's test pictures in a pool: test sets and the search, which know nothing of each other."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from datacomp.artifacts.pool import Pool
from datacomp.artifacts.subset import Subset
from datacomp.declared.suite import Suite
from datacomp.decontaminate import report
from datacomp.decontaminate.run import Found, TestPicture, find, without
from datacomp.evaluate import sets


class Decontaminated(NamedTuple):
    """The list without the copies, what was found, and the page that shows it."""

    subset: Subset
    found: Found
    page: Path


def decontaminate(pool: Pool, listed: Subset | None, suite: Suite, data: Path, out: Path, *, threshold: float, workers: int | None = None) -> Decontaminated:
    """Write a list, or else the whole pool, without what is a copy of a test picture, and a page beside it.

    `data` holds the suite's test sets. Started again after it was killed, it goes on with the tars that were not compared.
    """
    parts = out.with_name(f"{out.name}.parts")
    found = find(pool, pictures(suite, data), parts / suite.digest(), threshold=threshold, workers=workers)
    origin: dict[str, object] = {
        "pool_uids_sha256": listed.record.pool_uids_sha256 if listed else "",
        "filter": f"{listed.record.filter if listed else 'no_filter'}, decontaminated"[:200],
        "options": (listed.record.options if listed else {}) | {"decontaminate.threshold": threshold, "decontaminate.copies": len(found.copies)},
        "assets": listed.record.assets if listed else {},
        "external_resources": (*(listed.record.external_resources if listed else ()), f"test pictures of suite {suite.spec.name}, to find copies of them"),
        "ineligible": listed.record.ineligible if listed else "",
    }
    written = without(pool, listed, found, origin, out)
    wanted = {pair.test for pair in report.shown_pairs(found)}
    shown = {place: (test.name, test.picture) for place, test in enumerate(pictures(suite, data)) if place in wanted}
    page = out.with_suffix(".html")
    report.write(found, shown, page)
    shutil.rmtree(parts)
    return Decontaminated(written, found, page)


def pictures(suite: Suite, data: Path) -> Iterator[TestPicture]:
    """Every test picture of a suite."""
    for task in suite.tasks:
        for place, sample in enumerate(sets.samples(sets.read(data, task))):
            yield TestPicture(f"{task.name} {place}", sample.picture)
