"""A released project of many small ones, and what full builds by dbt itself say of each run of its branches."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.cut_off_project import GROWING, SOURCE, Project, joined, wing
from tests.support.tiny_project import commit, git, write
from tests.support.validation import Case, Validation, validate
from tests.support.warehouses import Warehouse
from tests.support.warehouses.dbt_project import run_dbt, write_profiles

_SHAPE = {
    "duckdb": "select table_name, column_name, data_type from information_schema.columns "
    "where table_schema = '{schema}' order by table_name, ordinal_position",
    "postgres": "select relname, attname, format_type(atttypid, atttypmod), attcollation from pg_attribute "
    "join pg_class c on c.oid = attrelid where relnamespace = to_regnamespace('{schema}') and relkind in ('r', 'v') "
    "and attnum > 0 and not attisdropped order by relname, attnum",
}
_BY_CHANCE = ("some", "numbered")
"""Models that need not hold the same in two builds of one text."""

Tables = dict[str, Any]


@dataclass(kw_only=True)
class Verdict:
    """What a run left out, by rule, and what is `wrong` about it; `run` is what it said."""

    run: Validation
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Hotel:
    """The project, released as `prod`, in front of a warehouse that stays as it is; of its wings every third grows."""

    def __init__(self, directory: Path, warehouse: Warehouse, wings: int) -> None:
        self.directory, self.warehouse, self.main = directory, warehouse, directory / "main"
        self.growing = {n: GROWING[n % 6 == 5] for n in range(2, wings, 3)}
        grows = [(self.growing[n],) if n in self.growing else () for n in range(wings)]
        self.wings = [wing(random.Random(f"wing {n}"), *others) for n, others in enumerate(grows)]
        rows = ", ".join(f"({i}, '{'Dd'[i % 3 > 1]}og {i % 7}', {i}.50)" for i in (*range(100), 7))
        for statement in ("create schema raw", *SOURCE, f"insert into raw.stays values {rows}"):
            warehouse.query(statement)
        if warehouse.kind != "duckdb":
            warehouse.query("grant usage on schema raw to public")
            warehouse.query("grant select on all tables in schema raw to public")
        self.main.mkdir()
        write(self.main, joined(self.wings))
        self.base = self.build(self.main, "prod")
        assert not {u: s for u, s in self.base.items() if s not in ("success", "pass", "warn")}
        self.prod = self.tables("prod")
        git(self.main, "init", "--quiet", "--initial-branch=main")
        commit(self.main, "release")
        self._profiles = directory / "profiles"
        self._profiles.mkdir()
        write_profiles(self._profiles, {"ci": warehouse.output("dev"), "prod": warehouse.output("prod")})

    def build(self, project: Path, schema: str, wings: Sequence[int] = ()) -> dict[str, str]:
        """Build all of it, or these wings, with dbt itself; return what became of each node."""
        write_profiles(project, {"full": self.warehouse.output(schema)})
        select = ["--select", *(f"w{number}_*" for number in wings)] if wings else []
        done = run_dbt(project, ["build", "--no-use-colors", "--no-partial-parse", *select], timeout=600)
        results = project / "target" / "run_results.json"
        assert results.is_file(), done.stdout
        found = {r["unique_id"]: r["status"] for r in json.loads(results.read_text())["results"]}
        for leftover in ("target", "logs"):
            shutil.rmtree(project / leftover)
        (project / "profiles.yml").unlink()
        return found

    def branch(self, name: str) -> Path:
        """Return a copy of the repository with a branch."""
        directory = self.directory / name
        shutil.copytree(self.main, directory)
        git(directory, "switch", "--quiet", "--create", name)
        return directory

    def push(self, directory: Path, wings: Sequence[Project], *options: str, **environ: str) -> Verdict:
        """Commit the wings as they are now, run, and hold it against full builds of what differs from the base.

        The branch's name is the pull request's.
        """
        write(directory, joined(wings))
        commit(directory, "push")
        pr = directory.name
        given = (f"--dbt-ci-pr={pr}", "--dbt-ci-base=main", "--dbt-ci-target=ci", "--dbt-ci-keep-schema=always")
        run = validate(directory, *given, *options, DBT_PROFILES_DIR=str(self._profiles), **environ)
        verdict = Verdict(run=run)
        if run.code not in (0, 1, 5):
            verdict.wrong.append(f"exit code {run.code}: {run.output}")
        changed = [n for n, (now, before) in enumerate(zip(wings, self.wings, strict=True)) if now != before]
        statuses, tables = dict(self.base), dict(self.prod)
        if changed:
            there = tuple(f"w{n}_" for n in changed)
            statuses = {u: s for u, s in statuses.items() if not _name(u).startswith(there)}
            statuses |= self.build(directory, "head", changed)
            tables = {n: t for n, t in tables.items() if not n.startswith(there)} | self.tables("head")
            self.warehouse.query("drop schema if exists head cascade")
        # What a collation calls equal is there in any of its forms.
        vague = tuple(f"w{n}_" for n in changed if any("nocase" in (text or "") for text in wings[n].values()))
        built = self.tables(f"dbt_build_{pr}")
        _Oracle(hotel=self, verdict=verdict, statuses=statuses, tables=tables, built=built, vague=vague).ask()
        return verdict

    def leave(self, directory: Path) -> None:
        """Drop what the branch's runs left."""
        for schema in self.warehouse.schemas():
            if schema.startswith(f"dbt_build_{directory.name}"):
                self.warehouse.query(f"drop schema {schema} cascade")
        shutil.rmtree(directory)

    def tables(self, schema: str) -> Tables:
        """Return columns, types and rows of each relation but snapshots, which hold the time."""
        found = Tables()
        with closing(self.warehouse.connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(_SHAPE[self.warehouse.kind].format(schema=schema))
            for name, *column in cursor.fetchall():
                found.setdefault(name, []).append(tuple(column))
            for name, columns in found.items():
                cursor.execute(f'select * from {schema}."{name}"')
                found[name] = (columns, sorted(map(tuple, cursor.fetchall()), key=repr))
        return {name: table for name, table in found.items() if not name.endswith("_aged")}


@dataclass(frozen=True, kw_only=True)
class _Oracle:
    """Judge a run: `statuses` and `tables` are those of a full build of the head, `built` what stands in its schema.

    `vague` are the beginnings of names of which two builds of one text may hold something else.
    """

    hotel: Hotel
    verdict: Verdict
    statuses: dict[str, str]
    tables: Tables
    built: Tables
    vague: tuple[str, ...]

    def ask(self) -> None:
        run, named = self.verdict.run, {_name(u): u for u in self.hotel.base}
        cases = {u: c for u, c in run.by_unique_id().items() if "dbt_compared" not in c.properties}
        formatted = {n.rpartition("::")[2]: c for n, c in run.cases.items() if "dbt_left_out" in c.properties}
        cases |= {named[name]: case for name, case in formatted.items() if name in named}
        for unique_id, case in cases.items():
            self._ask_of(unique_id, case)
        for unique_id in self.statuses.keys() - cases.keys():
            self._is_base(unique_id, "was not selected")

    def _ask_of(self, unique_id: str, case: Case) -> None:
        properties, full = case.properties, self.statuses.get(unique_id)
        if rule := properties.get("dbt_left_out"):
            self.verdict.counts[rule] += 1
            if case.outcome != "skipped":
                self._wrong(unique_id, f"left out, and {case.outcome}")
            self._is_base(unique_id, f"was left out by {rule}")
            return
        if "dbt_reused" in properties:
            self.verdict.counts["reuse"] += 1
        elif case.outcome != "skipped":
            self.verdict.counts["built"] += 1
        if case.outcome in ("failed", "error") and full not in ("fail", "error"):
            self._wrong(unique_id, f"{case.outcome}, and dbt says {full}: {case.text}")
        if case.outcome == "passed":
            if full not in ("success", "pass", "warn"):
                self._wrong(unique_id, f"passed, and dbt says {full}")
            name = _name(unique_id)
            by_chance = name.endswith(_BY_CHANCE) or name.startswith(self.vague)
            if name in self.tables and not by_chance and self.built.get(name) != self.tables[name]:
                self._wrong(unique_id, f"stands there and is not what a full build makes, {properties}")

    def _is_base(self, unique_id: str, what: str) -> None:
        hotel, name = self.hotel, _name(unique_id)
        if self.statuses.get(unique_id) != hotel.base.get(unique_id):
            self._wrong(unique_id, f"{what}, and dbt says {self.statuses.get(unique_id)}")
        if unique_id.startswith("model.") and self.tables.get(name) != hotel.prod.get(name):
            self._wrong(unique_id, f"{what}, and does not hold what the base holds")

    def _wrong(self, unique_id: str, why: str) -> None:
        self.verdict.wrong.append(f"{unique_id} {why}")


def _name(unique_id: str) -> str:
    return unique_id.split(".")[3 if unique_id.startswith("unit_test.") else 2]
