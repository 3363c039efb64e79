"""Filters about collections that have other columns than this package makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from colmilvus.filters.language import Column, Group, Node, Not

__all__ = ["renamed"]


def renamed(node: Node, name: Callable[[Column], Column]) -> Node:
    """The same tests, of the columns that ``name`` gives for those that they were of."""
    if isinstance(node, Not):
        return Not(renamed(node.part, name))
    if isinstance(node, Group):
        return replace(node, parts=tuple(renamed(part, name) for part in node.parts))
    return replace(node, column=name(node.column))
