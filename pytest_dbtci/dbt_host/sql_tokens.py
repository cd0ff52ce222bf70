"""Tell whether two SQL texts differ in their formatting alone: in white space, comments and unquoted letters' case.

The warehouses disagree in what a text means where it holds certain characters (a backslash in a literal, a comment in
a comment). There nothing is told: equal is only what is equal for all of them.
"""

from __future__ import annotations

import re

FOLDING = ("postgres", "redshift", "snowflake")
"""The adapters of warehouses to which an unquoted name means the same in any case."""

KNOWN = (*FOLDING, "duckdb")
"""The adapters whose SQL is known well enough to tell."""

TOKEN = re.compile(
    r"""
      (?P<space>[ \t\n\f\v\r]+ | --(?!\+)[^\n]*)
    | (?P<comment>/\*(?!\+).*?\*/)
    | (?P<hint>/\*\+.*?\*/)
    | (?P<string>[A-Za-z_&]*'(?:[^']|'')*' | (?P<dollar>\$\w*\$).*?(?P=dollar))
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<number>\.?\d[\w.]*)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<mark>[(),;.\[\]{}])
    | (?P<operator>(?:(?!--|/\*)[-+*/<>=~!?%^&|:#])+)
    """,
    re.VERBOSE | re.DOTALL,
)
"""A token, its kind as the group's name."""

_AMBIGUOUS = re.compile(r"\\|\r(?!\n)")
"""An escape or none, the end of a line or none."""

_CLAUSES = frozenset(
    {
        *("all", "and", "any", "as", "asc", "case", "cast", "cross", "desc", "distinct", "else", "end"),
        *("except", "false", "fetch", "for", "from", "full", "group", "having", "in", "inner", "intersect"),
        *("into", "is", "join", "lateral", "left", "like", "limit", "natural", "not", "null", "offset", "on"),
        *("or", "order", "outer", "qualify", "right", "select", "some", "then", "true", "union", "using"),
        *("when", "where", "window", "with"),
    }
)
"""Words that are no names unless they stand behind `as` or a dot."""


def is_same(one: str, other: str, adapter: str) -> bool:
    """Whether the two texts have the same tokens for sure."""
    if one == other:
        return True
    first = _tokens(one, adapter)
    return first is not None and first == _tokens(other, adapter)


def _tokens(sql: str, adapter: str) -> list[str] | None:
    """Return what the warehouse reads of the text, None where that can't be told."""
    if adapter not in KNOWN or _AMBIGUOUS.search(sql):
        return None
    found, kinds, at = list[str](), list[str](), 0
    while at < len(sql):
        token = TOKEN.match(sql, at)
        if token is None:
            return None
        kind, text, at = token.lastgroup or "", token[0], token.end()
        kind = "string" if kind == "dollar" else kind
        if kind == "comment" and "/*" in text[2:]:
            return None  # some warehouses read on until the inner comment's end and one more
        if kind == "operator" and "//" in text:
            return None  # a comment to one of them, a division to another
        if kind in ("space", "comment"):
            continue
        if kind == "string" and kinds[-1:] == ["string"]:
            return None  # a line break between the two makes them one
        if kind == "word":
            text = _folded(text, found[-1:], adapter)
        found.append(text)
        kinds.append(kind)
    return found


def _folded(word: str, before: list[str], adapter: str) -> str:
    """Return the word in small letters where another case would give no column another name."""
    small = "".join(c.lower() if c.isascii() else c for c in word)
    if adapter in FOLDING:
        return small
    return small if small in _CLAUSES and before not in (["as"], ["."]) else word
