"""Settings and plugins of pytest itself change no outcome."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.other_plugins import Ran, Run
from tests.support.validation import DEFER, validate

PRICE = "models/staging/fact_dogs.sql::not_null_fact_dogs_price_kronor"

pytestmark = pytest.mark.slow


def test_importlib_changes_nothing(run: Run, repository: Path, plain: Ran, distributed: tuple[str, ...]) -> None:
    ran = run(repository, "", "--import-mode=importlib", *distributed)
    assert (ran.code, ran.outcomes) == (1, plain.outcomes)


def test_without_pytests_cache_the_base_is_parsed_each_time(
    run: Run, repository: Path, plain: Ran, distributed: tuple[str, ...]
) -> None:
    assert "dbt-ci: base: cached" in run(repository, "").stdout
    ran = run(repository, "", "-p", "no:cacheprovider", *distributed)
    assert (ran.code, ran.outcomes) == (1, plain.outcomes)
    assert "dbt-ci: base: parsed" in ran.stdout
    refused = validate(repository, *DEFER, "-p", "no:cacheprovider", "--lf")
    assert refused.code == 4
    assert "unrecognized arguments: --lf" in refused.output


def test_builds_although_a_python_file_can_not_be_collected_if_told_to_go_on(
    run: Run, dogs: Path, distributed: tuple[str, ...]
) -> None:
    (dogs / "tests/python/test_dogs.py").write_text("import no_such_module\n")
    ran = run(dogs, "", "--continue-on-collection-errors", *distributed)
    assert ran.code == 1
    assert sorted(ran.outcomes.values()) == ["error", *["passed"] * 23]


WARNING: dict[str, tuple[tuple[str, ...], str, int]] = {
    "as an error": (("-W", "error"), "", 1),
    "exempt": (("-W", "error", "-W", "default::pytest_dbtci.DbtWarning"), "", 0),
    "exempt in the ini file": (
        (),
        "filterwarnings =\n    error\n    default::pytest_dbtci.DbtWarning\n",
        0,
    ),
}


@pytest.mark.parametrize("case", WARNING)
def test_a_dbt_warning_is_a_pytest_warning(dogs: Path, case: str, distributed: tuple[str, ...]) -> None:
    given, ini, code = WARNING[case]
    with (dogs / "pytest.ini").open("a") as file:
        file.write(ini)
    ran = validate(dogs, *DEFER, *given, "-k", "price_kronor", *distributed)
    assert ran.code == code, ran.output
    assert "Got 1 result, configured to warn if != 0" in ran.output
    assert "Traceback" not in ran.output
    assert "runtest" not in ran.output
    name = PRICE.replace("/", ".")
    assert ran.cases[name].outcome == ("failed" if code else "passed")
