"""Arrays that others publish: .npy files, and .pt files of one array or tensor. Nothing in them is run."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datacomp.errors import StageError

_ALLOWED = "an array of shape (N, D): a .npy file without pickled objects, or a .pt file of one array or tensor, there perhaps under the key image_features"
_BROKEN = (ValueError, TypeError, EOFError, IndexError, RuntimeError, MemoryError, UnicodeError, AttributeError, pickle.UnpicklingError, zipfile.BadZipFile)


def read(path: Path) -> torch.Tensor:
    """Read one array of shape (N, D).

    DataComp's published centroids are a pickled numpy array in a .pt file, which torch's own safe reader refuses; its features are
    tensors under "image_features". Raises StageError for anything else.
    """
    try:
        held = np.load(path, allow_pickle=False) if path.suffix == ".npy" else _read_pt(path)
    except FileNotFoundError:
        raise StageError(f"there is no array at {path}", repair="check the path") from None
    except _BROKEN as error:
        raise StageError(f"{path} cannot be read as an array: {str(error).splitlines()[0] if str(error) else type(error).__name__}", allowed=_ALLOWED) from None
    if isinstance(held, dict):
        held = held.get("image_features")
    if isinstance(held, np.ndarray) and held.dtype.kind == "f":
        held = torch.from_numpy(held)
    if not isinstance(held, torch.Tensor) or held.ndim != 2 or not held.is_floating_point():
        raise StageError(f"{path} holds no array of features", allowed=_ALLOWED)
    return held


def _read_pt(path: Path) -> object:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        pickled = next((name for name in names if name.endswith("/data.pkl")), None)
        if pickled is None:
            raise ValueError("it is no file of torch.save")
        if not any("/data/" in name for name in names):  # no tensor: the array stands in the pickle itself
            return _ArrayUnpickler(io.BytesIO(archive.read(pickled))).load()
    return torch.load(path, map_location="cpu", weights_only=True)


class _ArrayUnpickler(pickle.Unpickler):  # names no function but the three that make an array
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PARTS_OF_AN_ARRAY:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no part of an array")
        return _PARTS_OF_AN_ARRAY[module, name]


_rebuild: Callable[..., Any] = np.zeros(0).__reduce__()[0]  # type: ignore[assignment]  # the function behind every pickled array
_PARTS_OF_AN_ARRAY: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _rebuild,
    ("numpy._core.multiarray", "_reconstruct"): _rebuild,
}
