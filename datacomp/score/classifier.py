"""A binary classifier of good pictures against a pool's, on a network's frozen features (Fang et al. 2023, arXiv 2309.17425, section 3.2).

The score of a pair is the classifier's log odds for its picture alone: captions have no say. The published choices of good pictures are ImageNet's and
CC12M's. Training (logistic regression) takes feature vectors of both kinds; scoring takes pictures.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from datacomp import digest, files
from datacomp.errors import StageError
from datacomp.network import load
from datacomp.network.build import Uint8Array
from datacomp.network.embed import Encoder
from datacomp.records import Count, Digest, Line, Record
from datacomp.score import cosine
from datacomp.score.base import FLOAT32, Given, Judged, Vectors

RECORD, WEIGHTS = "classifier.json", "classifier.safetensors"
MAX_ITERATIONS = 1_000


class ClassifierRecord(Record):
    """A trained classifier; written last."""

    network: Line
    network_sha256: Digest  # of the weights behind the features
    good_samples: Count
    pool_samples: Count
    l2_strength: float
    accuracy: float  # on the samples that it was trained on, both kinds weighing the same
    sha256: Digest  # of its own weights
    external_resources: tuple[Line, ...]


def fit(good: Vectors, pool: Vectors, l2_strength: float) -> tuple[Vectors, float]:
    """Fit a logistic regression to unit vectors (N, D) of good pictures and (M, D) of a pool's; both kinds weigh the same, whatever N and M.

    Return weights (D,) and offset, in float64. The penalty is l2_strength / 2 times the squared weights, beside the mean loss. Raises StageError
    where a kind is missing or the dimensions differ.
    """
    if not len(good) or not len(pool) or good.shape[1] != pool.shape[1]:
        raise StageError(f"features of shapes {good.shape} and {pool.shape} came", allowed="some of good pictures and some of a pool's, by one network")
    vectors = torch.from_numpy(np.concatenate([good, pool]).astype(np.float64))
    signs = torch.cat([torch.ones(len(good)), -torch.ones(len(pool))]).double()
    shares = torch.cat([torch.full((len(good),), 0.5 / len(good)), torch.full((len(pool),), 0.5 / len(pool))]).double()
    weights = torch.zeros(good.shape[1], dtype=torch.float64, requires_grad=True)
    offset = torch.zeros((), dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([weights, offset], max_iter=MAX_ITERATIONS, tolerance_grad=1e-9, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        odds = vectors @ weights + offset
        found: torch.Tensor = (shares * torch.nn.functional.softplus(-signs * odds)).sum() + l2_strength / 2 * weights.square().sum()
        found.backward()  # type: ignore[no-untyped-call]
        return found

    search.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach().numpy(), float(offset.detach())


def train(
    good: Vectors, pool: Vectors, out: Path, *, network: str, network_sha256: str, resources: tuple[str, ...], l2_strength: float = 1e-4
) -> ClassifierRecord:
    """Train a classifier into the folder `out`; one that is there is trained anew."""
    weights, offset = fit(good, pool, l2_strength)
    with files.writing(out):
        (out / RECORD).unlink(missing_ok=True)
        load.write_tensors(out / WEIGHTS, {"weights": torch.from_numpy(weights), "offset": torch.tensor([offset], dtype=torch.float64)})
        record = ClassifierRecord(
            network=network,
            network_sha256=network_sha256,
            good_samples=len(good),
            pool_samples=len(pool),
            l2_strength=l2_strength,
            accuracy=float(((good @ weights + offset > 0).mean() + (pool @ weights + offset <= 0).mean()) / 2),
            sha256=digest.of_file(out / WEIGHTS),
            external_resources=resources,
        )
        record.write(out / RECORD)
    return record


class Classifier:
    """Log odds of being good, by the picture."""

    def __init__(self, encoder: Encoder, folder: Path) -> None:
        record = ClassifierRecord.read(folder / RECORD)
        if digest.of_file(folder / WEIGHTS) != record.sha256:
            raise StageError(f"{folder / WEIGHTS} is not the file that {RECORD} names", repair="train the classifier again")
        tensors = load.read_tensors(folder / WEIGHTS)
        self._weights, self._offset = tensors["weights"].numpy(), float(tensors["offset"])
        self._encoder, self._network = encoder, record.network
        self.network_sha256 = record.network_sha256
        self.shape: tuple[int, ...] = (encoder.pixels.size, encoder.pixels.size, 3)
        self.assets = {f"classifier {folder.name}"[:200]: record.sha256}
        self.external_resources = record.external_resources

    def prepare(self, picture: Image.Image) -> Uint8Array:
        """The crop that the network sees."""
        return self._encoder.crop_decoded(picture)

    def judge(self, pictures: Uint8Array, captions: list[str]) -> Judged:  # noqa: ARG002 - captions have no say
        """The classifier's log odds."""
        odds: np.ndarray[Any, Any] = self._encoder.images(pictures) @ self._weights + self._offset
        return Judged(odds.astype(np.float32))


def make(given: Given, head: str) -> Classifier:
    """The classifier in the folder `head`, on features of the network that it was trained with."""
    if given.precision != FLOAT32:
        raise StageError(f"scorer classifier came with {given.precision}", allowed=FLOAT32)
    return Classifier(cosine.needed(given, "classifier"), Path(head))
