"""A dbt of another major version, or one that is too old, is named, with what to install; nothing of it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_dbtci.dbt_client.requirement import REQUIREMENT
from tests.support.tiny_project import make_tiny
from tests.support.validation import validate

INSTALL = f"`pip install '{REQUIREMENT}'`."


@pytest.mark.parametrize(
    ("installed", "says"),
    [
        (
            {"dbt-core": "2.0.0"},
            f"dbt v2 is installed here (dbt-core 2.0.0), which pytest-dbtci does not support yet: run {INSTALL}",
        ),
        ({"dbt-core": "2.0.0rc1"}, "dbt v2 is installed here (dbt-core 2.0.0rc1)"),
        ({"dbt": "2.0.9"}, "run `pip uninstall dbt`, then `pip install --force-reinstall"),
        ({"dbt": "2.0.9", "dbt-oss": "2.0.8"}, "(dbt 2.0.9, dbt-oss 2.0.8)"),
        ({"dbt-core": "1.9.11"}, "dbt-core 1.9.11 is installed here, which is too old for pytest-dbtci"),
    ],
    ids=lambda value: " ".join(map(" ".join, value.items())) if isinstance(value, dict) else "",
)
def test_a_dbt_that_is_not_supported_is_named(tmp_path: Path, installed: dict[str, str], says: str) -> None:
    site = _site(tmp_path / "site", installed)
    run = validate(make_tiny(tmp_path / "repo"), "--dbt-ci-pr=7", PYTHONPATH=str(site))
    assert run.code == 4, run.output
    assert says in run.output
    assert "Traceback" not in run.output
    assert not (site / "imported").exists()
    (case,) = run.cases.values()
    assert (case.outcome, says in case.message + case.text) == ("error", True)


def test_the_sweep_says_so_too(tmp_path: Path) -> None:
    site = _site(tmp_path / "site", {"dbt": "2.0.9"})
    run = validate(make_tiny(tmp_path / "repo"), "--dbt-ci-sweep", PYTHONPATH=str(site))
    assert run.code == 4
    assert "dbt v2 is installed here (dbt 2.0.9)" in run.output


def test_other_packages_called_dbt_are_no_dbt_v2(tmp_path: Path) -> None:
    site = _site(tmp_path / "site", {"dbt": "1.0.0.40.17"}, module=False)
    assert validate(make_tiny(tmp_path / "repo"), "--collect-only", PYTHONPATH=str(site)).code == 0


def test_what_is_to_be_installed_is_what_the_package_requires() -> None:
    assert f'"{REQUIREMENT}"' in (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")


def _site(site: Path, installed: dict[str, str], *, module: bool = True) -> Path:
    """Make a folder of installed packages: their metadata, and a module `dbt` that must not be imported."""
    for name, version in installed.items():
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if module:
        (site / "dbt").mkdir()
        (site / "dbt" / "__init__.py").write_text(f"open({str(site / 'imported')!r}, 'w').close()\n")
    return site
