"""A pytest session with `--dbt-ci`: plan before collection, build while items run, tear down at the end."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Generator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pytest_dbtci import ci, failures
from pytest_dbtci.errors import DbtCiError, UsageError
from pytest_dbtci.items import DbtFile, DbtItem, NodeFailed, StatusFile
from pytest_dbtci.link import Server
from pytest_dbtci.needs import check_needs, nodes_needed, uses_queries
from pytest_dbtci.outcomes import Outcomes
from pytest_dbtci.plan import Node, Plan
from pytest_dbtci.results import Result
from pytest_dbtci.run import Run, Teardown
from pytest_dbtci.settings import Settings
from pytest_dbtci.terminal import header_lines, summary_lines


class Participant:
    """What the controller and every worker do alike: collect the plan's nodes, order them, begin the build."""

    def __init__(self, config: pytest.Config, outcomes: Outcomes) -> None:
        self._config = config
        self.outcomes = outcomes
        self._by_file: dict[Path, tuple[Node, ...]] | None = None

    @property
    def files(self) -> dict[Path, tuple[Node, ...]]:
        """Give the planned nodes by the path of the file they stand under, as pytest writes that path."""
        if self._by_file is None:
            self._by_file = {}
            for node in self.outcomes.plan.items:
                path = self._project_dir / node.file
                self._by_file[path] = (*self._by_file.get(path, ()), node)
        return self._by_file

    @property
    def _project_dir(self) -> Path:
        """Give the project's folder by way of rootdir, which may be reached through a symbolic link.

        Links below the project stay: a local package is a link in the packages' folder.
        """
        directory, root = Path(self.outcomes.plan.project_dir), self._config.rootpath
        real = root.resolve()
        return root / directory.relative_to(real) if directory.is_relative_to(real) else directory

    @property
    def status_path(self) -> Path:
        """Give the file under which the status item of an empty plan stands."""
        return self._project_dir / "dbt_project.yml"

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Give the planned nodes of a file."""
        if file_path in self.files:
            file = DbtFile.from_parent(parent, path=file_path)
            file.nodes, file.outcomes = self.files[file_path], self.outcomes
            return file
        if self.outcomes.plan.status and file_path == self.status_path:
            status = StatusFile.from_parent(parent, path=file_path)
            status.status = self.outcomes.plan.status
            return status
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put dbt's items first, in dbt's build order."""
        order = {n.unique_id: i for i, n in enumerate(self.outcomes.plan.nodes)}
        last = len(order)
        items.sort(key=lambda i: order[i.node.unique_id] if isinstance(i, DbtItem) else last)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Begin to build what is left after deselection."""
        needed = nodes_needed(session.items, self.outcomes.plan)
        if not needed or self._config.option.collectonly or session.testsfailed:
            return
        self.outcomes.begin(needed, uses_queries(session.items))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Let a Python test wait for what it needs, or skip."""
        check_needs(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: Any
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Give a dbt item dbt's execution time, and its failure as text without a traceback.

        What a warehouse or a test printed must not reach the CI provider as one of its commands.
        """
        report = yield
        report.sections = [(name, self._harmless(text)) for name, text in report.sections]
        if isinstance(item, DbtItem):
            if call.excinfo is not None and isinstance(call.excinfo.value, NodeFailed):
                report.longrepr = self._harmless(str(call.excinfo.value))
            report.duration = item.result.seconds if item.result is not None and call.when == "call" else 0.0
        return report

    def _harmless(self, text: str) -> str:
        provider: Any = self.outcomes.plan.provider
        return ci.defang(text, provider)


class Controller(Participant):
    """Own the run: make its plan, show it, serve the workers, tear down."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.run = Run(settings, tell=self._tell)
        super().__init__(config, self.run)
        self._misuse: str | None = None
        self._trouble: str | None = None
        self._reported = set[str]()
        self._documented = self._undocumented = ""
        self._teardown = Teardown()
        self._server: Server | None = None
        self._old_handler: Any = None
        self._interrupted = False

    @property
    def plan(self) -> Plan:
        """Give the run's plan."""
        return self.run.plan

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionstart(self) -> Generator[None, None, None]:
        """Make the plan, so that the header can show it and workers get it."""
        self._old_handler = signal.signal(signal.SIGTERM, _terminate)
        try:
            self.run.prepare()
        except UsageError as error:
            self._misuse = str(error)
        except DbtCiError as error:
            self._trouble = f"the plan could not be made: {error}"
        if self._config.args_source is not pytest.Config.ArgsSource.ARGS and not self._failed:
            here = [str(p) for p in self.files] or [str(self.status_path)]
            self._config.args += [p for p in here if p not in self._config.args]
        return (yield)

    @property
    def _failed(self) -> bool:
        return bool(self._misuse or self._trouble)

    def pytest_report_header(self) -> list[str]:
        """Say what is compared, what will be built, where."""
        if self._failed:
            return ["dbt-ci: there is no plan, see the error below"]
        return header_lines(self.plan, self._config.get_verbosity())

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> None:
        """Stop here when there is no plan."""
        if self._failed:
            self._stop(session, "dbt_project.yml::dbt_ci_plan")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Begin the build; schemas that are not ours are misuse, and nothing was written."""
        try:
            super().pytest_collection_finish(session)
        except UsageError as error:
            self._misuse = str(error)
            self._stop(session, "dbt_project.yml::dbt_ci_schemas")

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give a worker what it needs to take part."""
        if self._server is None:
            self._server = Server(self.run)
        node.workerinput["dbtci"] = self._server.ticket

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note which nodes were shown."""
        unique_id = dict(report.user_properties).get("dbt_unique_id")
        if unique_id:
            self._reported.add(str(unique_id))

    def pytest_report_teststatus(self, report: pytest.TestReport) -> Any:
        """Show the reason of a dbt item behind its outcome in verbose output."""
        reason = dict(getattr(report, "user_properties", ())).get("dbt_reason")
        if reason and report.when == "call" and report.passed:
            return "passed", ".", f"PASSED ({reason})"
        return None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Tear down; a teardown that failed, or a failure that no item shows, makes the run red."""
        broken = session.exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)
        stopped = bool(session.shouldstop or session.shouldfail or broken)
        if session.exitstatus == pytest.ExitCode.OK and not session.testsfailed and not stopped:
            self._document()
        self._close(red=bool(session.testsfailed) or session.exitstatus not in (0, 5), stopped=stopped)
        unseen = [r for r in self.run.results if r.is_bad and r.unique_id not in self._reported]
        for node_id, text in self._late_errors(unseen):
            self._config.hook.pytest_runtest_logreport(report=_error(node_id, text, "teardown"))
            if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self._interrupted and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.INTERRUPTED
        if self.run.misuse is not None:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        return (yield)

    def pytest_unconfigure(self) -> None:
        """Tear down where the session never began or broke off."""
        self._close(red=True, stopped=True)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what became of the schemas, and what the plan wants a reader to know."""
        for line in summary_lines(self.plan, self._teardown):
            terminalreporter.write_line(line)
        if self.plan.rehearsal and self.run.begun and not self.run.released:
            terminalreporter.write_line(f"dbt-ci: the rehearsal failed, so nothing was released to {self.plan.target}")
        if self._documented:
            terminalreporter.write_line(f"dbt-ci: documentation in {self._documented}")

    def _document(self) -> None:
        try:
            self._documented = self.run.document()
        except DbtCiError as error:
            self._undocumented = str(error)

    def _close(self, *, red: bool, stopped: bool) -> None:
        with _Uninterrupted(self._be_patient):
            red = red or any(r.is_bad for r in self.run.results)
            self._teardown = self.run.finish(red=red, stopped=stopped)
            if self._server is not None:
                self._server.close()
        if self._old_handler is not None:
            signal.signal(signal.SIGTERM, self._old_handler)
            self._old_handler = None

    def _be_patient(self) -> None:
        self._interrupted = True
        self.run.hurry()
        with contextlib.suppress(RuntimeError):
            # The signal may have come in the middle of another line's output.
            self._tell("dropping the schemas, please wait")

    def _stop(self, session: pytest.Session, node_id: str) -> None:
        """End the session with the error, so that a JUnit file holds it too."""
        text = self._misuse or self._trouble or ""
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        others = self._config.pluginmanager.subset_hook_caller(
            "pytest_runtest_logreport", [p for p in (terminal, session) if p is not None]
        )
        others(report=_error(node_id, text, "setup"))
        if self._misuse:
            raise pytest.UsageError(text)
        session.shouldfail = text
        raise session.Failed(text)

    def _late_errors(self, unseen: list[Result]) -> list[tuple[str, str]]:
        found = []
        for result in unseen:
            node = self.plan.node(result.unique_id)
            if node is not None:
                text = failures.describe(node, result, self.plan, self.run.known())
                note = "(no item of this run shows it, but something that was selected needs it)"
                found.append((node.label, self._harmless(f"{text}\n\n{note}")))
        if self.run.misuse is not None and self._misuse is None:
            found.append(("dbt_project.yml::dbt_ci_schemas", str(self.run.misuse)))
        if self._undocumented:
            found.append(("dbt_project.yml::dbt_ci_docs", self._undocumented))
        if self._teardown.trouble:
            found.append(("dbt_project.yml::dbt_ci_teardown", self._teardown.trouble))
        return found

    def _tell(self, text: str) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and self._config.get_verbosity() >= 0:
            reporter.write_line(f"dbt-ci: {text}")


def _error(node_id: str, text: str, when: Any) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=node_id,
        location=(node_id, None, node_id),
        keywords={},
        outcome="failed",
        longrepr=text,
        when=when,
    )


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(f"signal {number}")


class _Uninterrupted:
    """Keep Ctrl-C and SIGTERM from breaking the teardown off; say so instead."""

    def __init__(self, note: Callable[[], None]) -> None:
        self._note = note
        self._old: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._old[number] = signal.signal(number, lambda *_: self._note())

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
