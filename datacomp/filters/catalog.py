"""Filters by name: ours, and those that other packages bring through the entry-point group `datacomp.filters`.

A filter is a "module:function" string whose function takes the options by keyword and returns a `datacomp.filters.base.Filter`; it
is imported when it is used.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import pydantic

from datacomp.errors import FilterError
from datacomp.filters.base import Filter

GROUP = "datacomp.filters"
OURS = {
    "no_filter": "datacomp.filters.no_filter:make",
    "random": "datacomp.filters.random_subset:make",
    "basic_filter": "datacomp.filters.basic_filter:make",
    "clip_score": "datacomp.filters.clip_score:make",
    "score": "datacomp.filters.clip_score:make_score",
    "soft_cap": "datacomp.filters.soft_cap:make",
    "laion2b": "datacomp.filters.laion2b:make",
    "text_based": "datacomp.filters.text_based:make",
    "image_based": "datacomp.filters.image_based:make",
    "image_based_captions": "datacomp.filters.image_based:make_captions",
    "text_sample": "datacomp.filters.text_sample:make",
    "cluster_sample": "datacomp.cluster.sample:make",
    "semdedup": "datacomp.cluster.semdedup:make",
    "density": "datacomp.cluster.density:make",
}
ALIASES = {"image_based_intersect_clip_score": "clip_score & image_based"}  # names of the published code

Option = float | int | str | bool


def names() -> dict[str, str]:
    """Every filter and where it comes from; no other package can take one of our names."""
    found = {point.name: point.value for point in metadata.entry_points(group=GROUP)}
    return {**found, **OURS}


def parameters(name: str) -> Mapping[str, inspect.Parameter]:
    """The options that a filter takes, in their order."""
    return inspect.signature(_maker(name), eval_str=True).parameters


def make(name: str, options: dict[str, Option]) -> Filter:
    """Make a filter with its options.

    Raises FilterError for an unknown name, an option that the filter does not have, or a value that it refuses.
    """
    taken = parameters(name)
    if unknown := sorted(set(options) - set(taken)):
        raise FilterError(f"filter {name} has no option {unknown[0].replace('_', '-')!r}", allowed=", ".join(taken).replace("_", "-") or "no options")
    for option, value in options.items():
        _check(name, taken[option], value)
    made: Filter = _maker(name)(**options)
    return made


def _check(name: str, parameter: inspect.Parameter, value: Option) -> None:
    if parameter.annotation is parameter.empty:
        return
    try:
        pydantic.TypeAdapter(parameter.annotation).validate_python(value, strict=True)
    except pydantic.ValidationError as error:
        option = parameter.name.replace("_", "-")
        raise FilterError(f"filter {name} got {str(value)[:80]!r} as {option}: {error.errors()[0]['msg']}", repair=f"give another {option}") from None


def _maker(name: str) -> Callable[..., Any]:
    found = OURS if name in OURS else names()  # looking through all packages takes longer than a filter is worth waiting for
    if name not in found:
        allowed = ", ".join(sorted({*found, *ALIASES}))
        raise FilterError(f"{name!r} is no filter", allowed=allowed, repair=f"install the package that brings it (entry-point group {GROUP})")
    module, _, function = found[name].partition(":")
    try:
        resolved: Callable[..., Any] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise FilterError(f"filter {name} cannot be loaded from {found[name]}: {error}", repair="install the package that brings it again") from None
    return resolved
