"""Places that can't be written to, and variables that point elsewhere: it works, or says in a line what is wrong."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.tiny_project import commit, git, make_tiny, write
from tests.support.validation import command, environment, read_junit, validate

# Root may write anywhere unless it gives that right up.
PLAIN = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.getuid() == 0 else ()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository whose warehouse lies outside of it."""
    if PLAIN and shutil.which("setpriv") is None:
        pytest.skip("root can't give up its rights here")
    project = make_tiny(tmp_path / "repo")
    git(project, "switch", "--quiet", "master")
    profiles = (project / "profiles.yml").read_text()
    write(project, {"profiles.yml": profiles.replace("tiny.duckdb", str(tmp_path / "warehouse.duckdb"))})
    commit(project, "move the warehouse")
    git(project, "switch", "--quiet", "--create", "work")
    write(project, {"models/one.sql": "select 3 as a\n"})
    commit(project, "change")
    return project


def run(project: Path, *args: str, **environ: str) -> tuple[int, str, dict[str, str]]:
    """Run as a user who has no rights but those of the files' modes; return code, output and outcomes."""
    junit = project.parent / "junit.xml"
    arguments = [*PLAIN, *command("--dbt-ci-pr=7", f"--junitxml={junit}", *args)]
    done = subprocess.run(arguments, cwd=project, env=environ, capture_output=True, text=True)
    output = done.stdout + done.stderr
    assert "INTERNALERROR" not in output
    assert "Traceback" not in output
    return done.returncode, output, {name: case.outcome for name, case in read_junit(junit).items()}


def seal(folder: Path) -> None:
    """Take the right to write away from a folder and all that is in it."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode & 0o555)


def test_validates_a_checkout_that_can_only_be_read(project: Path) -> None:
    environ = environment()
    environ.pop("HOME")
    seal(project)
    files = ("--dbt-ci-summary=summary.md", "--dbt-ci-timings=timings.json")
    code, output, outcomes = run(project, *files, **environ)
    assert code == 0, output
    assert set(outcomes.values()) == {"passed"}
    assert len(outcomes) == 2
    assert "target/dbt_ci can't be written to (Permission denied)" in output
    assert "The summary could not be written to" in output
    assert "--dbt-ci-timings: " in output


@pytest.mark.slow
@pytest.mark.parametrize("there", [True, False])
def test_keeps_nothing_in_a_cache_that_cannot_be_written_to(project: Path, there: bool) -> None:
    cache = project.parent / "cache"
    (cache / "d/dbtci" if there else cache).mkdir(parents=True)
    seal(cache)
    code, output, outcomes = run(project, f"--override-ini=cache_dir={cache}", **environment())
    assert code == 0, output
    assert set(outcomes.values()) == {"passed"}
    assert not [p for p in cache.rglob("*") if p.is_file()]


def test_an_unreadable_profile_is_one_clear_error(project: Path) -> None:
    (project / "profiles.yml").chmod(0)
    code, output, outcomes = run(project, **environment())
    assert code in (1, 4), output
    assert "profiles.yml" in output
    assert "Permission denied" in output
    assert list(outcomes.values()) == ["error"]


def test_writes_to_no_place_that_dbts_own_variables_name(project: Path) -> None:
    elsewhere = project.parent / "elsewhere"
    places = {f"DBT_{kind}_PATH": str(elsewhere / kind.lower()) for kind in ("TARGET", "LOG")}
    done = validate(project, "--dbt-ci-pr=7", **places)
    assert done.code == 0, done.output
    assert not elsewhere.exists()
    assert (project / "target/dbt_ci/manifest.json").is_file()


FILL = """
import pathlib
import tempfile


def model(dbt, session):
    with (pathlib.Path(tempfile.gettempdir()) / "full").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    return session.sql("select 1 as a")
