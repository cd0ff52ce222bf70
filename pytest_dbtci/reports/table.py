"""Rows as a small text table that stays aligned in a terminal, in a log and in a Markdown code block."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# CSI and OSC sequences, then the two-character escapes.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
# Set aside by Unicode: no Markdown shows them, and no XML may hold the last two of a plane.
_NEVER_CHARACTERS = frozenset(
    map(chr, (*range(0xFDD0, 0xFDF0), *(p << 16 | n for p in range(17) for n in (0xFFFE, 0xFFFF))))
)
_MARKS = {"\n": "↵", "\r": "", "\t": " "}


def plain(text: str) -> str:
    """Strip colours, carriage returns and control characters; line ends and tabs stay."""
    text = _ANSI.sub("", text).replace("\r\n", "\n")
    return "".join(c for c in text if c in "\n\t" or not _is_control(c))


def width(text: str) -> int:
    """Return the number of terminal columns: wide characters take two, combining ones none."""
    return len(text) if text.isascii() else sum(_columns(c) for c in text)


def cut(text: str, limit: int) -> str:
    """Shorten to `limit` terminal columns, an ellipsis included."""
    if width(text) <= limit:
        return text
    kept, used = [], 1
    for c in text:
        used += _columns(c)
        if used > limit:
            break
        kept.append(c)
    return "".join(kept).rstrip() + "…"


def cell(text: str, limit: int) -> str:
    """Make one line of any value: line ends as ↵, no control characters, cut to `limit` columns."""
    return cut("".join(_MARKS.get(c, c) for c in plain(text)), limit)


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, cells: int = 28, total: int = 78
) -> tuple[str, ...]:
    """Lay out header, rule and rows; numbers stand to the right.

    No cell is wider than `cells` columns and no line than `total`; what doesn't fit is counted at the end.
    """
    head = [cell(c, cells) for c in columns]
    body = [[cell(value, cells) for value in row] for row in rows]
    widths = [max(width(line[i]) for line in [head, *body]) for i in range(len(head))]
    shown = _fitting(widths, total)
    right = [_is_number_column([row[i] for row in rows]) for i in range(shown)]
    lines = [" | ".join(_padded(line[i], widths[i], right[i]) for i in range(shown)).rstrip() for line in [head, *body]]
    lines.insert(1, "-+-".join("-" * widths[i] for i in range(shown)))
    if shown < len(head):
        left = [cell(c, cells) for c in columns[shown:]]
        lines.append(cut(f"{len(left)} more column{'s' * (len(left) > 1)}: {', '.join(left)}", total))
    return tuple(lines)


def _fitting(widths: Sequence[int], total: int) -> int:
    used = 0
    for i, size in enumerate(widths):
        used += size + (3 if i else 0)
        if used > total and i:
            return i
    return len(widths)


def _padded(text: str, size: int, right: bool) -> str:
    space = " " * (size - width(text))
    return space + text if right else text + space


def _is_number_column(values: Sequence[str]) -> bool:
    known = [v for v in values if v != "null"]
    return bool(known) and all(re.fullmatch(r"[+-]?\d[\d.]*(?:[eE][+-]?\d+)?", v) for v in known)


def _columns(c: str) -> int:
    if unicodedata.combining(c) or unicodedata.category(c) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def _is_control(c: str) -> bool:
    """Whether it is a control character, one that turns the reading direction of what follows, or never a character."""
    if unicodedata.category(c) == "Cc" or c in "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069":
        return True
    return c in _NEVER_CHARACTERS
