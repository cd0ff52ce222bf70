"""What a text mentions: variables, data files, Python modules, macros, and lookups that can't be followed."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Set
from functools import lru_cache
from typing import Any

DATA_SUFFIXES = (
    *("csv", "tsv", "psv", "txt", "dat", "json", "jsonl", "ndjson", "geojson", "xml", "parquet", "pq", "avro"),
    *("orc", "arrow", "feather", "xlsx", "xls", "gz", "bz2", "zst", "zip", "db", "duckdb", "sqlite", "pkl"),
)
"""Endings of files that SQL or Python can read as data (DuckDB reads files by their name)."""

_FILE = re.compile(r"[^\s'\"`,;()=]*\.(?:" + "|".join(DATA_SUFFIXES) + r")\b", re.IGNORECASE)
_VAR = re.compile(r"""\bvar(?:\.has_var)?\s*\(\s*(?:\\?['"]([^'"\\]*)\\?['"]\s*[,)])?""")
_READ = re.compile(
    r"\b(?:(?:read_\w+|\w+_scan|\w+_read|glob)\s*\(|from|join|attach(?:\s+database)?(?:\s+if\s+not\s+exists)?)"
    r"""\s*(\[[^\]]*\]|'[^']*'|"[^"]*")""",
    re.IGNORECASE,
)
_LITERAL = re.compile(r"""(['"])([^'"\s]*(?:/[^'"\s]*|\.\w{1,8}))\1""")
_IMPORT = re.compile(
    r"^[ \t]*(?:from|import)[ \t]+((?:[\w., \t]|\\\n)+(?:\([^)]*\))?)"
    r"""|\b(?:import_module|__import__)\s*\(\s*['"]([\w.]+)['"]""",
    re.MULTILINE,
)
_MODULE = re.compile(r"""\bmodule['"]?\s*:\s*['"]?([\w.]+)""")
_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_DEFINITION = re.compile(r"\b(?:macro|test|data_test)\s+\w+\s*\(")
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_STRING = re.compile(r"'[^']*'|\"[^\"]*\"")
_EXPRESSION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_CALL = re.compile(r"(?<![\w.])((?:\w+\s*\.\s*)?\w+)\s*\(")
_MEMBER = re.compile(r"""(?<![\w.])(\w+)\s*(?:\.\s*get\s*\(\s*['"](\w+)['"]|\.\s*(\w+)|\[\s*['"](\w+)['"]\s*\])""")
_COMPUTED_MEMBER = re.compile(r"(?<![\w.])(\w+)\s*(?:\[([^\]]+)\]|\.\s*get\s*\(([^,)]+)|\.\s*(?:items|values)\s*\()")
_VALUE = re.compile(r"(?<![\w.])([a-zA-Z_]\w*)\b(?!\s*(?:[(.\[]|=(?!=)))")
_BOUND = re.compile(
    r"\b(?:macro|test|data_test)\s+\w+\s*\(([^)]*)|\bfor\s+([\w\s,]+?)\s+in\b|\bset\s+([\w\s,]+?)\s*(?:=|%\})"
)
_DISPATCH = re.compile(
    r"\bdispatch\s*\(\s*(?:macro_name\s*=\s*)?([^,()]+)(?:,\s*(?:macro_namespace\s*=\s*)?([^,()]+))?"
)
_CONTEXT = re.compile(r"\bcontext\s*(?:\[([^\]]+)\]|\.get\s*\(([^,)]+))(?:\s*\[([^\]]+)\])?")
_PASSED_DISPATCH = re.compile(r"\.\s*dispatch\b(?!\s*\()")
_CALLED_MEMBER = re.compile(r"\w\s*\[([^\]]+)\]\s*\(")
_MEMBERSHIP = re.compile(r"\bin\s+\w+\b(?!\s*[.\[(|])")
_QUOTED = re.compile(r"""\s*(['"])([^'"]*)\1\s*""")
_GRAPH = re.compile(r"\bgraph\b\s*[.\[|]")
_OF_DBT = re.compile(
    r"""(builtins\s*(?:\.\s*|\[\s*['"]))?\b(adapter|function|metric|ref|source)\b(?:['"]\s*\])?"""
    r"""\s*(?:(?:\.\s*|\[\s*['"])(config|db_wrapper|manifest)\b|(?![\s.\[(\w]))"""
)
"""A member of one of dbt's objects that holds all settings and nodes, or such an object of `builtins` as a value."""

_PROPERTY = re.compile(
    r"""\b(?:model|config)\s*(?:\.\s*\w+\s*|\[\s*['"]\w+['"]\s*\]\s*|\(\s*['"]\w+['"][^()]*\)\s*)*?"""
    r"""(?:\.\s*|\[\s*['"]|\(\s*['"])(?:columns|constraints|description|docs|group|tags)\b"""
)

