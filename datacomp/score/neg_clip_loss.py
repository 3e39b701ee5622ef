"""negCLIPLoss: the CLIP score less what a pair has in common with all others (Wang et al. 2024, arXiv 2405.19547, there also s-CLIPLoss).

    score_i = f_i·g_i - T/2 [log sum_j exp(f_i·g_j / T) + log sum_j exp(f_j·g_i / T)]

over a random batch that i belongs to, averaged over several shufflings. f and g are unit vectors of pictures and captions, and the sums hold i itself, as
in the published code. Inputs: both embeddings of the pool, by any network; T is 0.01 for OpenAI's. As there, a batch is drawn from one file of the pool,
or from as many neighbouring ones as are needed to fill it. Unlike there, a file that is no multiple of a batch is cut into batches of nearly the same size:
in a small one the sums are small, and scores high.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from datacomp import draws, files
from datacomp.artifacts.scores import Option, Scores
from datacomp.errors import StageError
from datacomp.launch import local
from datacomp.score import embeddings as embedded
from datacomp.score import made
from datacomp.score.base import Vectors
from datacomp.score.embeddings import Embeddings
from datacomp.score.made import Part

_AT_ONCE = 1 << 24  # products in memory


def of_batch(images: torch.Tensor, texts: torch.Tensor, temperature: float) -> torch.Tensor:
    """Scores (N,) of the pairs of one batch, whose unit vectors are (N, D)."""
    cosines = (images * texts).sum(dim=1)
    return cosines - temperature / 2 * (_log_sums(images, texts, temperature) + _log_sums(texts, images, temperature))


def _log_sums(ones: torch.Tensor, others: torch.Tensor, temperature: float) -> torch.Tensor:
    """For each of N vectors the logarithm of the summed exponentials of its products with M others, (N,)."""
    return torch.cat([torch.logsumexp(part @ others.T / temperature, dim=1) for part in torch.split(ones, max(1, _AT_ONCE // len(others)))])


def of_file(images: Vectors, texts: Vectors, *, temperature: float, batch: int, shuffles: int, seed: int, name: str, device: str) -> Vectors:
    """Scores (N,) of the pairs of a file, or of some files together, named `name`: means over shufflings into random batches."""
    rows = len(images)
    parts = max(1, -(-rows // batch))
    times = shuffles if parts > 1 else 1  # a single batch is always the same
    found = np.zeros(rows)
    on_device = [torch.from_numpy(vectors).to(device) for vectors in (images, texts)]
    with torch.inference_mode():
        for shuffle in range(times):
            order = draws.permutation(rows, seed, f"negCLIPLoss {name}", shuffle)
            for places in np.array_split(order, parts):
                picked = torch.from_numpy(places).to(device)
                found[places] += of_batch(on_device[0][picked], on_device[1][picked], temperature).cpu().numpy()
    return found / times


def make(
    embeddings: Embeddings, out: Path, *, temperature: float = 0.01, batch: int = 32_768, shuffles: int = 10, seed: int = 0, device: str | None = None
) -> Scores:
    """Write the table. Raises StageError for a temperature, a batch or a number of shufflings that is none."""
    if not temperature > 0 or batch < 2 or shuffles < 1:
        raise StageError(
            f"temperature {temperature:g}, batch {batch} and {shuffles} shuffles came",
            allowed="a temperature above 0, a batch of 2 or more, one shuffle or more",
        )
    where = local.device(device)

    def answer(group: Sequence[str]) -> list[Part]:
        images, texts = (embedded.joined(embeddings, group, kind) for kind in ("img", "txt"))
        how = {"temperature": temperature, "batch": batch, "shuffles": shuffles, "seed": seed}
        found = of_file(images, texts, **how, name=group[0], device=where)  # type: ignore[arg-type]
        ends = np.cumsum([embeddings.rows(stem) for stem in group])[:-1]
        return [Part(stem, embeddings.uids(stem), part) for stem, part in zip(group, np.split(found, ends), strict=True)]

    with files.writing(out), files.scratch(out) as scratch:
        options: dict[str, Option] = {"prefix": embeddings.prefix, "temperature": temperature, "batch": batch, "shuffles": shuffles, "seed": seed}
        inputs = made.making(embeddings.pool, scratch, "negCLIPLoss", options, embeddings.used())
        return made.write(out, inputs, embedded.groups(embeddings, batch), answer, by_metadata_file=embeddings.by_metadata_file)
