"""Tell nodes whose relation follows from their text and what it reads alone."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_host.compiled import compiled
from pytest_dbtci.dbt_host.macro_lookup import builtin_packages
from pytest_dbtci.dbt_host.plain_sql import CHANCE, follows_from_rows

_ASKING = frozenset(
    {
        *("adapter", "builtins", "caller", "compiled_code", "context", "database", "dbt_version", "flags", "graph"),
        *("identifier", "invocation_args_dict", "invocation_id", "is_incremental", "load_relation", "load_result"),
        *("model", "modules", "raw_code", "run_query", "run_started_at", "schema"),
        *("selected_resources", "set_sql_header", "sql", "statement", "store_raw_result", "store_result"),
        *("submit_python_job", "target", "this", "thread_id"),
    }
)
"""Names by which Jinja learns of more than the project's files, or gives dbt more than a text."""

_HARMLESS = {
    "adapter": ("dispatch", "quote"),
    "config": ("get", "require"),
    "modules": ("itertools", "re"),
    "target": ("name", "profile_name", "target_name", "threads", "type"),
}
"""What the adapter knows by itself, what a node may ask of its own configuration, which is compared anyway, and what
is the same for everything that a run builds."""

_ARGUMENTS = frozenset({"database", "identifier", "schema"})
"""Names that `config` takes."""

_OF_TESTS = frozenset({"flags", "model"})
"""What dbt's generic tests ask: whether failures are stored, and, by the name of an argument, the relation tested."""

_OF_ITSELF = frozenset({"is_incremental", "this"})
"""What a node asks of its own relation, which is compared whole."""

_INSIDE = frozenset({"ephemeral", "incremental", "materialized_view", "seed", "snapshot", "table", "test", "view"})
"""The materializations that leave nothing behind but one relation, as long as they are dbt's own."""


def steady(invocation: Invocation, manifest: Any, unique_ids: Iterable[str]) -> tuple[str, ...]:
    """Return those of the nodes that hold the same rows whenever what they read does, in whatever order.

    Of an ephemeral one dbt's compiled text is part of its readers'.
    """
    macros = macros_by_name(manifest)
    plain = [u for u in unique_ids if is_plain(manifest, macros, u, _asked(u)) and _is_inside(manifest.nodes[u])]
    inlined = {u for u in plain if manifest.nodes[u].config.materialized == "ephemeral"}
    sql = compiled(invocation, manifest, plain) if plain else {}
    # What a test makes of its rows stands in no compiled text.
    counted = {u: getattr(manifest.nodes[u].config, "fail_calc", "") for u in plain}
    return tuple(u for u in plain if u in inlined or (u in sql and follows_from_rows(f"{sql[u]}\n{counted[u]}")))


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
        and not any(CHANCE.search(text) for text in texts(macros, manifest.nodes[u].raw_code))
    )


def _asked(unique_id: str) -> frozenset[str]:
    return _ASKING - _OF_TESTS if unique_id.startswith("test.") else _ASKING


def _is_inside(node: Any) -> bool:
    return str(node.config.materialized) in _INSIDE and not node.config.get("sql_header")


def is_plain(
    manifest: Any,
    macros: Mapping[str, list[Any]],
    unique_id: str,
    asking: frozenset[str] = _ASKING,
    kinds: Container[str] = ("model", "test"),
    text: str = "",
) -> bool:
    """Whether the node is SQL that one of dbt's own materializations takes, and its Jinja asks for nothing.

    A `text` stands in for its own.
    """
    node = manifest.nodes.get(unique_id)
    if node is None or node.resource_type not in kinds or getattr(node, "language", "sql") != "sql":
        return False
    if not _is_built_by_dbt(manifest, node):
        return False
    hooks = [hook.sql for kind in ("pre_hook", "post_hook") for hook in getattr(node.config, kind, ())]
    if any(_names(text) & {"model", "sql", "graph", "context"} for text in hooks):
        return False
    return not any(_names(one) & asking for one in texts(macros, text or node.raw_code))


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
                found.add("adapter" if value == "config" else value)
        elif kind == "name" and not (value in _ARGUMENTS and after[:1] == [("operator", "=")]):
            found.add(value)
    return found
