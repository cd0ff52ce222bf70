"""Build and test what a pull request changed in a dbt project, in schemas of its own, as pytest items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_dbtci.plan import Node, Plan, Reason
    from pytest_dbtci.results import Result
    from pytest_dbtci.selection.hook_wishes import Add, Veto
    from pytest_dbtci.session.items import DbtWarning
    from pytest_dbtci.settings import Settings

__version__ = "0.1.0"

__all__ = ["Add", "DbtWarning", "Node", "Plan", "Reason", "Result", "Settings", "Veto"]

_HOMES = {
    "Add": "selection.hook_wishes",
    "DbtWarning": "session.items",
    "Node": "plan",
    "Plan": "plan",
    "Reason": "plan",
    "Result": "results",
    "Settings": "settings",
    "Veto": "selection.hook_wishes",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for, so that a session without `--dbt-ci` loads nothing more."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
