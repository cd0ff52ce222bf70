"""Plugins that shuffle, time or repeat tests do so with the team's own, and leave dbt's nodes alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.other_plugins import SLOW, Ran, Run, collected, is_python, order

pytestmark = pytest.mark.slow


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
