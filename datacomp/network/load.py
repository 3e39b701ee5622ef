"""Weights in and out: a checkpoint can hold numbers and nothing that runs."""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from datacomp import files
from datacomp.errors import StageError

_PICKLED = (".pt", ".pth", ".bin", ".ckpt")
_BROKEN = (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, LookupError, AttributeError, TypeError)  # what torch.load ends in
_ALLOWED = "safetensors, or a .pt file that holds a dictionary of tensors and nothing else"


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


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], notes: dict[str, str] | None = None) -> None:
    """Write tensors, and notes beside them, whole or not at all; equal ones give equal bytes."""
    with files.scratch(path.parent) as folder:  # the library writes under a name of its own first, which a kill would leave behind, and for its owner alone
        temporary = folder / path.name
        temporary.touch()
        mode = temporary.stat().st_mode
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary, metadata=notes)
        temporary.chmod(mode)
        files.publish(temporary, path)


def read_notes(path: Path) -> dict[str, str]:
    """What `write_tensors` noted beside the tensors of a file that can be read."""
    with safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


def read_published(path: Path) -> dict[str, torch.Tensor]:
    """Read weights that others published: safetensors, or a .pt file of tensors, which is unpickled without running anything it names.

    Raises StageError for a pickle that holds more than tensors.
    """
    if path.suffix not in _PICKLED:
        return read_tensors(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # of a pickle's version
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise StageError(f"there are no weights at {path}", repair="check the path") from None
    except _BROKEN as error:
        raise StageError(f"{path} does not hold tensors alone: {str(error)[:200] or 'it is cut off'}", allowed=_ALLOWED) from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in content.items()):
        raise StageError(f"{path} holds something else than named tensors", allowed=_ALLOWED)
    return {name.removeprefix("module."): tensor for name, tensor in content.items()}  # open_clip's trainer wraps the model of several GPUs


def load_weights(network: torch.nn.Module, path: Path) -> None:
    """Put the weights of a file into a network of exactly that shape, cast to its precision."""
    put(network, read_tensors(path), path)


def put(network: torch.nn.Module, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Put tensors into a network of exactly that shape, cast to its precision; `path` names their file in errors."""
    expected = network.state_dict()
    if different := sorted(tensors.keys() ^ expected.keys()):
        raise StageError(
            f"{path} does not fit the model: tensor {different[0]} is in only one of them",
            repair="use the scale or architecture of the weights",
        )
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise StageError(f"{path} does not fit the model: {name} has shape {tuple(tensor.shape)}, the model's has {tuple(expected[name].shape)}")
    network.load_state_dict(tensors)
