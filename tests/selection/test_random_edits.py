"""Random changes of a real project: nothing that a full build would change is left out of the selection."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

from pytest_dbtci.manifest import BUILDABLE, READABLE
from tests.support.planning_bench import Bench, Planned, bench
from tests.support.random_edits import FILES, PROSE, Project, edit, format_anew
from tests.support.repositories import git

SEQUENCES = int(os.environ.get("RANDOM_SEQUENCES", "240"))
PER_TEST = 20

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A bench whose master is released: `released.duckdb` in its folder holds what it built."""
    with _release(tmp_path_factory.mktemp("random"), FILES) as made:
        yield made


@pytest.fixture(scope="module")
def formatted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Another one, of the project that is formatted anew."""
    with _release(tmp_path_factory.mktemp("formatted"), PROSE) as made:
        yield made


@contextmanager
def _release(folder: Path, files: Project) -> Iterator[Bench]:
    with bench(folder, files, "dbt") as made:
        made.host.parts = ()
        place = made.clone({})
        _build(made, place / "dbt", ["*"], "master")
        names = _relations(made, place / "dbt")
        assert None not in _contents(made, place / "dbt", names).values()
        shutil.copy(folder / "kennel.duckdb", folder / "released.duckdb")
        yield made


@pytest.mark.parametrize("chunk", range(max(1, SEQUENCES // PER_TEST)))
def test_building_the_selection_on_top_of_master_gives_what_a_full_build_gives(released: Bench, chunk: int) -> None:
    for seed in range(chunk * PER_TEST, min((chunk + 1) * PER_TEST, SEQUENCES)):
        rng = random.Random(seed)
        project: Project = dict(FILES)
        made = [edit(rng, project) for _ in range(rng.randint(1, 4))]
        edits: Project = {p: text for p, text in project.items() if FILES.get(p) != text and (text or p in FILES)}
        place = released.clone(edits)
        planned = released.plan(place)
        told = f"seed {seed}: {made}"

        own = {u for u in planned.own.get("modified+", ()) if u.split(".")[0] in BUILDABLE}
        chosen = [n for n in planned.plan.nodes if n.resource_type in BUILDABLE]
        assert own <= {n.unique_id for n in chosen}, told
        assert all(c.effect != "none" or c.note for c in planned.plan.changes), told
        _gives_what_a_full_build_gives(released, place, planned, told)
        shutil.rmtree(place)


@pytest.mark.parametrize("chunk", range(max(1, SEQUENCES // 2 // PER_TEST)))
def test_what_is_left_out_as_formatting_is_what_a_full_build_gives(formatted: Bench, chunk: int) -> None:
    left_out, count = 0, PER_TEST // 2
    for seed in range(chunk * count, (chunk + 1) * count):
        rng = random.Random(seed)
        project: Project = dict(PROSE)
        made = [format_anew(rng, project) for _ in range(rng.randint(1, 4))]
        made += [edit(rng, project) for _ in range(rng.choice([0, 0, 1]))]
        place = formatted.clone({p: t for p, t in project.items() if PROSE.get(p) != t and (t or p in PROSE)})
        planned = formatted.plan(place, build_less="formatting")
        left_out += len(planned.plan.left_out)
        _gives_what_a_full_build_gives(formatted, place, planned, f"seed {seed}: {made}")
        shutil.rmtree(place)
    assert left_out


def _gives_what_a_full_build_gives(released: Bench, place: Path, planned: Planned, told: str) -> None:
    """Compare contents after both builds, each on top of what was released."""
    project = place / "dbt"
    _restore(released)
    _build(released, project, ["*"], told)
    names = _relations(released, project)
    whole = _contents(released, project, names)
    _restore(released)
    built = sorted({n.name for n in planned.plan.nodes if n.resource_type in READABLE})
    if built:
        _build(released, project, built, told)
    assert _contents(released, project, names) == whole, told


def _restore(released: Bench) -> None:
    """Make the warehouse what it was when master was released."""
    warehouse = released.folder / "kennel.duckdb"
    warehouse.with_name("kennel.duckdb.wal").unlink(missing_ok=True)
    shutil.copy(released.folder / "released.duckdb", warehouse)


def _build(released: Bench, project: Path, select: list[str], told: str) -> None:
    """Build with dbt itself, which must succeed."""
    answer = _invoke(released, project, "build", "--select", *select)
    # dbt leaves its connection open and what it wrote in the log beside the file.
    DuckDBConnectionManager.close_all_connections()
    with duckdb.connect(str(released.folder / "kennel.duckdb")) as connection:
        connection.execute("checkpoint")
    failed = [f"{r.node.name}: {r.message}" for r in answer.result or () if r.status in ("error", "fail")]
    assert answer.success, f"{told} {failed} {answer.exception}"


def _relations(released: Bench, project: Path) -> list[str]:
    """Name every relation that the project has."""
    nodes = _invoke(released, project, "parse").result.nodes.values()
    return sorted(n.relation_name for n in nodes if n.resource_type in READABLE and n.relation_name)


def _invoke(released: Bench, project: Path, *arguments: str) -> Any:
    places = ["--project-dir", ".", "--profiles-dir", ".", "--target-path", "target", "--log-path", "logs"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        for name, value in released.environ.items():
            patch.setenv(name, value)
        return dbtRunner().invoke(["--log-level", "none", "--log-level-file", "none", *arguments, *places])


def _contents(released: Bench, project: Path, names: list[str]) -> dict[str, Any]:
    """Return each relation's number of rows and a digest of them; None for one that is not there."""
    found: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch, duckdb.connect(str(released.folder / "kennel.duckdb")) as connection:
        patch.chdir(project)
        for name in names:
            try:
                columns = [column for column, *_ in connection.execute(f"describe {name}").fetchall()]
                # A snapshot's row counts by whether it is current, not by when it was written.
                timed = [c for c in columns if c.startswith("dbt_")]
                rows = (
                    f"select * exclude ({', '.join(timed)}), dbt_valid_to is null from {name}"
                    if timed
                    else f"from {name}"
                )
                query = f"select count(*), coalesce(sum(hash(row)), 0) from ({rows}) as row"
                found[name] = connection.execute(query).fetchone()
            except duckdb.CatalogException:
                found[name] = None
    return found


def test_a_branch_without_a_change_selects_nothing(released: Bench) -> None:
    place = released.clone({})
    assert git(place, "diff", "origin/master", "--stat") == ""
    planned = released.plan(place)
    assert planned.plan.mode == "nothing"
    assert planned.plan.nodes == ()
