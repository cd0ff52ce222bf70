"""The reports are there whatever became of the run, and say how to have the same run on another machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_dbtci.options import OPTIONS
from pytest_dbtci.session.ci_reports import repeated
from pytest_dbtci.settings import Settings, read_settings
from tests.support.forge import open_forge
from tests.support.tiny_project import PROJECT, commit, make_tiny, write
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
    "compare": {"dbtci_defer_target": "prod"},
    **{name: {"dbtci_compare": "auto"} for name in ("known", *COMPARING)},
    **{name: {"dbtci_release": "prod"} for name in ("docs", "release-behind", "rehearse")},
    **{name: {"dbtci_sweep": "list"} for name in ("sweep-age", "sweep-pr")},
}
"""What an option goes with."""
MARKER = "<!-- dbt-ci project=tiny pr=7 -->"


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


def spoiled(project: Path, **changed: str) -> None:
    write(project, {"dbt_project.yml": PROJECT + changed.get("settings", "")})
    write(project, {"models/one.sql": changed.get("model", "select 2 as a\n")})
    commit(project, "spoil")


@pytest.mark.parametrize(
    ("provider", "args", "changed", "installed", "says"),
    [
        ("github", ("--dbt-ci-base=nope",), {}, "", ("The base 'nope' is no branch", "Change --dbt-ci-base")),
        ("azure", (), {"settings": "vars: [a\n"}, "", ("dbt_project.yml", "valid YAML: expected ',' or ']'")),
        ("gitlab", (), {}, "dbt-core 2.0.0", ("dbt v2 is installed here", "pip install")),
        ("github", ("--dbt-ci-target=nope",), {}, "", ("'nope'", "it has: ci, prod")),
        pytest.param(
            *("azure", (), {"model": "select * from {{ ref('nobody') }}\n"}, ""),
            ("can't parse the project", "models/one.sql", "nobody"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "gitlab",
            (),
            {},
            "broken",
            ("the plan could not be made: dbt can't be imported: ImportError: this dbt is broken", "install dbt-core"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["no base", "broken project file", "dbt v2", "wrong target", "parse error", "dbt not importable"],
)
def test_a_run_without_a_plan_takes_the_place_of_an_earlier_green_comment(
    provider: str, args: tuple[str, ...], changed: dict[str, str], installed: str, says: tuple[str, ...], tmp_path: Path
) -> None:
    project, site = make_tiny(tmp_path / "repo"), tmp_path / "site"
    spoiled(project, **changed)
    write(site, {"dbt/__init__.py": "raise ImportError('this dbt is broken')\n"} if installed else {})
    if " " in installed:
        name, version = installed.split()
        info = f"{name.replace('-', '_')}-{version}.dist-info/METADATA"
        write(site, {info: f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"})
    with open_forge(provider) as forge:
        forge.texts[1] = f"{MARKER}\n## ✅ dbt: 9 passed\n"
        run = validate(project, "--dbt-ci-comment", *args, PYTHONPATH=str(site), **forge.environ)
    assert run.code in (1, 4), run.output
    (text,) = forge.texts.values()
    assert text.startswith(f"{MARKER}\n## ❌ dbt: nothing was built"), run.output
    assert "✅" not in text
    assert "besides dbt's nodes" not in text, "there is one cause, and it is told"
    for words in says:
        assert words in text
    assert "Traceback" not in text
    assert [c.outcome for c in run.cases.values()] == ["error"]


CONFIGURES = "def pytest_configure():\n    raise RuntimeError('a plugin broke')\n"


@pytest.mark.parametrize(
    ("args", "spoil", "code", "says"),
    [
        (("--dbt-ci-keep-schema=maybe",), {}, 4, "choose one of never, failed, always"),
        ((), {"conftest.py": "import nobody\n"}, 4, "No module named 'nobody' (from "),
        ((), {"conftest.py": CONFIGURES}, 3, "RuntimeError: a plugin broke"),
        ((), {"dbt_project.yml": None}, 4, "there is no dbt_project.yml in"),
        pytest.param(("--dbt-ci-keep-shcema=always",), {}, 4, "mean --dbt-ci-keep-schema?", marks=pytest.mark.slow),
        pytest.param(("--nope",), {}, 4, "unrecognized arguments: --nope", marks=pytest.mark.slow),
        pytest.param(("-o", "dbt_ci_comment=yess"), {}, 4, "write true or false", marks=pytest.mark.slow),
    ],
    ids=["option", "conftest", "plugin", "no project", "misspelt option", "pytest's option", "the comment's option"],
)
def test_what_ends_pytest_before_it_begins_takes_the_place_of_an_earlier_green_comment(
    args: tuple[str, ...], spoil: dict[str, str | None], code: int, says: str, tmp_path: Path
) -> None:
    project = make_tiny(tmp_path / "repo")
    write(project, spoil)
    comment = () if "dbt_ci_comment=yess" in args else ("--dbt-ci-comment",)
    with open_forge("github") as forge:
        forge.texts[1] = f"{MARKER}\n## ✅ dbt: 9 passed\n"
        run = validate(project, *comment, "--dbt-ci-summary=s.md", *args, **forge.environ)
    assert run.code == code, run.output
    (text,) = forge.texts.values()
    assert text.startswith(f"{MARKER}\n## ❌ dbt: nothing was built"), run.output
    assert says in text
    assert run.output.count("dbt-ci: comment at ") == 1, run.output
    assert says in (project / "s.md").read_text()
    assert "Traceback" not in text


def test_a_comment_stays_where_it_is_not_known_which_projects_it_is(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    write(project, {"other/dbt_project.yml": "name: other\nprofile: tiny\n"})
    commit(project, "another project")
    with open_forge("github") as forge:
        forge.texts[1] = old = f"{MARKER}\n## ✅ dbt: 9 passed\n"
        run = validate(project, "--dbt-ci-comment", "--dbt-ci-project-dir=third", **forge.environ)
    assert (run.code, forge.texts) == (4, {1: old})
    assert "dbt-ci: an earlier run's comment may be out of date, as it is not known which project's it is" in run.output


RED = """\
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    session.exitstatus = 7
"""
BROKEN = """\
def pytest_runtest_logfinish():
    raise RuntimeError("a plugin broke")
"""


@pytest.mark.parametrize(
    ("conftest", "code", "says"),
    [(RED, 7, "exit code 7"), (BROKEN, 3, "exit code 3")],
    ids=["another plugin's verdict", "internal error"],
)
def test_no_comment_is_green_on_a_red_run(conftest: str, code: int, says: str, tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    write(project, {"conftest.py": conftest, "models/one.sql": "select 1 as a\n"})
    with open_forge("github") as forge:
        forge.texts[1] = f"{MARKER}\n## ✅ dbt: 9 passed\n"
        args = ("--dbt-ci-comment", "--dbt-ci-summary=/dev/null/s.md")
        run = validate(project, *args, **forge.environ)
    assert run.code == code, run.output
    (text,) = forge.texts.values()
    assert "## ❌ dbt: " in text, run.output
    assert says in text


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
