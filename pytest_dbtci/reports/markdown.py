"""Put any text into Markdown so that it breaks nothing, runs nothing and notifies nobody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pytest_dbtci.reports.table import plain

# A zero-width space after these keeps the providers from making mentions and links to issues of them.
_REFERENCES = re.compile(r"([@#!$%~])(?=\w)")
# An underscore inside a word is an underscore.
_PUNCTUATION = re.compile(r"([\\`*{}\[\]|~<>]|(?<![^\W_])_|_(?![^\W_]))")
_ADDRESS = re.compile(r"https?://[^\s<>]+")
_SAFE_CODE = re.compile(r"[^\n`|\\]*[^\s`|\\]")


def prose(text: str) -> str:
    """Escape a sentence; it becomes one line."""
    text = " ".join(plain(text).split()).replace("&", "&amp;\u200b")
    text = _PUNCTUATION.sub(lambda m: {"<": "&lt;", ">": "&gt;"}.get(m[1], "\\" + m[1]), text)
    text = re.sub(r"^([-+=#]|\d+[.)])", lambda m: m[1][:-1] + "\\" + m[1][-1], text)
    return _REFERENCES.sub("\\1\u200b", text)


def code(text: str) -> str:
    """Return a name, path or value in a code span, in a table cell too; mentions don't work inside one."""
    text = " ".join(plain(text).split())
    if not text:
        return ""
    return f"`{text}`" if _SAFE_CODE.fullmatch(text) else html_code(text)


def linked(text: str, address: str | None) -> str:
    """Return a name in a code span, as a link where there is an address of a page."""
    return f"[{code(text)}](<{address}>)" if address and _ADDRESS.fullmatch(address) else code(text)


def html_code(text: str) -> str:
    """Do the same where Markdown isn't read, or where backticks, pipes or backslashes would end it."""
    safe = "".join(c if c.isalnum() or c in " -./:" else f"&#{ord(c)};" for c in " ".join(plain(text).split()))
    return f"<code>{safe}</code>"


def block(text: str, language: str = "text") -> str:
    """Return text in a code block that nothing inside it can close."""
    text = plain(text).strip("\n")
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    return f"{fence}{language}\n{text}\n{fence}"


def grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table of cells that are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def details(summary: str, body: str) -> str:
    """Fold `body` (Markdown) under `summary` (HTML: Markdown isn't read on its line)."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"
