"""The yardstick measures what it says: the same project each time, the real script, all processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.generate import FIVE_MODELS, FIVE_OTHER_MODELS, MASTER, ONLY_DOCS, generate
from benchmarks.measure import CommandFailed, Cost, measure
from benchmarks.run import DBT, MODES, Bench, compare, prepare
from benchmarks.split import STEPS, plugin_steps, script_steps
from benchmarks.table import Comparison, Measured, steps_table, totals_table
from benchmarks.warehouses import open_warehouse
from tests.support.repositories import git

ALLOCATE = "import time; kept = bytearray({mib} << 20); time.sleep(0.6)"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    generate(tmp_path / "repository", 30)
    return tmp_path / "repository"


def test_generates_the_same_commits_for_the_same_size(project: Path, tmp_path: Path) -> None:
    generate(tmp_path / "again", 30)
    branches = (MASTER, FIVE_MODELS, FIVE_OTHER_MODELS, ONLY_DOCS)
    assert [git(project, "rev-parse", b) for b in branches] == [
        git(tmp_path / "again", "rev-parse", b) for b in branches
    ]


def test_gives_every_model_two_tests_and_a_schema_by_layer(project: Path) -> None:
    models = list((project / "models").rglob("*.sql"))
    described = "".join(p.read_text(encoding="utf-8") for p in (project / "models").rglob("*.yml"))
    assert len(models) == 30
    assert all(f"- name: {m.stem}\n" in described for m in models)
    assert sum(described.count(f"- {t}") for t in ("unique", "not_null", "relationships")) == 60
    assert {m.relative_to(project / "models").parts[0] for m in models} == {"staging", "intermediate", "marts"}


@pytest.mark.parametrize("branch", [FIVE_MODELS, FIVE_OTHER_MODELS])
def test_a_pull_request_changes_five_models_on_top_of_an_older_master(project: Path, branch: str) -> None:
    changed = git(project, "diff", "--name-only", f"{MASTER}...{branch}").splitlines()
    assert len(changed) == 5
    assert all(path.startswith("models/") and path.endswith(".sql") for path in changed)
    assert git(project, "merge-base", MASTER, branch) == git(project, "rev-parse", f"{MASTER}~1")


def test_refuses_a_size_that_no_whole_area_makes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="multiple of 10 models, not 15"):
        generate(tmp_path / "repository", 15)
    assert not (tmp_path / "repository").exists()


def test_measures_time_and_memory_of_a_process_and_its_children(tmp_path: Path) -> None:
    child = ALLOCATE.format(mib=80)
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    cost = measure([sys.executable, "-c", code], cwd=tmp_path, environ={}, log=tmp_path / "log")
    assert cost.wall > 0.6
    assert 0 < cost.cpu < cost.wall
    assert 80 < cost.peak < 200


def test_counts_the_cpu_of_children(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}], check=True)"
    cost = measure([sys.executable, "-c", code], cwd=tmp_path, environ={}, log=tmp_path / "log")
    assert cost.cpu >= 0.5


def test_a_command_that_fails_is_no_measurement(tmp_path: Path) -> None:
    code = "print('no such target'); raise SystemExit(3)"
    with pytest.raises(CommandFailed, match=r"(?s)exit code 3.*no such target"):
        measure([sys.executable, "-c", code], cwd=tmp_path, environ={}, log=tmp_path / "log")


def test_a_process_left_behind_is_no_measurement(tmp_path: Path) -> None:
    code = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(0.5)"
    with pytest.raises(CommandFailed, match="sleep"):
        measure([sys.executable, "-c", code], cwd=tmp_path, environ={}, log=tmp_path / "log")


def test_splits_the_scripts_time_by_what_dbt_logged(tmp_path: Path) -> None:
    logs = {
        "base": "00:00:01.5 [info ] [MainThread]: Running with dbt=1.11.16\n",
        # The midnight between start and end is of no consequence.
        "build": "\x1b[0m23:59:59.0 [info ] [MainThread]: Running with dbt=1.11.16\n"
        "\x1b[0m00:00:02.0 [debug] [MainThread]: Wrote artifact WritableManifest to target\n"
        "\x1b[0m00:00:03.0 [info ] [MainThread]: Concurrency: 4 threads\n"
        "\x1b[0m00:00:03.5 [debug] [Thread-1 (]: Began running node model.bench.a\n",
        "drop": "00:00:11.0 [info ] [MainThread]: Running with dbt=1.11.16\n",
    }
    for name, text in logs.items():
        log = tmp_path / "ci" / "logs" / name / "dbt.log"
        log.parent.mkdir(parents=True)
        log.write_text(text.replace(".0 ", ".000000 ").replace(".5 ", ".500000 "), encoding="utf-8")
    spans = {"base": [0.0, 4.0], "build": [86398.0, 86406.0], "drop": [10.0, 13.0]}
    (tmp_path / "spans.json").write_text(json.dumps(spans), encoding="utf-8")
    assert script_steps(tmp_path, tmp_path / "spans.json") == pytest.approx(
        {
            "Python and dbt start": 1.5 + 1.0 + 1.0,
            "base parse": 2.5,
            "head parse": 3.0,
            "selection": 1.0,
            "schemas": 0.5,
            "build": 2.5,
            "drop": 2.0,
        }
    )


def test_reads_the_plugins_steps_where_there_are_any(tmp_path: Path) -> None:
    steps = [{"step": "build", "seconds": 1.5}, {"step": "drop", "seconds": 1}, {"step": "build", "seconds": 2}]
    (tmp_path / "steps.json").write_text(json.dumps(steps), encoding="utf-8")
    assert plugin_steps(tmp_path / "steps.json") == {"build": 3.5, "drop": 1.0}
    assert plugin_steps(tmp_path / "missing.json") == {}


def test_shows_medians_and_the_median_ratio_of_the_turns() -> None:
    def run(wall: float) -> Measured:
        return Measured(cost=Cost(wall=wall, cpu=wall, peak=wall), steps={"build": wall / 2}, nodes=7)

    script, plugin = (run(10.0), run(20.0), run(90.0)), (run(1.0), run(5.0), run(8.0))
    cold = Comparison(warehouse="duckdb", models=2000, mode="cold", script=script, plugin=plugin)
    unchanged = Comparison(
        warehouse="duckdb", models=10, mode="unchanged", script=script, plugin=plugin, parse_alone=(50.0, 50.0, 100.0)
    )
    rows = totals_table([cold, unchanged]).splitlines()
    assert rows[2] == "| duckdb | 2,000 | cold | 7 | 20.0 | 5.0 | 0.10 | 20.0 | 5.0 | 0.10 | 20 | 5 | 0.10 |"
    assert rows[3] == "| duckdb | 10 | unchanged | 7 | 50.0 (dbt parse) | 5.0 | 0.08 |  |  |  |  |  |  |"
    steps = steps_table([cold, unchanged]).splitlines()
    assert "| build | 10.00 | 2.50 |" in steps
    assert steps[-1] == "| git, JUnit, pytest | 10.00 | 2.50 |"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["duckdb", "postgres"])
def test_script_and_plugin_build_the_same_nodes(tmp_path: Path, name: str) -> None:
    with open_warehouse(name) as warehouse:
        bench = Bench(folder=prepare(tmp_path, 10), warehouse=warehouse)
        found = compare(bench, models=10, modes=MODES, repeats=1)
        with warehouse.released(bench.folder, DBT) as environ:
            assert warehouse.left_behind(environ) == ()
    nodes = {c.mode: (c.script[0].nodes, c.plugin[0].nodes) for c in found}
    assert nodes == {"cold": (24, 24), "cached": (24, 24), "unchanged": (24, 1)}
    assert set(found[0].script[0].steps) == set(STEPS)
    assert all(seconds > 0 for seconds in found[0].script[0].steps.values())
