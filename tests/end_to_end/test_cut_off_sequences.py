"""Random changes: what is left out holds, in full builds of base and branch, the same contents."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cut_off_project import FILES, SOURCE, Project, edit
from tests.support.tiny_project import commit, git, write
from tests.support.validation import Validation, validate
from tests.support.warehouses import Kind, Warehouse
from tests.support.warehouses.dbt_project import run_dbt, write_profiles
from tests.support.warehouses.fixtures import empty_warehouse

SEQUENCES = int(os.environ.get("CUT_OFF_SEQUENCES", "2"))
FIRST = int(os.environ.get("CUT_OFF_FIRST", "219"))
OPTIONS = ("--dbt-ci-compare=base", "--dbt-ci-compare-budget=1000", "--dbt-ci-build-less=contents")

pytestmark = pytest.mark.slow

_SHAPE = {
    "duckdb": "select column_name, data_type from information_schema.columns "
    "where table_schema = '{schema}' and table_name = '{name}' order by ordinal_position",
    "postgres": "select attname, format_type(atttypid, atttypmod), attcollation from pg_attribute "
    "where attrelid = to_regclass('{schema}.{name}') and attnum > 0 order by attnum",
}


class Hotel:
    """The project, released as `prod`, in front of a warehouse that stays as it is."""

    def __init__(self, directory: Path, warehouse: Warehouse) -> None:
        self.directory, self.warehouse, self.main = directory, warehouse, directory / "main"
        rows = ", ".join(f"({i}, '{'Dd'[i % 3 > 1]}og {i % 7}', {i}.50)" for i in (*range(100), 7))
        for statement in ("create schema raw", *SOURCE, f"insert into raw.stays values {rows}"):
            warehouse.query(statement)
        if warehouse.kind != "duckdb":
            warehouse.query("grant usage on schema raw to public")
            warehouse.query("grant select on all tables in schema raw to public")
        self.main.mkdir()
        write(self.main, FILES)
        self.base = self.build(self.main, "prod")
        assert not {u: s for u, s in self.base.items() if s not in ("success", "pass", "warn")}
        git(self.main, "init", "--quiet", "--initial-branch=main")
        commit(self.main, "release")
        self._profiles = directory / "profiles"
        self._profiles.mkdir()
        write_profiles(self._profiles, {"ci": warehouse.output("dev"), "prod": warehouse.output("prod")})

    def build(self, project: Path, schema: str) -> dict[str, str]:
        """Build all of it with dbt itself; return what became of each node."""
        write_profiles(project, {"full": self.warehouse.output(schema)})
        done = run_dbt(project, ["build", "--no-use-colors", "--no-partial-parse"])
        results = project / "target" / "run_results.json"
        assert results.is_file(), done.stdout
        found = {r["unique_id"]: r["status"] for r in json.loads(results.read_text())["results"]}
        for leftover in ("target", "logs"):
            shutil.rmtree(project / leftover)
        (project / "profiles.yml").unlink()
        return found

    def validate(self, project: Project, *options: str) -> tuple[Path, Validation]:
        directory = self.directory / "branch"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(self.main, directory)
        git(directory, "switch", "--quiet", "--create", "branch")
        write(directory, project)
        commit(directory, "change")
        options = ("--dbt-ci-pr=7", "--dbt-ci-base=main", "--dbt-ci-target=ci", *OPTIONS, *options)
        return directory, validate(directory, *options, DBT_PROFILES_DIR=str(self._profiles))

    def contents(self, schema: str, name: str) -> Any:
        """Return columns, types and rows; None where there is no such relation."""
        shape = self.warehouse.query(_SHAPE[self.warehouse.kind].format(schema=schema, name=name))
        rows = f"select * from {schema}.{name}"
        return (shape, sorted(self.warehouse.query(rows), key=repr)) if shape else None


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def hotel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hotel]:
    kind: Kind = request.param
    directory = tmp_path_factory.mktemp(kind)
    with empty_warehouse(kind, request, directory) as warehouse:
        yield Hotel(directory, warehouse)


def test_what_is_left_out_holds_what_the_base_holds(hotel: Hotel) -> None:
    total = 0
    for seed in range(FIRST, FIRST + SEQUENCES):
        rng, project = random.Random(f"cut off {seed}"), dict(FILES)
        told = [edit(rng, project, hotel.warehouse.kind) for _ in range(rng.choice([1, 1, 2, 3]))]
        if project == FILES:
            continue
        defer = rng.choice([(), ("--dbt-ci-defer-target=prod",)])
        edits = {p: text for p, text in project.items() if FILES[p] != text}
        directory, run = hotel.validate(edits, *defer, "--dbt-ci-keep-schema=always")
        assert run.code in (0, 1), (seed, told, run.output)
        cases = {u: c for u, c in run.by_unique_id().items() if "dbt_compared" not in c.properties}
        left_out = {u: c for u, c in cases.items() if c.properties.get("dbt_left_out") == "contents"}
        if not left_out and run.code == 0 and seed % 3:
            continue
        full = hotel.build(directory, "head")
        for unique_id, case in left_out.items():
            assert case.outcome == "skipped", (seed, told, unique_id)
            assert case.message.startswith("inputs identical to the base's: "), case.message
            assert full.get(unique_id) == hotel.base.get(unique_id), (seed, told, unique_id)
            if unique_id.startswith("model."):
                name = unique_id.split(".")[-1]
                assert hotel.contents("head", name) == hotel.contents("prod", name), (seed, told, unique_id)
        for unique_id, case in cases.items():
            if case.outcome in ("failed", "error"):
                assert full.get(unique_id) in ("fail", "error"), (seed, told, unique_id, case.text)
            name = unique_id.split(".")[-1]
            if unique_id.startswith("model.") and case.outcome == "passed" and name not in ("some", "numbered"):
                assert hotel.contents("dbt_build_7", name) == hotel.contents("head", name), (seed, told, unique_id)
        hotel.warehouse.query("drop schema if exists head cascade")
        print(f"{hotel.warehouse.kind} {seed} {told} {defer}: {len(left_out)} of {len(cases)} left out, {run.code}")
        total += len(left_out)
    assert total
