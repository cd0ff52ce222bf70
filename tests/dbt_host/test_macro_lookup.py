"""Which macros come with dbt and its adapters."""

from __future__ import annotations

from pathlib import Path

import dbt.adapters
import pytest

from pytest_dbtci.dbt_host.macro_lookup import builtin_packages
from pytest_dbtci.dbt_host.runner import DbtFailed


def test_an_adapters_macros_are_its_own_and_those_that_it_builds_on() -> None:
    assert builtin_packages("redshift") == {"dbt", "dbt_redshift", "dbt_postgres"}


@pytest.mark.parametrize("name", ["", "nowhere_db", "nowhere.db"])
def test_a_manifest_may_be_of_an_adapter_that_is_not_installed(name: str) -> None:
    assert builtin_packages(name) == {"dbt", f"dbt_{name}"}


@pytest.mark.parametrize("text", ["import no_such_driver", "raise OSError('no libbroken.so')", ""], ids=repr)
def test_an_adapter_that_is_installed_and_broken_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, text: str
) -> None:
    name = f"broken{request.node.callspec.indices['text']}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(dbt.adapters, "__path__", [*dbt.adapters.__path__, str(tmp_path)])
    with pytest.raises(DbtFailed, match=rf"{name} is installed, but can't be loaded, .* Install dbt-{name} anew"):
        builtin_packages(name)
