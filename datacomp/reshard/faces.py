"""Blurring faces while samples are copied: where the metadata say that they are, as img2dataset blurs them for DataComp.

The boxes of a whole pool do not fit into memory: they lie in a file, found through an index that is sorted by uid and mapped.
"""

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from PIL import Image

from datacomp import files, sorting, tables, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts.pool import Pool
from datacomp.errors import StageError

COLUMN = "face_bboxes"
WEBP_QUALITY = 100
BOXES, INDEX = "faces.npy", "faces-index.npy"
_ROW = np.dtype([("f0", "<u8"), ("f1", "<u8"), ("first", "<u8"), ("boxes", "<u8")])
_MARGIN = 0.1  # of a box's longer side; the blur's width is as much of the longest

Boxes: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]  # (N, 4): left, top, right, bottom as shares of the picture
NO_BOXES: Boxes = np.empty((0, 4))


class Faces:
    """The boxes that were written into a folder."""

    def __init__(self, folder: Path) -> None:
        self._index = np.load(folder / INDEX, mmap_mode="r", allow_pickle=False)
        self._boxes: Boxes = np.load(folder / BOXES, mmap_mode="r", allow_pickle=False)

    def some_of(self, ids: uids.UidArray) -> bool:
        """Whether any of these uids has faces."""
        known = self._index["f0"]
        places = np.searchsorted(known, ids["f0"])
        inside = places < len(known)
        return bool((known[places[inside]] == ids["f0"][inside]).any())

    def of(self, uid: tuple[int, int]) -> Boxes:
        """The boxes of a uid, shape (N, 4)."""
        place = int(np.searchsorted(self._index["f0"], np.uint64(uid[0])))
        while place < len(self._index) and self._index["f0"][place] == uid[0]:
            _, lower, first, number = self._index[place].item()
            if lower == uid[1]:
                return np.array(self._boxes[first : first + number])
            place += 1
        return NO_BOXES


def are_bare(pool: Pool) -> bool:
    """Whether a pool's metadata name faces, and nothing says that they are blurred in its pictures."""
    told = pool.record is not None and pool.record.pictures is not None and pool.record.pictures.faces_blurred
    return not told and any(len(boxes) for _, boxes in _rows(pool))


def write(pool: Pool, folder: Path) -> None:
    """Write the boxes of a pool into a folder. Raises StageError for a pool whose metadata have none."""
    if any(COLUMN not in tables.columns(pool.metadata(stem)) for stem in pool.stems):
        raise StageError(f"some metadata of {pool.path} have no column {COLUMN}", repair="leave out --blur, or download the pool's metadata again")
    runs: list[Path] = []
    total = 0
    with files.scratch(folder) as scratch:
        with (scratch / "boxes").open("wb") as file:
            for ids, boxes in _rows(pool):
                counts = boxes.list.len().cast(pl.UInt64).to_numpy()
                flat = boxes.explode().list.to_array(4).to_numpy().astype(np.float64) if len(boxes) else np.empty((0, 4))
                rows = np.zeros(len(ids), _ROW)
                rows["f0"], rows["f1"], rows["boxes"] = ids["f0"], ids["f1"], counts
                rows["first"] = total + np.cumsum(counts) - counts
                flat.tofile(file)
                total += len(flat)
                runs.append(scratch / f"run-{len(runs)}")
                sorting.write_run(runs[-1], rows)
        flat_boxes = [np.memmap(scratch / "boxes", np.float64, "r", shape=(total, 4))] if total else []
        tables.write_npy(folder / BOXES, np.dtype(np.float64), (total, 4), flat_boxes)
        found = sum(run.stat().st_size for run in runs) // _ROW.itemsize
        tables.write_npy(folder / INDEX, _ROW, (found,), sorting.merge(runs, dtype=_ROW))


def _rows(pool: Pool) -> Iterator[tuple[uids.UidArray, pl.Series]]:
    """Uids with faces, and their boxes."""
    for span in pools.spans(pool):
        if COLUMN not in tables.columns(pool.metadata(span.stem)):
            continue
        frame = pools.read_columns(pool, span, ("uid", COLUMN)).filter(pl.col(COLUMN).list.len() > 0)
        yield uids.parse(frame["uid"], span.stem), frame[COLUMN]


def blurred(picture: bytes, boxes: Boxes) -> bytes:
    """A picture with its faces blurred, as webp.

    Each box is widened by a tenth of its longer side; a Gaussian as wide as a tenth of the longest side blurs both the picture and the
    mask that mixes it in (Yang et al. 2022, https://github.com/princetonvisualai/imagenet-face-obfuscation, as img2dataset has it).
    """
    from datacomp.network.embed import decode

    image = decode(picture)
    image = image if image.mode in ("L", "RGB") else image.convert("RGB")
    pixels = np.asarray(image, np.float32).reshape(image.height, image.width, -1) / np.float32(255)  # (H, W, C)
    mask, longest = _mask(boxes, image.height, image.width)
    sigma = _MARGIN * longest
    if sigma:
        weight = _gaussian(mask[:, :, None], sigma)
        pixels = pixels * (1 - weight) + _gaussian(pixels, sigma) * weight
    buffer = io.BytesIO()
    result = (pixels * 255).astype(np.uint8)
    Image.fromarray(result[:, :, 0] if result.shape[2] == 1 else result).save(buffer, "WEBP", quality=WEBP_QUALITY)
    return buffer.getvalue()


def _mask(boxes: Boxes, height: int, width: int) -> tuple[np.ndarray[Any, np.dtype[np.float32]], int]:
    """Ones where faces are, shape (H, W), and the longest side of a box in pixels."""
    mask = np.zeros((height, width), np.float32)
    longest = 0
    for left, top, right, bottom in (np.trunc(boxes * [width, height, width, height])).astype(int).tolist():
        side = max(right - left, bottom - top)
        longest = max(longest, side)
        rows, columns = _widened(top, bottom, side, height), _widened(left, right, side, width)
        mask[rows, columns] = 1
    return mask, longest


def _widened(start: int, end: int, side: int, limit: int) -> slice:
    first, last = (min(max(int(edge), 0), limit - 1) for edge in (start - _MARGIN * side, end + _MARGIN * side))
    return slice(first, last)


def _gaussian(pixels: np.ndarray[Any, Any], sigma: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Blur (H, W, C) along both axes, mirrored at the borders."""
    import torch

    radius = math.ceil(4 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2).astype(np.float32)
    kernel /= kernel.sum()
    padded = np.pad(pixels, ((radius, radius), (radius, radius), (0, 0)), mode="reflect").transpose(2, 0, 1)[:, None]
    weights = torch.from_numpy(kernel)
    blurred_rows = torch.nn.functional.conv2d(torch.from_numpy(np.ascontiguousarray(padded)), weights[None, None, :, None])
    both = torch.nn.functional.conv2d(blurred_rows, weights[None, None, None, :])
    result: np.ndarray[Any, np.dtype[np.float32]] = both[:, 0].numpy().transpose(1, 2, 0)
    return result
