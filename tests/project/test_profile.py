"""The profile is read with the environment that the run is given."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pytest_dbtci.errors import UsageError
from pytest_dbtci.project.profile import read_profile
from pytest_dbtci.selection.settings_diff import profile_difference


def test_a_profile_and_a_target_with_env_var_are_read_from_the_given_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM_TARGET", "prod")
    (tmp_path / "dbt_project.yml").write_text("{name: dogs, profile: \"{{ env_var('TEAM', 'dogs') }}\"}")
    target = "\"{{ env_var('TEAM_TARGET') }}\""
    outputs = "{ci: {type: duckdb}, prod: {type: duckdb}}"
    (tmp_path / "profiles.yml").write_text(f"dogs: {{target: {target}, outputs: {outputs}}}")
    assert read_profile(tmp_path, {"TEAM_TARGET": "ci"}).target == "ci"
    with pytest.raises(UsageError, match="needs the environment variable TEAM_TARGET, which is not set"):
        read_profile(tmp_path, {})
    with pytest.raises(UsageError, match="profile 'cats' is not in"):
        read_profile(tmp_path, {"TEAM": "cats"})
    with pytest.raises(UsageError, match=r"'var' is undefined\. Pass --dbt-ci-profile"):
        read_profile(tmp_path, {}, target="{{ var('team') }}")


def test_flags_of_dbt_beside_the_profiles_hold_for_the_run_too(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("{name: dogs, profile: dogs}")
    text = "config: {warn_error: true}\ndogs: {target: ci, outputs: {ci: {type: duckdb}, prod: {type: duckdb}}}\n"
    (tmp_path / "profiles.yml").write_text(text)
    profile = read_profile(tmp_path, {})
    written = profile.write(tmp_path / "own", "ci", "dbt_build_1") / "profiles.yml"
    assert yaml.safe_load(written.read_text()) == {
        "config": {"warn_error": True},
        "dogs": {"target": "ci", "outputs": {"ci": {"type": "duckdb", "schema": "dbt_build_1"}}},
    }


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ("dogs: {target: ci, outputs: {ci: {threads: 2, schema: x}, prod: {host: there}}}", ""),
        ("dogs: {target: ci, outputs: {ci: {host: here}, prod: {}}}", "host of target ci changed"),
        ("dogs: {target: prod, outputs: {ci: {}, prod: {}}}", "the target that is built in by default changed"),
        (
            "config: {warn_error: true, use_colors: false}\ndogs: {target: ci, outputs: {ci: {}}}",
            "config (how dbt itself behaves) changed",
        ),
        ("config: {use_colors: false}\ndogs: {target: ci, outputs: {ci: {}}}", ""),
    ],
)
def test_what_a_changed_profile_can_affect_is_said(now: str, said: str) -> None:
    then = "dogs: {target: ci, outputs: {ci: {threads: 1, schema: y}, prod: {}}}"
    assert profile_difference(then, now, "dogs", "ci", by_default=True) == said
    assert not profile_difference(then, then.replace("target: ci", "target: prod"), "dogs", "ci")
