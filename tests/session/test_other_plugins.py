"""The plugins that others use beside this one: each is installed, used in a real run, and what it writes is read."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from examples import demo
from tests.session.test_progress import on_a_terminal
from tests.support.validation import DEFER, Case, environment, read_junit, validate

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
PRICE = "models/staging/fact_dogs.sql::not_null_fact_dogs_price_kronor"

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


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An environment on top of this one, in which all of the plugins are installed."""
    directory = tmp_path_factory.mktemp("plugins") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True, timeout=120)
    inside = next(directory.glob("lib/python*/site-packages"), directory / "Lib/site-packages")
    (inside / "below.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    found = next(p for p in (directory / "bin/python", directory / "Scripts/python.exe") if p.exists())
    install = [sys.executable, "-m", "pip", "--python", str(found), "install", "--quiet", *PLUGINS.values()]
    subprocess.run(install, check=True, timeout=600)
    return str(found)


@pytest.fixture(scope="module")
def repository(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with a model that fails and Python tests of the team."""
    directory = tmp_path_factory.mktemp("others") / "dogs"
    demo.copy_repository(released, directory)
    (directory / "models/staging/broken.sql").write_text("select no_such_column from {{ ref('dim_dog') }}\n")
    (directory / "tests/python/test_team.py").write_text(TEAM)
    return directory


@pytest.fixture(scope="module")
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
            env=environment(**extra),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert "INTERNALERROR" not in done.stdout, done.stdout
        assert done.stdout.count("dropped dbt_build_1066") == 1, done.stdout + done.stderr
        return Ran(code=done.returncode, stdout=done.stdout, stderr=done.stderr, cases=read_junit(junit))

    return run


@pytest.fixture(scope="module")
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


pytestmark = pytest.mark.slow


def test_html_shows_every_item_and_its_failure(
    run: Run, repository: Path, plain: Ran, distributed: tuple[str, ...]
) -> None:
    ran = run(repository, "html", "--html=report.html", "--self-contained-html", *distributed)
    assert (ran.code, ran.outcomes) == (1, plain.outcomes)
    blob = re.search(r'data-jsonblob="([^"]*)"', (repository / "report.html").read_text())
    assert blob
    tests = json.loads(html.unescape(blob[1]))["tests"]
    assert set(tests) == set(order(plain))
    (shown,) = tests[BROKEN]
    assert shown["result"] == "Failed"
    assert WORDS in html.unescape(shown["log"])
    assert "Traceback" not in shown["log"]


def test_coverage_is_that_of_the_teams_tests(
    run: Run, repository: Path, plain: Ran, distributed: tuple[str, ...]
) -> None:
    ran = run(repository, "cov", "--cov=tests", "--cov-report=json:coverage.json", *distributed)
    assert (ran.code, ran.outcomes) == (1, plain.outcomes)
    files = json.loads((repository / "coverage.json").read_text())["files"]
    lines = (repository / "tests/python/test_dogs.py").read_text().splitlines()
    missed = [lines[i - 1] for i in files["tests/python/test_dogs.py"]["missing_lines"]]
    assert [line.split("(")[0].strip() for line in missed] == ["pytest.skip"]
    assert files["tests/python/test_team.py"]["missing_lines"] == []


def test_json_report_has_every_outcome_reason_and_duration(
    run: Run, repository: Path, plain: Ran, distributed: tuple[str, ...]
) -> None:
    ran = run(repository, "pytest_jsonreport", "--json-report", *distributed)
    assert (ran.code, ran.outcomes) == (1, plain.outcomes)
    report = json.loads((repository / ".report.json").read_text())
    tests = {test["nodeid"]: test for test in report["tests"]}
    assert set(tests) == set(order(plain))
    assert [n for n, test in tests.items() if test["outcome"] != "passed"] == [BROKEN]
    assert WORDS in tests[BROKEN]["call"]["longrepr"]
    built = tests["models/staging/fact_dogs.sql::fact_dogs"]
    assert {"dbt_reason": "modified: body (models/staging/fact_dogs.sql)"} in built["user_properties"]
    seconds = ran.cases["models.staging.fact_dogs.sql::fact_dogs"].seconds
    assert built["call"]["duration"] == pytest.approx(seconds, abs=0.001)
    assert [(w["category"], Path(w["filename"]).name) for w in report["warnings"]] == [("DbtWarning", "staging.yml")]


def test_allure_has_every_item_and_tells_failed_from_broken(
    run: Run, repository: Path, plain: Ran, distributed: tuple[str, ...], tmp_path: Path
) -> None:
    ran = run(repository, "allure_pytest", f"--alluredir={tmp_path}", *distributed)
    assert (ran.code, ran.outcomes) == (1, plain.outcomes)
    results = [json.loads(path.read_text()) for path in tmp_path.glob("*-result.json")]
    assert len(results) == len(plain.cases)
    assert [r["name"] for r in results if r["status"] != "passed"] == ["broken"]
    (broken,) = (r for r in results if r["name"] == "broken")
    assert broken["status"] == "failed"
    assert broken["statusDetails"]["trace"].startswith(WORDS)
    assert {"dbt", "dbt_model"} <= {label["value"] for label in broken["labels"] if label["name"] == "tag"}
    names = {name.split("::")[1]: case.seconds for name, case in ran.cases.items() if not is_python(name)}
    shown = [result["stop"] - result["start"] for result in results if result["name"] in names]
    assert sum(shown) < 1000 * sum(names.values()) / 2


def test_a_failed_node_is_annotated_by_both_and_a_failed_python_test_by_the_other(
    run: Run, repository: Path, plain: Ran, distributed: tuple[str, ...]
) -> None:
    plugin = "pytest_github_actions_annotate_failures"
    ran = run(repository, plugin, *distributed, GITHUB_ACTIONS="true")
    team = "tests.python.test_team::test_fails_on_github"
    assert (ran.code, ran.outcomes) == (1, {**plain.outcomes, team: "failed"})
    ours = [line for line in ran.stdout.splitlines() if line.startswith("::")]
    theirs = [line for line in ran.stderr.splitlines() if line.startswith("::")]
    place = f"file={BROKEN.split('::')[0]}"
    assert [line.split(WORDS)[0] for line in ours if line.startswith("::error")] == [
        f"::error {place},line=1,title=dbt model broken failed::"
    ]
    assert [line.split(",")[0] for line in ours if line.startswith("::warning")] == [
        "::warning file=models/staging/staging.yml"
    ]
    assert len(ours) == 2
    assert [line.split(WORDS)[0] for line in theirs if place in line] == [f"::error {place}::broken (model)%0A%0A"]
    assert len([line for line in theirs if line.startswith("::error file=tests/python/test_team.py,line=")]) == 1
    assert len([line for line in theirs if line.startswith("::warning file=models/staging/staging.yml,line=")]) == 1
    assert len(theirs) == 3


def test_randomly_shuffles_the_teams_tests_and_leaves_dbts_before_them(run: Run, repository: Path, plain: Ran) -> None:
    ran = run(repository, "randomly", "-v", "-p", "randomly", "--randomly-seed=1")
    assert (ran.code, ran.outcomes) == (1, plain.outcomes)
    shuffled, before = order(ran), collected(repository)
    assert sorted(shuffled) == sorted(before)
    assert [is_python(n) for n in shuffled] == [is_python(n) for n in before]
    assert [n for n in shuffled if is_python(n)] != [n for n in before if is_python(n)]


def test_randomly_changes_no_outcome_on_workers(run: Run, repository: Path, plain: Ran) -> None:
    ran = run(repository, "randomly", "-n", "2")
    assert (ran.code, ran.outcomes) == (1, plain.outcomes)


def test_timeout_counts_no_wait_for_dbt(run: Run, dogs: Path, distributed: tuple[str, ...]) -> None:
    (dogs / "models/staging/slow.sql").write_text(
        f"{{{{ config(materialized='table') }}}}\n-- depends_on: {{{{ ref('dim_dog') }}}}\n{SLOW}\n"
    )
    ran = run(dogs, "timeout", "--timeout=3", "--durations=0", "-vv", *distributed)
    assert ran.code == 0, ran.stdout
    assert set(ran.outcomes.values()) == {"passed"}
    assert ran.cases["models.staging.slow.sql::slow"].seconds > 3, "slow must take longer than the timeout"


@pytest.mark.parametrize("processes", [(), ("-n", "1")], ids=["alone", "distributed"])
def test_a_test_after_a_timeout_gets_its_own_answer(run: Run, dogs: Path, processes: tuple[str, ...]) -> None:
    (dogs / "tests/python/test_dogs.py").write_text(
        "import pytest\n\n\n@pytest.mark.timeout(2)\n"
        f"def test_takes_too_long(dbt_query):\n    dbt_query({SLOW!r})\n\n\n"
        "def test_comes_next(dbt_query):\n    assert dbt_query('select 2 as quick').dicts() == [{'quick': 2}]\n"
    )
    ran = run(dogs, "timeout", *processes, "tests/python")
    assert {n.split("::")[1]: c.outcome for n, c in ran.cases.items()} == {
        "test_takes_too_long": "failed",
        "test_comes_next": "passed",
    }, ran.stdout
    assert "Timeout (>2.0s)" in ran.stdout


def test_retry_tries_the_teams_tests_again_and_no_node(
    run: Run, repository: Path, plain: Ran, distributed: tuple[str, ...]
) -> None:
    ran = run(repository, "pytest-retry", "--retries=2", *distributed)
    assert ran.code == 1, ran.stdout
    assert ran.outcomes == plain.outcomes
    retried = ran.stdout.split("the following tests were retried")[1]
    assert "test_passes_when_tried_again passed on attempt 2" in retried
    assert "broken" not in retried.split("end of test retry report")[0]


def test_rerunfailures_tries_the_teams_tests_again_and_no_node(
    run: Run, repository: Path, plain: Ran, distributed: tuple[str, ...]
) -> None:
    # In a JUnit file each try is a case.
    ran = run(repository, "rerunfailures", "--reruns=2", "--junitxml=tries.xml", *distributed)
    assert ran.code == 1
    assert "1 failed, 28 passed, 1 warning, 1 rerun in " in ran.stdout.splitlines()[-1]


def test_sugar_and_the_live_row_share_a_terminal(python: str, repository: Path, distributed: tuple[str, ...]) -> None:
    others = [arg for name in PLUGINS if name != "sugar" for arg in ("-p", f"no:{name}")]
    screen = on_a_terminal(repository, *others, *distributed, python=python)
    rest = screen.text
    assert screen.live[-1] == ""
    assert "\x1bD" not in rest
    assert "pytest-sugar" in rest
    assert WORDS in rest
    assert re.search(r"28 passed.*\n.*1 failed.*\n.*broken.sql", rest), rest


def test_dbt_cores_fixtures_work_and_find_a_duckdb_file_locked(
    run: Run, dogs: Path, distributed: tuple[str, ...]
) -> None:
    (dogs / "profiles").mkdir()
    (dogs / "profiles/profiles.yml").write_text(
        "dogs:\n  target: own\n  outputs:\n    own: {type: duckdb, path: warehouse.duckdb, schema: own}\n"
    )
    (dogs / "tests/python/test_macros.py").write_text(
        "import pytest\n\n\n"
        '@pytest.mark.parametrize("macro_generator", ["macro.dbt.default__escape_single_quotes"], indirect=True)\n'
        'def test_macro(macro_generator):\n    assert macro_generator("it\'s") == "it\'\'s"\n\n\n'
        "def test_adapter(adapter, dbt_query):\n"
        "    with pytest.raises(Exception, match='Could not set lock'):\n        adapter.execute('select 1')\n"
        "    assert dbt_query(\"select count(*) from {{ ref('fact_dogs') }}\").scalar == 24\n"
    )
    ran = run(dogs, "dbt", "--profiles-dir=profiles", *distributed)
    assert ran.code == 0, ran.stdout
    assert len(ran.cases) == 28


@pytest.mark.parametrize("given", [(), ("-n", "2")], ids=["alone", "distributed"])
def test_a_conftest_file_may_reorder_and_its_autouse_fixtures_are_for_python_tests(
    run: Run, repository: Path, plain: Ran, given: tuple[str, ...]
) -> None:
    conftest = repository / "conftest.py"
    conftest.write_text(
        "from pathlib import Path\n\nimport pytest\n\n\n"
        "@pytest.fixture(autouse=True)\ndef everywhere(request):\n    yield\n"
        "    with Path(__file__).with_name('used.txt').open('a') as used:\n"
        "        used.write(request.node.name + '\\n')\n\n\n"
        "def pytest_collection_modifyitems(items):\n    items.reverse()\n"
    )
    (repository / "used.txt").unlink(missing_ok=True)
    try:
        ran = run(repository, "", "-v", *given)
        reordered = collected(repository)
    finally:
        conftest.unlink()
    assert (ran.code, ran.outcomes) == (1, plain.outcomes)
    used = (repository / "used.txt").read_text().split()
    assert sorted(used) == sorted(n.split("::")[1] for n in order(plain) if is_python(n))
    assert is_python(reordered[0])
    assert given or order(ran) == reordered


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
