"""NormSim: how like a picture is to those of a target set (Wang et al. 2024, arXiv 2405.19547).

The p-norm of the cosines of its embedding with all targets': for p = 2 the root of their summed squares, for infinity the largest of them. Inputs: the
pool's image embeddings and the targets', by the same network: as there, training pictures of the evaluation tasks, never test pictures.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from datacomp import digest, files
from datacomp.artifacts.scores import Scores, Used
from datacomp.errors import StageError
from datacomp.launch import local
from datacomp.network import arrays
from datacomp.score import cosine, made
from datacomp.score.base import Vectors
from datacomp.score.embeddings import Embeddings
from datacomp.score.made import Part

NORMS = ("2", "inf")
_AT_ONCE = 1 << 24  # products in memory


def of_vectors(images: torch.Tensor, targets: torch.Tensor, norm: str) -> torch.Tensor:
    """Scores (N,) of unit vectors (N, D) against unit vectors (M, D) of targets."""
    if norm == "2":
        moment = targets.T @ targets  # (D, D): the summed squares of x·t are x' (sum t t') x
        return ((images @ moment) * images).sum(dim=1).clamp_min(0).sqrt()
    return torch.cat([(part @ targets.T).amax(dim=1) for part in torch.split(images, max(1, _AT_ONCE // len(targets)))])


def make(embeddings: Embeddings, targets: Path, out: Path, *, norm: str = "inf", device: str | None = None) -> Scores:
    """Write the table. Raises StageError for another norm, and for targets of another dimension than the pool's embeddings."""
    if norm not in NORMS:
        raise StageError(f"--norm {norm} came", allowed=", ".join(NORMS))
    where = local.device(device)
    wanted = torch.from_numpy(_unit_targets(targets)).to(where)

    def answer(group: Sequence[str]) -> list[Part]:
        return [Part(stem, embeddings.uids(stem), _of_file(embeddings, stem, wanted, norm)) for stem in group]

    with files.writing(out), files.scratch(out) as scratch:
        used = embeddings.used()
        named = f"targets {targets.name}"[:200]
        resources = Used({**used.assets, named: digest.of_file(targets)}, (*used.external_resources, named))
        inputs = made.making(embeddings.pool, scratch, "NormSim", {"prefix": embeddings.prefix, "norm": norm}, resources)
        return made.write(out, inputs, [(stem,) for stem in embeddings.stems], answer, by_metadata_file=embeddings.by_metadata_file)


def _unit_targets(path: Path) -> Vectors:
    found = cosine.unit(arrays.read(path).float().numpy())
    if not len(found) or not np.isfinite(found).all():
        raise StageError(f"{path} holds {len(found)} targets{' that are no numbers' * bool(len(found))}", allowed="one or more vectors of finite numbers")
    return found


def _of_file(embeddings: Embeddings, stem: str, wanted: torch.Tensor, norm: str) -> Vectors:
    images = embeddings.vectors(stem, "img")
    if images.shape[1] != wanted.shape[1]:
        raise StageError(
            f"the pool's embeddings have {images.shape[1]} dimensions, the targets {wanted.shape[1]}", repair="embed the targets by the network of the pool's"
        )
    with torch.inference_mode():
        found: Vectors = of_vectors(torch.from_numpy(images).to(wanted.device), wanted, norm).cpu().numpy()
    return found
