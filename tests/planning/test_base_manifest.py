"""The base: parsed once, believed only when it is right, and left alone by other runs."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_dbtci.errors import UsageError
from tests.support.change_project import FILES
from tests.support.planning_bench import Bench, Listening, Planned, bench
from tests.support.repositories import commit, git

pytestmark = pytest.mark.slow

EDIT = {"dbt/models/marts/bill.sql": "select price, 1 as n from {{ ref('prices') }}\n"}


@pytest.fixture
def place(planning_bench: Bench) -> Path:
    planning_bench.host.parts = ()
    planning_bench.plan(planning_bench.clone(EDIT))
    return planning_bench.clone(EDIT)


def test_a_second_run_parses_no_base_and_not_all_of_the_head(planning_bench: Bench, place: Path) -> None:
    first, second = planning_bench.plan(place), planning_bench.plan(place)
    assert second.asked.count("parse base") == 0
    assert second.told == ("base: cached", "head: parsed where it differs")
    assert second.plan == first.plan


def test_another_pull_request_with_the_same_base_finds_it_parsed(planning_bench: Bench, place: Path) -> None:
    assert "base: cached" in planning_bench.plan(place, pr="2").told


@pytest.mark.parametrize("name", ["manifest.json", "partial_parse.msgpack", "view.json", "complete.json"])
@pytest.mark.parametrize("how", ["cut off", "gone", "changed"])
def test_a_damaged_cache_is_parsed_anew(planning_bench: Bench, place: Path, name: str, how: str) -> None:
    expected = planning_bench.plan(place).plan
    for path in planning_bench.cache.glob(f"base-*/{name}"):
        content = path.read_bytes()
        if how == "gone":
            path.unlink()
        else:
            path.write_bytes(content[: len(content) // 2] if how == "cut off" else content[:-1] + b" ")
    planned = planning_bench.plan(place)
    # A last byte that becomes a blank leaves JSON whole only where it was one.
    assert planned.told[0] == "base: parsed"
    assert planned.plan == expected


@pytest.mark.parametrize("edit", ["vars", "profile"])
def test_what_the_parse_depends_on_makes_it_parse_anew(planning_bench: Bench, place: Path, edit: str) -> None:
    if edit == "vars":
        assert "base: parsed" in planning_bench.plan(place, vars="{extra: 1}").told
    else:
        text = (place / "dbt/profiles.yml").read_text("utf-8")
        (place / "dbt/profiles.yml").write_text(
            text.replace("ci: {type: duckdb,", "ci: {type: duckdb, extensions: [json],")
        )
        assert "base: parsed" in planning_bench.plan(place).told


@pytest.mark.parametrize("name", ["KENNEL_WAREHOUSE", "DBT_STORE_FAILURES", "DBT_ENGINE_STATIC_PARSER"])
def test_what_the_profile_and_dbt_itself_read_of_the_environment_makes_it_parse_anew(
    planning_bench: Bench, place: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert "base: cached" in planning_bench.plan(place).told
    monkeypatch.setitem(planning_bench.environ, name, "true")
    assert "base: parsed" in planning_bench.plan(place).told


@pytest.mark.parametrize("where", ["model", "project"])
def test_an_environment_variable_that_dbt_used_makes_it_parse_anew(tmp_path: Path, where: str) -> None:
    files = dict(FILES)
    reads = "{{ env_var('KENNEL_SIZE', 'view') }}"
    if where == "model":
        files["dbt/models/marts/bill.sql"] = "{{ config(materialized=env_var('KENNEL_SIZE', 'view')) }} select 1 as n"
    else:
        project = str(files["dbt/dbt_project.yml"])
        files["dbt/dbt_project.yml"] = project.replace("+materialized: view", f'+materialized: "{reads}"')
    with bench(tmp_path, files, "dbt") as unset:
        unset.host.curious = False
        change = unset.clone({"dbt/models/staging/steps.sql": "select 1 as dog_id, 2 as steps"})
        assert unset.plan(change).told[0] == "base: parsed"
        assert unset.plan(change).told[0] == "base: cached"
        unset.environ["KENNEL_SIZE"] = "table"
        unset.host.close()
        unset.host = Listening(tmp_path, {**unset.environ, "PR_NUMBER": "1"}, tmp_path / "dbt.log")
        unset.host.own, unset.host.asked, unset.host.curious = {}, [], False
        with unset.host:
            assert unset.plan(change).told[0] == "base: parsed"
            assert unset.plan(change).told[0] == "base: cached"
        del unset.environ["KENNEL_SIZE"]
        unset.host = Listening(tmp_path, {**unset.environ, "PR_NUMBER": "1"}, tmp_path / "dbt.log")
        unset.host.own, unset.host.asked, unset.host.curious = {}, [], False
        with unset.host:
            assert unset.plan(change).told[0] == "base: cached"


def test_two_runs_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    with bench(tmp_path, dict(FILES), "dbt") as one:
        places = [one.clone(EDIT), one.clone(EDIT)]
        hosts = [one.host, Listening(tmp_path, {**one.environ, "PR_NUMBER": "1"}, tmp_path / "other.log")]
        made: list[Planned] = []

        def run(place: Path, host: Listening) -> None:
            host.own, host.asked = {}, []
            made.append(replace(one, host=host).plan(place))

        threads = [threading.Thread(target=run, args=pair) for pair in zip(places, hosts, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        hosts[1].close()
        assert [sorted(p.roots) for p in made] == [["bill"], ["bill"]]
        assert one.plan(places[0]).told[0] == "base: cached"
        assert all((p / "complete.json").is_file() for p in one.cache.glob("base-*"))


def test_the_user_s_work_tree_stays_as_it_is(planning_bench: Bench, place: Path) -> None:
    def status() -> list[str]:
        lines = git(place, "status", "--porcelain", "--ignored").splitlines()
        return [line for line in lines if not line.endswith("dbt/target/")]

    before = status()
    planning_bench.plan(place)
    assert status() == before


def test_a_base_that_does_not_parse_is_said_to_be_the_base(planning_bench: Bench, tmp_path: Path) -> None:
    place = planning_bench.clone({"dbt/models/marts/bill.sql": "select * from {{ ref('nothing') }}"})
    commit(place, {"dbt/models/marts/bill.sql": "select 1 as price"}, "Mend")
    with pytest.raises(UsageError, match=r"the base \(\w+\), which the branch is compared with, does not parse"):
        planning_bench.plan(place, base="HEAD~1")


def test_a_project_that_the_base_does_not_have_is_new_as_a_whole(planning_bench: Bench) -> None:
    place = planning_bench.clone({p.replace("dbt/", "fresh/", 1): t for p, t in FILES.items() if p.startswith("dbt/")})
    (place / "fresh" / "dbt_packages").mkdir()
    (place / "fresh" / "dbt_packages" / "toolbox").symlink_to(place / "shared", target_is_directory=True)
    planned = replace(planning_bench, inside="fresh").plan(place)
    assert {r.text for r in planned.roots.values()} == {"new: the base has no such dbt project"}
    assert "dogs" in planned.names


def test_a_base_with_other_packages_gets_its_own(planning_bench: Bench) -> None:
    """The base names a second local package that the branch drops: it is installed beside the base alone."""
    extra = {
        "extra/dbt_project.yml": "name: extra\nversion: '1.0.0'\nconfig-version: 2\n",
        "extra/macros/extra.sql": "{% macro extra() %}1{% endmacro %}\n",
        "dbt/packages.yml": "packages:\n  - local: ../shared\n  - local: ../extra\n",
        "dbt/models/marts/bill.sql": "select {{ extra.extra() }} as price\n",
    }
    place = planning_bench.clone(extra)
    commit(place, {"dbt/packages.yml": FILES["dbt/packages.yml"], **EDIT}, "Drop the package")
    planning_bench.install(place)
    planned = planning_bench.plan(place, base="HEAD~1")
    assert "InstallPackages" in planned.asked
    assert planned.roots["bill"].text.startswith("modified: body")
    assert planned.effect("dbt/packages.yml") == "selected"
    assert not (place / "dbt/dbt_packages/extra").exists()


def test_packages_of_the_base_that_cannot_be_installed_are_said(planning_bench: Bench) -> None:
    place = planning_bench.clone({"dbt/packages.yml": "packages:\n  - local: ../shared\n  - local: ../gone\n"})
    commit(place, {"dbt/packages.yml": FILES["dbt/packages.yml"], **EDIT}, "Drop the package")
    with pytest.raises(UsageError, match="names other packages than the branch does, and they can't be installed"):
        planning_bench.plan(place, base="HEAD~1")
