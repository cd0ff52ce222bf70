"""The user's own selection, named selectors, and a manifest of another machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_dbtci.errors import UsageError
from tests.support.change_project import FILES
from tests.support.planning_bench import Bench, dbt
from tests.support.repositories import Files

BODY: Files = {"dbt/models/staging/dogs.sql": "select dog_id, name, age + 0 as age from {{ ref('raw_dogs') }}\n"}
LARGE: Files = {"dbt/seeds/raw_steps.csv": str(FILES["dbt/seeds/raw_steps.csv"]).replace("0,0\n", "0,1\n", 1)}


@pytest.fixture(autouse=True)
def _quick(planning_bench: Bench) -> None:
    planning_bench.host.parts = ()


@pytest.mark.parametrize(
    ("select", "exclude", "models"),
    [
        ("state:modified", "", {"dogs"}),
        ("state:modified.body", "", {"dogs"}),
        ("state:modified+1,config.materialized:incremental", "", {"grown"}),
        ("state:modified+", "path:models/marts path:snapshots", {"dogs", "names"}),
        ("@state:modified,path:models/staging", "", {"dogs", "names"}),
        ("titles", "", {"titles"}),
        ("state:unmodified,path:models/staging", "resource_type:test resource_type:source", None),
        ("state:modified+", "state:modified", None),
        ("selector:nightly", "", None),
    ],
)
def test_takes_the_selection_of_the_user(
    planning_bench: Bench, select: str, exclude: str, models: set[str] | None
) -> None:
    planned = planning_bench.change(BODY, select=select, exclude=exclude, defer_target="prod")
    found = {n.name for n in planned.plan.nodes if n.resource_type == "model" and n.reason.kind != "ancestor"}
    if models is not None:
        assert found == models
    else:
        assert found
        assert "dogs" not in found


def test_a_named_selector_sees_what_only_the_net_caught(planning_bench: Bench) -> None:
    planned = planning_bench.change(LARGE, select="selector:changed_marts", defer_target="prod")
    assert {n.name for n in planned.plan.nodes if n.resource_type == "model" and n.reason.kind != "ancestor"} == {
        "rounded_steps"
    }


def test_a_named_selector_and_words_add_up(planning_bench: Bench) -> None:
    planned = planning_bench.change(
        LARGE, select="selector:changed_marts bill", exclude="selector:nightly", defer_target="prod"
    )
    assert not {"bill", "rounded_steps"} & planned.names


@pytest.mark.parametrize("select", ["selector:nightly,tag:x", "+selector:nightly", "selector:nightly+"])
def test_a_named_selector_in_an_expression_is_refused_with_the_way_out(planning_bench: Bench, select: str) -> None:
    with pytest.raises(UsageError, match="a named selector stands alone"):
        planning_bench.change(BODY, select=select)


@pytest.mark.parametrize(
    ("select", "said"),
    [("selector:unknown", "Could not find selector named unknown"), ("nonsense:1", "'nonsense' is not a valid method")],
)
def test_a_wrong_selection_is_dbt_s_own_error(planning_bench: Bench, select: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        planning_bench.change(BODY, select=select)


def test_a_path_whose_nodes_the_selection_leaves_out_says_so(planning_bench: Bench) -> None:
    planned = planning_bench.change(BODY, exclude="dogs+")
    assert planned.effect("dbt/models/staging/dogs.sql") == "none: the selection leaves out dogs"


def test_a_reference_to_a_deleted_model_is_dbt_s_error(planning_bench: Bench) -> None:
    with pytest.raises(
        UsageError, match=r"dbt can't parse the project(.|\n)*depends on a node named 'steps' which was not found"
    ):
        planning_bench.change({"dbt/models/staging/steps.sql": None})


@pytest.fixture(scope="module")
def state(planning_bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of the base as production's job writes it: another target, folder and environment."""
    place, folder = planning_bench.clone({}), tmp_path_factory.mktemp("state")
    profile = (place / "dbt/profiles.yml").read_text("utf-8")
    (place / "dbt/profiles.yml").write_text(profile.replace("schema: analytics", "schema: elsewhere"))
    environ = {**os.environ, **planning_bench.environ}
    dbt(
        place / "dbt", "parse", "--profiles-dir", ".", "--target", "prod", "--target-path", str(folder), environ=environ
    )
    return folder


def test_a_manifest_of_another_target_selects_only_what_changed(planning_bench: Bench, state: Path) -> None:
    planned = planning_bench.change(BODY, state=str(state), defer_target="prod")
    assert {name: r.text for name, r in planned.roots.items()} == {"dogs": "modified: body"}
    assert "parse base" not in planned.asked


def test_what_no_changed_file_explains_is_left_out_and_said(planning_bench: Bench, state: Path) -> None:
    text = (state / "manifest.json").read_text("utf-8")
    assert text.count("select price from") == 1
    (state / "other").mkdir(exist_ok=True)
    (state / "other" / "manifest.json").write_text(text.replace("select price from", "select price  from"))
    planned = planning_bench.change(BODY, state=str(state / "other"), defer_target="prod")
    assert set(planned.roots) == {"dogs"}
    assert "bill" not in planned.names
    assert any("no changed file explains it: left out (bill)" in note for note in planned.plan.notes)


@pytest.mark.parametrize("cached", [True, False])
def test_says_what_yaml_describes_and_nobody_wrote(planning_bench: Bench, cached: bool) -> None:
    tests = "models:\n  - name: dgos\n    columns: [{name: age, data_tests: [not_null]}]\n"
    place = planning_bench.clone({**BODY, "dbt/models/more.yml": tests})
    (note,) = planning_bench.plan(place, cached=cached).plan.notes
    assert note.startswith("models/more.yml: none of the models is named dgos, so what is said of it there")


def test_a_large_seed_is_found_with_a_given_manifest_too(planning_bench: Bench, state: Path) -> None:
    planned = planning_bench.change(LARGE, state=str(state / "manifest.json"), defer_target="prod")
    assert {name: r.text for name, r in planned.roots.items()} == {"raw_steps": "affected: content"}


def test_a_state_without_a_manifest_says_what_is_missing(planning_bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--dbt-ci-state: there is no manifest.json in"):
        planning_bench.change(BODY, state=str(tmp_path))
    (tmp_path / "manifest.json").write_text('{"metadata": {}}')
    with pytest.raises(UsageError, match="can't be read as a dbt manifest"):
        planning_bench.change(BODY, state=str(tmp_path))
