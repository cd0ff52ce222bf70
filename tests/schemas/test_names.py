"""The names of schemas: safe, and different for every pull request of every project of every repository."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_dbtci.errors import UsageError
from pytest_dbtci.manifest import Manifest, ManifestNode
from pytest_dbtci.project.project import read_project
from pytest_dbtci.project.siblings import project_identity, siblings
from pytest_dbtci.schemas.names import DEFAULT, check_isolation, in_mark, is_inside, schema_name, templates
from tests.support.tiny_project import write


def named(template: str, repository: str, project: str = "shop") -> str:
    return schema_name(template, "7", "postgres", project=project, repository=repository)


def test_the_default_is_short_and_its_second_choice_is_of_one_repository() -> None:
    first, second = templates(DEFAULT, several=False)
    assert named(first, "github.com/org/shop") == "dbt_build_7"
    names = {named(second, r) for r in ("github.com/org/shop", "github.com/other/shop", "/home/anna/my shop (3f2c1aa)")}
    assert len(names) == 3
    assert all(name.endswith("_7") and not name.startswith("dbt_build_7") for name in names)
    assert sum(name.startswith("dbt_build_shop_") for name in names) == 2
    assert any(name.startswith("dbt_build_my_shop_") for name in names)
    sales, finance = (named(templates(DEFAULT, several=True)[0], "r", project=p) for p in ("sales", "Finance"))
    assert (sales, finance) == ("dbt_build_sales_7", "dbt_build_finance_7")
    assert templates("mine_{pr}", several=True) == ("mine_{pr}",)


@pytest.mark.parametrize("template", ["dbt_build", "{pr}_{pr}", "dbt_{branch}_{pr}", "dbt_{repository}"])
def test_a_template_without_the_pull_request_or_with_a_strange_word_is_refused(template: str) -> None:
    with pytest.raises(UsageError, match=r"write a name with \{pr\} in it once"):
        named(template, "github.com/org/shop")


def test_long_names_that_begin_alike_stay_two_in_a_mark() -> None:
    deep = f"git.firm.com/{'größe/' * 30}"
    one, other = in_mark(f"{deep}a"), in_mark(f"{deep}b")
    assert one != other
    assert one.startswith("git.firm.com/größe/größe/")
    assert all(len(name.encode()) <= 200 for name in (one, other))
    assert in_mark(one) == one
    second = templates(DEFAULT, several=False)[1]
    assert named(second, f"{deep}a") == named(second, one) != named(second, other)
    assert in_mark("github.com/org/shop") == "github.com/org/shop"


def test_only_what_can_be_built_counts_as_another_project(tmp_path: Path) -> None:
    text = "name: {}\nprofile: mine\n"
    write(
        tmp_path,
        {
            "shop/dbt_project.yml": text.format("shop"),
            "shop/packages.yml": "packages: [{local: ../common}]\n",
            "shop/dbt_packages/dbt_utils/dbt_project.yml": text.format("dbt_utils"),
            "common/dbt_project.yml": text.format("common"),
            "macros_only/dbt_project.yml": "name: macros_only\n",
            "broken/dbt_project.yml": "name: [",
        },
    )
    files = [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("dbt_project.yml")]
    project = read_project(tmp_path / "shop", tmp_path)
    assert siblings(project, tmp_path, [*files, "gone/dbt_project.yml"]) == {}
    assert project_identity(project, {}) == "shop"
    write(tmp_path, {"eu/shop/dbt_project.yml": text.format("shop"), "finance/dbt_project.yml": text.format("finance")})
    others = siblings(project, tmp_path, [*files, "eu/shop/dbt_project.yml", "finance/dbt_project.yml"])
    assert others == {"eu/shop": "shop", "finance": "finance"}
    assert project_identity(project, others) == "shop in shop"


@pytest.mark.parametrize(
    ("schema", "inside"),
    [
        ("dbt_build_7", True),
        ("DBT_BUILD_7_Staging", True),
        ("dbt_build_7_", True),
        ("dbt_build_77", False),
        ("dbt_build_7staging", False),
        ("dbt_build", False),
        ("x_dbt_build_7", False),
    ],
)
def test_what_only_begins_like_the_pull_requests_schema_is_outside(schema: str, inside: bool) -> None:
    assert is_inside(schema, "dbt_build_7") is inside


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ({"schema": "dbt_build_77"}, r"model\.shop\.m \(m\.sql\) would be written to schema dbt_build_77"),
        ({"database": "prod"}, r"model\.shop\.m \(m\.sql\) would be written to database prod"),
        ({"schema": "dbt_build_7_" + "x" * 60}, "is longer than 63 bytes"),
    ],
    ids=["schema", "database", "length"],
)
def test_a_relation_outside_the_pull_requests_schemas_stops_the_run(place: dict[str, str], said: str) -> None:
    node = ManifestNode(
        unique_id="model.shop.m",
        resource_type="model",
        name="m",
        package="shop",
        file="m.sql",
        database=place.get("database", "ci"),
        schema=place.get("schema", "dbt_build_7"),
        writes=True,
        parts={},
    )
    manifest = Manifest(
        project="shop",
        adapter="postgres",
        dbt_version="1.11.0",
        nodes={node.unique_id: node},
        macros={},
        docs={},
        disabled={},
        env_vars={},
    )
    with pytest.raises(UsageError, match=rf"nothing was written(.|\n)*{said}"):
        check_isolation(manifest, [node], "dbt_build_7", "ci")
    check_isolation(manifest, [replace(node, writes=False)], "dbt_build_7", "ci")
