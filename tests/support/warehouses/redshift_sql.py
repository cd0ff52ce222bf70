"""Turn the statements that dbt-redshift sends into statements that PostgreSQL understands.

Strings, comments and quoted names are taken out before the rules see a statement, so that no rule can
change a value or a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# Redshift reads a backslash in a string as an escape, as PostgreSQL does without standard_conforming_strings.
OPAQUE = re.compile(
    r"""'(?:[^'\\]|\\.|'')*'            # a string
      | "(?:[^"]|"")*"                  # a quoted name
      | \$(\w*)\$.*?\$\1\$              # a dollar-quoted string
      | --[^\n]*                        # a comment
      | /\*.*?\*/                       # a comment
    """,
    re.DOTALL | re.VERBOSE,
)
MARK = re.compile(r"\x01(\d+)\x01")
NAME = r"(?:[\w$]+|\x01\d+\x01)"
POSTGRES_NAME_BYTES = 63


class NameTooLongError(Exception):
    """Say that a name fits Redshift (127 bytes) but not PostgreSQL, which would cut it silently."""


def translate(statement: str) -> str:
    """Return the PostgreSQL form of a Redshift statement; raise NameTooLongError for a name it can't hold."""
    hidden: list[str] = []

    def hide(match: re.Match[str]) -> str:
        text = match.group()
        hidden.append(_fold(text) if text.startswith('"') else text)
        return f"\x01{len(hidden) - 1}\x01"

    def reveal(text: str) -> str:
        return MARK.sub(lambda match: hidden[int(match.group(1))], text)

    text = OPAQUE.sub(hide, statement)
    # A query comment stands before the statement; the rules look at the first word after it.
    start = re.match(r"(?:\s|\x01\d+\x01)*", text)
    head = start.group() if start else ""
    body = text[len(head) :]
    for rule in RULES:
        body = rule(body)
    return reveal(head + _show(body, reveal))


def _fold(quoted_name: str) -> str:
    """Fold a quoted name to lower case: on Redshift, quoting doesn't keep the case.

    Source: "Names and identifiers" in the AWS documentation; only ASCII letters are folded.
    """
    if len(quoted_name[1:-1].replace('""', '"').encode()) > POSTGRES_NAME_BYTES:
        raise NameTooLongError(f"the Redshift stand-in holds names of up to {POSTGRES_NAME_BYTES} bytes: {quoted_name}")
    return "".join(letter.lower() if letter.isascii() else letter for letter in quoted_name)


TABLE_ATTRIBUTES = re.compile(
    r"""\b(?: diststyle\s+(?:all|even|auto|key)
            | distkey\s*\([^()]*\)
            | (?:(?:compound|interleaved)\s+)?sortkey\s*\([^()]*\)
            | sortkey\s+auto
            | backup\s+(?:yes|no)
            | encode\s+\w+ )(?!\w)""",
    re.IGNORECASE | re.VERBOSE,
)
TABLE_KEYS = re.compile(
    rf""",\s* (?:constraint\s+{NAME}\s+)?
         (?: (?:primary\s+key|unique)\s*\([^()]*\)
           | foreign\s+key\s*\([^()]*\)\s*references\s+{NAME}(?:\.{NAME})*\s*(?:\([^()]*\))? )""",
    re.IGNORECASE | re.VERBOSE,
)
COLUMN_KEYS = re.compile(
    rf"""\b(?: primary\s+key | unique
            | references\s+{NAME}(?:\.{NAME})*\s*(?:\([^()]*\))? )(?!\w)""",
    re.IGNORECASE | re.VERBOSE,
)
CREATE_TABLE = re.compile(r"create\s+(?:(?:local\s+)?temp(?:orary)?\s+)?table\b", re.IGNORECASE)
BODY = re.compile(r"\bas\s*(?=\(|select\b|with\b)", re.IGNORECASE)


def _create_table(text: str) -> str:
    """Leave out what PostgreSQL can't store (dist, sort, encoding) and what it alone enforces (keys)."""
    if not CREATE_TABLE.match(text):
        return text
    body = BODY.search(text)
    split = body.start() if body else len(text)
    head = text[:split]
    for attribute in (TABLE_ATTRIBUTES, TABLE_KEYS, COLUMN_KEYS):
        head = attribute.sub(" ", head)
    return head + text[split:]


def _replace(pattern: str, replacement: str) -> Callable[[str], str]:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda text: compiled.sub(replacement, text)


RULES: tuple[Callable[[str], str], ...] = (
    _create_table,
    _replace(r"\bwith\s+no\s+schema\s+binding\b", ""),
    _replace(r"\b(dateadd|datediff)\s*\(\s*([a-z_]+)\s*,", r"\1('\2',"),
    _replace(r"\bnvl\s*\(", "coalesce("),
    _replace(r"\bsysdate\b", "getdate()"),
    _replace(r"^(set|reset)\s+query_group\b", r"\1 redshift.query_group"),
    # With `datasharing: true`, schemas are created and dropped by their full name.
    _replace(rf"^((?:create|drop)\s+schema\s+(?:if\s+(?:not\s+)?exists\s+)?){NAME}\.({NAME})", r"\1\2"),
)

SHOW = re.compile(
    rf"show\s+(schemas|tables|columns|grants)\s+(?:from|on)\s+(?:database|schema|table)\s+"
    rf"({NAME})(?:\.({NAME}))?(?:\.({NAME}))?(?:\s+like\s+({NAME}))?\s*;?\s*$",
    re.IGNORECASE,
)


def _show(text: str, reveal: Callable[[str], str]) -> str:
    """Ask the functions of redshift_compat.sql what Redshift's SHOW statements tell."""
    match = SHOW.match(text)
    if match is None:
        return text
    kind, *names, like = match.groups()
    arguments = [_literal(reveal(name)) for name in names if name is not None]
    query = f"select * from pg_catalog.redshift_show_{kind.lower()}({', '.join(arguments)})"
    return query if like is None else f"{query} where {kind.lower()[:-1]}_name like {like}"


def _literal(name: str) -> str:
    plain = name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
    return "'" + plain.replace("\\", "\\\\").replace("'", "''") + "'"
