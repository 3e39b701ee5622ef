"""What a list keeps of a generated pool, by its truth: near duplicates, scenes, rare concepts, good pairs. No filter sees any of it."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl

from datacomp import tables, uids
from datacomp.artifacts.pool import Pool
from datacomp.errors import PoolError
from datacomp.pool import world

_COLUMNS = ["uid", "concept", "cluster", "caption_kind", "picture_kind"]
_RARE = 0.25  # of all concepts, those with the fewest samples in the pool


class Kept(NamedTuple):
    """What a list holds, repeated samples counted once."""

    samples: int
    scenes: int  # that differ: a near-duplicate scene counts once however many of its shots there are
    repeated: float  # share of samples that are shots of near-duplicate scenes
    shots: float  # of each near-duplicate scene that is left, on average
    rare: float  # share of samples of rare concepts
    concepts: int
    good: float  # share of sound pictures with faithful captions


class Truth:
    """The truth of a pool."""

    def __init__(self, pool: Pool) -> None:
        found = sorted((pool.path / "truth").glob("*.parquet"))
        if not found:
            raise PoolError(f"{pool.path} has no truth/", allowed="pools made by: datacomp pool make")
        frame = pl.concat([tables.read_parquet(path, _COLUMNS) for path in found])
        named = uids.parse(frame["uid"])
        order = uids.order(named)
        self._uids, frame = named[order], frame[order]
        self.cluster, self.concept = frame["cluster"].to_numpy(), frame["concept"].to_numpy()
        self.good = (frame["caption_kind"].is_in(list(world.FAITHFUL)) & (frame["picture_kind"] == "sound")).to_numpy()
        self.rare = np.isin(self.concept, rarest(self.concept))

    def kept(self, listed: uids.UidArray) -> Kept:
        """What a sorted list keeps."""
        inside = uids.count(self._uids, listed) > 0
        cluster = self.cluster[inside]
        repeated = cluster >= 0
        left = len(np.unique(cluster[repeated]))
        return Kept(
            samples=len(cluster),
            scenes=int(np.count_nonzero(~repeated)) + left,
            repeated=float(repeated.mean()),
            shots=float(np.count_nonzero(repeated) / max(left, 1)),
            rare=float(self.rare[inside].mean()),
            concepts=len(np.unique(self.concept[inside])),
            good=float(self.good[inside].mean()),
        )

    def pool(self) -> Kept:
        """What the whole pool holds."""
        return self.kept(self._uids)


def rarest(concept: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The quarter of all concepts with the fewest samples, of equally frequent ones the first."""
    numbers, counts = np.unique(concept, return_counts=True)
    return numbers[np.argsort(counts, kind="stable")[: max(1, int(len(numbers) * _RARE))]]


def table(kept: Mapping[str, Kept]) -> str:
    """A line for each list, in Markdown."""
    lines = [
        "| list | samples | scenes | near duplicates | shots of each of their scenes | rare concepts | concepts | sound and faithful |",
        "|---|" + "---|" * 7,
    ]
    for name, found in kept.items():
        shares = (f"{100 * found.repeated:.1f} %", f"{found.shots:.1f}", f"{100 * found.rare:.1f} %", f"{found.concepts}", f"{100 * found.good:.1f} %")
        lines.append(f"| {name} | {found.samples:,} | {found.scenes:,} | {' | '.join(shares)} |")
    return "\n".join(lines) + "\n"
