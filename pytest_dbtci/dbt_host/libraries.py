"""Spare this process what the libraries below dbt do twice, or slowly; what they give stays the same."""

from __future__ import annotations

from collections.abc import Iterator
from json import JSONEncoder
from typing import Any

MOST = 2000
"""How many trees are kept at a time; dbt comes back for those of macros when it has read all of them."""


def parse_once() -> None:
    """Let this process's Jinja give the tree of a text that it has parsed before, once more and no more.

    dbt parses each macro to find its name, and again to find what it calls: a quarter of a small project's parse. It
    changes no tree.
    """
    from jinja2 import Environment
    from jinja2.nodes import Template

    parse, trees = Environment.parse, dict[Any, Template]()

    def parse_or_recall(
        self: Environment, source: str, name: str | None = None, filename: str | None = None
    ) -> Template:
        # The parser is a method of the environment's; the lexer is the same where the environment says the same.
        key = (type(self), self.lexer, *self.extensions, source, name, filename)
        known = trees.pop(key, None)
        if known is not None:
            return known
        tree = trees[key] = parse(self, source, name, filename)
        if len(trees) > MOST:
            del trees[next(iter(trees))]
        return tree

    Environment.parse = parse_or_recall  # type: ignore[method-assign]


def dump_at_once() -> None:
    """Let `json.dump`, by which dbt writes a manifest, make its text as `json.dumps` does: in C, not piece by piece."""
    iterate = JSONEncoder.iterencode

    def iterencode(self: JSONEncoder, o: Any, _one_shot: bool = False) -> Iterator[str]:
        return iterate(self, o, _one_shot) if _one_shot else iter((self.encode(o),))

    JSONEncoder.iterencode = iterencode  # type: ignore[method-assign]
