"""The names of schemas: safe, and different for every pull request of every project of every repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_dbtci.errors import UsageError
from pytest_dbtci.project.project import read_project
from pytest_dbtci.project.siblings import project_identity, siblings
from pytest_dbtci.schemas.names import DEFAULT, schema_name, templates
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
