"""The plugins that others use beside this one: each is installed and used in a real run."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from examples import demo
from tests.validation import DEFER, environment

PLUGINS = (
    "pytest-html",
    "pytest-cov",
    "pytest-randomly",
    "pytest-timeout",
    "pytest-rerunfailures",
    "pytest-sugar",
    "pytest-github-actions-annotate-failures",
    "pytest-dbt-core",
    "allure-pytest",
    "pytest-json-report",
)
MODULES = ("html", "cov", "randomly", "timeout", "rerunfailures", "sugar", "allure_pytest", "json-report")
"""Names by which pytest knows them, to leave out those that a case is not about."""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An environment on top of this one, in which all of the plugins are installed."""
    directory = tmp_path_factory.mktemp("plugins") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True, timeout=120)
    inside = next(directory.glob("lib/python*/site-packages"), directory / "Lib/site-packages")
    (inside / "below.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    found = next(p for p in (directory / "bin/python", directory / "Scripts/python.exe") if p.exists())
    install = [sys.executable, "-m", "pip", "--python", str(found), "install", "--quiet", *PLUGINS]
    subprocess.run(install, check=True, timeout=600)
    return str(found)


@pytest.fixture(scope="module")
def repository(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with an autouse fixture and a model that fails."""
    directory = tmp_path_factory.mktemp("others") / "dogs"
    demo.copy_repository(released, directory)
    (directory / "models/staging/broken.sql").write_text("select no_such_column from {{ ref('dim_dog') }}\n")
    (directory / "conftest.py").write_text(
        "import pytest\n\n\n@pytest.fixture(autouse=True)\ndef everywhere(request):\n    yield\n\n\n"
        "def pytest_collection_modifyitems(items):\n    items.reverse()\n"
    )
    return directory


CASES = {
    "html": ("--html=report.html", "--self-contained-html"),
    "cov": ("--cov=tests", "--cov-report=term"),
    "randomly": ("-p", "randomly"),
    "timeout": ("--timeout=20",),
    "rerunfailures": ("--reruns=3", "--reruns-delay=30"),
    "sugar": ("-p", "sugar"),
    "json-report": ("--json-report",),
    "allure_pytest": ("--alluredir=allure",),
    "none": ("--import-mode=importlib",),
    "nocache": ("-p", "no:cacheprovider"),
}


@pytest.mark.slow
@pytest.mark.parametrize("distributed", [(), ("-n", "2")], ids=["alone", "distributed"])
@pytest.mark.parametrize("name", CASES)
def test_gives_every_item_its_outcome(python: str, repository: Path, name: str, distributed: tuple[str, ...]) -> None:
    others = [arg for module in MODULES if module != name for arg in ("-p", f"no:{module}")]
    given = [a for a in CASES[name] if a not in ("-p", name) or name == "nocache"]
    done = subprocess.run(
        [python, "-m", "pytest", "-p", "no:hypothesispytest", *others, "--dbt-ci", *DEFER, *given, *distributed],
        cwd=repository,
        env=environment(GITHUB_ACTIONS="true") if name == "none" else environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 1, output
    assert "INTERNALERROR" not in output
    assert "1 failed" in output
    assert "26 passed" in output
    assert "rerun" not in output.splitlines()[-1]
    assert "dropped dbt_build_1066" in output
    assert "no_such_column" in output


@pytest.mark.parametrize(
    ("given", "code"),
    [(("-W", "error"), 1), (("-W", "error", "-W", "default::pytest_dbtci.items.DbtWarning"), 0)],
    ids=["as an error", "exempt"],
)
def test_a_dbt_warning_is_a_pytest_warning(dogs: Path, given: tuple[str, ...], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", "--dbt-ci", *DEFER, *given, "-k", "price_kronor"],
        cwd=dogs,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == code, done.stdout
    assert "Got 1 result, configured to warn if != 0" in done.stdout
    assert "Traceback" not in done.stdout
    assert "runtest" not in done.stdout
