"""Frozen features of a set's pictures, kept on disk: one .npy of vectors and labels, and a record that says whose they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datacomp import digest, files, progress
from datacomp.artifacts.results import Network
from datacomp.evaluate import aside, classification
from datacomp.evaluate.metrics import Labels, Vectors
from datacomp.evaluate.model import Model
from datacomp.evaluate.sets import TestSet
from datacomp.records import Digest, Record


class Features(NamedTuple):
    """One row a picture."""

    vectors: Vectors  # (samples, D)
    labels: Labels  # (samples,)


class FeaturesRecord(Record):
    """Whose features a file holds; written last."""

    weights_sha256: Digest
    network: Network | None = None
    data_sha256: Digest
    file_sha256: Digest


def of(test_set: TestSet, classes: int, path: Path, told: dict[str, Any], model: Callable[[], Model]) -> Features:
    """Take the features at `path` if they are those of these weights and pictures; else compute them and keep them there.

    `told` is what is said of the weights; the model is loaded only where it is needed. Raises StageError for a label that is none of the classes.
    """
    said, record = told | {"data_sha256": test_set.content_sha256}, path.with_suffix(".json")
    if record.is_file() and aside.same(kept := FeaturesRecord.read(record), said) and path.is_file() and digest.of_file(path) == kept.file_sha256:
        stored = np.load(path, allow_pickle=False)
        return Features(np.ascontiguousarray(stored["vector"]), np.ascontiguousarray(stored["label"]))
    network = model()
    with progress.counter(total=None, unit=" pictures", title=f"embed {test_set.path.name} {test_set.split}") as bar:
        network.seen = bar.update
        found = classification.embed(network, test_set, classes)
    rows = np.empty(len(found.labels), [("label", "<i8"), ("vector", "<f4", found.images.shape[1:])])
    rows["label"], rows["vector"] = found.labels, found.images
    with files.whole(path) as temporary, temporary.open("wb") as file:
        np.save(file, rows, allow_pickle=False)
    FeaturesRecord.model_validate(said | {"file_sha256": digest.of_file(path)}).write(record)
    return Features(found.images, found.labels)
