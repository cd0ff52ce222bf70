"""Break one of the rules of what need not be built, in the run that this is a plugin of: `BROKEN_RULE` names it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from pytest_dbtci.dbt_client.protocol.warehouse_requests import CompareContents
from pytest_dbtci.execution.run_host import RunHost
from pytest_dbtci.planning import fingerprints
from pytest_dbtci.planning.formatting import Formatting


def pytest_configure() -> None:
    """Replace the rule by one that sees no difference."""
    {"formatting": _formatting, "contents": _contents, "reuse": _reuse}[os.environ["BROKEN_RULE"]]()


def _formatting() -> None:
    def find(self: Formatting, evidence: Any, affected: Any) -> frozenset[str]:
        return frozenset(u for u, reason in affected.reasons.items() if reason.text == "modified: body")

    Formatting.find = find  # type: ignore[method-assign]


def _contents() -> None:
    ask = RunHost.ask

    def same(self: RunHost, request: Any, *args: Any) -> Any:
        answer = ask(self, request, *args)
        if isinstance(request, CompareContents):
            return {u: replace(found, same=True) for u, found in answer.items()}
        return answer

    RunHost.ask = same  # type: ignore[method-assign, assignment]


def _reuse() -> None:
    fingerprints._Fingerprints._of_node = lambda self, node: node.unique_id  # type: ignore[method-assign]