_ENV_VAR = re.compile(r"""\benv_var\s*(?:\(\s*(?:\\?['"]([^'"\\]*)\\?['"]\s*[,)])?)?""")
_STANDING = re.compile(
    r"\b(?:load_relation|get_relation|list_relations\w*|list_schemas|schema_exists|information_schema|sqlite_master|"
    r"pg_(?:catalog|class|tables|views|matviews|namespace)|(?:svv|stv)_\w+|duckdb_(?:tables|views|columns|schemas)|"
    r"(?:insert|merge|copy)\s+into|create\s+(?:\w+\s+)?table\s+if\s+not\s+exists)\b",
    re.IGNORECASE,
)
_THIS = re.compile(r"\bthis\b")

ANY_VAR = "*"
"""Stands for a variable whose name is computed."""

_once = lru_cache(maxsize=64)
"""Of each text many things are asked, one after another."""


def variables(text: str) -> list[str]:
    """Name the dbt variables that the text reads, `*` for one whose name is computed."""
    if "var" not in text:
        return []
    found = {m.group(1) or ANY_VAR for m in _VAR.finditer(_COMMENT.sub("", text))}
    return sorted(found | ({ANY_VAR} if "var" in values(text) else set()))


def environment(text: str) -> list[str]:
    """Name the variables of the environment that the text reads, `*` for one whose name is computed."""
    if "env_var" not in text:
        return []
    return sorted({m.group(1) or ANY_VAR for m in _ENV_VAR.finditer(_COMMENT.sub("", text))})


def depends_on_standing(text: str) -> bool:
    """Whether the text asks what stands in the schema, or adds to it."""
    return _STANDING.search(text) is not None


def names_itself(text: str) -> bool:
    """Whether the text's Jinja names the node's own relation."""
    return "this" in text and any(_THIS.search(block) for block in _JINJA.findall(text))


def files(text: str, *, python: bool = False) -> list[str]:
    """Return the files that the text names, as patterns (Jinja and globs as `*`), without `.` and `..`.

    These are data files, and Python modules that it imports or, in YAML, names as a `module`.
    """
    found = {_pattern(m.group(0)) for m in _FILE.finditer(text)} if "." in text else set[str]()
    # What is read by a function of DuckDB's, or in Python, can have any ending.
    named = [m.group(2) for m in _LITERAL.finditer(text)] if python else _read(text)
    found |= {pattern for pattern in map(_pattern, named) if pattern.strip("*/")}
    modules = _IMPORT.findall(text) if python else _MODULE.findall(text)
    for part in re.findall(r"\w+", " ".join(map(" ".join, modules) if python else modules)):
        found |= {f"{part}.py", f"{part}/__init__.py"}
    return sorted(found)


def _read(text: str) -> list[str]:
    """Return what the text gives to functions and statements that read files; of what Jinja makes of it, its texts."""
    named = [m.group(1) for one in {text, _EXPRESSION.sub("{}", text)} for m in _READ.finditer(one)]
    found = [literal.strip("'\"") for one in named for literal in _STRING.findall(one)]
    return found + [m.group(2) for m in _LITERAL.finditer(_code(text))] if any("{" in one for one in named) else found


def paths_in(value: Any) -> list[str]:
    """Return the files that the texts of a setting, however nested, can name, as patterns."""
    nested = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    own = [_pattern(value)] if isinstance(value, str) and re.search(r"/|\.\w", value) else []
    return [p for p in own if p.strip("*/")] + [p for one in nested for p in paths_in(one)]


def names_data(text: str) -> bool:
    """Whether the text has the name of a data file in it, by its ending."""
    return _FILE.search(text) is not None


