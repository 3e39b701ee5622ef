"""Showing how far long work is and when it will end, on standard error."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

Item = TypeVar("Item")


def show(items: Iterable[Item], *, total: int, unit: str, title: str, start: int = 0, step: int | Callable[[Item], int] = 1) -> Iterator[Item]:
    """Pass items on while a bar counts `step` units for each, or what it says of each, from `start` to `total`."""
    with counter(total=total, unit=unit, title=title, start=start) as bar:
        for item in items:
            yield item
            bar.update(min(step(item) if callable(step) else step, total - bar.n))


def counter(*, total: int | None, unit: str, title: str, start: int = 0) -> "tqdm[Any]":
    """A bar for what no loop passes on, or of which nobody knows how much there is: a context whose `update` counts further."""
    from tqdm import tqdm

    return tqdm(total=total, initial=start, unit=unit, desc=title, mininterval=0.5, dynamic_ncols=True, unit_scale=True)


def say(text: str) -> None:
    """Say on standard error what begins now."""
    sys.stderr.write(f"\n{text}\n")
    sys.stderr.flush()
