"""Hooks for a team's own plugins and conftest files; docs/python-tests.md shows an example of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    # pytest reads this module in every session, also without `--dbt-ci`.
    from pytest_dbtci.manifest import Manifest
    from pytest_dbtci.plan import Node, Plan, Reason
    from pytest_dbtci.results import Result
    from pytest_dbtci.selection.hook_wishes import Add, Veto
    from pytest_dbtci.settings import Settings


@pytest.hookspec
def pytest_dbtci_settings(config: pytest.Config, settings: Settings) -> Mapping[str, Any] | None:
    """Change settings before anything is planned: give the fields of `Settings` to replace.

    Where several plugins set one field, the one that pytest would call first wins.
    """


@pytest.hookspec
def pytest_dbtci_select(
    config: pytest.Config, selected: Mapping[str, Reason], manifest: Manifest
) -> Iterable[Add | Veto] | None:
    """Add nodes to what is built, or veto some; `selected` maps unique_ids to reasons.

    Called on the controller while the plan is made, before ancestors are added and isolation is checked.
    """


@pytest.hookspec
def pytest_dbtci_result(config: pytest.Config, node: Node, result: Result) -> None:
    """See a node's result as it arrives, whatever pytest shows just then.

    Called once for each node that dbt built, tested or skipped, also for one that no item shows and that was built
    because another needs it; not for what `--lf` found in the kept schemas. Called on the controller, in a thread of
    its own, one result after the other; the session's end waits for it. An exception makes the run red.
    """


@pytest.hookspec
def pytest_dbtci_summary(config: pytest.Config, plan: Plan, results: Mapping[str, Result]) -> Iterable[str] | None:
    """Add lines to the terminal's summary and to the Markdown page, once the schemas are gone.

    `results` are by unique_id. Called once. An exception makes the run red.
    """
