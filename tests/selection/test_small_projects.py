"""Every kind of change that needs a project of its own selects what it has to, and says only what is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_dbtci.errors import UsageError
from tests.support.change_cases.case import COMPARES_AS_WRITTEN
from tests.support.change_project import LARGE_SEED
from tests.support.planning_bench import Bench, dbt
from tests.support.repositories import commit, git, repository
from tests.support.small_projects import SKELETON, SMALL_PROJECTS, Change, Small

CHANGES = [
    pytest.param(small, change, id=f"{small.name}: {change.name}")
    for small in SMALL_PROJECTS
    for change in small.changes
]


@pytest.fixture(scope="module")
def small_benches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bench]:
    """The benches that were made so far, by the project's name."""
    return {}


@pytest.fixture
def bench(
    small: Small, small_benches: dict[str, Bench], planning_bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> Bench:
    """A bench for the small project, with the host that all share."""
    if small.name not in small_benches:
        folder = tmp_path_factory.mktemp("small")
        origin = repository(folder / "origin", {**SKELETON, **small.files})
        small_benches[small.name] = Bench(
            folder=folder, origin=origin, inside=".", host=planning_bench.host, environ=planning_bench.environ
        )
    return small_benches[small.name]


@pytest.mark.parametrize(("small", "change"), CHANGES)
def test_selects_what_a_reader_of_the_diff_agrees_with(bench: Bench, small: Small, change: Change) -> None:
    bench.host.parts = ()
    planned = bench.change(change.files)
    assert {name: reason.text for name, reason in planned.roots.items()} == change.roots
    assert all(reason.files for reason in planned.roots.values()), "every reason names a changed file"
    effects = {c.path: planned.effect(c.path) for c in planned.plan.changes}
    assert effects == {path: change.effects.get(path, "selected") for path in effects}
    reasons = {n.name: str(n.reason) for n in planned.plan.nodes}
    assert {name: reasons.get(name) for name in change.downstream} == change.downstream
    assert planned.plan.notes == change.notes
    own = {u for u in planned.own.get("modified+", ()) if u.startswith(("model.", "seed.", "test.", "function."))}
    assert own <= {n.unique_id for n in planned.plan.nodes}


@pytest.mark.slow
def test_a_package_of_which_only_the_lock_changed_selects_what_uses_it(planning_bench: Bench, tmp_path: Path) -> None:
    library = repository(
        tmp_path / "library",
        {"dbt_project.yml": "name: library\n", "macros/rate.sql": _rate(1), "seeds/steps.csv": LARGE_SEED},
        branch="main",
    )
    packages = f"packages:\n  - git: file://{library}\n    revision: main\n    warn-unpinned: false\n"
    files = {**SKELETON, "packages.yml": packages, "models/b.sql": "select {{ library.rate() }} as id\n"}
    origin = repository(tmp_path / "origin", files)
    dbt(origin, "deps", environ=planning_bench.environ)
    commit(origin, {}, "Lock")
    commit(library, {"macros/rate.sql": _rate(2), "seeds/steps.csv": LARGE_SEED.replace("0,0", "0,1", 1)})

    bench = Bench(folder=tmp_path, origin=origin, inside=".", host=planning_bench.host, environ=planning_bench.environ)
    place = bench.clone({})
    dbt(place, "deps", "--upgrade", environ=planning_bench.environ)
    commit(place, {}, "Upgrade")
    assert git(place, "diff", "--name-only", "HEAD^") == "package-lock.yml"

    planned = bench.plan(place)
    assert {name: str(reason) for name, reason in planned.roots.items()} == {
        "b": "modified: macro rate (package-lock.yml)",
        "steps": "affected: content (package-lock.yml)",
    }
    assert planned.effect("package-lock.yml") == "selected"

    commit(place, {"packages.yml": f"# as released\n{packages}"})
    assert bench.plan(place).names == {"b", "steps"}
    commit(place, {"packages.yml": packages.replace("revision: main", "revision: HEAD")})
    with pytest.raises(UsageError, match=r"made from another packages\.yml .* Run `dbt deps`"):
        bench.plan(place)
    dbt(place, "deps", environ=planning_bench.environ)
    assert bench.plan(place).names == {"b", "steps"}


def test_what_differs_by_the_time_of_the_parse_is_said_to_be_in_no_changed_file(
    planning_bench: Bench, tmp_path: Path
) -> None:
    timed = "{{ config(meta={'at': modules.datetime.datetime.now().isoformat()}) }}select 1 as id\n"
    origin = repository(tmp_path / "origin", {**SKELETON, "models/timed.sql": timed})
    bench = Bench(folder=tmp_path, origin=origin, inside=".", host=planning_bench.host, environ=planning_bench.environ)
    # A file of the whole project, so that all of the head is parsed anew.
    planned = bench.change({"dbt_project.yml": bench.text("dbt_project.yml") + "version: '1.0'\n"})
    what = "affected: rendered configuration" if COMPARES_AS_WRITTEN else "modified: config"
    assert {name: str(reason) for name, reason in planned.roots.items()} == {
        "timed": f"{what}, and no changed file explains it"
    }
    assert planned.effect("dbt_project.yml") == "none: version changed, and no node that is built differs"


def _rate(number: int) -> str:
    return f"{{% macro rate() %}}{number}{{% endmacro %}}\n"
