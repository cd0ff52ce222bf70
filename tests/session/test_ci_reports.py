"""The reports are there whatever became of the run, and say how to have the same run on another machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_dbtci.options import OPTIONS
from pytest_dbtci.session.ci_reports import repeated
from pytest_dbtci.settings import Settings, read_settings
from tests.support.tiny_project import make_tiny
from tests.support.validation import validate

NOT_REPEATED = {
    *("profiles-dir", "target", "base", "defer-target", "pr", "schema", "keep-schema", "threads"),
    *("compare-budget", "compare-values", "show-rows", "summary", "report", "comment", "timings"),
    *("release", "release-behind", "rehearse", "docs", "sweep", "sweep-age", "sweep-pr"),
    *("reuse-age", "fresh"),
}
"""What the summary says by itself, what belongs to the machine or to another kind of run, and what only shows more."""
COMPARING = [option.name for option in OPTIONS if option.name.startswith("compare-")]
NEEDS = {
    **{name: {"dbtci_compare": "auto"} for name in ("known", *COMPARING)},
    **{name: {"dbtci_release": "prod"} for name in ("docs", "release-behind", "rehearse")},
    **{name: {"dbtci_sweep": "list"} for name in ("sweep-age", "sweep-pr")},
}
"""What an option goes with."""


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("--dbt-ci-base=nope",), 4, "The base 'nope' is no branch, tag or commit"),
        (("-p", "no:terminal", "--collect-only"), 0, "modified"),
    ],
    ids=["no plan", "no terminal"],
)
def test_writes_summary_and_page(args: tuple[str, ...], code: int, says: str, tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    run = validate(project, "--dbt-ci-pr=7", "--dbt-ci-summary=s.md", "--dbt-ci-report=r.html", *args)
    assert run.code == code, run.output
    assert says in (project / "s.md").read_text()
    assert says in (project / "r.html").read_text().replace("\\u0027", "'")


def test_the_command_for_another_machine_has_every_option_that_changes_what_is_found() -> None:
    assert {option.name for option in OPTIONS} > NOT_REPEATED
    for option in OPTIONS:
        value = {"flag": "true", "number": "1000", "choice": option.choices[-1:] and option.choices[-1]}.get(
            option.kind, "1d" if option.metavar == "AGE" else "x"
        )
        given = {option.dest: value} | NEEDS.get(option.name, {})
        settings = read_settings(given.get, lambda name: None, rootdir=Path("/"), invocation_dir=Path("/"))
        said = [a for a in repeated(settings) if a.partition("=")[0] == option.flag]
        assert bool(said) == (option.name not in NOT_REPEATED), option.name
    assert repeated(Settings(rootdir=Path("/"), invocation_dir=Path("/"))) == []
