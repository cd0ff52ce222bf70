"""What the texts of a macro or a node mention: macros, variables, files, the graph."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_dbtci.project import references

_FIELD = re.compile(r"\{(\w+)\}|%\((\w+)\)s|\$(\w+)|\$\{(\w+)\}")


@dataclass(frozen=True, kw_only=True)
class Known:
    """The names of all macros, and of the packages that have some."""

    macros: frozenset[str]
    packages: frozenset[str]


def mentioned_by_macro(text: str, known: Known, *, builtin: bool) -> dict[str, Any]:
    """Return what a macro mentions, by the names of ManifestMacro's fields."""
    # dbt's own macros read no project variable and name no data file.
    return {**_lookups(text, known), **({} if builtin else _mentions(text, known))}


def mentioned_by_node(node: Any, hooks: Sequence[str], known: Known) -> dict[str, Any]:
    """Return what a node and its hooks mention, by the names of ManifestNode's fields."""
    body = _body(node)
    text = "\n".join((body, *hooks))
    found = {**_lookups(text, known), **_mentions(text, known, python=getattr(node, "language", "") == "python")}
    for hook in hooks:
        body = body.replace(hook, "")
    if references.names_itself(body):
        found["lingers"] = True
    if hooks:
        found["hook_calls"] = sorted({*found.get("calls", ())} - {*references.calls(body)})
        # Hooks observe the graph; what is built does not depend on it through them.
        found["graph"] = references.reads_graph(body)
    if fixtures := _fixtures(node):
        found["mentions"] = [*found.get("mentions", ()), *fixtures]
    return found


def dispatches_of_node(node: Any, hooks: Sequence[str]) -> list[tuple[str, str]]:
    """Return what a node and its hooks dispatch: see `references.dispatches`."""
    return references.dispatches("\n".join((_body(node), *hooks)))


def _body(node: Any) -> str:
    return "\n".join((getattr(node, "raw_code", "") or "", *_written(node)))


def _lookups(text: str, known: Known) -> dict[str, Any]:
    """Name what the text's Jinja calls, as far as macros of that name are known."""
    found = {
        "calls": [name for name in references.calls(text) if name.rpartition(".")[2] in known.macros],
        "dispatches": references.dispatches(text),
    }
    return {k: v for k, v in found.items() if v}


def _mentions(text: str, known: Known, *, python: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {
        "variables": references.variables(text),
        "mentions": references.files(text, python=python),
        "computed": references.computed_calls(text, known.packages),
        "graph": references.reads_graph(text),
        "settings": references.reads_settings(text),
        "properties": references.reads_properties(text, python=python),
        "environment": references.environment(text),
        "lingers": references.depends_on_standing(text),
    }
    return {k: v for k, v in found.items() if v}


def _written(node: Any) -> list[str]:
    """Return the texts of a node's YAML that Jinja may stand in or that may name a file."""
    unrendered = getattr(node, "unrendered_config", None) or {}
    found = [str({k: v for k, v in unrendered.items() if k.replace("-", "_") not in ("pre_hook", "post_hook")})]
    if node.resource_type == "source":
        found += [str(node.meta), str(node.source_meta), str(node.external or ""), str(node.identifier)]
        found = [_filled(text, node) for text in found]
    if metadata := getattr(node, "test_metadata", None):
        found.append(str(metadata.kwargs))
    return found


def _filled(text: str, source: Any) -> str:
    """Fill a source's own names into a text, as dbt-duckdb's formatters do where it says what file to read."""
    names = ("name", "identifier", "schema", "database")
    values = {**source.source_meta, **source.meta, **{k: getattr(source, k) for k in names}}

    def fill(field: re.Match[str]) -> str:
        return str(values.get(next(filter(None, field.groups())), field.group()))

    return _FIELD.sub(fill, text)


def _fixtures(node: Any) -> list[str]:
    if node.resource_type != "unit_test":
        return []
    used = [given.fixture for given in node.given] + [node.expect.fixture]
    return [f"{name}{ending}" for name in used if name for ending in (".csv", ".sql")]
