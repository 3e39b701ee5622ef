"""Weights in and out, as safetensors only, and arrays of others: such a file can hold numbers and nothing that runs."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from datacomp import files
from datacomp.errors import StageError


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file.

    Raises StageError for anything else, pickled checkpoints included.
    """
    try:
        return load_file(path)
    except FileNotFoundError:
        raise StageError(f"there are no weights at {path}", repair="check the path, or train again") from None
    except SafetensorError as error:
        raise StageError(f"{path} is not a safetensors file: {error}", allowed="safetensors; pickled checkpoints can run code and are never loaded") from None


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors whole or not at all; equal tensors give equal bytes."""
    with files.whole(path) as temporary:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary)


def load_weights(network: torch.nn.Module, path: Path) -> None:
    """Put the weights of a file into a network of exactly that shape, cast to its precision."""
    tensors = read_tensors(path)
    expected = network.state_dict()
    if different := sorted(tensors.keys() ^ expected.keys()):
        raise StageError(
            f"{path} does not fit the model: tensor {different[0]} is in only one of them", repair="use the scale that the weights were trained with"
        )
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise StageError(f"{path} does not fit the model: {name} has shape {tuple(tensor.shape)}, the model's has {tuple(expected[name].shape)}")
    network.load_state_dict(tensors)


def read_array(path: Path) -> torch.Tensor:
    """Read one array: a .npy file, or a .pt file that holds an array, a tensor, or a tensor under the key "image_features".

    The published centroids and features are such .pt files. Nothing in either is run: a pickle may name numpy's arrays and no other thing.
    Raises StageError for anything else.
    """
    try:
        if path.suffix == ".npy":
            return torch.from_numpy(np.load(path, allow_pickle=False))
        with torch.serialization.safe_globals(_NUMPY_ARRAYS):
            held = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise StageError(f"there is no array at {path}", repair="check the path") from None
    except (ValueError, TypeError, EOFError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise StageError(
            f"{path} cannot be read as an array: {str(error).splitlines()[0]}", allowed="a .npy file without pickled objects, or a .pt file of one array"
        ) from None
    found = held.get("image_features") if isinstance(held, dict) else held
    if isinstance(found, np.ndarray):
        found = torch.from_numpy(found)
    if not isinstance(found, torch.Tensor) or found.ndim != 2:
        raise StageError(f"{path} holds no array of features", allowed=_ARRAYS)
    return found


_ARRAYS = "an array of shape (N, D): a .npy file without pickled objects, or a .pt file, there perhaps under the key image_features"
_REBUILD = np.zeros(0).__reduce__()[0]  # the function behind every pickled array
_NUMPY_ARRAYS: list[Any] = [  # what a pickled array consists of, under the names of old and new numpy
    np.ndarray,
    np.dtype,
    np.dtypes.Float16DType,
    np.dtypes.Float32DType,
    np.dtypes.Float64DType,
    (_REBUILD, "numpy.core.multiarray._reconstruct"),
    (_REBUILD, "numpy._core.multiarray._reconstruct"),
]