def is_named(path: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns can mean that path of a repository.

    As many folders are compared as both have: a pattern may begin anywhere above or inside the repository.
    """
    return any(_means(pattern.lower().split("/"), path.lower().split("/")) for pattern in patterns)


def _means(pattern: list[str], path: list[str]) -> bool:
    if "**" in pattern:
        return _means(pattern[len(pattern) - pattern[::-1].index("**") :], path)
    first, *rest = pattern[-len(path) :]
    parts = path[-len(rest) - 1 :]
    if any(part.strip("*") for part in pattern) and not any(part.strip("*") for part in (first, *rest)):
        return False  # of `data/*` nothing that is to be seen fits README.md
    # What a string begins with may be joined to what stands before it.
    return fnmatch.fnmatchcase(parts[0], "*" + first) and all(map(fnmatch.fnmatchcase, parts[1:], rest))


def calls(text: str) -> list[str]:
    """Name what the Jinja in a text calls, or can call as it mentions it, `name` or `package.name`: macros, mostly."""
    code = _code(text)
    found = {re.sub(r"\s", "", name) for name in _CALL.findall(_DEFINITION.sub("", code))}
    members = {f"{owner}.{got or name or key}" for owner, got, name, key in _MEMBER.findall(code)}
    return sorted(found | members | values(text))


@_once
def values(text: str) -> frozenset[str]:
    """Name what the Jinja in a text mentions as a value, to be passed on or called by another name.

    What the text itself binds, as a parameter or by `set` or `for`, is left out.
    """
    code = _code(text)
    looked_up = {p for p in _looked_up(code) if "*" not in p}
    return frozenset(_VALUE.findall(_STRING.sub("''", code))) - _bound(code) | looked_up


@_once
def _bound(code: str) -> frozenset[str]:
    # A default (`f=cents`) is none of the names.
    bound = (re.sub(r"=[^,]*", "", part) for parts in _BOUND.findall(code) for part in parts)
    return frozenset(name for part in bound for name in re.findall(r"[a-zA-Z_]\w*", part))


@_once
def _code(text: str) -> str:
    return " ".join(_JINJA.findall(_COMMENT.sub("", text)))


def dispatches(text: str) -> list[tuple[str, str]]:
    """Return the name and the namespace of each `adapter.dispatch`, as patterns: `*` stands for what is computed.

    The namespace is empty where none is given.
    """
    if "dispatch" not in text:
        return []
    found = _DISPATCH.findall(_COMMENT.sub("", text))
    named = {(_as_pattern(name), _as_pattern(namespace) if namespace else "") for name, namespace in found}
    return sorted(named | ({("*", "*")} if _PASSED_DISPATCH.search(_code(text)) else set()))


def computed_calls(text: str, packages: Set[str] = frozenset()) -> list[str]:
    """Return patterns for the names of macros that the text looks up by a computed name.

    `packages` are the namespaces that hold macros: any macro can be meant where one is passed on as a whole.
    """
    code, found = _code(text), {p for p in _looked_up(_COMMENT.sub("", text)) if "*" in p}
    if named := {*packages, "context"} & {*re.findall(r"\w+", code)} - _bound(code):
        members = _COMPUTED_MEMBER.findall(code)
        found |= {_as_pattern(key or got) for owner, key, got in members if owner in named - {"context"}}
        # What is `in` a namespace are names.
        found |= {"*"} if named & values(_MEMBERSHIP.sub("", code)) else set()
    return sorted(found)


def _looked_up(text: str) -> set[str]:
    found = _CONTEXT.findall(text) if "context" in text else []
    names = [last or first or second for first, second, last in found]
    members = _CALLED_MEMBER.findall(_STRING.sub("''", _code(text))) if "[" in text else []
    return {_as_pattern(name) for name in (*names, *members)} - {""}


def _as_pattern(expression: str) -> str:
    """Return what a string expression can be: its literal parts, `*` for the rest."""
    parts = [_QUOTED.fullmatch(part) for part in expression.split("~")]
    return re.sub(r"\*+", "*", "".join(part.group(2) if part else "*" for part in parts))


def reads_graph(text: str) -> bool:
    """Whether the text reads other nodes' properties through `graph`, or through dbt's own object of all nodes."""
    named = "graph" in text and (_GRAPH.search(_code(text)) is not None or "graph" in values(text))
    return named or bool({"manifest", ""} & _members_of_dbt(text))


def reads_settings(text: str) -> bool:
    """Whether the text reads what the project files say, through one of dbt's objects that holds all of it."""
    return bool({"config", "db_wrapper", ""} & _members_of_dbt(text))


@_once
def _members_of_dbt(text: str) -> frozenset[str]:
    """Name the members that the text reads of those objects of dbt's; empty for such an object itself."""
    code = _code(text)
    bound = _bound(code)
    found = _OF_DBT.findall(code)
    return frozenset(member for builtin, owner, member in found if builtin or (member and owner not in bound))


def reads_properties(text: str, *, python: bool = False) -> bool:
    """Whether the text reads what YAML says of the node that it is rendered for and dbt does not compare."""
    code = text if python else _code(text)
    return _PROPERTY.search(code) is not None or ("model" in code and "model" in values(text))


def _pattern(found: str) -> str:
    plain = re.sub(r"\{[^{}]*\}|[{}?\[\]~%|+]+", "*", found.replace("\\", "/"))
    parts = [re.sub(r"\*+", "*", p) if p != "**" else p for p in plain.split("/") if p not in ("", ".", "..")]
    return "/".join(parts)
