"""Ask dbt in which order it looks macros up, for the adapter and the dispatch settings of a tree."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from typing import Any

from pytest_dbtci.dbt_host.runner import DbtFailed
from pytest_dbtci.manifest import Lookup
from pytest_dbtci.project.references import calls


def lookup_order(manifest: Any, namespaces: Iterable[str], *, configured: bool) -> Lookup:
    """Return the order for the namespaces that the tree dispatches in.

    `configured` says that the last invocation of dbt parsed this tree, so that its settings are at hand; without
    them nothing is known.
    """
    from dbt.adapters.factory import get_adapter_by_type, get_adapter_package_names, get_adapter_type_names

    if not configured:
        return Lookup()
    kind = manifest.metadata.adapter_type
    config = get_adapter_by_type(kind).config
    return Lookup(
        prefixes=(*get_adapter_type_names(kind), "default"),
        internal=tuple(get_adapter_package_names(kind)),
        search={n: _search_order(config, n) for n in sorted(set(namespaces))},
        materializations=_materializations(manifest, kind),
        comment=tuple(calls(config.query_comment.comment or "")),
    )


@cache
def builtin_packages(adapter: str) -> frozenset[str]:
    """Return the packages of macros that come with dbt, the adapter, and the adapters that it builds on.

    A manifest can be of an adapter that is not installed; DbtFailed where one is, and can't be loaded.
    """
    from dbt.adapters.factory import get_adapter_package_names, load_plugin

    names = {"dbt", f"dbt_{adapter}"}
    if not adapter.isidentifier() or find_spec(f"dbt.adapters.{adapter}") is None:
        return frozenset(names)
    try:
        load_plugin(adapter)
        return frozenset(names.union(get_adapter_package_names(adapter)))
    except Exception as error:
        raise DbtFailed(
            f"dbt's adapter {adapter} is installed, but can't be loaded, so which macros are its own is not known: "
            f"{type(error).__name__}: {error}. Install dbt-{adapter} anew, or uninstall it if nothing needs it."
        ) from error


def _search_order(config: Any, namespace: str) -> tuple[str, ...]:
    """Return the packages that a dispatch in the namespace searches, in order; none where it looks names up plainly.

    From `BaseDatabaseWrapper._get_search_packages`, which needs the context of a node.
    """
    found = config.get_macro_search_order(namespace)
    known = namespace in config.load_dependencies()
    return tuple(found or ([config.project_name, namespace] if known else []))


def _materializations(manifest: Any, kind: str) -> dict[str, str]:
    """Return the macro by which dbt builds each materialization that the tree uses."""
    nodes = (n for n in manifest.nodes.values() if n.resource_type != "operation")
    used = {str(getattr(n.config, "materialized", "") or "") for n in nodes} | {"unit", "function"}
    project = manifest.metadata.project_name
    found = {u: manifest.find_materialization_macro_by_name(project, u, kind) for u in sorted(used)}
    return {u: macro.unique_id for u, macro in found.items() if macro is not None}
