"""Keep secrets out of the files that pytest itself writes: JUnit, `--log-file`, `--debug`, and its cache."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import re
import sys
from collections.abc import Callable, Collection, Generator
from pathlib import Path
from typing import Any

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
    """Write no secret into the file of `--log-file`."""

    def __init__(self, config: pytest.Config, redact: Callable[[str], str]) -> None:
        self._config = config
        self._redact = redact

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Redact each line, wherever a conftest file has them written."""
        handler = getattr(self._config.pluginmanager.get_plugin("logging-plugin"), "log_file_handler", None)
        if isinstance(handler, logging.Handler) and handler.formatter is not None:
            handler.setFormatter(_Redacting(handler.formatter, self._redact))


class ParameterIds:
    """Let no secret into the ids of tests' parameters, which pytest's cache, JUnit and folders' names hold."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact

    @pytest.hookimpl(tryfirst=True)
    def pytest_make_parametrize_id(self, val: object) -> str | None:
        """Return an id where the one that pytest itself would make of the value holds a secret."""
        found = self._clean(val)
        return None if found is val else str(found)

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Let `parametrize`, through which marks and fixtures go, too, clean the ids that it is given."""
        theirs, one = metafunc.parametrize, type(pytest.param())

        def parametrize(*args: Any, **options: Any) -> None:
            __tracebackhide__ = True
            call = None
            with contextlib.suppress(TypeError):
                call = inspect.signature(theirs).bind(*args, **options)
            if call is None:
                theirs(*args, **options)  # says what is wrong
                return
            given = call.arguments
            given["argvalues"] = [
                v._replace(id=self._clean(v.id)) if isinstance(v, one) else v for v in given["argvalues"]
            ]
            if callable(ids := given.get("ids")):
                given["ids"] = lambda value: self._clean(ids(value))
            elif ids is not None:
                given["ids"] = [*map(self._clean, ids)] if isinstance(ids, Collection) else map(self._clean, ids)
            theirs(*call.args, **call.kwargs)

        metafunc.parametrize = parametrize  # type: ignore[method-assign]

    def _clean(self, value: Any) -> Any:
        """Return a value, or the id that stands in its place where the one that pytest makes of it holds a secret."""
        shown = value.pattern if isinstance(value, re.Pattern) else value
        if isinstance(shown, bytes):
            text = shown.decode("ascii", "backslashreplace")
        else:
            text = shown if isinstance(shown, str) else str(shown) if isinstance(shown, int | float) else ""
        cleaned = self._redact(text)
        return value if cleaned == text else cleaned


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
    config.pluginmanager.register(ParameterIds(redact))
    if late is not None and config.getoption("xmlpath", None):
        config.pluginmanager.register(JunitFile(config, redact, late))
    if (debug := config.pluginmanager.get_plugin(DEBUG)) is not None:
        debug.redact = redact
