"""Tell nodes whose relation follows from their text and what it reads alone."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from pytest_dbtci.dbt_host.macro_lookup import builtin_packages

_ASKING = frozenset(
    {
        *("adapter", "builtins", "caller", "compiled_code", "context", "dbt_version", "flags", "graph"),
        *("invocation_args_dict", "invocation_id", "is_incremental", "load_relation", "load_result", "model"),
        *("raw_code", "run_query", "run_started_at", "selected_resources", "set_sql_header", "sql"),
        *("statement", "store_raw_result", "store_result", "submit_python_job", "this", "thread_id"),
    }
)
"""Names by which Jinja learns of more than the project's files, or gives dbt more than a text."""

_HARMLESS = {"adapter": ("dispatch", "quote"), "config": ("get", "require")}
"""What the adapter knows by itself, and what a node may ask of its own configuration, which is compared anyway."""

_OF_TESTS = frozenset({"flags", "model"})
"""What dbt's generic tests ask: whether failures are stored, and, by the name of an argument, the relation tested."""

_OF_ITSELF = frozenset({"is_incremental", "this"})
"""What a node asks of its own relation, which is compared whole."""

_INSIDE = frozenset({"ephemeral", "incremental", "materialized_view", "seed", "snapshot", "table", "test", "view"})
"""The materializations that leave nothing behind but one relation, as long as they are dbt's own."""

_CHANCE = re.compile(
    r"\b(rand|\w*random\w*|setseed|sample|tablesample|\w*uuid\w*|newid|now|today|tomorrow|yesterday|getdate|sysdate|"
    r"age(?=\s*\()|timeofday|(clock|statement|transaction)_timestamp|localtime|localtimestamp|\w*current_\w+|\w*txid\w*|"
    r"pg_\w+|(cur|last|next|set)val|collat\w+)\b",
    re.IGNORECASE,
)
"""What depends on the time, on chance or on the session; and collations, which not every warehouse shows."""

_ORDER = re.compile(
    r"\b(limit|offset|fetch|top|over|qualify|distinct\s+on|first|last|any_value|arbitrary|arg_?min|arg_?max|min_by|max_by|"
    r"mode|\w*agg|list|group_concat|json_group_\w+|array|histogram|reservoir_quantile|approx\w*|pivot|crosstab|"
    r"positional|asof|rowid|row_id|ctid|[cx]m(in|ax)|tableoid)\b",
    re.IGNORECASE,
)
"""What depends on the order in which rows are read, or on where they lie."""

_ELSEWHERE = re.compile(
    r"\b(information_schema|svv_\w+|stl_\w+|duckdb_\w+|pragma\w*|read_\w+|\w+_scan|glob|dblink\w*|query(_table)?\s*\(|"
    r"target\s*\.\s*(schema|database|dbname|path|dataset)|target\s*\[)",
    re.IGNORECASE,
)
"""What reads something that dbt knows nothing of."""


def steady(manifest: Any, unique_ids: Iterable[str]) -> tuple[str, ...]:
    """Return those of the nodes that hold the same rows whenever what they read does, in whatever order."""
    macros = macros_by_name(manifest)
    return tuple(
        u
        for u in unique_ids
        if is_plain(manifest, macros, u, _asked(u))
        and _is_inside(manifest.nodes[u])
        and not _says(manifest, macros, u, _CHANCE, _ORDER, _ELSEWHERE)
    )


def confined(manifest: Any, unique_ids: Iterable[str]) -> tuple[str, ...]:
    """Return those of the nodes that write nothing but their own relation, and in which nothing is left to chance."""
    macros = macros_by_name(manifest)
    if all(m.package_name == "dbt" for m in macros.get("is_incremental", ())):
        macros.pop("is_incremental", None)
    return tuple(
        u
        for u in unique_ids
        if is_plain(manifest, macros, u, _ASKING - _OF_ITSELF, ("model", "seed", "snapshot"))
        and _is_inside(manifest.nodes[u])
        and not any(getattr(manifest.nodes[u].config, kind, ()) for kind in ("pre_hook", "post_hook"))
        and not _says(manifest, macros, u, _CHANCE)
    )


def _asked(unique_id: str) -> frozenset[str]:
    return _ASKING - _OF_TESTS if unique_id.startswith("test.") else _ASKING


def _is_inside(node: Any) -> bool:
    return str(node.config.materialized) in _INSIDE and not node.config.get("sql_header")


def _says(manifest: Any, macros: Mapping[str, list[Any]], unique_id: str, *patterns: re.Pattern[str]) -> bool:
    found = texts(macros, manifest.nodes[unique_id].raw_code)
    return any(pattern.search(text) for text in found for pattern in patterns)


def is_plain(
    manifest: Any,
    macros: Mapping[str, list[Any]],
    unique_id: str,
    asking: frozenset[str] = _ASKING,
    kinds: Container[str] = ("model", "test"),
) -> bool:
    """Whether the node is SQL that one of dbt's own materializations takes, and its Jinja asks for nothing."""
    node = manifest.nodes.get(unique_id)
    if node is None or node.resource_type not in kinds or getattr(node, "language", "sql") != "sql":
        return False
    if not _is_built_by_dbt(manifest, node):
        return False
    hooks = [hook.sql for kind in ("pre_hook", "post_hook") for hook in getattr(node.config, kind, ())]
    if any(_names(text) & {"model", "sql", "graph", "context"} for text in hooks):
        return False
    return not any(_names(text) & asking for text in texts(macros, node.raw_code))


def texts(macros: Mapping[str, list[Any]], text: str) -> Iterator[str]:
    """Yield a text, and those of all macros that it may call.

    By name, as dbt records no call that stands behind a condition which is false while it parses.
    """
    todo, seen = [text], set[str]()
    while todo:
        text = todo.pop()
        yield text
        names = _names(text)
        todo += [m.macro_sql for name in names - seen for m in macros.get(name, ())]
        seen |= names


def macros_by_name(manifest: Any) -> dict[str, list[Any]]:
    """Map what a macro can be called by to the macros, dispatch variants by the plain name too."""
    found = dict[str, list[Any]]()
    for macro in manifest.macros.values():
        for name in {macro.name, macro.name.rpartition("__")[2] or macro.name}:
            found.setdefault(name, []).append(macro)
    return found


def _is_built_by_dbt(manifest: Any, node: Any) -> bool:
    materialized, adapter_type = str(node.config.materialized), manifest.metadata.adapter_type
    if materialized == "ephemeral":
        return True
    project = manifest.metadata.project_name
    macro = manifest.find_materialization_macro_by_name(project, materialized, adapter_type)
    return macro is not None and macro.package_name in builtin_packages(adapter_type)


def _names(text: str) -> set[str]:
    """Return the names in the text's Jinja, what it dispatches too; of `adapter` and `config` only what may ask."""
    from jinja2 import Environment, TemplateSyntaxError

    try:
        tokens = [(kind, value) for _, kind, value in Environment().lex(text) if kind != "whitespace"]
    except TemplateSyntaxError:
        return set(_ASKING)
    found = set[str]()
    for at, (kind, value) in enumerate(tokens):
        after = tokens[at + 1 : at + 5]
        if kind == "name" and value in _HARMLESS and after[:1] == [("operator", ".")]:
            part = after[1][1] if after[1:] else ""
            if part == "dispatch":
                # Of a computed name nothing is known.
                found |= {v[1:-1] for k, v in after[3:4] if k == "string"} or {value}
            elif part not in _HARMLESS[value]:
                found.add("adapter")
        elif kind == "name":
            found.add(value)
    return found
