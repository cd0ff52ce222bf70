"""A team's own plugin can change the settings, the nodes and the summary, and see results as they arrive."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from examples import demo
from pytest_dbtci import Add, Veto
from pytest_dbtci.errors import UsageError
from pytest_dbtci.manifest import Manifest
from pytest_dbtci.selection.hook_wishes import adjust
from pytest_dbtci.selection.selector import Choice
from tests.support.validation import Validation, validate

CONFTEST = """
import os
from pathlib import Path
from pytest_dbtci import Add, Veto

def pytest_dbtci_settings(settings):
    assert settings.pr == "1066"
    return {"target": "ci", "defer_target": "prod"}

def pytest_dbtci_select(selected, manifest):
    assert "model.dogs.fact_dogs" in selected
    yield Add(node="raw_breeds", reason="is always checked")
    yield Veto(node="top_dogs", reason="is too dear to build for every change")

def pytest_dbtci_result(config, node, result):
    with (config.rootpath / "seen.txt").open("a") as seen:
        seen.write(f"{node.item} {result.outcome} {os.environ.get('PYTEST_XDIST_WORKER', 'controller')}\\n")

def pytest_dbtci_summary(plan, results):
    return [f"our own line: {sum(n.unique_id in results for n in plan.items)} results in {plan.destination.schema}"]
"""


@pytest.fixture(scope="module")
def repository(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with a conftest file that implements every hook."""
    directory = tmp_path_factory.mktemp("hooks") / "dogs"
    demo.copy_repository(released, directory)
    (directory / "conftest.py").write_text(CONFTEST)
    return directory


@pytest.fixture(scope="module", params=[(), ("-n", "2")], ids=["alone", "distributed"])
def run(repository: Path, request: pytest.FixtureRequest) -> Validation:
    """One run with all hooks."""
    (repository / "seen.txt").unlink(missing_ok=True)
    page = "--dbt-ci-summary=page.md"
    return validate(repository, "--dbt-ci-pr=1066", page, *request.param, "models", "seeds", "tests")


@pytest.mark.slow
def test_settings_and_nodes_are_the_plugins(run: Validation) -> None:
    assert run.code == 0, run.output
    reasons = {u: c.properties["dbt_reason"] for u, c in run.by_unique_id().items()}
    assert reasons["seed.dogs.raw_breeds"] == "is always checked"
    assert not [u for u in reasons if "top_dogs" in u]
    assert "dbt-ci: top_dogs is left out with " in run.output
    assert "is too dear to build for every change" in run.output


def test_every_result_is_seen_once(run: Validation, repository: Path) -> None:
    seen = (repository / "seen.txt").read_text().splitlines()
    assert "fact_dogs passed controller" in seen
    assert {line.split()[-1] for line in seen} == {"controller"}
    assert len(set(seen)) == len(seen) == len(run.by_unique_id())


def test_both_summaries_have_the_plugins_line(run: Validation, repository: Path) -> None:
    assert f"our own line: {len(run.by_unique_id())} results in dbt_build_1066" in run.output
    assert f"our own line: {len(run.by_unique_id())} results in" in (repository / "page.md").read_text()


@pytest.mark.parametrize(
    "processes", [pytest.param((), id="alone"), pytest.param(("-n", "2"), id="distributed", marks=pytest.mark.slow)]
)
def test_a_result_that_no_item_shows_is_seen_too(repository: Path, processes: tuple[str, ...]) -> None:
    (repository / "seen.txt").unlink(missing_ok=True)
    found = validate(repository, "--dbt-ci-pr=1066", *processes, "models", "-k", "unique_fact_dogs_stay_id")
    assert [name.split("::")[1] for name in found.cases] == ["unique_fact_dogs_stay_id"], found.output
    seen = (repository / "seen.txt").read_text().splitlines()
    assert seen == ["fact_dogs passed controller", "unique_fact_dogs_stay_id passed controller"]


def test_hooks_that_fail_make_the_run_red(dogs: Path) -> None:
    (dogs / "conftest.py").write_text(
        "def pytest_dbtci_result(result):\n    raise ValueError('no such channel')\n\n"
        "def pytest_dbtci_summary(plan):\n    yield 'a first line'\n    raise ValueError('no such page')\n"
    )
    demo_run = validate(dogs, "--dbt-ci-pr=1066", "--dbt-ci-target=ci", "--dbt-ci-defer-target=prod", "-k", "prices")
    assert demo_run.code == 1
    assert "the hook pytest_dbtci_result failed: ValueError: no such channel\n" in demo_run.output
    assert "the hook pytest_dbtci_summary failed: ValueError: no such page\n" in demo_run.output
    assert "in pytest_dbtci_summary\n" in demo_run.output
    for name in ("result", "summary"):
        assert demo_run.cases[f"dbt_project.yml::dbt_ci_{name}_hook"].outcome == "error"
    for sign in ("Traceback", "pytest_dbtci/", "pluggy/"):
        assert sign not in demo_run.output
    assert max(map(int, re.findall(r"\[ *(\d+)%\]", demo_run.output))) <= 100


@pytest.mark.parametrize(
    ("hook", "says"),
    [
        ("settings(): return {'tarjet': 'ci'}", "sets tarjet, which is no setting"),
        ("settings(): return {'keep_schema': 'mostly'}", "--dbt-ci-keep-schema mostly: choose one of never, failed"),
        ("settings(): return 'ci'", "pytest_dbtci_settings gives 'ci': let it return {name: value}"),
        ("settings(): pytest.fail('not on Mondays')", "the hook pytest_dbtci_settings failed: Failed: not on Mondays"),
        pytest.param(
            "select(): yield 1 / 0", "the hook pytest_dbtci_select failed: ZeroDivision", marks=pytest.mark.slow
        ),
    ],
)
def test_a_hook_that_fails_or_answers_nonsense_is_misuse(dogs: Path, hook: str, says: str) -> None:
    (dogs / "conftest.py").write_text(f"import pytest\n\ndef pytest_dbtci_{hook}\n")
    found = validate(dogs, "--dbt-ci-pr=1066")
    assert found.code == 4
    assert says in found.output
    assert "INTERNALERROR" not in found.output
    assert "Traceback" not in found.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hook", "says"),
    [
        (
            "def pytest_dbtci_select(selected):\n    return [selected.nope]\n",
            "pytest_dbtci_select failed: AttributeErr",
        ),
        ("def pytest_dbtci_select():\n    return ['fact_dogs']\n", "gives 'fact_dogs', which is neither"),
        ("def pytest_dbtci_settings():\n    raise ValueError('no')\n", "pytest_dbtci_settings failed: ValueError: no"),
    ],
)
def test_a_hook_that_fails_is_misuse(hook: str, says: str, dogs: Path) -> None:
    (dogs / "conftest.py").write_text(hook)
    found = validate(dogs, "--dbt-ci-pr=1066", "--collect-only")
    assert found.code == 4, found.output
    assert says in found.output
    for sign in ("Traceback", "INTERNALERROR", "pytest_dbtci/", "pluggy/"):
        assert sign not in found.output


@pytest.mark.parametrize("wish", [Add(node="nobody", reason="x"), Veto(node="nobody", reason="x")])
def test_a_node_that_there_is_not_is_misuse(wish: Add | Veto) -> None:
    head = Manifest(
        project="p", adapter="duckdb", dbt_version="1", nodes={}, macros={}, docs={}, disabled={}, env_vars={}
    )
    with pytest.raises(UsageError, match="names 'nobody', which is no node"):
        adjust(Choice(reasons={}, changes=()), [wish], head)
