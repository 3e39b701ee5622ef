"""A trained data filtering network: a folder that open_clip loads, and a record of everything that it was made of, which scores by it carry on."""

from pathlib import Path
from typing import Literal

from datacomp import digest
from datacomp.artifacts.run import Source
from datacomp.errors import StageError
from datacomp.records import Count, Digest, Line, Record

RECORD = "dfn.json"


class Checked(Record):
    """A training set held against a suite's test pictures."""

    source: Line
    suite: Line
    suite_sha256: Digest
    compared_samples: Count
    broken_samples: Count  # pictures that cannot be decoded
    copies: Count
    threshold: float  # of the cosine of two layouts, from which on they count as copies


class Labelled(Record):
    """A labelled set made pairs: each picture with the name of its class in one of the templates, drawn by the seed."""

    source: Line
    samples: Count
    content_sha256: Digest
    prompts_sha256: Digest  # of class names and templates


class FilterNetwork(Record):
    """What a filter network was made of."""

    recipe: Line
    recipe_sha256: Digest
    changes: dict[Line, Line]  # of the recipe's base, beyond those that it states
    seed: int
    initial: Line
    initial_sha256: Digest | Literal[""]
    sources: tuple[Source, ...]
    tuning_sources: tuple[Source, ...]
    labelled: tuple[Labelled, ...]
    base_run_sha256: Digest
    tuned_run_sha256: Digest | Literal[""]
    tuned_share: float  # of the average; 0 where nothing was tuned
    checked: tuple[Checked, ...]
    weights_sha256: Digest
    external_resources: tuple[Line, ...]


def resources_beside(weights: Path, sha256: str) -> tuple[str, ...]:
    """What a network's weights rest on, where a record beside them says so. Raises StageError for a record of other weights."""
    path = weights.parent / RECORD
    if not path.is_file():
        return ()
    record = FilterNetwork.read(path)
    if record.weights_sha256 != sha256:
        raise StageError(f"{weights} is not the network that {RECORD} beside it tells of", repair="restore the file, or train the network again")
    return (f"filter network {record.recipe} ({digest.of_file(path)[:12]})", *record.external_resources)
