"""Scorers by name: ours, and those that other packages bring through the entry-point group `datacomp.scorers`.

A scorer is a "module:function" string whose function takes what `datacomp.score.base.Given` holds, and options as text by keyword; it is imported
when it is used.
"""

import importlib
import inspect
from collections.abc import Callable
from functools import cache
from importlib import metadata

from datacomp.errors import StageError
from datacomp.launch import local
from datacomp.network import choose
from datacomp.network.choose import Network
from datacomp.score.base import Given, Method, Scorer

GROUP = "datacomp.scorers"
OURS = {
    "cosine": "datacomp.score.cosine:make",
    "flip": "datacomp.score.cosine:make_flipped",
    "classifier": "datacomp.score.classifier:make",
}


def names() -> dict[str, str]:
    """Every scorer and where it comes from; no other package can take one of our names."""
    return {**{point.name: point.value for point in metadata.entry_points(group=GROUP)}, **OURS}


@cache
def load(method: Method, network: Network | None, device: str, batch_samples: int) -> Scorer:
    """Make a scorer, once in each process.

    Raises StageError for an unknown name, an option that the scorer does not have, and whatever the scorer itself refuses.
    """
    maker = _maker(method.name)
    taken = list(inspect.signature(maker).parameters)[1:]
    if unknown := sorted(dict(method.options).keys() - set(taken)):
        raise StageError(f"scorer {method.name} has no option {unknown[0]!r}", allowed=", ".join(taken) or "no options")
    encoder = choose.load(network, local.device(device), batch_samples) if network else None
    try:
        return maker(Given(encoder, local.device(device), batch_samples, method.precision), **dict(method.options))
    except TypeError as error:
        raise StageError(f"scorer {method.name} cannot be made: {error}", allowed=f"--option NAME=VALUE for {', '.join(taken) or 'nothing'}") from None


def _maker(name: str) -> Callable[..., Scorer]:
    found = OURS if name in OURS else names()
    if name not in found:
        raise StageError(f"{name!r} is no scorer", allowed=", ".join(sorted(found)), repair=f"install the package that brings it (entry-point group {GROUP})")
    module, _, function = found[name].partition(":")
    try:
        resolved: Callable[..., Scorer] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise StageError(f"scorer {name} cannot be loaded from {found[name]}: {error}", repair="install the package that brings it again") from None
    return resolved
