"""What dbt reads is known in every layout: outside of the project, behind links, in packages beside or around it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from pytest_dbtci.errors import UsageError
from pytest_dbtci.git.repository import Repository
from pytest_dbtci.planning.installed import check_installed
from pytest_dbtci.project.project import read_project
from tests.support.layouts import (
    AT_ROOT,
    BASE,
    IGNORED,
    IN_KIT,
    KIT,
    LARGE,
    LAYOUTS,
    LINKED_KIT,
    OUTSIDE,
    PLAIN_KIT,
    PROJECT,
    SHARED,
    THRICE,
    TWICE,
    Layout,
    changed_clone,
    layout_bench,
)
from tests.support.planning_bench import Bench, Planned, bench
from tests.support.repositories import Files, commit, git, repository, write


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A bench whose host serves all repositories here."""
    with bench(tmp_path_factory.mktemp("layouts"), {"README.md": ""}, "dbt") as found:
        found.host.curious = False
        yield found


@pytest.fixture
def plan(made: Bench, tmp_path: Path) -> Callable[[Layout], Planned]:
    return lambda layout: layout_bench(made, tmp_path, layout).plan(changed_clone(tmp_path, layout), cached=False)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_change_of_what_dbt_reads_is_seen_wherever_it_lies(plan: Callable[[Layout], Planned], layout: Layout) -> None:
    planned = plan(layout)
    assert {name: reason.text for name, reason in planned.roots.items()} == layout.roots
    assert all(reason.files for reason in planned.roots.values()), "every reason names a changed file"
    effects = {c.path: planned.effect(c.path) for c in planned.plan.changes}
    assert effects == {path: layout.effects.get(path, "selected") for path in effects}


@pytest.mark.parametrize(
    ("files", "inside", "installed", "path"),
    [
        (OUTSIDE, "dbt", {}, "README.md"),
        (OUTSIDE, "dbt", {}, "dbt/README.md"),
        (OUTSIDE, "dbt", {}, "commons/twice.sql"),
        (AT_ROOT, "t", {"t/dbt_packages/kit": "../.."}, "README.md"),
        (AT_ROOT, "t", {"t/dbt_packages/kit": "../.."}, ".github/workflows/ci.yml"),
        (IN_KIT, "dbt", LINKED_KIT, "kit/README.md"),
        (SHARED, "dbt", {}, "shared/deep/day.sql"),
    ],
)
def test_what_is_known_to_be_outside_needs_no_dbt(
    plan: Callable[[Layout], Planned], files: Files, inside: str, installed: Mapping[str, str], path: str
) -> None:
    layout = Layout(name="", files=files, inside=inside, installed=installed, edits={path: "# new\n"})
    planned = plan(layout)
    assert planned.plan.status.startswith("nothing that dbt reads changed")
    assert planned.asked == ()


def test_the_base_reads_outside_of_the_repository_what_the_branch_does(made: Bench, tmp_path: Path) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside/twice.sql").write_text(TWICE)
    layout = Layout(
        name="",
        files={**BASE, "dbt/dbt_project.yml": f"{PROJECT}macro-paths: [../../beside]\n"},
        edits={"dbt/models/other.sql": "select 2 as n\n"},
    )
    planned = layout_bench(made, tmp_path, layout).plan(changed_clone(tmp_path, layout), cached=False)
    assert planned.roots.keys() == {"other"}


def test_an_absolute_path_into_the_repository_is_refused_where_its_files_changed(made: Bench, tmp_path: Path) -> None:
    files = {**OUTSIDE, "dbt/dbt_project.yml": f"{PROJECT}macro-paths: ['{tmp_path}/clone/common']\n"}
    layout = Layout(name="", files=files, edits={"common/twice.sql": THRICE})
    found = layout_bench(made, tmp_path, layout)
    with pytest.raises(UsageError, match=r"by an absolute path.*its own version of common/twice\.sql"):
        found.plan(changed_clone(tmp_path, layout), cached=False)


