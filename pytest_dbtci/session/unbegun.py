"""A run that pytest ends before it begins: its summary and its comment say so, where an earlier push's were green."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_dbtci.options import OPTIONS
from pytest_dbtci.session.beginning import fit_to_show


class Unbegun:
    """Tell what ended a session whose own reports never came: a conftest file, an option, another plugin."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._error: BaseException | None = None
        self._is_told = False
        config.add_cleanup(self._tell)

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note an error that pytest shows by itself."""
        self._error = excinfo.value

    def pytest_sessionfinish(self) -> None:
        """Leave it to the session's own reports."""
        self._is_told = True

    def _tell(self) -> None:
        error = self._error or sys.exc_info()[1]
        if self._is_told or error is None or self._said("sweep") not in (None, "off"):
            return
        try:
            for line in self._pages(error):
                print(line)
        except Exception as trouble:
            # Whatever it is, it must not stand in for the error that ends the session.
            print(f"dbt-ci: {trouble}")

    def _pages(self, error: BaseException) -> Iterator[str]:
        # Most sessions never need them.
        from pytest_dbtci.ci import detect as ci
        from pytest_dbtci.plan import Plan
        from pytest_dbtci.reports import summary
        from pytest_dbtci.session.provider_pages import write_comment, write_summary
        from pytest_dbtci.settings import Settings

        environ = dict(os.environ)
        settings = Settings(
            rootdir=self._config.rootpath,
            invocation_dir=Path(self._config.invocation_params.dir),
            environ=environ,
            project_dir=self._said("project-dir") or "",
            summary=self._said("summary") or "",
            comment=bool(self._said("comment")),
        )
        is_pytests = type(error).__module__.startswith("_pytest")
        text = str(error) if is_pytests else f"{type(error).__name__}: {error}"
        build = ci.detect(environ)
        trouble = f"pytest ended before the run began: {fit_to_show(text)}"

        def page(limit: int) -> str:
            return summary.markdown(Plan(mode="nothing"), {}, build, red=True, trouble=trouble, limit=limit)

        yield from write_summary(page, build, settings, print)
        yield from write_comment(page, build, settings)

    def _said(self, name: str) -> Any:
        """Return an option's value as it was written; what can't be read counts as said."""
        option = next(o for o in OPTIONS if o.name == name)
        said = getattr(self._config.known_args_namespace, option.dest, None)
        try:
            return self._config.getini(option.ini) if said is None and option.in_ini else said
        except (TypeError, ValueError, pytest.UsageError):
            return "unreadable"
