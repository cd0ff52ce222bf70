"""Whatever a pull request or a branch is called: its schema is a plain name of its own, or the run is refused."""

from __future__ import annotations

import contextlib
import random
import re
from pathlib import Path

import pytest

from examples.demo import git
from pytest_dbtci.errors import UsageError
from pytest_dbtci.schemas.names import is_inside, local_name, schema_name
from tests.support.fault_stage import Stage

SAFE = re.compile(r"dbt_build_[a-z0-9_]+", re.ASCII)
PARTS = (
    *(
        "'",
        '"',
        ";",
        "--",
        "/*",
        "*/",
        "\\",
        "\0",
        "\n",
        "%",
        "$$",
        "{{",
        "}}",
        "{pr}",
        " ",
        ".",
        "/",
        "..",
        "ı",
        "İ",
        "ß",
    ),
    *(
        "é",
        "名",
        "🐶",
        "\u202e",
        "\u0301",
        "select",
        "drop schema analytics cascade",
        "user",
        "public",
        "7",
        "77",
        "_",
        "-",
    ),
    *("feature", "ABC", "x" * 300, "", "0", "null", "pg_catalog", "{", "analytics"),
)


def hostile(count: int) -> list[str]:
    """Return as many different texts, always the same ones."""
    dice, made = random.Random(1066), dict[str, None]()
    while len(made) < count:
        text = "".join(dice.choices(PARTS, k=dice.randint(1, 5)))
        if text:
            made[text] = None
    return list(made)


@pytest.mark.parametrize("adapter", ["redshift", "postgres", "duckdb"])
def test_takes_a_hostile_id_for_a_plain_name_or_refuses_it(adapter: str) -> None:
    taken = {}
    for pr in hostile(2000):
        with contextlib.suppress(UsageError):
            taken[pr] = schema_name("dbt_build_{pr}", pr, adapter)
    assert 5 < len(taken) < 2000
    assert all(SAFE.fullmatch(name) for name in taken.values())
    assert len(set(taken.values())) == len(taken)


def test_names_every_hostile_branch_plainly_and_for_itself() -> None:
    names = {branch: local_name("anton", branch, "laptop:/home") for branch in hostile(2000)}
    schemas = {b: schema_name("dbt_build_{pr}", name, "postgres") for b, name in names.items()}
    assert all(SAFE.fullmatch(schema) for schema in schemas.values())
    assert len(set(schemas.values())) == len(schemas)
    assert not any(is_inside("analytics", s) or is_inside("dbt_build_1", s) for s in schemas.values())


@pytest.mark.parametrize("pr", ["7; drop schema analytics cascade", "7'--", '7"', "x" * 300, "../7", "7{pr}"])
def test_stops_before_dbt_is_started_when_the_id_is_hostile(stage: Stage, pr: str) -> None:
    run = stage.run(pr=pr)
    assert run.code == 4, run.output
    assert not stage.warehouse.faults.statements()
    stage.assert_nothing_left()
    assert not Path(stage.directory, "target").exists()


def test_builds_a_branch_with_a_hostile_name(stage: Stage) -> None:
    git(stage.directory, "switch", "--quiet", "--create", 'x\';drop-schema"analytics"--ß名')
    running = stage.start(pr="")
    run = running.wait()
    assert run.code == 0, run.output
    names = {s.text for s in stage.warehouse.faults.statements(r"create\s+schema")}
    assert names
    assert all(re.search(r'"?dbt_build_[a-z0-9_]+"?\s*;?\s*$', name.strip()) for name in names), names
    stage.assert_nothing_left()
