"""Filters combined, as a user writes them: `basic_filter & clip_score(l14, 0.3)`.

`&` keeps what both keep, `|` what either keeps, `-` what the first keeps and the second does not; uids kept several times are counted
as in `datacomp subset intersect`, `union` and `minus`. The text is taken apart by Python's own grammar and never run.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from datacomp.errors import FilterError
from datacomp.filters import catalog
from datacomp.filters.base import Filter, Multiplicity, RowFilter

_OPERATORS: dict[type[ast.operator], str] = {ast.BitAnd: "&", ast.BitOr: "|", ast.Sub: "-"}
_MAX_NESTED = 200
_ALLOWED = "filter names with options in parentheses, joined by & | - and parentheses, as in: basic_filter & clip_score(l14, 0.3)"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One filter with its options."""

    made: Filter
    name: str
    options: dict[str, catalog.Option]

    def leaves(self) -> "Iterator[Leaf]":
        """Itself."""
        yield self

    @property
    def by_rows(self) -> bool:
        """Whether it looks at each row alone."""
        return isinstance(self.made, RowFilter)

    def __str__(self) -> str:
        return self.made.name


@dataclass(frozen=True, slots=True)
class Combined:
    """Two filters and what becomes of their answers."""

    operator: str
    left: "Tree"
    right: "Tree"

    def leaves(self) -> Iterator[Leaf]:
        """All filters, from left to right."""
        yield from self.left.leaves()
        yield from self.right.leaves()

    @property
    def by_rows(self) -> bool:
        """Whether all its filters look at each row alone."""
        return self.left.by_rows and self.right.by_rows

    def __str__(self) -> str:
        right = f"({self.right})" if isinstance(self.right, Combined) else str(self.right)
        left = f"({self.left})" if isinstance(self.left, Combined) and self.left.operator != self.operator else str(self.left)
        return f"{left} {self.operator} {right}"

    def join(self, left: Multiplicity, right: Multiplicity) -> Multiplicity:
        """How often a row is kept, from how often both sides keep it."""
        if self.operator == "&":
            return np.minimum(left, right)
        if self.operator == "|":
            return np.maximum(left, right)
        return np.maximum(left.astype(np.int64) - right, 0)


Tree: TypeAlias = Leaf | Combined


def make(text: str, options: dict[str, catalog.Option]) -> Tree:
    """Make the filters that a text names; `options` go to those of them that have such an option.

    Raises FilterError for what is no combination of filters, and for an option that none of them takes.
    """
    text = catalog.ALIASES.get(text, text)
    if text in catalog.OURS or text in catalog.names():
        return Leaf(catalog.make(text, options), text, options)
    try:
        nested = sum(map(text.count, "(|&-"))
        parsed = ast.parse(text.strip() if nested <= _MAX_NESTED else "", mode="eval").body  # some parsers do not recover from what is too deep
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise FilterError(f"{text[:200]!r} is no combination of filters", allowed=_ALLOWED) from None
    unused = set(options)
    tree = _tree(parsed, options, unused)
    if unused:
        raise FilterError(f"none of {text} has an option {min(unused).replace('_', '-')}", repair="leave it out")
    return tree


def _tree(node: ast.expr, options: dict[str, catalog.Option], unused: set[str]) -> Tree:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return Combined(_OPERATORS[type(node.op)], _tree(node.left, options, unused), _tree(node.right, options, unused))
    given: dict[str, catalog.Option] = {}
    positional: list[catalog.Option] = []
    if isinstance(node, ast.Call):
        positional = [_value(argument) for argument in node.args]
        given = {keyword.arg or _refuse(keyword.value): _value(keyword.value) for keyword in node.keywords}
        node = node.func
    if isinstance(node, ast.Subscript):  # the variant that a record names: basic_filter[ftz]
        positional = [_value(node.slice), *positional]
        node = node.value
    name = node.id if isinstance(node, ast.Name) else _refuse(node)
    taken = catalog.parameters(name)
    if len(positional) > len(taken):
        raise FilterError(f"filter {name} got {len(positional)} values", allowed=", ".join(taken) or "no options")
    given = {name: value for name, value in options.items() if name in taken} | dict(zip(taken, positional, strict=False)) | given
    unused -= set(taken)
    return Leaf(catalog.make(name, given), name, given)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return -node.operand.value  # type: ignore[operator]  # of a number; of a string it fails below
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | bool):
        return node.value
    return _refuse(node)


def _refuse(node: ast.expr) -> Any:
    raise FilterError(f"{ast.unparse(node)[:200]!r} is neither a filter nor an option", allowed=_ALLOWED)
