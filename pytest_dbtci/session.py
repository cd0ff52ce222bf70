"""A pytest session with `--dbt-ci`: plan before collection, build while items run, tear down at the end."""

from __future__ import annotations

import signal
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pytest_dbtci.errors import DbtCiError, UsageError
from pytest_dbtci.items import DbtFile, DbtItem, Outcomes, StatusFile
from pytest_dbtci.plan import Node
from pytest_dbtci.run import Run, Teardown
from pytest_dbtci.settings import Settings
from pytest_dbtci.terminal import header_lines, summary_lines


class DbtCiSession:
    """Connect a `Run` to pytest's hooks."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._config = config
        self._run = Run(settings, tell=self._tell)
        self._files: dict[Path, tuple[Node, ...]] = {}
        self._reported = set[str]()
        self._teardown = Teardown()
        self._finished = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionstart(self) -> Generator[None, None, None]:
        """Make the plan, so that the header can show it and collection can read it."""
        self._old_handler = signal.signal(signal.SIGTERM, _terminate)
        try:
            plan = self._run.prepare()
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None
        except DbtCiError as error:
            raise pytest.UsageError(f"the plan could not be made: {error}") from None
        for node in plan.items:
            path = Path(plan.project_dir, node.file)
            self._files[path] = (*self._files.get(path, ()), node)
        return (yield)

    def pytest_report_header(self) -> list[str]:
        """Say what is compared, what will be built, where."""
        return header_lines(self._run.plan, self._config.get_verbosity())

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> None:
        """Collect the plan's files besides what the command line or `testpaths` name, unless paths were given."""
        if self._config.args_source is not pytest.Config.ArgsSource.ARGS:
            here = [str(p) for p in self._files] or [str(self._status_path)]
            self._config.args += [p for p in here if p not in self._config.args]

    @property
    def _status_path(self) -> Path:
        return Path(self._run.plan.project_dir, "dbt_project.yml")

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Give the planned nodes of a file."""
        path = file_path.resolve()
        if path in self._files:
            file = DbtFile.from_parent(parent, path=file_path)
            file.nodes = self._files[path]
            file.outcome = Outcomes(self._run.plan, self._run.wait, lambda: {r.unique_id: r for r in self._run.results})
            return file
        if not self._run.plan.nodes and path == self._status_path:
            status = StatusFile.from_parent(parent, path=file_path)
            status.status = self._run.plan.status
            return status
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put dbt's items first, in dbt's build order."""
        order = {n.unique_id: i for i, n in enumerate(self._run.plan.nodes)}
        last = len(order)
        items.sort(key=lambda i: order[i.node.unique_id] if isinstance(i, DbtItem) else last)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Open the schemas and start the build of what is left after deselection."""
        chosen = [i.node.unique_id for i in session.items if isinstance(i, DbtItem)]
        if not chosen or self._config.option.collectonly or session.testsfailed:
            return
        try:
            self._run.open()
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None
        except DbtCiError as error:
            self._run.trouble = DbtCiError(f"the schemas could not be made ready: {error}")
            self._run.results.close()
            return
        self._run.start(chosen)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: Any) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Give a dbt item dbt's execution time."""
        report = yield
        if isinstance(item, DbtItem):
            self._reported.add(item.node.unique_id)
            spent = item.result.seconds if item.result is not None and call.when == "call" else 0.0
            report.duration = spent
        return report

    def pytest_report_teststatus(self, report: pytest.TestReport) -> Any:
        """Show the reason of a dbt item behind its outcome in verbose output."""
        reason = dict(report.user_properties).get("dbt_reason") if hasattr(report, "user_properties") else None
        if reason and report.when == "call" and report.passed:
            return "passed", ".", f"PASSED ({reason})"
        return None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Tear down; a teardown that failed, or a failure that no item shows, makes the run red."""
        unseen = [r for r in self._run.results if r.is_bad and r.unique_id not in self._reported]
        with _uninterrupted(self._tell):
            self._teardown = self._run.finish(red=bool(session.testsfailed or unseen))
        for node_id, text in self._late_errors(unseen):
            report = pytest.TestReport(
                nodeid=node_id, location=(node_id, None, node_id), keywords={}, outcome="failed",
                longrepr=text, when="teardown",
            )
            self._config.hook.pytest_runtest_logreport(report=report)
            if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
        signal.signal(signal.SIGTERM, self._old_handler)
        return (yield)

    def _late_errors(self, unseen: list[Any]) -> list[tuple[str, str]]:
        from pytest_dbtci import failures

        known = {r.unique_id: r for r in self._run.results}
        found = []
        for result in unseen:
            node = self._run.plan.node(result.unique_id)
            if node is not None:
                text = failures.describe(node, result, self._run.plan, known)
                found.append((node.label, f"{text}\n\n(no selected item shows this, but something selected needs it)"))
        if self._teardown.trouble:
            found.append(("dbt_project.yml::dbt_ci_teardown", self._teardown.trouble))
        return found

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what became of the schemas, and what the plan wants a reader to know."""
        for line in summary_lines(self._run.plan, self._teardown):
            terminalreporter.write_line(line)

    def _tell(self, text: str) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and self._config.get_verbosity() >= 0:
            reporter.write_line(f"dbt-ci: {text}")


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(f"signal {number}")


class _uninterrupted:
    """Keep Ctrl-C and SIGTERM from breaking the teardown off; say so instead."""

    def __init__(self, tell: Any) -> None:
        self._tell = tell
        self._old: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._old[number] = signal.signal(number, lambda *_: self._tell("dropping the schemas, please wait"))

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
