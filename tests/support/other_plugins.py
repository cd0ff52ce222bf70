"""The plugins that others use beside this one, and how a run with one of them is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.validation import DEFER, Case, validate

PLUGINS = {
    "html": "pytest-html",
    "cov": "pytest-cov",
    "randomly": "pytest-randomly",
    "timeout": "pytest-timeout",
    "rerunfailures": "pytest-rerunfailures",
    "pytest-retry": "pytest-retry",
    "sugar": "pytest-sugar",
    "pytest_github_actions_annotate_failures": "pytest-github-actions-annotate-failures",
    "dbt": "pytest-dbt-core",
    "allure_pytest": "allure-pytest",
    "pytest_jsonreport": "pytest-json-report",
}
"""What is installed, by the name that pytest knows it by."""

BROKEN = "models/staging/broken.sql::broken"
WORDS = 'Binder Error: Referenced column "no_such_column" not found in FROM clause!'

SLOW = "with recursive t(i) as (select 0 union all select i + 1 from t where i < 2000000) select count(*) as n from t"
"""A query of some eight seconds, however many processors there are."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a run left."""

    code: int
    stdout: str
    stderr: str
    cases: dict[str, Case]

    @property
    def outcomes(self) -> dict[str, str]:
        """Give the outcomes by the names that a JUnit file has."""
        return {name: case.outcome for name, case in self.cases.items()}


Run = Callable[..., Ran]


def order(ran: Ran) -> list[str]:
    """Give the node ids in the order in which `-v` shows them."""
    return re.findall(r"^(\S+::\S+) (?:PASSED|FAILED)", ran.stdout, flags=re.MULTILINE)


def collected(directory: Path) -> list[str]:
    """Return the node ids in the order in which pytest collects them: dbt's items in build order, then Python tests."""
    shown = validate(directory, *DEFER, "--collect-only", "-q").output
    return re.findall(r"^([^\s:]+\.(?:sql|csv|yml|py)::\S+)", shown, flags=re.MULTILINE)


def is_python(name: str) -> bool:
    """Tell a Python test from a dbt node."""
    return "test_dogs" in name or "test_team" in name
