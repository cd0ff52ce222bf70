"""What plugins that report write is read: each is installed and used in a real run."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest

from tests.session.test_progress import on_a_terminal
from tests.support.other_plugins import BROKEN, PLUGINS, WORDS, Ran, Run, is_python, order

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


def test_sugar_and_the_live_row_share_a_terminal(python: str, repository: Path, distributed: tuple[str, ...]) -> None:
    others = [arg for name in PLUGINS if name != "sugar" for arg in ("-p", f"no:{name}")]
    screen = on_a_terminal(repository, *others, *distributed, python=python)
    rest = screen.text
    assert screen.live[-1] == ""
    assert "\x1bD" not in rest
    assert "pytest-sugar" in rest
    assert WORDS in rest
    assert re.search(r"28 passed.*\n.*1 failed.*\n.*broken.sql", rest), rest
