"""The supported versions, tested at their corners: `make matrix` for all of them, `make versions` for what CI runs.

A corner whose Python is not on this machine is skipped, and nox says so. What follows `--` goes to pytest.
"""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.2"
nox.options.sessions = ["matrix"]
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.envdir = ".cache/nox"

_PROJECT = nox.project.load_toml("pyproject.toml")["project"]
_EXTRAS = _PROJECT["optional-dependencies"]
_DECLARED = " ".join((*_PROJECT["dependencies"], *_EXTRAS["duckdb"], *_EXTRAS["postgres"]))
_OLDEST = dict(re.findall(r"([\w-]+)>=([\w.]+)", _DECLARED))
"""The lower bound of each dependency."""

_CORE = (
    "tests/selection/test_changes.py",
    "tests/selection/test_selector.py",
    "tests/planning/test_whole_text.py",
    "tests/dbt_client/test_requirement.py",
    "tests/dbt_host/test_saved_parse.py",
    "tests/end_to_end/test_validate.py",
    "tests/end_to_end/test_circumstances.py::test_what_is_built_is_the_head_s_text_to_the_last_blank",
)
"""Tests of what differs most between dbt's versions."""

_OTHERS = (
    *("deploy", "docs", "benchmarks", "end_to_end/test_pipelines.py", "end_to_end/test_pre_commit.py"),
    *("guards", "test_layers.py"),
)
"""Tests that need more than the `test` extra, or look at this repository's files alone: dbt has no part in them."""

_CORNERS = (
    nox.param("3.10", "oldest", True, id="oldest of all"),
    nox.param("3.13", "1.10", False, id="dbt 1.10"),
    nox.param("3.12", "1.11", True, id="dbt 1.11, the rest oldest"),
    nox.param("3.13", "1.11", False, id="dbt 1.11"),
    nox.param("3.10", "1.12", True, id="dbt 1.12, the rest oldest"),
    nox.param("3.13", "1.12", False, id="newest of all"),
)

# Every Python that pyenv has counts, not only the one that it is set to.
_PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
if _PYENV.is_dir():
    os.environ["PYENV_VERSION"] = ":".join(sorted(path.name for path in _PYENV.iterdir()))


@nox.session
@nox.parametrize(("python", "dbt", "oldest"), _CORNERS)
def matrix(session: nox.Session, dbt: str, oldest: bool) -> None:
    """Run the quick tests, without `_OTHERS`, with a Python, a dbt-core, and the oldest or newest of all else."""
    _install(session, dbt, oldest)
    _test(session, *(f"--ignore=tests/{name}" for name in _OTHERS))


@nox.session
@nox.parametrize(("dbt", "oldest"), (("oldest", True), ("1.12", False)), ids=("oldest", "dbt 1.12"))
def versions(session: nox.Session, dbt: str, oldest: bool) -> None:
    """Run the tests of what differs most between dbt's versions, with the Python that runs nox."""
    _install(session, dbt, oldest)
    _test(session, *_CORE)


def _install(session: nox.Session, dbt: str, oldest: bool) -> None:
    # Not `session.create_tmp`, in which all temporary files would lie from then on: inside this repository.
    folder = Path(session.virtualenv.location, "constraints")
    folder.mkdir(exist_ok=True)
    pins = _OLDEST.copy() if oldest else {}
    pins["dbt-core"] = _OLDEST["dbt-core"] if dbt == "oldest" else f"{dbt}.*"
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
    if dbt == "1.12":
        session.install("--no-deps", str(_empty_parser(folder)))
    session.install("--constraint", str(constraints), "--editable", ".[duckdb,postgres,test]")


def _empty_parser(folder: Path) -> Path:
    """Make an empty package in place of dbt-core-experimental-parser; it stays on this machine.

    dbt-core 1.12 requires it and uses it with `--use-v2-parser` alone. The real one fetches its program from a place
    of its own while it is installed, which not every network allows.
    """
    info = "dbt_core_experimental_parser-2.0.0.dist-info"
    wheel = folder / "dbt_core_experimental_parser-2.0.0-py3-none-any.whl"
    files = {
        "METADATA": "Metadata-Version: 2.1\nName: dbt-core-experimental-parser\nVersion: 2.0.0\nSummary: Empty\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: noxfile\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "".join(f"{info}/{name},,\n" for name in ("METADATA", "WHEEL", "RECORD")),
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{info}/{name}", text)
    return wheel


def _test(session: nox.Session, *arguments: str) -> None:
    jobs = os.environ.get("JOBS", "auto")
    session.run(
        "python",
        "-m",
        "pytest",
        "-q",
        "-n",
        jobs,
        "--dist",
        "worksteal",
        "-m",
        "not slow",
        *(session.posargs or arguments),
    )