def test_a_package_exchanged_for_one_with_another_hook_can_affect_everything(made: Bench, tmp_path: Path) -> None:
    """Its files lie outside of the repository, as an installed package's do, so no path of its own has changed."""
    for name in ("old", "new"):
        write(tmp_path / name, {**PLAIN_KIT, "dbt_project.yml": f"name: kit\non-run-end: \"select '{name}'\"\n"})
    packages = "packages:\n  - local: {}\n"
    files = {**BASE, "dbt/macros/twice.sql": TWICE, "dbt/packages.yml": packages.format(tmp_path / "old")}
    layout = Layout(
        name="",
        files=files,
        edits={"dbt/packages.yml": packages.format(tmp_path / "new")},
        installed={"dbt/dbt_packages/kit": str(tmp_path / "new")},
    )
    planned = layout_bench(made, tmp_path, layout).plan(changed_clone(tmp_path, layout), cached=False)
    assert planned.roots.keys() == {"load", "after", "other", "days"}
    texts = {reason.text for reason in planned.roots.values()}
    assert texts == {"can be affected: on-run-start or on-run-end hooks changed"}
    assert planned.effect("dbt/packages.yml").startswith("everything")


def test_packages_that_a_local_package_names_count_too(made: Bench, tmp_path: Path) -> None:
    for name in ("old", "new"):
        macro = f"{{% macro deep() %}}'{name}'{{% endmacro %}}\n"
        model = f"select '{name}' as name\n"
        write(tmp_path / name, {"dbt_project.yml": "name: deep\n", "macros/deep.sql": macro, "models/low.sql": model})
    packages = "packages:\n  - local: {}\n"
    files = {**AT_ROOT, "packages.yml": packages.format(tmp_path / "old")}
    files |= {"t/models/load.sql": "select {{ deep.deep() }} as n\n"}
    # As many as are installed: dbt-core 1.12 itself refuses another number.
    files[".gitignore"] = IGNORED.replace("package-lock.yml\n", "")
    files["t/package-lock.yml"] = "packages:\n  - {local: ../, name: kit}\n  - {local: deep, name: deep}\n"
    layout = Layout(
        name="",
        files=files,
        inside="t",
        edits={
            "packages.yml": packages.format(tmp_path / "new"),
            "macros/twice.sql": THRICE,
            "t/dbt_project.yml": f"{PROJECT}flags: {{use_colors: false}}\n",
        },
        installed={"t/dbt_packages/kit": "../..", "t/dbt_packages/deep": str(tmp_path / "new")},
    )
    planned = layout_bench(made, tmp_path, layout).plan(changed_clone(tmp_path, layout), cached=False)
    assert {name: str(reason) for name, reason in planned.roots.items()} == {
        "load": "modified: macro deep (packages.yml)",
        "low": "modified: body (packages.yml)",
    }
    assert planned.effect("packages.yml") == "selected"


def test_a_kept_base_is_not_believed_where_only_a_folder_outside_is_another(made: Bench, tmp_path: Path) -> None:
    layout = Layout(name="", files=OUTSIDE, edits={"dbt/models/other.sql": "select 2 as n\n"})
    found = layout_bench(made, tmp_path, layout)
    first = found.plan(changed_clone(tmp_path, layout))
    git(tmp_path / "origin", "checkout", "-q", "master")
    commit(tmp_path / "origin", {"common/twice.sql": THRICE})
    shutil.rmtree(tmp_path / "clone")
    second = found.plan(changed_clone(tmp_path, layout))
    assert first.told[0] == second.told[0] == "base: parsed"
    assert second.roots.keys() == {"other"}


