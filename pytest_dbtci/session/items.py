"""dbt nodes as pytest items: each waits for its node's result and shows it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_dbtci.differences import PREFIX
from pytest_dbtci.errors import DbtCiError, HeldUp
from pytest_dbtci.execution.outcomes import Outcomes
from pytest_dbtci.plan import Node
from pytest_dbtci.reports import comparison, failures
from pytest_dbtci.reports.locations import line_of
from pytest_dbtci.results import LEFT_OUT, NOT_RUN, REUSED, Result
from pytest_dbtci.session.command_line import only_looks
from pytest_dbtci.session.fixtures import SESSION


class DbtWarning(pytest.PytestWarning):
    """Issued when a dbt test with severity `warn` returns rows."""


class NodeFailed(AssertionError):
    """Carry the text that describes a failed node; an assertion, so that allure calls it failed, not broken."""


class DbtFile(pytest.File):
    """A file of the dbt project, with the planned nodes that stand under it.

    `unselected` are nodes that the command line names although the pull request does not select them, each with
    the sentence that says so, `left_out` those that are not built because they can't differ.
    """

    nodes: tuple[Node, ...] = ()
    left_out: tuple[Node, ...] = ()
    unselected: tuple[tuple[str, str], ...] = ()
    outcomes: Outcomes

    def collect(self) -> Iterator[DbtItem | StatusItem | ComparedNode]:
        compared = {c.unique_id for c in self.outcomes.plan.compared} if self.nodes else ()
        for node in self.nodes:
            yield DbtItem.from_parent(self, name=node.item, node=node, outcomes=self.outcomes)
            if node.unique_id in compared:
                yield ComparedNode.from_parent(self, name=node.item, node=node, outcomes=self.outcomes)
        for node in self.left_out:
            item = StatusItem.from_parent(self, name=node.item, status=f"not built: {node.why}")
            item.user_properties += [("dbt_left_out", node.reason.kind), ("dbt_reason", str(node.reason))]
            yield item
        for name, why in self.unselected:
            yield StatusItem.from_parent(self, name=name, status=why)


class PackagesFolder(pytest.File):
    """A folder of installed packages, or one below it.

    It is no `pytest.Directory`: that one would be searched for conftest files, Python tests and links to anywhere.
    """

    wanted: frozenset[Path]
    make: Callable[[Path, pytest.Collector], pytest.Collector | None]

    def collect(self) -> Iterator[pytest.Collector]:
        below = [f.relative_to(self.path).parts[0] for f in self.wanted if self.path in f.parents]
        for path in sorted(self.path / part for part in set(below)):
            if path in self.wanted:
                file = self.make(path, self)
                if file is not None:
                    yield file
            else:
                folder = PackagesFolder.from_parent(self, path=path)
                folder.wanted, folder.make = self.wanted, self.make
                yield folder


class ResultItem(pytest.Item):
    """An item that shows what the run has found out about a node."""

    def __init__(self, *, node: Node, outcomes: Outcomes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.node = node
        self.result: Result | None = None
        self._outcomes = outcomes
        self.add_marker("dbt")
        if any(line.startswith("flaky") for line in self.config.getini("markers")):
            # pytest-rerunfailures, pytest-retry: another try would only show the same result again.
            self.add_marker(pytest.mark.flaky(reruns=0, condition=False))


class DbtItem(ResultItem):
    """One dbt node."""

    def __init__(self, *, node: Node, outcomes: Outcomes, **kwargs: Any) -> None:
        super().__init__(node=node, outcomes=outcomes, **kwargs)
        self.add_marker(f"dbt_{node.resource_type}")
        self.user_properties += [("dbt_unique_id", node.unique_id), ("dbt_reason", str(node.reason))]
        if node.relation:
            self.user_properties.append(("dbt_relation", node.relation))

    def __repr__(self) -> str:
        return f"<{self.node.resource_type} {self.name}  {self.node.why}>"

    def setup(self) -> None:
        """Take the result, which is there by now; trouble that is not the node's own is an error."""
        if only_looks(self.config):
            return
        self.result = self._outcomes.wait(self.node.unique_id)
        if self.result.status == LEFT_OUT:
            self.user_properties.append(("dbt_left_out", "contents"))
        if self.result.status == REUSED and self.result.message:
            self.user_properties.append(("dbt_reused", self.result.message))
        if self.result.on_base is not None:
            self.user_properties.append(("dbt_on_base", self.result.on_base.label))
        if self.result.outcome == "error":
            raise DbtCiError(self._describe(self.result))

    def runtest(self) -> None:
        result = self.result
        assert result is not None
        if result.status == LEFT_OUT:
            pytest.skip(result.message)
        if result.outcome == "skipped":
            why = failures.skip_reason(self.node, result, self._outcomes.plan, self._outcomes.known())
            raise pytest.skip.Exception(why) from HeldUp(why)
        if result.outcome == "failed":
            raise NodeFailed(self._describe(result))
        if result.outcome == "warned":
            text = failures.warning_text(self.node, result)
            project_dir = Path(self._outcomes.plan.project_dir)
            line = line_of(project_dir, self.node) or 1
            warnings.warn_explicit(text, DbtWarning, str(project_dir / self.node.defined_in), line)

    def _describe(self, result: Result) -> str:
        session: Any = self.config.pluginmanager.get_plugin(SESSION)
        return failures.describe(self.node, result, session.built, self._outcomes.known())

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self.name} ({self.node.resource_type.replace('_', ' ')})"


