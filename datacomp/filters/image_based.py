"""DataComp's image-based filter: pictures whose content is near ImageNet's (section 4.1).

A pool's centroids come from k-means on its L/14 image features. A row is kept if its caption is English and has more than one token and
more than five characters, and if the centroid of its picture is also the centroid of some target picture, by default the training
pictures of ImageNet-1k. As in the published code, a feature belongs to the centroid with the largest inner product, although the
published centroids were made by their L2 distance.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from datacomp import digest
from datacomp.artifacts.pool import Block
from datacomp.declared import asset as assets
from datacomp.declared.asset import Asset
from datacomp.errors import FilterError
from datacomp.filters import language
from datacomp.filters.base import Provenance, RowFilter, Scores
from datacomp.launch import local
from datacomp.network import arrays

FEATURE = "l14_img"
MIN_CHARACTERS = 6
SCALES = ("small", "medium", "large", "xlarge")
TARGETS = tuple(f"in1k_clip_vit_l14_{part}" for part in range(5))
PRODUCTS = 1 << 26  # inner products in memory at a time
_SEPARATORS = r" \n\r\t\x0b\x0c\x00"  # fastText's


class Captions(RowFilter):
    """English captions of more than one token and more than five characters: what the centroids of the paper were made of."""

    columns = ("text",)

    def __init__(self, language_model: str) -> None:
        self.name = language.variant("image_based_captions", language_model)
        self._language = language.FastText(language_model)

    def score(self, block: Block) -> Scores:
        """Whether each row's caption is one."""
        text = block.columns["text"].fill_null("")
        tokens = text.str.count_matches(f"[^{_SEPARATORS}]+") + text.str.count_matches("\n", literal=True)  # fastText counts an end of line as one
        kept = ((tokens > 1) & (text.str.len_chars() >= MIN_CHARACTERS)).to_numpy().copy()
        rows = np.flatnonzero(kept)
        kept[rows] = self._language.english(text.gather(rows).to_list())
        return np.asarray(kept)

    def provenance(self) -> Provenance:
        """The language model."""
        return self._language.provenance()


class ImageBased(RowFilter):
    """English captions with pictures near some target."""

    columns = ("text",)

    def __init__(
        self, centroids: Path, targets: Sequence[Path], published: Sequence[Asset], language_model: str, device: str, *, feature: str = FEATURE
    ) -> None:
        self.name = language.variant("image_based", language_model)
        self.centroids, self.targets, self.published, self.device, self.feature = centroids, targets, published, device, feature
        self._captions = Captions(language_model)

    @cached_property
    def _centroids(self) -> torch.Tensor:  # (K, D)
        return arrays.read(self.centroids).float().to(self.device)

    @cached_property
    def _wanted(self) -> torch.Tensor:  # (K,)
        """Which centroids some target belongs to."""
        wanted = torch.zeros(len(self._centroids), dtype=torch.bool)
        for path in self.targets:
            wanted[self._nearest(arrays.read(path))] = True
        return wanted

    def score(self, block: Block) -> Scores:
        """Whether each row passes both rules; captions decide first."""
        kept = self._captions.score(block).copy()
        if kept.any():
            kept[kept] = self._wanted[self._nearest(torch.from_numpy(block.feature(self.feature)[kept]))].numpy()
        return np.asarray(kept)

    @torch.inference_mode()
    def _nearest(self, features: torch.Tensor) -> torch.Tensor:
        """The centroid of the largest inner product for features of shape (N, D): shape (N,)."""
        if features.shape[1:] != self._centroids.shape[1:]:
            raise FilterError(
                f"features of shape {tuple(features.shape)} do not fit centroids of shape {tuple(self._centroids.shape)}", repair="make both of one network"
            )
        batch = max(1, PRODUCTS // len(self._centroids))
        found = [(part.float().to(self.device) @ self._centroids.T).argmax(dim=1).cpu() for part in torch.split(features, batch)]
        return torch.cat(found)

    def provenance(self) -> Provenance:
        """The language model, the centroids and the targets."""
        used = self._captions.provenance()
        own = {path.name: digest.of_file(path) for path in (self.centroids, *self.targets)} if not self.published else {}
        named = own | {asset.name: asset.sha256 for asset in self.published}
        return Provenance(used.assets | named, (*used.external_resources, *(sorted(named))))


def make_captions(*, language_model: str = "bin") -> Captions:
    """Keep the captions that the image-based filter keeps, whatever their pictures show."""
    return Captions(language_model)


def make(
    *,
    centroids: str = "",
    targets: str = "",
    image_based_scale: str = "",
    language_model: str = "bin",
    device: str = "",
    embedding_key: str = FEATURE,
) -> ImageBased:
    """Keep English captions with pictures near some target: with files of one's own, or with the published ones of a scale."""
    on = local.device(device or None)
    if image_based_scale:
        if embedding_key != FEATURE:
            raise FilterError(f"embedding-key {embedding_key} came, and the published centroids are of {FEATURE}", repair="leave it out")
        if image_based_scale not in SCALES or centroids or targets:
            raise FilterError(
                f"image_based-scale {image_based_scale} came{' with centroids or targets' if centroids or targets else ''}",
                allowed=f"{', '.join(SCALES)}, or --centroids FILE --targets FILE",
            )
        published = [assets.load(name) for name in (f"{image_based_scale}_centroids", *TARGETS)]
        paths = [assets.locate(asset) for asset in published]
        return ImageBased(paths[0], paths[1:], published, language_model, on)
    if not (centroids and targets):
        raise FilterError(
            "image_based needs the pool's centroids and the features of target pictures",
            repair="add --centroids FILE --targets FILE (.npy or .pt), which datacomp cluster centroids and features make, or --image-based-scale small",
        )
    return ImageBased(Path(centroids), [Path(targets)], (), language_model, on, feature=embedding_key)
