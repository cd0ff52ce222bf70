"""A released example that fails, an environment with all of the plugins, and what a run there says without them."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from examples import demo
from tests.support.made_once import made_once
from tests.support.other_plugins import PLUGINS, Ran, Run
from tests.support.validation import DEFER, environment, read_junit
from tests.support.warm_start import warm

TEAM = """
import os

import pytest

pytestmark = pytest.mark.dbt_needs("fact_dogs")


def test_passes_when_tried_again(pytestconfig, dbt_query):
    tries = pytestconfig.stash.setdefault("tries", [])
    tries.append(dbt_query("select 1").scalar)
    again = [name for name in ("rerunfailures", "pytest-retry") if pytestconfig.pluginmanager.has_plugin(name)]
    assert len(tries) > 1 or not again


def test_fails_on_github(dbt_query):
    assert dbt_query("select 1").scalar == 1
    assert "GITHUB_ACTIONS" not in os.environ
"""


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> str:
    """An environment on top of this one, in which all of the plugins are installed."""

    def make(directory: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True, timeout=120)
        inside = next(directory.glob("lib/python*/site-packages"), directory / "Lib/site-packages")
        (inside / "below.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
        install = [sys.executable, "-m", "pip", "--python", str(_python(directory)), "install", "--quiet"]
        subprocess.run([*install, *PLUGINS.values()], check=True, timeout=240)

    return str(_python(made_once(tmp_path_factory, worker_id, "plugins", make)))


def _python(directory: Path) -> Path:
    return next(p for p in (directory / "bin/python", directory / "Scripts/python.exe") if p.exists())


@pytest.fixture(scope="session")
def repository(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with a model that fails and Python tests of the team."""
    directory = tmp_path_factory.mktemp("others") / "dogs"
    demo.copy_repository(released, directory)
    (directory / "models/staging/broken.sql").write_text("select no_such_column from {{ ref('dim_dog') }}\n")
    (directory / "tests/python/test_team.py").write_text(TEAM)
    return directory


@pytest.fixture(scope="session")
def run(python: str) -> Run:
    """Run `pytest --dbt-ci` in a folder with one of the plugins, or none of them."""

    def run(directory: Path, plugin: str, *args: str, **extra: str) -> Ran:
        junit = directory.parent / "junit.xml"
        junit.unlink(missing_ok=True)
        others = [arg for name in PLUGINS if name != plugin for arg in ("-p", f"no:{name}")]
        done = subprocess.run(
            [
                python,
                "-m",
                "pytest",
                "-p",
                "no:hypothesispytest",
                *others,
                "--dbt-ci",
                *DEFER,
                f"--junitxml={junit}",
                *args,
            ],
            cwd=directory,
            env=warm(environment(**extra), python),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert "INTERNALERROR" not in done.stdout, done.stdout
        assert done.stdout.count("dropped dbt_build_1066") == 1, done.stdout + done.stderr
        return Ran(code=done.returncode, stdout=done.stdout, stderr=done.stderr, cases=read_junit(junit))

    return run


@pytest.fixture(scope="session")
def plain(run: Run, repository: Path) -> Ran:
    """A run with none of the plugins."""
    ran = run(repository, "", "-v")
    assert {n for n, outcome in ran.outcomes.items() if outcome != "passed"} == {"models.staging.broken.sql::broken"}
    assert len(ran.outcomes) == 29
    return ran


@pytest.fixture(params=[(), ("-n", "2")], ids=["alone", "distributed"])
def distributed(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The arguments of a run in one process and of one in several."""
    given: tuple[str, ...] = request.param
    return given
