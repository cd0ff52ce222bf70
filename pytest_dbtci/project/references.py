"""What a text mentions: variables, data files, Python modules, and lookups that can't be followed."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

DATA_SUFFIXES = (
    *("csv", "tsv", "psv", "txt", "dat", "json", "jsonl", "ndjson", "geojson", "xml", "parquet", "pq", "avro"),
    *("orc", "arrow", "feather", "xlsx", "xls", "gz", "bz2", "zst", "zip", "db", "duckdb", "sqlite", "pkl"),
)
"""Endings of files that SQL or Python can read as data (DuckDB reads files by their name)."""

_FILE = re.compile(r"[^\s'\"`,;()=]*\.(?:" + "|".join(DATA_SUFFIXES) + r")\b", re.IGNORECASE)
_VAR = re.compile(r"""\bvar(?:\.has_var)?\s*\(\s*(?:\\?['"]([^'"\\]*))?""")
_IMPORT = re.compile(r"^[ \t]*(?:from|import)[ \t]+([\w., \t]+)", re.MULTILINE)
_DYNAMIC = re.compile(r"""\bcontext\s*(?:\[|\.get\s*\()|\bdispatch\s*\(\s*(?:macro_name\s*=\s*)?[^\s'"]""")
_GRAPH = re.compile(r"\bgraph\b\s*[.\[|]")

ANY_VAR = "*"
"""Stands for a variable whose name is computed."""


def variables(text: str) -> list[str]:
    """Name the dbt variables that the text reads, `*` for one whose name is computed."""
    return sorted({m.group(1) or ANY_VAR for m in _VAR.finditer(text)}) if "var" in text else []


def files(text: str, *, python: bool = False) -> list[str]:
    """Give the data files that the text names, as patterns of their last part (Jinja and globs as `*`)."""
    found = {_pattern(m.group(0)) for m in _FILE.finditer(text)} if "." in text else set[str]()
    if python:
        for match in _IMPORT.finditer(text):
            found |= {f"{part}.py" for part in re.findall(r"\w+", match.group(1))}
    return sorted(found)


def is_named(path: str, patterns: Iterable[str]) -> bool:
    """Tell whether one of the patterns can mean that path; a last part that only ends alike counts."""
    name = path.rsplit("/", 1)[-1].lower()
    return any(fnmatch.fnmatchcase(name, "*" + p.lower()) for p in patterns)


def is_dynamic(text: str) -> bool:
    """Tell whether the text calls macros by a computed name."""
    return _DYNAMIC.search(text) is not None


def reads_graph(text: str) -> bool:
    """Tell whether the text reads other nodes' properties through `graph`."""
    return _GRAPH.search(text) is not None


def _pattern(found: str) -> str:
    last = found.replace("\\", "/").rsplit("/", 1)[-1]
    return re.sub(r"\{[^{}]*\}|[{}*?\[\]~%|+]+", "*", last)
