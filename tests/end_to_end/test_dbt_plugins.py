"""Models of another project that a plugin of dbt brings in are read where they are: never built, deferred or moved."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from tests.support.tiny_project import commit, git, make_tiny, write
from tests.support.validation import Validation, validate

PLUGIN = """\
import json, pathlib
from dbt.plugins.manager import dbt_hook, dbtPlugin
from dbt.plugins.manifest import ModelNodeArgs, PluginNodes

class Harbour(dbtPlugin):
    @dbt_hook
    def get_nodes(self):
        nodes = PluginNodes()
        for name, identifier in json.loads(pathlib.Path("harbour.json").read_text()).items():
            nodes.add_model(ModelNodeArgs(name=name, package_name="harbour", identifier=identifier, schema="harbour"))
        return nodes

plugins = [Harbour]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = make_tiny(tmp_path / "repo")
    git(made, "switch", "--quiet", "master")
    cargo = "select n from {{ ref('harbour', 'ships') }}\n"
    write(made, {"harbour.json": json.dumps({"ships": "ships"}), "models/cargo.sql": cargo})
    commit(made, "read the ships")
    git(made, "switch", "--quiet", "--create", "plugin")
    write(tmp_path, {"lib/dbt_harbour.py": PLUGIN})
    with duckdb.connect(str(made / "tiny.duckdb")) as connection:
        connection.execute("create schema harbour")
        connection.execute("create table harbour.ships as select 1 as n")
        connection.execute("create table harbour.boats as select 2 as n")
    return made


def run(project: Path, *args: str) -> Validation:
    done = validate(project, *args, PYTHONPATH=str(project.parent / "lib"))
    assert done.code == 0, done.output
    return done


def names(validation: Validation) -> set[str]:
    return {case.rsplit("::", 1)[-1] for case in validation.cases}


@pytest.mark.slow
@pytest.mark.parametrize("args", [(), ("--dbt-ci-defer-target=prod",)])
def test_an_injected_model_is_read_where_it_is(project: Path, args: tuple[str, ...]) -> None:
    write(project, {"models/cargo.sql": "select n + 1 as n from {{ ref('harbour', 'ships') }}\n"})
    write(project, {"harbour.json": json.dumps({"ships": "ships"}, indent=1)})
    commit(project, "count one more")
    done = run(project, "-v", *args)
    assert names(done) == {"cargo"}
    told = "a plugin of dbt may read it, and what plugins bring in is the same"
    assert f"dbt-ci: modified harbour.json: none ({told})" in done.output


@pytest.mark.slow
def test_what_reads_an_injected_model_is_affected_by_its_change(project: Path) -> None:
    write(project, {"harbour.json": json.dumps({"ships": "boats"}), "other.json": "{}"})
    commit(project, "boats")
    done = run(project, "-v")
    assert names(done) == {"cargo"}
    assert "dbt-ci: modified harbour.json: selected" in done.output
    assert "dbt-ci: added other.json: none (dbt builds nothing from it)" in done.output
    assert names(run(project)) == {"cargo"}, "the base was taken from the cache, whose nodes may be others' by now"
