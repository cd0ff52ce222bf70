"""Tell the CI provider about a run: annotations, summary, comment, warning flag."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pytest_dbtci.ci import detect as ci
from pytest_dbtci.ci.build import Build
from pytest_dbtci.ci.providers import provider_of
from pytest_dbtci.errors import DbtCiError
from pytest_dbtci.execution.run import Run
from pytest_dbtci.git.repository import Repository
from pytest_dbtci.options import OPTIONS
from pytest_dbtci.plan import Plan
from pytest_dbtci.reports import summary
from pytest_dbtci.reports.annotations import annotate
from pytest_dbtci.reports.comparison import table
from pytest_dbtci.session.late_reports import TROUBLE
from pytest_dbtci.session.provider_pages import write_comment, write_summary
from pytest_dbtci.session.terminal_guard import TerminalGuard
from pytest_dbtci.settings import Settings

_REPEATED = (
    *("project-dir", "profile", "vars", "full-refresh", "select", "exclude", "state", "incremental", "compare"),
    *("compare-rules", "compare-rows", "compare-timeout", "batch-tests", "build-less", "known"),
)
"""The options that change what a run finds, besides base and targets, which the summary knows itself."""

_GREEN = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
_SUMMARIZED = (*_GREEN, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR)
"""The exit codes at which pytest's terminal shows a summary."""

_TOLD = frozenset({TROUBLE, "dbt_project.yml::dbt_ci_plan", "dbt_project.yml::dbt_ci_schemas"})
"""The reports of what `trouble` gives, too."""


def repeated(settings: Settings) -> list[str]:
    """Return the arguments that give another machine the settings of this run; it has nothing to reuse there."""
    rules = [rule for rule in settings.build_less.split(",") if rule != "reuse"]
    settings, found = replace(settings, build_less=",".join(rules) or "none"), []
    for option in OPTIONS:
        value = getattr(settings, option.name.replace("-", "_"))
        if option.name in _REPEATED and value and value != option.default:
            found.append(option.flag if value is True else f"{option.flag}={value}")
    return found


class Reporting:
    """Print and write what the provider shows, once the run is over.

    `trouble` gives what kept the plan from being made, or nodes from being built, `added` what a team's own
    plugins add. Nothing here changes the run's outcome: trouble with a report is a line in the terminal.
    """

    def __init__(
        self,
        config: pytest.Config,
        run: Run,
        settings: Settings,
        guard: TerminalGuard,
        trouble: Callable[[], str],
        added: Callable[[], Sequence[str]],
    ) -> None:
        self._config = config
        self._run = run
        self._settings = settings
        self._guard = guard
        self._trouble = trouble
        self._added = added
        self._began = time.monotonic()
        self._python_failures = 0
        self._exit_code = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what failed besides dbt's nodes."""
        if report.failed and report.nodeid not in _TOLD and "dbt_unique_id" not in dict(report.user_properties):
            self._python_failures += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count what could not be collected."""
        self._python_failures += report.failed

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the reports where no terminal asks for them: without one, and where pytest breaks off."""
        self._exit_code = int(session.exitstatus)
        if not self._config.pluginmanager.has_plugin("terminalreporter") or exitstatus not in _SUMMARIZED:
            with contextlib.suppress(DbtCiError):
                list(self._pages(ci.detect(self._settings.environ)))

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the provider's commands and say where the summary and the comment are."""
        _tell_once(terminalreporter)
        plan = self._run.plan
        if not plan.project_dir and not self._trouble():
            return
        try:
            build = ci.detect(self._settings.environ)
            terminalreporter.ensure_newline()
            for command in (*self._signal(build), *self._annotations(build)):
                self._guard.send(command)
            for line in self._pages(build):
                terminalreporter.write_line(line)
        except (DbtCiError, OSError) as error:
            if str(error) not in self._trouble():
                terminalreporter.write_line(f"dbt-ci: {error}")

    def _signal(self, build: Build) -> Iterator[str]:
        signal = provider_of(build.provider).warning(self._run.plan.warning) if self._run.plan.warning else None
        if signal:
            yield from signal.split("\n")

    def _annotations(self, build: Build) -> Iterator[str]:
        known = self._run.known()
        if known and provider_of(build.provider).annotates:
            root = self._repository()
            assert root is not None, "what has results has a plan"
            yield from annotate(self._run.plan, known, build, root)

    def _pages(self, build: Build) -> Iterator[str]:
        """Write each page and say where it is; one that can't be written keeps none of the others back."""
        for write in (self._summary, self._report, self._comment):
            try:
                yield from write(build)
            except (DbtCiError, OSError) as error:
                yield f"dbt-ci: {error}"

    def _summary(self, build: Build) -> Iterator[str]:
        return write_summary(partial(self._page, build), build, self._settings, self._guard.send)

    def _comment(self, build: Build) -> Iterator[str]:
        return write_comment(partial(self._page, build), build, self._settings, self._run.plan.project)

    def _report(self, build: Build) -> Iterator[str]:
        if not self._settings.report:
            return
        # It brings two libraries for the browser along.
        from pytest_dbtci.reports import page

        path = self._settings.invocation_dir / self._settings.report
        page.write(
            path,
            self._begun(),
            self._run.known(),
            build,
            repository=self._repository(),
            seconds=time.monotonic() - self._began,
            red=self._is_red,
            redact=self._run.redact,
            trouble=self._trouble(),
            comparisons=self._run.comparisons,
            values=self._settings.compare_values,
        )
        yield f"dbt-ci: report in {path}"

    def _page(self, build: Build, limit: int) -> str:
        seconds = time.monotonic() - self._began
        plan = self._begun()
        return summary.markdown(
            plan,
            self._run.known(),
            build,
            seconds,
            red=self._is_red,
            arguments=[self._run.redact_long(argument) for argument in repeated(self._settings)],
            limit=limit,
            trouble=self._trouble(),
            repository=self._repository(),
            report=self._settings.report,
            compared=tuple(table(plan, self._run.comparisons, values=self._settings.compare_values)),
        )

    def _repository(self) -> Path | None:
        directory = self._run.plan.project_dir
        return Repository.find(Path(directory)).root if directory else None

    @property
    def _is_red(self) -> bool:
        """Whether the run is red, whatever the nodes say: other tests failed, or pytest or a plugin ended it so."""
        return bool(self._python_failures) or self._exit_code not in _GREEN

    def _begun(self) -> Plan:
        """Return the plan without what was deselected, with notes on other failures and from plugins."""
        plan, begun = self._run.plan, self._run.begun
        plan = replace(plan, notes=(*plan.notes, *map(self._run.redact_long, self._added())))
        if begun:
            kept = tuple(n for n in plan.nodes if n.unique_id in begun or n.resource_type == "operation")
            plan = replace(plan, nodes=kept)
        if self._python_failures:
            note = f"{self._python_failures} failed besides dbt's nodes: the run is red, see its log"
            plan = replace(plan, notes=(note, *plan.notes))
        elif self._is_red and not self._trouble() and not any(r.is_bad for r in self._run.known().values()):
            note = f"pytest ended with exit code {self._exit_code}: the run is red, see its log"
            plan = replace(plan, notes=(note, *plan.notes))
        return plan


def _tell_once(terminalreporter: pytest.TerminalReporter) -> None:
    """Leave pytest's last lines the first one of a text that stands above: in CI they would repeat all of it."""
    if terminalreporter.config.option.tbstyle != "no":
        for report in (*terminalreporter.stats.get("failed", ()), *terminalreporter.stats.get("error", ())):
            if isinstance(report.longrepr, str):
                report.longrepr = report.longrepr.partition("\n")[0]
