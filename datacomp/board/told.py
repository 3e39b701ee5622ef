"""What an entry tells besides its scores: loss curves, figures of its lists, seeds that were left out.

It is a stranger's word, so what cannot be is refused before anything is drawn.
"""

from datacomp.artifacts.entry import Entry
from datacomp.declared import pool as pools
from datacomp.declared.scale import Scale


def problems(entry: Entry, scale: Scale) -> list[str]:
    """What in it cannot be, in words; empty when nothing is."""
    steps = scale.budget.steps
    found = [
        f"the loss curve of seed {run.seed} goes to step {run.loss_curve.steps[-1]:,}, scale {scale.name} has {steps:,}"
        for run in entry.runs
        if run.loss_curve and run.loss_curve.steps[-1] > steps
    ]
    return found + _seeds(entry) + _reports(entry, scale)


def _seeds(entry: Entry) -> list[str]:
    """A seed is in the entry or left out, once."""
    left_out = [one.seed for one in entry.seeds_left_out]
    both = sorted({seed for seed in left_out if seed in {run.seed for run in entry.runs} or left_out.count(seed) > 1})
    return [f"seed {seed} is left out and in the entry, or left out twice" for seed in both]


def _reports(entry: Entry, scale: Scale) -> list[str]:
    """Each report is of one of the entry's lists and adds up to it; the rows of a pool whose uids are pinned are its samples."""
    found, pool = [], pools.load(scale.pool)
    sources = {source.subset.uids_sha256: source for source in entry.runs[0].sources}
    names = [report.uids_sha256 for report in entry.list_reports]
    if len(set(names)) < len(names):
        found.append("two reports are of one list")
    for report in entry.list_reports:
        source = sources.get(report.uids_sha256)
        if source is None:
            found.append(f"a report is of list {report.uids_sha256[:12]}…, which is none of the entry's")
            continue
        told = report.problems(source.subset.samples, source.subset.distinct_samples)
        rows = report.kept + report.dropped
        if pool.uids_sha256 and source.pool_uids_sha256 == pool.uids_sha256 and rows != pool.samples:
            told.append(f"it has {rows:,} rows, pool {pool.name} has {pool.samples:,}")
        found += [f"the report of list {source.name}: {problem}" for problem in told]
    return found
