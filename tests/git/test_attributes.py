"""A changed .gitattributes counts where the files that it rules are other ones on the disk, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_dbtci.git.repository import Comparison, Repository
from tests.support.repositories import Files, git, repository, write

MODEL = "models/dog.sql"
STEPS = "seeds/steps.csv"
BASE: Files = {"README.md": "# Dogs\n", MODEL: "select\n  1 as dog_id\n", STEPS: "id\n1\n"}
WINDOWS = "*.sql text eol=crlf\n"


def _compare(path: Path, edits: Files, *again: str) -> Comparison:
    """Change the files, with those named checked out again, and compare with the first commit."""
    write(path, edits)
    git(path, "add", "-A", "--", *edits)
    git(path, "commit", "-q", "-m", "Change")
    for name in again:
        (path / name).unlink()
    git(path, "checkout", "--", ".")
    return Repository.find(path).compare(base="HEAD^", target=None, provider_base=None, provider_head=None)


@pytest.mark.parametrize(
    ("before", "edits", "rules"),
    [
        ({}, {".gitattributes": WINDOWS}, (".gitattributes",)),
        (
            {},
            {"models/.gitattributes": "*.sql working-tree-encoding=UTF-16\n", ".gitattributes": "*.md text\n"},
            ("models/.gitattributes",),
        ),
        ({".gitattributes": WINDOWS}, {".gitattributes": None}, (".gitattributes",)),
        (
            {".gitattributes": WINDOWS},
            {".gitattributes": None, "models/.gitattributes": "* text eol=lf\n"},
            (".gitattributes", "models/.gitattributes"),
        ),
    ],
    ids=["added", "in a folder", "removed", "moved"],
)
def test_names_what_is_checked_out_otherwise(
    before: Files, edits: Files, rules: tuple[str, ...], tmp_path: Path
) -> None:
    path = repository(tmp_path / "project", {**BASE, **before})
    compared = _compare(path, edits, MODEL, STEPS)
    assert compared.attributed == {MODEL: rules}
    assert {c.path for c in compared.changes} == edits.keys()


@pytest.mark.parametrize("attributes", [WINDOWS, "*.md text eol=crlf\n", "* export-ignore diff=sql -merge\n"])
def test_a_file_that_is_the_same_on_the_disk_is_left_out(attributes: str, tmp_path: Path) -> None:
    path = repository(tmp_path / "project", BASE)
    assert _compare(path, {".gitattributes": attributes}).attributed == {}


def test_a_file_that_changed_by_itself_too_stands_as_such(tmp_path: Path) -> None:
    path = repository(tmp_path / "project", BASE)
    compared = _compare(path, {".gitattributes": WINDOWS, MODEL: "select\n  2 as dog_id\n"}, MODEL)
    assert {c.path: c.exact for c in compared.changes} == {".gitattributes": False, MODEL: False}
    assert compared.attributed == {}


def test_a_file_that_git_only_stores_otherwise_has_the_same_content(tmp_path: Path) -> None:
    path = repository(tmp_path / "project", BASE)
    git(path, "config", "filter.lfs.clean", "tr 0-9a-z a-z0-9")
    git(path, "config", "filter.lfs.smudge", "tr a-z0-9 0-9a-z")
    compared = _compare(path, {".gitattributes": "*.csv filter=lfs\n", STEPS: "id\n1\n"}, STEPS)
    assert (path / STEPS).read_text() == BASE[STEPS]
    assert git(path, "show", f"HEAD:{STEPS}") != "id\n1"
    assert {c.path: c.exact for c in compared.changes} == {".gitattributes": False, STEPS: True}


def test_a_submodule_s_own_rules_count_in_it(tmp_path: Path) -> None:
    inner = repository(tmp_path / "inner", BASE, branch="main")
    path = repository(tmp_path / "project", {"README.md": "# Dogs\n"})
    git(path, "submodule", "--quiet", "add", str(inner), "dbt")
    git(path, "commit", "-q", "-m", "Submodule")
    _compare(path / "dbt", {".gitattributes": WINDOWS}, MODEL, STEPS)
    git(path, "commit", "-q", "-a", "-m", "Bump")
    compared = Repository.find(path).compare(base="HEAD^", target=None, provider_base=None, provider_head=None)
    assert compared.attributed == {f"dbt/{MODEL}": ("dbt/.gitattributes",)}
    assert [c.path for c in compared.changes] == ["dbt/.gitattributes"]