@pytest.mark.slow
def test_what_a_changed_gitattributes_checks_out_otherwise_is_changed_by_it(made: Bench, tmp_path: Path) -> None:
    files: Files = {
        **{**BASE, "dbt/macros/twice.sql": TWICE.replace("(", "(\n"), "dbt/seeds/steps.csv": LARGE},
        **{
            "data/dogs.csv": "id\n1\n",
            "dbt/README.md": "# Dogs\n",
            "dbt/models/dogs.sql": "select id from read_csv('data/dogs.csv')\n",
        },
    }
    found = layout_bench(made, tmp_path, Layout(name="", files=files))
    place = found.clone({".gitattributes": "*.[cs]* text eol=crlf\n", "dbt/.gitattributes": "*.md text eol=crlf\n"})
    assert found.plan(place).plan.status.startswith("nothing that dbt reads changed")

    for name in git(place, "ls-files").splitlines():
        (place / name).unlink()
    git(place, "checkout", "--", ".")
    planned = found.plan(place)
    assert {name: str(reason) for name, reason in planned.roots.items()} == {
        "load": "modified: macro twice (.gitattributes)",
        "steps": "affected: content (.gitattributes)",
        "dogs": "affected: reads dogs.csv (.gitattributes)",
    }
    assert planned.effect(".gitattributes") == "selected"
    assert planned.effect("dbt/.gitattributes") == (
        "none: checked out otherwise by it, and nothing that is built differs: dbt/README.md"
    )

    git(tmp_path / "origin", "checkout", "-q", "master")
    commit(tmp_path / "origin", {".gitattributes": "* text eol=crlf\n"})
    same = found.plan(found.clone({"dbt/models/other.sql": "select\n2 as n\n"}))
    assert same.told[0] == "base: parsed", "one that was checked out otherwise is not believed"
    assert same.roots.keys() == {"other"}


@pytest.mark.slow
def test_line_endings_that_git_stores_alike_are_no_change(made: Bench, tmp_path: Path) -> None:
    """Of a file that has changed, too: the macro that stands beside a changed one is the same."""
    twice = TWICE.replace("(", "(\n")
    macros = twice + "{% macro once(c) %}(\n{{ c }}){% endmacro %}\n"
    other = "select\n{{ once('1') }} as n\n"
    files = {**BASE, "dbt/macros/all.sql": macros, "dbt/models/other.sql": other, "dbt/seeds/steps.csv": "id\n1\n"}
    found = layout_bench(made, tmp_path, Layout(name="", files=files))
    place = found.clone({"dbt/macros/all.sql": macros.replace("2", "3")})
    git(place, "config", "core.autocrlf", "true")
    for ending in (b"\n", b"\r\n"):
        for name in git(place, "ls-files").splitlines():
            (place / name).write_bytes((place / name).read_bytes().replace(b"\r\n", b"\n").replace(b"\n", ending))
        planned = found.plan(place)
        assert planned.told[0] == "base: parsed", "one that has other line endings than the disk is not believed"
        assert planned.roots.keys() == {"load"}
    assert found.plan(place).told[0] == "base: cached"


Refusal = Callable[[Layout, Callable[[Path], object]], str]