class ComparedNode(pytest.Collector):
    """A node, as the place under which its comparison stands."""

    def __init__(self, *, node: Node, outcomes: Outcomes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._node, self._outcomes = node, outcomes

    def collect(self) -> Iterator[CompareItem]:
        yield CompareItem.from_parent(self, name="compare", node=self._node, outcomes=self._outcomes)


class CompareItem(ResultItem):
    """The comparison of a node's contents with the base's: red only where the project asks for it."""

    def __init__(self, *, node: Node, outcomes: Outcomes, **kwargs: Any) -> None:
        super().__init__(node=node, outcomes=outcomes, **kwargs)
        self.add_marker("dbt_compare")

    @property
    def awaited(self) -> str:
        """Return the name of the result that it waits for."""
        return PREFIX + self.node.unique_id

    def setup(self) -> None:
        """Take the result; a comparison that could not be made is an error where the answer decides."""
        if only_looks(self.config):
            return
        self.result = self._outcomes.wait(self.awaited)
        if self.result.comparison is not None:
            self.user_properties.append(("dbt_compare", comparison.headline(self.result.comparison)))
            self.user_properties += comparison.properties(self.result.comparison)
        if self.result.outcome == "error":
            raise DbtCiError(f"{self.node.name} could not be compared, as its fail_if asks: {self.result.message}")

    def runtest(self) -> None:
        result = self.result
        assert result is not None
        if result.status == NOT_RUN:
            raise pytest.skip.Exception(result.message) from HeldUp(result.message)
        if result.outcome == "skipped":
            pytest.skip(result.message)
        if result.outcome == "failed" and result.comparison is not None:
            lines = comparison.describe(result.comparison, self._outcomes.plan, values=False)
            raise NodeFailed("\n".join((result.message, *lines)))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self.node.item} (comparison)"


class StatusItem(pytest.Item):
    """What is asked for and not built: it says why, as a skip."""

    def __init__(self, *, status: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.status = status
        self.add_marker("dbt")

    def runtest(self) -> None:
        pytest.skip(self.status)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, "dbt-ci status"


class StatusFile(pytest.File):
    """The project file, where the status item stands."""

    status: str

    def collect(self) -> Iterator[StatusItem]:
        yield StatusItem.from_parent(self, name="dbt_ci", status=self.status)
