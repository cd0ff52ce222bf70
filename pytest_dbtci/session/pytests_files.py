"""Keep secrets out of the files that pytest itself writes: JUnit, `--log-file`, `--debug`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from pytest_dbtci.dbt_client.redaction import Redaction, secrets_of
from pytest_dbtci.errors import next_step_of
from pytest_dbtci.reports.pytests_files import clean_junit, clean_text
from pytest_dbtci.session.late_reports import LateReports

DEBUG = "dbtci-debug"
"""The name under which DebugFile is registered."""

_GREEN = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


class JunitFile:
    """Clean the JUnit file as soon as it is written, before the terminal and the provider's pages say how it ended.

    The run is red where that fails, or where pytest can't write a file as the session ends.
    """

    def __init__(self, config: pytest.Config, redact: Callable[[str], str], late: LateReports) -> None:
        self._path = config.invocation_params.dir / Path(os.path.expandvars(config.option.xmlpath)).expanduser()
        self._redact = redact
        self._late = late

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Wrap pytest's own writing of the file."""
        trouble = ""
        try:
            return (yield)
        except OSError as error:
            trouble = f"pytest could not write a file as the session ended: {error}. {next_step_of(error)}"
            return None
        finally:
            trouble = "\n".join(filter(None, (trouble, clean_junit(self._path, self._redact))))
            if self._late.report_errors({"dbt_ci_junit": trouble}, session) and session.exitstatus in _GREEN:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED


class LogFile:
    """Write no secret into the file of `--log-file`, nor into the ids that pytest makes of tests' parameters."""

    def __init__(self, config: pytest.Config, redact: Callable[[str], str]) -> None:
        self._config = config
        self._redact = redact

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Redact each line, wherever a conftest file has them written."""
        handler = getattr(self._config.pluginmanager.get_plugin("logging-plugin"), "log_file_handler", None)
        if isinstance(handler, logging.Handler) and handler.formatter is not None:
            handler.setFormatter(_Redacting(handler.formatter, self._redact))

    @pytest.hookimpl(tryfirst=True)
    def pytest_make_parametrize_id(self, val: object) -> str | None:
        """Return an id without secrets where pytest's own would hold one, as it stands in pytest's cache and JUnit."""
        redacted = self._redact(val) if isinstance(val, str) else val
        return None if redacted == val else str(redacted)


class _Redacting(logging.Formatter):
    """Another formatter's lines without secrets."""

    def __init__(self, other: logging.Formatter, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._other = other
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(self._other.format(record))


class DebugFile:
    """Clean the file of `--debug`, which holds the arguments of all hooks, once pytest has closed it.

    Made before pytest opens it, as what is to be cleaned up last must be known first.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.redact = Redaction(secrets_of({}, os.environ)).long
        self._directory = Path.cwd()
        self._session: pytest.Session | None = None
        config.add_cleanup(self._clean)

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Note the session, whose exit code is still to be decided."""
        self._session = session

    def _clean(self) -> None:
        path = getattr(self._config.option, "debug", None)
        if path and (trouble := clean_text(self._directory / path, self.redact)):
            print(f"dbt-ci: {trouble}", file=sys.stderr)
            if self._session is not None and self._session.exitstatus in _GREEN:
                self._session.exitstatus = pytest.ExitCode.TESTS_FAILED


def keep_secrets(
    config: pytest.Config, redact: Callable[[str], str] | None = None, late: LateReports | None = None
) -> None:
    """Keep secrets out of pytest's files: those of the environment alone where `redact` knows no more."""
    redact = redact or Redaction(secrets_of({}, os.environ)).long
    config.pluginmanager.register(LogFile(config, redact))
    if late is not None and config.getoption("xmlpath", None):
        config.pluginmanager.register(JunitFile(config, redact, late))
    if (debug := config.pluginmanager.get_plugin(DEBUG)) is not None:
        debug.redact = redact