class TestInstalledPackages:
    """What is installed is what the branch names, or nothing is planned."""

    COPY: ClassVar[Layout] = Layout(
        name="", files=IN_KIT, installed=LINKED_KIT, copied=True, edits={"kit/README.md": "#\n", "kit/new.sql": ""}
    )

    @pytest.fixture
    def refusal(self, made: Bench, tmp_path: Path) -> Refusal:
        def plan(layout: Layout, change: Callable[[Path], object]) -> str:
            found, place = layout_bench(made, tmp_path, layout), changed_clone(tmp_path, layout)
            change(place)
            with pytest.raises(UsageError, match="Run `dbt deps`") as refused:
                found.plan(place, cached=False)
            return str(refused.value).split(":")[0]

        return plan

    @pytest.mark.parametrize(
        ("edits", "file"),
        [
            ({"kit/macros/twice.sql": THRICE}, "macros/twice.sql"),
            ({"kit/dbt_project.yml": "name: kit\nvars: {a: 1}\n"}, "dbt_project.yml"),
            ({"kit/models/more.sql": "select 1 as n\n"}, "models/more.sql"),
            ({"kit/models/days.sql": None}, "models/days.sql"),
            ({"kit/models/days.py": "def model(dbt, session): ...\n"}, "models/days.py"),
        ],
    )
    def test_a_copy_that_is_older_than_its_source_is_refused(self, refusal: Refusal, edits: Files, file: str) -> None:
        said = refusal(self.COPY, lambda place: commit(place, edits))
        assert said == f"dbt/dbt_packages/kit is a copy of a local package from which it differs in {file}"

    def test_a_link_to_where_the_package_was_is_refused(self, refusal: Refusal) -> None:
        moved = {path.replace("kit/", "new/", 1): text for path, text in KIT.items() if path.startswith("kit/")}
        edits = {**moved, "new/macros/twice.sql": THRICE, "dbt/packages.yml": "packages:\n  - local: ../new\n"}
        said = refusal(replace(self.COPY, copied=False), lambda place: commit(place, edits))
        assert said == "dbt/dbt_packages/kit is a copy of a local package from which it differs in macros/twice.sql"

    def test_a_package_of_which_another_is_installed_in_its_place_is_refused(self, refusal: Refusal) -> None:
        edits = {"tools/dbt_project.yml": "name: tools\n", "dbt/packages.yml": "packages:\n  - local: ../tools\n"}
        said = refusal(replace(self.COPY, copied=False), lambda place: commit(place, edits))
        assert said == "the local package tools is not installed in dbt_packages"

    @pytest.mark.parametrize(
        ("lock", "said"),
        [
            (
                "packages:\n  - {name: kit, package: x/kit, version: 1.1.0}\n",
                "package-lock.yml names version 1.1.0 of the package kit, and 1.0.0 is installed",
            ),
            (
                # As many as are installed: dbt-core 1.12 itself refuses another number.
                "packages:\n  - {name: tool, package: x/tool, version: 1.0.0}\n",
                "package-lock.yml does not name the package kit any more, and it is still installed",
            ),
        ],
    )
    def test_what_only_the_base_s_lock_names_is_refused(self, refusal: Refusal, lock: str, said: str) -> None:
        def install(place: Path) -> None:
            (place / "dbt/dbt_packages/kit").mkdir(parents=True)
            (place / "dbt/dbt_packages/kit/dbt_project.yml").write_text("{name: kit, version: 1.0.0}\n")

        then = "packages:\n  - {name: kit, package: x/kit, version: 1.0.0}\n"
        files = {**SHARED, ".gitignore": "dbt_packages/\n", "dbt/package-lock.yml": then}
        assert refusal(Layout(name="", files=files, edits={"dbt/package-lock.yml": lock}), install) == said

    def test_another_commit_than_the_lock_names_is_refused(self, refusal: Refusal) -> None:
        def install(place: Path) -> None:
            repository(place / "dbt/dbt_packages/kit", {"dbt_project.yml": "name: kit\n"})

        lock = f"packages:\n  - {{name: kit, git: x, revision: {'a' * 40}}}\n"
        files = {**SHARED, ".gitignore": "dbt_packages/\n", "dbt/package-lock.yml": lock}
        said = refusal(Layout(name="", files=files, edits={"dbt/models/other.sql": "select 2 as n\n"}), install)
        assert said.startswith("package-lock.yml names commit aaaaaaaaaa of the package kit, and ")

    def test_of_a_subdirectory_it_is_noted_that_its_commit_is_not_known(self, tmp_path: Path) -> None:
        lock = "packages:\n  - {name: kit, git: x, revision: %s, subdirectory: kit}\n"
        then = {**SHARED, ".gitignore": "dbt_packages/\n", "dbt/package-lock.yml": lock % ("a" * 40)}
        place = repository(tmp_path / "clone", then)
        commit(place, {"dbt/package-lock.yml": lock % ("b" * 40)})
        write(place / "dbt/dbt_packages/kit", {"dbt_project.yml": "name: kit\n"})
        project = replace(read_project(place / "dbt", place), changed=frozenset({"dbt/package-lock.yml"}))
        (note,) = check_installed(project, Repository(place), git(place, "rev-parse", "HEAD^"), tmp_path / "work")
        assert note.startswith("package-lock.yml names another commit of the package kit than the base's, and what is")

    @pytest.mark.parametrize(
        ("lock", "said"),
        [
            (
                {"dbt/package-lock.yml": f"packages: []\nsha1_hash: {'a' * 40}\n"},
                "package-lock.yml was made from another packages.yml than this one, and what is installed follows "
                "the lock",
            ),
            ({}, "packages.yml changed, and there is no package-lock.yml to say what is installed of kit"),
        ],
    )
    def test_a_package_that_was_not_installed_since_it_was_named_anew(
        self, refusal: Refusal, lock: Files, said: str
    ) -> None:
        def install(place: Path) -> None:
            write(place / "dbt/dbt_packages/kit", {"dbt_project.yml": "name: kit\n"})

        named = "packages:\n  - {git: https://example.com/kit.git, revision: 1.%d.0}\n"
        files = {**SHARED, ".gitignore": "dbt_packages/\n", **lock, "dbt/packages.yml": named % 0}
        assert refusal(Layout(name="", files=files, edits={"dbt/packages.yml": named % 1}), install) == said


