"""Reports of what no item shows: errors of the run itself, and nodes whose item's turn never came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_dbtci.execution.run import Run
from pytest_dbtci.plan import Node
from pytest_dbtci.reports import failures

TROUBLE = "dbt_project.yml::dbt_ci_build"
"""The node id of the report that tells what kept nodes from being built."""


class LateReports:
    """The nodes that were shown, and the reports of the rest.

    `harmless` makes a text fit for a terminal, `node_id` gives the id of a node's item.
    """

    def __init__(
        self, config: pytest.Config, run: Run, harmless: Callable[[str], str], node_id: Callable[[Node], str]
    ) -> None:
        self._config = config
        self._run = run
        self._harmless = harmless
        self._node_id = node_id
        self._shown = set[str]()
        self._told = False
        self._added = self._collected = self._total = 0

    def count(self, session: pytest.Session) -> None:
        """Count the reports that are no item's, too, in what pytest's terminal shows parts of.

        pytest-xdist sets that number anew with every worker that has collected.
        """
        if session.testscollected != self._total:
            self._collected = session.testscollected
        self._total = session.testscollected = self._collected + self._added

    def note(self, report: pytest.TestReport) -> None:
        """Note the node that the report shows."""
        unique_id = dict(report.user_properties).get("dbt_unique_id")
        if unique_id:
            self._shown.add(str(unique_id))

    def report_trouble(self, session: pytest.Session) -> bool:
        """Report, once, what kept nodes from being built; whether there was anything.

        What the user's input is to blame for ends the session, with an error of its own.
        """
        trouble = self._run.trouble if self._run.misuse is None else ""
        if trouble and not self._told:
            self._told = True
            self._added += 1
            self.count(session)
            self._send(error_report(TROUBLE, self._harmless(trouble), "setup"))
        return bool(trouble)

    def report_unseen(self, *, but_asked: bool) -> bool:
        """Report every bad result that no item showed, but for items' own with `but_asked`; whether there were any."""
        bad = [r for r in self._run.results if r.is_bad and r.unique_id not in self._shown]
        unseen = [r for r in bad if not (but_asked and r.unique_id in self._run.asked)]
        nodes = [(node, r) for r in unseen if (node := self._run.plan.node(r.unique_id)) is not None]
        for node, result in nodes:
            text = failures.describe(node, result, self._run.plan, self._run.known())
            note = "(no item of this run shows it, but something that was selected needs it)"
            if node.unique_id in self._run.asked:
                note = "(the session ended before its item's turn)"
            self._send(
                error_report(self._node_id(node), self._harmless(f"{text}\n\n{note}"), "teardown", node.unique_id)
            )
        return bool(nodes)

    def report_errors(self, errors: dict[str, str], session: pytest.Session) -> bool:
        """Report the errors that are not empty, by the name of what failed; whether there were any."""
        found = {name: text for name, text in errors.items() if text}
        self._added += len(found)
        self.count(session)
        for name, text in found.items():
            self._send(error_report(f"dbt_project.yml::{name}", text, "teardown"))
        return bool(found)

    def report_the_rest(self, controller: object) -> None:
        """Report an outcome for every node that was begun where Ctrl-C ended the session before its item's turn."""
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        for node in self._run.plan.items:
            if node.unique_id in self._run.begun and node.unique_id not in self._shown:
                why = "the session was interrupted before this was shown"
                self._send(error_report(self._node_id(node), why, "teardown", node.unique_id), terminal, controller)

    def report_stop(self, session: pytest.Session, name: str, text: str) -> None:
        """Report the error that ends the session where a JUnit file holds it, too; pytest itself shows it."""
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        self._send(error_report(f"dbt_project.yml::{name}", text, "setup"), terminal, session)

    def _send(self, report: pytest.TestReport, *but: object) -> None:
        others = self._config.pluginmanager.subset_hook_caller(
            "pytest_runtest_logreport", [plugin for plugin in but if plugin is not None]
        )
        others(report=report)


def error_report(node_id: str, text: str, when: Any, unique_id: str = "") -> pytest.TestReport:
    """Return the report of an error."""
    file, _, name = node_id.partition("::")
    # Only a report of the teardown carries its properties into a JUnit file.
    return pytest.TestReport(
        nodeid=node_id,
        location=(file, None, name),
        keywords={},
        outcome="failed",
        longrepr=text,
        when=when,
        user_properties=[("dbt_unique_id", unique_id)] if unique_id else [],
    )
