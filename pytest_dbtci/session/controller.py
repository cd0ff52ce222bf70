"""A pytest session with `--dbt-ci`: plan before collection, build while items run, tear down at the end."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_words import reason
from pytest_dbtci.errors import DbtCiError, UsageError, next_step_of
from pytest_dbtci.execution.result_listener import Observer
from pytest_dbtci.execution.run import Run
from pytest_dbtci.execution.signals import Interrupts
from pytest_dbtci.manifest import Manifest
from pytest_dbtci.plan import Plan
from pytest_dbtci.reports.comparison import terminal_lines
from pytest_dbtci.reports.terminal import header_lines, passed, wrapped
from pytest_dbtci.reports.timings import write_timings
from pytest_dbtci.results import Result, Teardown
from pytest_dbtci.selection.hook_wishes import adjust
from pytest_dbtci.selection.selector import Choice
from pytest_dbtci.session.arguments import Arguments, take_arguments
from pytest_dbtci.session.beginning import unsay_hello, usage_error
from pytest_dbtci.session.command_line import only_looks
from pytest_dbtci.session.finishing_order import FinishingOrder
from pytest_dbtci.session.last_failed import Rerun
from pytest_dbtci.session.last_lines import last_lines
from pytest_dbtci.session.late_reports import LateReports
from pytest_dbtci.session.participant import Participant
from pytest_dbtci.session.plugin_hooks import added_lines, gather
from pytest_dbtci.session.progress import Progress
from pytest_dbtci.session.terminal_guard import TerminalGuard
from pytest_dbtci.settings import Settings

if TYPE_CHECKING:
    from pytest_dbtci.execution.worker_channel import Server


class Controller(Participant):
    """Own the run: make its plan, show it, serve the workers, tear down."""

    def __init__(self, config: pytest.Config, settings: Settings, host: Host, interrupts: Interrupts) -> None:
        self.run = Run(
            *(settings, host, self._tell, self._adjust),
            builds=not config.option.collectonly,
            show=lambda text: self.progress.doing(text),
        )
        super().__init__(config, self.run)
        self.guard = TerminalGuard(config, settings.environ, self.run.redact_long)
        self.progress = Progress(config, self.run)
        config.pluginmanager.register(self.progress)
        config.pluginmanager.register(
            FinishingOrder(lambda: self.plan, self.run.results, self.progress.show, self.progress.hide)
        )
        self._rerun = Rerun(config, self.run)
        self._observer: Observer | None = None
        self._failures = 0
        self._misuse: str | None = None
        self._trouble: str | None = None
        self.late = LateReports(config, self.run, self.harmless, self.node_id)
        self._documented = self._undocumented = self._unadded = ""
        self.added: tuple[str, ...] = ()
        self._teardown = Teardown()
        self._server: Server | None = None
        self._interrupts = interrupts
        self._interrupts.note = self._be_patient
        self._interrupted = False
        self._cut_off = False
        self._arguments = Arguments()
        self._session: pytest.Session

    @property
    def plan(self) -> Plan:
        """Return the run's plan."""
        return self.run.plan

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> Generator[None, None, None]:
        """Make the plan, so that the header can show it and workers get it."""
        self._session = session
        unsay_hello(self._config)
        self.guard.install()
        if self._config.hook.pytest_dbtci_result.get_hookimpls():
            self._observer = Observer(self._show)
            self.run.on_result = self._observer.tell
        try:
            self.run.prepare()
        except UsageError as error:
            self._misuse = str(error)
        except DbtCiError as error:
            self._trouble = f"the plan could not be made: {reason(str(error))}{error.next_step}"
        except OSError as error:
            self._trouble = f"the plan could not be made: {error}. {next_step_of(error)}"
        finally:
            self.progress.hide()
        if not self._failed:
            self._arguments = take_arguments(self._config, self, self.run.planned)
            self.unselected = self._arguments.unselected
            self.run.kept = self._rerun.recall()
        try:
            return (yield)
        except OSError as error:  # pytest-xdist makes its workers a temporary folder; the collection then stops
            self._trouble = self._trouble or f"the workers could not be started: {error}. {next_step_of(error)}"

    def wait(self, unique_id: str) -> None:
        """Wait for a node's result, showing what dbt does meanwhile."""
        self.progress.wait(unique_id)
        self.late.report_trouble(self._session)

    @property
    def trouble(self) -> str:
        """Return what kept the plan from being made, or nodes from being built; empty where nothing did."""
        return self.harmless(self._misuse or self._trouble or self.run.trouble)

    @property
    def _failed(self) -> bool:
        return bool(self._misuse or self._trouble)

    def pytest_report_header(self) -> list[str]:
        """Return the header: what is compared, what will be built, where."""
        if self._failed:
            return ["dbt-ci: there is no plan, see the error below"]
        lines = header_lines(self.plan, self._config.get_verbosity())
        return [part for line in lines for part in self._fitting(line)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> None:
        """Stop here when there is no plan."""
        if self._failed:
            self._stop(session, "dbt_ci_plan")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Begin the build; schemas that are not ours are misuse, and nothing was written."""
        try:
            super().pytest_collection_finish(session)
        except UsageError as error:
            self._misuse = str(error)
            self._stop(session, "dbt_ci_schemas")
        finally:
            self.progress.hide()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Send a worker what it needs to take part."""
        if self._server is None:
            from pytest_dbtci.execution.worker_channel import Server

            self._server = Server(self.run)
        arguments = {"unselected": self.unselected, "added": self._arguments.added}
        node.workerinput["dbtci"] = {**self._server.ticket, **arguments}
        self.progress.start()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note which nodes were shown; once pytest is about to stop, let dbt stop, too, so that no worker waits."""
        self.late.report_trouble(self._session)
        self.late.count(self._session)
        self._rerun.note(report)
        self._failures += report.failed
        if report.failed and 0 < (self._config.getoption("maxfail") or 0) <= self._failures:
            self.run.cancel()
        self.late.note(report)

    def pytest_report_teststatus(self, report: pytest.TestReport) -> Any:
        """Show the reason of a dbt item behind its outcome in verbose output."""
        node = self.plan.node(str(dict(getattr(report, "user_properties", ())).get("dbt_unique_id")))
        if node is not None and report.when == "call" and report.passed:
            reused = dict(report.user_properties).get("dbt_reused")
            return "passed", ".", passed(str(reused or node.why), self._room(report))
        found = dict(getattr(report, "user_properties", ())).get("dbt_compare")
        if found and report.when == "call" and report.passed:
            return "passed", ".", passed(str(found), self._room(report))
        return None

    def _room(self, report: pytest.TestReport) -> int | None:
        """Return the columns that a terminal's row leaves for an outcome."""
        if not self.progress.is_live or self._config.get_verbosity() > 1:
            return None
        beside = "[gw0] [100%] " if hasattr(report, "node") else "  [100%]"
        return shutil.get_terminal_size().columns - len(report.nodeid) - len(beside) - 1

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Distinguish Ctrl-C from the stop of `-x` or `--sw`, which is raised as a kind of KeyboardInterrupt."""
        self._cut_off = excinfo.type in (KeyboardInterrupt, pytest.exit.Exception)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Tear down; a teardown that failed, or a failure that no item shows, makes the run red."""
        broken = session.exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)
        stopped = bool(session.shouldstop or session.shouldfail or broken)
        if session.exitstatus == pytest.ExitCode.OK and not session.testsfailed and not stopped:
            self._document()
        self.progress.stop()
        troubled = self.late.report_trouble(session)
        self._close(red=bool(session.testsfailed) or session.exitstatus not in (0, 5), stopped=stopped)
        self.added, self._unadded = added_lines(self._config, self.plan, self.run.known())
        # pytest shows nothing of the items that it stopped before, and the run is red.
        but_asked = stopped and not self._cut_off and session.exitstatus != pytest.ExitCode.INTERNAL_ERROR
        unseen = self.late.report_unseen(but_asked=but_asked)
        errors = self.late.report_errors(self._late_errors(), session)
        green = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        if green and (troubled or unseen or errors):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self._cut_off:
            self.late.report_the_rest(self)
        if self._interrupted and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.INTERRUPTED
        if self.run.misuse is not None:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        yield
        self._rerun.write(self.node_id(n) for n in self.run.not_run)
        if trouble := write_timings(self.run.settings, self.run.timings):
            self._tell(trouble)

    def pytest_unconfigure(self) -> None:
        """Tear down where the session never began or broke off."""
        self.progress.stop()
        self._close(red=True, stopped=True)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
        """Write what became of the schemas, and what the plan wants a reader to know."""
        cut_off = exitstatus == pytest.ExitCode.INTERRUPTED and not self.run.begun
        is_built = not (self._failed or only_looks(self._config) or cut_off)
        last = last_lines(self.run, self._teardown, self._arguments.ignored, self._documented, is_built=is_built)
        compared = map(self.harmless, terminal_lines(self.plan, self.run.comparisons))
        lines = [*(part for line in (*compared, *last) for part in self._fitting(line)), *self.added]
        is_below_failures = bool(terminalreporter.stats.keys() & {"failed", "error"})
        for line in [""] * bool(lines and is_below_failures) + lines:
            terminalreporter.write_line(line)

    def _fitting(self, line: str) -> list[str]:
        """Break a line at words on a terminal; a log is searched by whole lines, and what shows it wraps them."""
        is_broken = self.progress.is_live and line.startswith("dbt-ci: ")
        return wrapped(line, shutil.get_terminal_size().columns) if is_broken else [line]

    def _document(self) -> None:
        try:
            self._documented = self.run.document()
        except DbtCiError as error:
            self._undocumented = str(error)

    def _close(self, *, red: bool, stopped: bool) -> None:
        with self._interrupts.patiently():
            red = red or any(r.is_bad for r in self.run.results)
            if self.run.begun and self._teardown == Teardown():
                self.progress.doing("closing the schemas")
            self._teardown = self.run.finish(red=red, stopped=stopped, hurry=self._cut_off)
            self.progress.hide()
            if self._server is not None:
                self._server.close()
            if self._observer is not None:
                self._observer.close()
        self._interrupts.restore()

    def _be_patient(self) -> None:
        self._interrupted = True
        self.run.hurry()
        with contextlib.suppress(RuntimeError):
            # The signal may have come in the middle of another line's output.
            self._tell("dropping the schemas, please wait")

    def _stop(self, session: pytest.Session, name: str) -> None:
        """End the session with the error, so that a JUnit file holds it too."""
        text = self._misuse or self._trouble or ""
        self.late.report_stop(session, name, text)
        if self._misuse:
            raise usage_error(self.harmless(text))
        session.shouldfail = text
        raise session.Failed(text)

    def _late_errors(self) -> dict[str, str]:
        return {
            "dbt_ci_schemas": str(self.run.misuse) if self.run.misuse is not None and self._misuse is None else "",
            "dbt_ci_docs": self._undocumented,
            "dbt_ci_result_hook": self._observer.trouble if self._observer is not None else "",
            "dbt_ci_summary_hook": self._unadded,
            "dbt_ci_teardown": self._teardown.trouble,
        }

    def _adjust(self, choice: Choice, head: Manifest) -> Choice:
        wishes = gather(self._config, "pytest_dbtci_select", selected=choice.reasons, manifest=head)
        return adjust(choice, wishes, head)

    def _show(self, result: Result) -> None:
        node = self.plan.node(result.unique_id)
        if node is not None and node.is_item:
            self._config.hook.pytest_dbtci_result(config=self._config, node=node, result=result)

    def _tell(self, text: str) -> None:
        if not self.plan.nodes:
            self.progress.step(text)
            return
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and self._config.get_verbosity() >= 0:
            reporter.write_line(f"dbt-ci: {text}")
            # A log that is a file or a pipe shows it only when a block is full.
            reporter.flush()