"""


def run_on_small_disk(
    project: Path, folder: Path, size: str, *args: str, **environ: str
) -> tuple[int, str, dict[str, str]]:
    """Run with a disk of that size mounted at the folder; return code, output and outcomes."""
    folder.mkdir()
    apart = ("unshare", "--mount", "--map-root-user")
    mount = f'mount -t tmpfs -o size={size} tmpfs {folder} && exec "$@"'
    if shutil.which("unshare") is None or subprocess.run([*apart, "sh", "-c", mount, "sh", "true"]).returncode:
        pytest.skip("nothing can be mounted here")
    junit = project.parent / "full.xml"
    done = subprocess.run(
        [*apart, "sh", "-c", mount, "sh", *command("--dbt-ci-pr=7", f"--junitxml={junit}", *args)],
        cwd=project,
        env=environment(**environ),
        capture_output=True,
        text=True,
    )
    outcomes: dict[str, str] = {name.split("::")[-1]: case.outcome for name, case in read_junit(junit).items()}
    return done.returncode, done.stdout + done.stderr, outcomes


@pytest.mark.slow
def test_a_warehouse_whose_disk_is_full_is_one_error_of_the_node_that_filled_it(project: Path) -> None:
    disk, profile = project.parent / "disk", project / "profiles.yml"
    big = "{{ config(materialized='table') }} select md5(i::varchar) as a from range(1000000) as t(i)\n"
    moved = profile.read_text().replace(str(project.parent), str(disk))
    files = {"models/big.sql": big, "models/after.sql": "select count(*) as n from {{ ref('big') }}\n"}
    write(project, {"profiles.yml": moved, **files})
    commit(project, "big")
    code, output, outcomes = run_on_small_disk(project, disk, "3m", "-n", "2")
    assert code == 1, output
    assert outcomes == {"one": "passed", "two": "passed", "big": "error", "after": "skipped"}
    assert "disk full on this machine, which says nothing about the node (model big)" in output
    assert "dbt-ci: dropped dbt_build_7" in output
    assert not [word for word in ("INTERNALERROR", "Traceback") if word in output]


@pytest.mark.slow
@pytest.mark.parametrize(("size", "given"), [("100k", ()), ("1m", ("-n", "2"))], ids=["first parse", "base's parse"])
def test_a_full_temporary_folder_is_one_clear_error(project: Path, size: str, given: tuple[str, ...]) -> None:
    temporary = project.parent / "temporary"
    code, output, outcomes = run_on_small_disk(project, temporary, size, *given, TMPDIR=str(temporary))
    assert code == 1, output
    what = "the (plan could not be made|workers could not be started)"
    assert re.search(rf"{what}: (OSError: )?\[Errno 28\] No space left on device", output), output
    assert "a run writes to the temporary folder (TMPDIR names another)" in output
    assert not [word for word in ("INTERNALERROR", "Traceback", "Fix it on the target branch") if word in output]
    assert list(outcomes.values()) == ["error"]
    assert not (project.parent / "warehouse.duckdb").exists(), "nothing was written"


@pytest.mark.slow
@pytest.mark.parametrize("given", [(), ("-n", "2")], ids=["alone", "workers"])
def test_a_temporary_folder_that_fills_up_while_it_builds_leaves_nothing_green(
    project: Path, given: tuple[str, ...]
) -> None:
    files = {"models/fill.py": FILL, "models/after.sql": "select count(*) as n from {{ ref('fill') }}\n"}
    python = "def model(dbt, session):\n    dbt.ref('fill')\n    return session.sql('select 2 as a')\n"
    test = "import pytest\n\n\n@pytest.mark.dbt_needs('after')\ndef test_it(dbt_query):\n    print('x' * 9000)\n"
    write(project, {**files, "models/another.py": python, "tests/test_it.py": test})
    commit(project, "fill")
    temporary = project.parent / "temporary"
    if not given:
        (project / "target").symlink_to(temporary)
    code, output, outcomes = run_on_small_disk(project, temporary, "64m", *given, TMPDIR=str(temporary))
    assert code == 1, output
    # What could be built before passes; of each of the others it is said what became of it.
    assert outcomes.keys() - {"dbt_ci_build"} == {"one", "two", "fill", "after", "another", "test_it"}, output
    assert "No space left on device" in output
    assert "dbt-ci: dropped dbt_build_7" in output
    assert "INTERNALERROR" not in output


LEFT = """\
import os, pathlib

def pytest_unconfigure():
    print("left:", os.listdir(DISK))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("size", "why"), [("16k", "secrets can't be taken out of"), ("4k", "pytest could not write")])
def test_a_junit_file_on_a_full_disk_is_an_error_and_keeps_no_secret(project: Path, size: str, why: str) -> None:
    disk = project.parent / "disk"
    test = "import os\n\n\ndef test_it(record_testsuite_property):\n    print('x' * 9000)\n"
    test += "    record_testsuite_property('token', os.environ['SOME_TOKEN'])\n"
    write(project, {"tests/test_it.py": test, "conftest.py": LEFT.replace("DISK", repr(str(disk)))})
    options = (f"--junitxml={disk / 'junit.xml'}", "--override-ini=junit_logging=all")
    code, output, _ = run_on_small_disk(project, disk, size, *options, SOME_TOKEN="token-of-the-project")
    assert code == 1, output
    assert "3 passed, 1 error" in output
    assert why in output
    assert "[Errno 28] No space left on device" in output
    assert "This machine's disk is full" in output
    assert "left: []" in output
    assert not [word for word in ("INTERNALERROR", "Traceback", "token-of-the-project") if word in output]
