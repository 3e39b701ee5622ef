"""The dataset card of a bundle, written from its entry."""

from collections.abc import Iterable

from datacomp.artifacts.card import code, source
from datacomp.artifacts.entry import DataSource, Entry

_CARD = """---
tags:
- datacomp
---

# {method}

An entry of track {track} at scale {scale}, measured by suite {suite} version {version}. Proposed by {proposed_by}, run by {run_by}.

{description}{facts}

| | percent ± standard error |
|---|---|
{scores}
{sources}
## What is here

{files}

`datacomp submit validate FOLDER` checks all of it, `datacomp trace FOLDER/entry.json` tells where it comes from.
"""


def card(entry: Entry, names: Iterable[str]) -> str:
    """What a reader of the Hub is told of an entry and the files beside it."""
    first, held = entry.runs[0], sorted(names)
    facts = [
        *(source(one) for one in first.sources),
        *(
            f"{code(one.name)} is the list of filter {code(one.subset.filter)}, options {code(str(one.subset.options))}"
            for one in first.sources
            if one.subset.filter
        ),
        f"outside models and data used to choose samples: {', '.join(map(code, entry.external_resources)) or 'none stated'}",
        f"seeds: {', '.join(str(run.seed) for run in entry.runs)}; division {entry.division}",
        *(f"seed {one.seed} was left out: {code(one.reason)}" for one in entry.seeds_left_out),
        *(f"{code(place)} = {code(value)}, a change of the recipe" for place, value in entry.changes.items()),
        *(f"mark: {code(mark)}" for mark in entry.marks),
        *(f"<{link}>" for link in entry.links),
    ]
    scores = (f"| {code(name)} | {100 * one.value:.2f} ± {100 * one.standard_error:.2f} |" for name, one in sorted(entry.aggregates.items()))
    return _CARD.format(
        method=code(entry.method),
        track=code(entry.track),
        scale=code(entry.scale),
        suite=code(entry.suite),
        version=entry.suite_version,
        proposed_by=code(entry.proposed_by),
        run_by=code(entry.run_by),
        description="".join(f"    {line}\n" for line in entry.description.splitlines()) + ("\n" if entry.description else ""),
        facts="\n".join(f"* {fact}" for fact in facts),
        scores="\n".join(scores),
        sources="".join(map(_source, entry.data_sources)) + "".join(f"\n{code(key)}: {code(' '.join(said.split()))}\n" for key, said in entry.answers.items()),
        files="\n".join(f"* {code(name)}" for name in held),
    )


def _source(said: DataSource) -> str:
    where = f", <{said.url}>" if said.url else ""
    return f"\n* {code(said.name)}, weight {said.weight:g}, licence {code(said.licence)}{where}: from {code(said.origin)}, captions {code(said.text)}\n"