class TestSparseCheckout:
    """What is left out of the work tree is said, and is an error where it changed."""

    FILES: ClassVar[Files] = {**BASE, "dbt/macros/twice.sql": TWICE, "dbt/models/late/x.sql": "select 1 as n\n"}

    def plan(self, made: Bench, tmp_path: Path, edits: Files) -> Planned:
        layout = Layout(name="", files={**self.FILES, "docs/a.md": "#\n"}, edits=edits)
        found, place = layout_bench(made, tmp_path, layout), changed_clone(tmp_path, layout)
        git(place, "sparse-checkout", "set", "--no-cone", "/*", "!/dbt/models/late", "!/docs")
        assert not (place / "dbt/models/late").exists()
        return found.plan(place, cached=False)

    def test_is_noted_as_far_as_dbt_reads_it(self, made: Bench, tmp_path: Path) -> None:
        planned = self.plan(made, tmp_path, {"dbt/models/other.sql": "select 2 as n\n"})
        assert planned.roots.keys() == {"other"}
        left = "1 file that dbt reads (dbt/models/late/x.sql)"
        assert planned.plan.notes == (f"this sparse checkout leaves out {left}: what they define is not there for dbt",)

    def test_is_refused_where_it_changed(self, made: Bench, tmp_path: Path) -> None:
        edits = {"dbt/models/other.sql": "select 2 as n\n", "dbt/models/late/x.sql": "select 2 as n\n"}
        with pytest.raises(UsageError, match=r"late/x\.sql changed, and .*`git sparse-checkout add dbt/models/late`"):
            self.plan(made, tmp_path, edits)


class TestGenerated:
    """Models that a step of the job writes, and that git ignores."""

    FILES: ClassVar[Files] = {**BASE, ".gitignore": f"{IGNORED}made/\n", "dbt/macros/twice.sql": TWICE}

    def test_are_new_because_no_commit_has_them(self, made: Bench, tmp_path: Path) -> None:
        layout = Layout(name="", files=self.FILES, edits={"dbt/models/other.sql": "select 2 as n\n"})
        found, place = layout_bench(made, tmp_path, layout), changed_clone(tmp_path, layout)
        (place / "dbt/models/made").mkdir()
        (place / "dbt/models/made/made.sql").write_text("select 1 as n\n")
        roots = found.plan(place, cached=False).roots
        assert roots["made"].text == "new: git ignores its file, so no commit has it"
        assert roots["made"].files == ("dbt/models/made/made.sql",)

    def test_are_named_where_the_base_can_t_be_parsed_without_them(self, made: Bench, tmp_path: Path) -> None:
        files = {**self.FILES, "dbt/models/user.sql": "select * from {{ ref('made') }}\n"}
        layout = Layout(name="", files=files, edits={"dbt/models/other.sql": "select 2 as n\n"})
        found, place = layout_bench(made, tmp_path, layout), changed_clone(tmp_path, layout)
        (place / "dbt/models/made").mkdir()
        (place / "dbt/models/made/made.sql").write_text("select 1 as n\n")
        with pytest.raises(UsageError, match=r"git ignores dbt/models/made/made\.sql, which dbt reads"):
            found.plan(place, cached=False)
