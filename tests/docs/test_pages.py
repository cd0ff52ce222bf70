"""The README and the pages say what is so: options, links and make targets are the project's."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from pytest_dbtci.options import OPTIONS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("tests/**/*.md")]
)


def anchors(page: Path) -> set[str]:
    """Return the names of a page's headings, as GitHub and the site write them in links."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_options_page_is_what_the_code_declares(tmp_path: Path) -> None:
    copy = tmp_path / "conf.py"
    copy.write_text((ROOT / "docs/conf.py").read_text(encoding="utf-8"))
    runpy.run_path(str(copy))
    written = (tmp_path / "options.md").read_text(encoding="utf-8")
    assert written == (ROOT / "docs/options.md").read_text(encoding="utf-8"), "`make docs` writes it anew"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_of_the_project(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link} leads to no heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_pages_name_only_options_that_exist(page: Path) -> None:
    known = {option.flag for option in OPTIONS} | {"--dbt-ci"}
    named = set(re.findall(r"--dbt-ci(?:-[a-z]+)*", page.read_text(encoding="utf-8")))
    assert named <= known


def test_the_readme_is_one_that_a_newcomer_reads() -> None:
    assert len(re.sub(r"```.*?```", "", README, flags=re.DOTALL).split()) < 700


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_pages_name_only_make_targets_that_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"(?:`|^ {4})make ([a-z-]+)", text, flags=re.MULTILINE)) <= targets
