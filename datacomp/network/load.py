"""Weights in and out, as safetensors only: a checkpoint can hold numbers and nothing that runs."""

from collections.abc import Mapping
from pathlib import Path

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
