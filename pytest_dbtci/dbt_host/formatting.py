"""Find the nodes whose text changed in its formatting alone: dbt compiles both versions; their tokens are compared.

What a node's Jinja learns from the warehouse, the run or the node itself may show in no compiled text, or in another
one the next time. A node that asks for such things is never called the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_host.macro_lookup import builtin_packages
from pytest_dbtci.dbt_host.manifests import MARK, deepcopy, mark
from pytest_dbtci.dbt_host.runner import OWN, run_dbt
from pytest_dbtci.dbt_host.sql_tokens import KNOWN, is_same

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


def same_but_for_formatting(
    before: tuple[Invocation, Any], now: tuple[Invocation, Any], unique_ids: Iterable[str]
) -> tuple[str, ...]:
    """Return those of the nodes whose compiled text has the same tokens in both trees; no warehouse is asked.

    A tree is what dbt is called with for it, and its manifest, parsed with the same schema in both. Both manifests
    stay as they are.
    """
    adapter_type = now[1].metadata.adapter_type
    if adapter_type not in KNOWN:
        return ()
    found = list(unique_ids)
    for _, manifest in (before, now):
        macros = _by_name(manifest)
        found = [u for u in found if _is_plain(manifest, macros, u)]
    if not found:
        return ()
    then, head = (_compile(invocation, deepcopy(manifest), found) for invocation, manifest in (before, now))
    return tuple(u for u in found if u in then and u in head and is_same(then[u], head[u], adapter_type))


def _compile(invocation: Invocation, manifest: Any, unique_ids: Iterable[str]) -> dict[str, str]:
    """Let dbt compile the nodes without a connection; one that needs it fails, and is not in the answer."""
    mark(manifest, "compiled", unique_ids)
    results = run_dbt(
        invocation,
        "compile",
        *("--select", f"tag:{MARK}compiled", "--indirect-selection", "empty", "--no-defer"),
        *("--no-introspect", "--no-populate-cache", "--no-write-json"),
        manifest=manifest,
        unset=OWN,
    )
    done = [r for r in results.results if r.status == "success"]
    return {r.node.unique_id: r.node.compiled_code for r in done if r.node.compiled_code is not None}


def _is_plain(manifest: Any, macros: Mapping[str, list[Any]], unique_id: str) -> bool:
    """Whether the node is SQL that one of dbt's own materializations takes, and its Jinja asks for nothing."""
    node = manifest.nodes.get(unique_id)
    if node is None or node.language != "sql" or not _is_built_by_dbt(manifest, node):
        return False
    hooks = [hook.sql for kind in ("pre_hook", "post_hook") for hook in getattr(node.config, kind, ())]
    if any(_names(text) & {"model", "sql", "graph", "context"} for text in hooks):
        return False
    todo, seen = [node.raw_code], set[str]()
    while todo:
        names = _names(todo.pop())
        if names & _ASKING:
            return False
        # By name, as dbt records no call that stands behind a condition which is false while it parses.
        todo += [m.macro_sql for name in names - seen for m in macros.get(name, ())]
        seen |= names
    return True


def _by_name(manifest: Any) -> dict[str, list[Any]]:
    """Map what a macro can be called by to the macros, dispatch variants by the plain name too."""
    found = dict[str, list[Any]]()
    for macro in manifest.macros.values():
        for name in {macro.name, macro.name.rpartition("__")[2] or macro.name}:
            found.setdefault(name, []).append(macro)
    return found


def _is_built_by_dbt(manifest: Any, node: Any) -> bool:
    materialized, adapter_type = str(node.config.materialized), manifest.metadata.adapter_type
    if node.resource_type not in ("model", "test"):
        return False
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
