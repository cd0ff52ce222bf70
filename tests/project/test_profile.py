"""The profile is read with the environment that the run is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_dbtci.errors import UsageError
from pytest_dbtci.project.profile import read_profile


def test_a_target_with_env_var_is_read_from_the_given_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM_TARGET", "prod")
    (tmp_path / "dbt_project.yml").write_text("{name: dogs, profile: dogs}")
    target = "\"{{ env_var('TEAM_TARGET') }}\""
    outputs = "{ci: {type: duckdb}, prod: {type: duckdb}}"
    (tmp_path / "profiles.yml").write_text(f"dogs: {{target: {target}, outputs: {outputs}}}")
    assert read_profile(tmp_path, {"TEAM_TARGET": "ci"}).target == "ci"
    with pytest.raises(UsageError, match="needs the environment variable TEAM_TARGET, which is not set"):
        read_profile(tmp_path, {})
