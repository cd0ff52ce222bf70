"""A pytest session with `--dbt-ci`: plan before collection, build while items run, tear down at the end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.errors import DbtCiError, UsageError
from pytest_dbtci.execution.result_listener import Observer
from pytest_dbtci.execution.run import Run
from pytest_dbtci.execution.signals import Interrupts
from pytest_dbtci.manifest import Manifest
from pytest_dbtci.plan import Node, Plan
from pytest_dbtci.reports import failures
from pytest_dbtci.reports.terminal import header_lines, ignored_line, passed, summary_lines, unasked_line
from pytest_dbtci.results import Result, Teardown
from pytest_dbtci.selection.hook_wishes import adjust
from pytest_dbtci.selection.selector import Choice
from pytest_dbtci.session.command_line import only_looks
from pytest_dbtci.session.finishing_order import FinishingOrder
from pytest_dbtci.session.last_failed import Rerun
from pytest_dbtci.session.participant import Participant
from pytest_dbtci.session.progress import Progress
from pytest_dbtci.session.terminal_guard import TerminalGuard
from pytest_dbtci.settings import Settings

if TYPE_CHECKING:
    from pytest_dbtci.execution.worker_channel import Server


class Controller(Participant):
    """Own the run: make its plan, show it, serve the workers, tear down."""

    def __init__(self, config: pytest.Config, settings: Settings, host: Host, interrupts: Interrupts) -> None:
        self.run = Run(settings, host, tell=self._tell, adjust=self._adjust)
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
        self._reported = set[str]()
        self._documented = self._undocumented = ""
        self._teardown = Teardown()
        self._server: Server | None = None
        self._interrupts = interrupts
        self._interrupts.note = self._be_patient
        self._interrupted = False
        self._cut_off = False
        self._ignored: list[Node] = []

    @property
    def plan(self) -> Plan:
        """Give the run's plan."""
        return self.run.plan

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionstart(self) -> Generator[None, None, None]:
        """Make the plan, so that the header can show it and workers get it."""
        self.guard.install()
        if self._config.hook.pytest_dbtci_result.get_hookimpls():
            self._observer = Observer(self._show)
            self.run.on_result = self._observer.tell
        try:
            self.run.prepare()
        except UsageError as error:
            self._misuse = str(error)
        except DbtCiError as error:
            self._trouble = f"the plan could not be made: {error}"
        except OSError as error:
            self._trouble = f"the plan could not be made: {error}. May this user read and write there?"
        finally:
            self.progress.hide()
        if not self._failed:
            self._take_arguments()
            self.run.kept = self._rerun.recall()
        return (yield)

    def _take_arguments(self) -> None:
        """Without paths on the command line collect every planned file; else see which ones are named in vain."""
        given = [(self._absolute(path), name) for path, _, name in (a.partition("::") for a in self._config.args)]
        if self._config.args_source is not pytest.Config.ArgsSource.ARGS:
            here = self.files or (self.status_path,)
            apart = [f for f in here if not any(f.is_relative_to(root) for root, _ in given)]
            self._config.args += [str(f) for f in apart if not self.ignored(f)]
            self._ignored = [n for f in here if self.ignored(f) for n in self.files.get(f, ())]
            return
        paths = {path for path, _ in given}
        folders = [path for path in paths if not self.ignored(path)]
        below = [f for f in self.files if f not in paths and any(folder in f.parents for folder in folders)]
        self._ignored = [n for f in below if self.ignored(f) for n in self.files[f]]
        named: dict[str, dict[str, str]] = {}
        self.unselected = named
        for path, name in given:
            if not path.is_relative_to(self.project_dir) or path == self.status_path or not path.is_file():
                continue
            planned = {n.item for n in self.files.get(path, ())}
            known = self.run.planned.names_in(path.relative_to(self.project_dir).as_posix())
            if not known and self.plan.status and path.suffix in (".sql", ".csv", ".yml", ".yaml"):
                known = (name or "dbt_ci",)
            vain = [n for n in known if n not in planned and (n == name if name else not planned)]
            why = self.plan.status or "dbt knows it, but this pull request does not select it"
            if vain:
                named.setdefault(str(path), {}).update(dict.fromkeys(vain, why))

    def _absolute(self, path: str) -> Path:
        return Path(os.path.abspath(self._config.invocation_params.dir / path))  # noqa: PTH100 - pytest follows no link

    def wait(self, unique_id: str) -> None:
        """Wait for a node's result, showing what dbt does meanwhile."""
        self.progress.wait(unique_id)

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
            from pytest_dbtci.execution.worker_channel import Server

            self._server = Server(self.run)
        node.workerinput["dbtci"] = {**self._server.ticket, "unselected": self.unselected}
        self.progress.start()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note which nodes were shown; once pytest is about to stop, let dbt stop, too, so that no worker waits."""
        self._rerun.note(report)
        self._failures += report.failed
        if report.failed and 0 < (self._config.getoption("maxfail") or 0) <= self._failures:
            self.run.cancel()
        unique_id = dict(report.user_properties).get("dbt_unique_id")
        if unique_id:
            self._reported.add(str(unique_id))

    def pytest_report_teststatus(self, report: pytest.TestReport) -> Any:
        """Show the reason of a dbt item behind its outcome in verbose output."""
        node = self.plan.node(str(dict(getattr(report, "user_properties", ())).get("dbt_unique_id")))
        if node is not None and report.when == "call" and report.passed:
            return "passed", ".", passed(node.why, self._room(report))
        return None

    def _room(self, report: pytest.TestReport) -> int | None:
        """Give the columns that a terminal's row leaves for an outcome."""
        if not self.progress.is_live or self._config.get_verbosity() > 1:
            return None
        beside = "[gw0] [100%] " if hasattr(report, "node") else "  [100%]"
        return shutil.get_terminal_size().columns - len(report.nodeid) - len(beside) - 1

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Tell Ctrl-C from a stop that `-x` or `--sw` asked for, which is raised as a kind of KeyboardInterrupt."""
        self._cut_off = excinfo.type in (KeyboardInterrupt, pytest.exit.Exception)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Tear down; a teardown that failed, or a failure that no item shows, makes the run red."""
        broken = session.exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)
        stopped = bool(session.shouldstop or session.shouldfail or broken)
        if session.exitstatus == pytest.ExitCode.OK and not session.testsfailed and not stopped:
            self._document()
        self.progress.stop()
        self._close(red=bool(session.testsfailed) or session.exitstatus not in (0, 5), stopped=stopped)
        unseen = [r for r in self.run.results if r.is_bad and r.unique_id not in self._reported]
        if stopped and not self._cut_off and session.exitstatus != pytest.ExitCode.INTERNAL_ERROR:
            # pytest shows nothing of the items that it stopped before, and the run is red.
            unseen = [r for r in unseen if r.unique_id not in self.run.asked]
        for node_id, text, unique_id in self._late_errors(unseen):
            self._config.hook.pytest_runtest_logreport(report=_error(node_id, text, "teardown", unique_id))
            if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self._cut_off:
            self._report_the_rest()
        if self._interrupted and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.INTERRUPTED
        if self.run.misuse is not None:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        yield
        self._rerun.write()
        if self.run.settings.timings:
            steps = [{"step": step, "seconds": seconds} for step, seconds in self.run.timings.items()]
            file = self.run.settings.invocation_dir / self.run.settings.timings
            try:
                file.write_text(json.dumps(steps, indent=1), encoding="utf-8")
            except OSError as error:
                self._tell(f"--dbt-ci-timings: {file} could not be written: {error.strerror}")

    def pytest_unconfigure(self) -> None:
        """Tear down where the session never began or broke off."""
        self.progress.stop()
        self._close(red=True, stopped=True)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what became of the schemas, and what the plan wants a reader to know."""
        for line in summary_lines(self.plan, self._teardown):
            terminalreporter.write_line(line)
        if self.plan.nodes and not self.run.asked and not self._failed and not only_looks(self._config):
            terminalreporter.write_line(unasked_line(self.plan, self.run.begun))
        if self._ignored:
            terminalreporter.write_line(ignored_line(self._ignored))
        if self.plan.rehearsal and self.run.begun and not self.run.released:
            terminalreporter.write_line(f"dbt-ci: the rehearsal failed, so nothing was released to {self.plan.target}")
        if self._documented:
            terminalreporter.write_line(f"dbt-ci: documentation in {self._documented}")
        if self.plan.nodes:
            known = self.run.known()
            for lines in self._config.hook.pytest_dbtci_summary(config=self._config, plan=self.plan, results=known):
                for line in lines:
                    terminalreporter.write_line(line)

    def _document(self) -> None:
        try:
            self._documented = self.run.document()
        except DbtCiError as error:
            self._undocumented = str(error)

    def _close(self, *, red: bool, stopped: bool) -> None:
        with self._interrupts.patiently():
            red = red or any(r.is_bad for r in self.run.results)
            self._teardown = self.run.finish(red=red, stopped=stopped)
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

    def _stop(self, session: pytest.Session, node_id: str) -> None:
        """End the session with the error, so that a JUnit file holds it too."""
        text = self._misuse or self._trouble or ""
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        others = self._config.pluginmanager.subset_hook_caller(
            "pytest_runtest_logreport", [p for p in (terminal, session) if p is not None]
        )
        others(report=_error(node_id, text, "setup"))
        if self._misuse:
            raise pytest.UsageError(self.harmless(text))
        session.shouldfail = text
        raise session.Failed(text)

    def _late_errors(self, unseen: list[Result]) -> list[tuple[str, str, str]]:
        found = []
        for result in unseen:
            node = self.plan.node(result.unique_id)
            if node is not None:
                text = failures.describe(node, result, self.plan, self.run.known())
                note = "(no item of this run shows it, but something that was selected needs it)"
                if node.unique_id in self.run.asked:
                    note = "(the session ended before its item's turn)"
                found.append((node.label, self.harmless(f"{text}\n\n{note}"), node.unique_id))
        if self.run.misuse is not None and self._misuse is None:
            found.append(("dbt_project.yml::dbt_ci_schemas", str(self.run.misuse), ""))
        if self._undocumented:
            found.append(("dbt_project.yml::dbt_ci_docs", self._undocumented, ""))
        if self._observer is not None and self._observer.trouble:
            found.append(("dbt_project.yml::dbt_ci_result_hook", self._observer.trouble, ""))
        if self._teardown.trouble:
            found.append(("dbt_project.yml::dbt_ci_teardown", self._teardown.trouble, ""))
        return found

    def _adjust(self, choice: Choice, head: Manifest) -> Choice:
        hook = self._config.hook.pytest_dbtci_select
        found = hook(config=self._config, selected=choice.reasons, manifest=head)
        return adjust(choice, [wish for wishes in found for wish in wishes], head)

    def _show(self, result: Result) -> None:
        node = self.plan.node(result.unique_id)
        if node is not None and node.is_item:
            self._config.hook.pytest_dbtci_result(config=self._config, node=node, result=result)

    def _report_the_rest(self) -> None:
        """Give every node that was begun an outcome where Ctrl-C ended the session before its item's turn."""
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        others = self._config.pluginmanager.subset_hook_caller("pytest_runtest_logreport", [terminal, self])
        for node in self.plan.items:
            if node.unique_id in self.run.begun and node.unique_id not in self._reported:
                why = "the session was interrupted before this was shown"
                others(report=_error(node.label, why, "teardown", node.unique_id))

    def _tell(self, text: str) -> None:
        if not self.plan.nodes:
            self.progress.step(text)
            return
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and self._config.get_verbosity() >= 0:
            reporter.write_line(f"dbt-ci: {text}")
            # A log that is a file or a pipe shows it only when a block is full.
            reporter.flush()


def _error(node_id: str, text: str, when: Any, unique_id: str = "") -> pytest.TestReport:
    # Only a report of the teardown carries its properties into a JUnit file.
    return pytest.TestReport(
        nodeid=node_id,
        location=(node_id, None, node_id),
        keywords={},
        outcome="failed",
        longrepr=text,
        when=when,
        user_properties=[("dbt_unique_id", unique_id)] if unique_id else [],
    )
