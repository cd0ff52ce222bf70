"""The sweep as a pytest session: an item for each schema, and nothing else is collected."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_dbtci.ci.stream import harmless
from pytest_dbtci.dbt_client.redaction import Redaction, secrets_of
from pytest_dbtci.dbt_words import reason
from pytest_dbtci.errors import DbtCiError, UsageError
from pytest_dbtci.project.find import find_project
from pytest_dbtci.schemas.sweep import Leftover, Sweep, read_criteria, with_states
from pytest_dbtci.session.beginning import usage_error
from pytest_dbtci.session.items import StatusItem
from pytest_dbtci.session.terminal_guard import TerminalGuard
from pytest_dbtci.settings import Settings


class Sweeping:
    """List what earlier runs left, before collection; each schema is an item: dropped, kept, or failed."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        try:
            self.criteria = read_criteria(settings)
            project_dir = find_project(settings.project_dir, settings.rootdir, settings.invocation_dir)
            self.sweep = Sweep(settings, project_dir)
        except UsageError as error:
            raise usage_error(str(error)) from None
        self.drops = settings.sweep == "drop"
        self.leftovers: tuple[Leftover, ...] = ()
        self.trouble = self.unknown = ""
        self.done: dict[str, str] = {}
        self._path = project_dir / "dbt_project.yml"
        self._environ = settings.environ
        self._redaction = Redaction(secrets_of({}, settings.environ))
        self._guard = TerminalGuard(config, settings.environ, self._redaction.long)
        # Nothing but the schemas: no path of the command line, no worker processes.
        config.args[:] = [str(self._path)]
        config.option.dist, config.option.tx = "no", []

    def _harmless(self, text: str) -> str:
        return harmless(self._redaction.long(text), self._environ)

    @property
    def going(self) -> tuple[Leftover, ...]:
        """Return the schemas that may be dropped."""
        return tuple(found for found in self.leftovers if not self.criteria.reason_to_keep(found))

    def pytest_sessionstart(self) -> None:
        """Ask the warehouse; trouble becomes an item's error, so that JUnit holds it."""
        self._guard.install()
        try:
            self.leftovers = self.sweep.leftovers()
            if self.criteria.closed:
                self.leftovers, why = with_states(self.leftovers, self._environ)
                self.unknown = self._harmless(" ".join(why.split()))
                is_known = any(found.state for found in self.leftovers)
                if self.unknown and self.drops and not is_known and self.criteria.age is None:
                    self.trouble = f"nothing was dropped, as no state of a pull request is known: {self.unknown}"
        except DbtCiError as error:
            self.trouble = f"the schemas could not be listed: {reason(str(error))}{error.next_step}"

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Return the schemas as items of the project's file."""
        if file_path != self._path:
            return None
        file = SweepFile.from_parent(parent, path=file_path)
        file.sweeping = self
        return file

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: Any) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Show the text alone, of a setup, too: a traceback says nothing about a warehouse.

        What a mark or the warehouse says must not reach the CI provider as one of its commands.
        """
        report = yield
        if call.excinfo is not None and isinstance(call.excinfo.value, SweepFailed):
            report.longrepr = self._harmless(str(call.excinfo.value))
        elif isinstance(report.longrepr, tuple):
            report.longrepr = (*report.longrepr[:2], self._harmless(report.longrepr[2]))
        return report

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List every schema, and what became of it."""
        for found in self.leftovers:
            terminalreporter.write_line(f"dbt-ci: {found.schema} {found}: {self.done.get(found.schema, 'not reached')}")
        if self.unknown and not self.trouble:
            by_age = "only the age decides" if self.criteria.age is not None else "nothing of it goes"
            terminalreporter.write_line(f"dbt-ci: where the provider says no state, {by_age}: {self.unknown}")
        if not (self.leftovers or self.trouble):
            terminalreporter.write_line(f"dbt-ci: {self.sweep.nothing}")
        if not self.drops and self.going:
            terminalreporter.write_line("dbt-ci: nothing was dropped; --dbt-ci-sweep=drop does that")

    def pytest_unconfigure(self) -> None:
        """End the dbt process."""
        self.sweep.close()


class SweepFile(pytest.File):
    """The project's file, where the schemas stand."""

    sweeping: Sweeping

    def collect(self) -> Iterator[pytest.Item]:
        found = self.sweeping.leftovers
        if self.sweeping.trouble:
            nothing = Leftover(database="", schema="sweep", trouble=self.sweeping.trouble)
            yield SweepItem.from_parent(self, name="sweep", leftover=nothing, sweeping=self.sweeping)
        elif not found:
            yield StatusItem.from_parent(self, name="sweep", status=self.sweeping.sweep.nothing)
        for leftover in found:
            yield SweepItem.from_parent(self, name=leftover.schema, leftover=leftover, sweeping=self.sweeping)


class SweepFailed(Exception):
    """Carry the text that says why a schema could not be read or dropped."""


class SweepItem(pytest.Item):
    """One schema: dropping it is the test."""

    def __init__(self, *, leftover: Leftover, sweeping: Sweeping, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._leftover = leftover
        self._sweeping = sweeping
        self.add_marker("dbt")
        self.user_properties += [("dbt_schema", leftover.schema), ("dbt_pr", leftover.pr)]

    def setup(self) -> None:
        """Stop at what could not be read."""
        if self._leftover.trouble:
            self._sweeping.done[self.name] = "FAILED"
            raise SweepFailed(self._leftover.trouble)

    def runtest(self) -> None:
        sweeping, keep = self._sweeping, self._sweeping.criteria.reason_to_keep(self._leftover)
        if sweeping.drops:
            sweeping.sweep.settle(self._leftover)
        if keep or not sweeping.drops:
            sweeping.done[self.name] = f"kept, {keep}" if keep else "would be dropped"
            pytest.skip(f"{self._leftover}: {sweeping.done[self.name]}")
        try:
            sweeping.sweep.drop(self._leftover, sweeping.going)
        except DbtCiError as error:
            sweeping.done[self.name] = "FAILED"
            raise SweepFailed(str(error)) from None
        sweeping.done[self.name] = "dropped"

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self.name} (schema)"
