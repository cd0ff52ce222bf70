"""What counts as changed in a work tree: its files, whatever git was told of them, and those of submodules."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pytest_dbtci.git.repository import Repository
from tests.support.git_changes import added, changes, deleted, modified, renamed
from tests.support.repositories import BASE, commit, git, repository, write

MODEL = "models/fact_dogs.sql"


def test_committed_staged_unstaged_and_untracked_files_count(project: Path) -> None:
    commit(project, {"models/committed.sql": "select 1\n"})
    write(project, {"models/staged.sql": "select 2\n"})
    git(project, "add", "models/staged.sql")
    write(project, {MODEL: "select 3\n", "models/new folder/untracked.sql": "select 4\n"})
    (project / "models/dim_dog.sql").unlink()
    assert changes(project) == [
        added("models/committed.sql"),
        deleted("models/dim_dog.sql"),
        modified(MODEL),
        added("models/new folder/untracked.sql"),
        added("models/staged.sql"),
    ]


def test_ignored_files_don_t_count_unless_they_are_tracked(project: Path) -> None:
    git(project, "checkout", "-q", "master")
    commit(project, {".gitignore": "target/\n*.log\n", "models/kept.sql": "1\n"})
    git(project, "checkout", "-q", "-B", "feature")
    write(project, {"target/manifest.json": "{}", "dbt.log": "x", "tracked.log": "x"})
    git(project, "add", "--force", "tracked.log")
    assert changes(project) == [added("tracked.log")]


def test_a_change_that_is_taken_back_in_the_work_tree_is_none(project: Path) -> None:
    commit(project, {MODEL: "select 9\n"})
    write(project, BASE)
    assert changes(project) == []


def test_a_file_touched_without_a_change_is_none(project: Path) -> None:
    os.utime(project / MODEL, (1, 1))
    index = (project / ".git/index").read_bytes()
    assert changes(project) == []
    assert (project / ".git/index").read_bytes() == index, "the user's index isn't even refreshed"


def test_a_copied_clone_whose_index_is_older_than_its_files_tells_the_same(project: Path, tmp_path: Path) -> None:
    # No file is deleted: looking for its new name, git would read the others.
    commit(project, {"models/new.sql": "select 1\n", MODEL: "select 2\n"})
    write(project, {"models/dim_cat.sql": ""})
    git(project, "add", "-A")
    before = changes(project)
    shutil.copytree(project, tmp_path / "copy")
    for path in (tmp_path / "copy/models").iterdir():
        os.utime(path, (1, 1))
    assert changes(tmp_path / "copy") == before
    assert [change.status for change in before] == ["added", "modified", "added"]


@pytest.mark.parametrize("bit", ["assume-unchanged", "skip-worktree"])
@pytest.mark.parametrize("split", ["true", "false"])
def test_what_git_was_told_to_overlook_counts(bit: str, split: str, project: Path) -> None:
    git(project, "config", "core.splitIndex", split)
    git(project, "update-index", f"--{bit}", MODEL, "models/dim_dog.sql")
    before = sorted(p.name for p in (project / ".git").iterdir())
    assert changes(project) == []
    write(project, {MODEL: "select 666\n"})
    assert changes(project) == [modified(MODEL)]
    assert git(project, "ls-files", "-v", MODEL)[0] in "hS", "the user's own index stays as it is"
    assert sorted(p.name for p in (project / ".git").iterdir()) == before


def test_a_file_that_git_was_told_not_to_look_for_is_deleted_where_it_is_gone(project: Path) -> None:
    git(project, "update-index", "--assume-unchanged", MODEL)
    (project / MODEL).unlink()
    assert changes(project) == [deleted(MODEL)]


def test_changes_since_on_the_target_branch_are_not_the_branch_s(project: Path) -> None:
    commit(project, {"models/mine.sql": "select 1\n"})
    git(project, "checkout", "-q", "master")
    commit(project, {"models/theirs.sql": "select 1\n"})
    git(project, "checkout", "-q", "feature")
    assert changes(project) == [added("models/mine.sql")]


@pytest.mark.parametrize(
    "name",
    [
        "with space.sql",
        "with'quote\".sql",
        "with\ttab.sql",
        "with\nnewline.sql",
        "åäö/hündin_犬.sql",
        "-dash.sql",
        ":(top)magic.sql",
        "*.sql",
        "#hash.sql",
        " lead.sql",
        "back\\slash.sql",
    ],
)
def test_any_file_name_is_told_as_it_is(name: str, project: Path, tmp_path: Path) -> None:
    commit(project, {f"models/{name}": "select 1\n"})
    write(project, {f"untracked/{name}": "select 2\n"})
    assert changes(project) == [added(f"models/{name}"), added(f"untracked/{name}")]
    repo = Repository.find(project)
    assert repo.tree("HEAD", f"models/{name}") == git(project, "hash-object", f"./models/{name}")
    repo.checkout("HEAD", tmp_path / "base", [f"models/{name}"])
    assert [path.name for path in (tmp_path / "base/models").rglob("*") if path.is_file()] == [Path(name).name]


def test_a_name_that_is_no_utf_8_can_still_be_opened(project: Path) -> None:
    raw = os.fsencode(project / "models") + b"/caf\xe9.sql"
    Path(os.fsdecode(raw)).write_text("select 1\n")
    commit(project, {})
    (change,) = changes(project)
    assert (project / change.path).read_text() == "select 1\n"


@pytest.mark.parametrize("staged", [True, False])
def test_a_renamed_file_is_renamed_when_git_knows_it(staged: bool, project: Path) -> None:
    if staged:
        git(project, "mv", MODEL, "models/facts.sql")
        assert changes(project) == [renamed(MODEL, "models/facts.sql")]
    else:
        (project / MODEL).rename(project / "models/facts.sql")
        assert changes(project) == [deleted(MODEL), added("models/facts.sql")]


def test_a_rename_that_changes_only_the_case_is_one(project: Path) -> None:
    git(project, "mv", MODEL, "models/Fact_Dogs.sql")
    commit(project, {})
    assert changes(project) == [renamed(MODEL, "models/Fact_Dogs.sql")]


def test_a_renamed_file_that_is_written_anew_is_modified(project: Path) -> None:
    git(project, "mv", MODEL, "models/facts.sql")
    write(project, {MODEL: "select 'anew'\n"})
    assert changes(project) == [modified(MODEL), added("models/facts.sql")]


def test_a_file_out_of_the_index_but_still_there_isn_t_deleted(project: Path) -> None:
    git(project, "rm", "-q", "--cached", MODEL)
    assert changes(project) == [modified(MODEL)]


def test_a_file_that_only_became_executable_is_unchanged(project: Path) -> None:
    (project / MODEL).chmod(0o755)
    assert changes(project) == []
    commit(project, {})
    git(project, "update-index", "--chmod=+x", MODEL)
    commit(project, {})
    assert changes(project) == []
    commit(project, {MODEL: "select 'more'\n"})
    assert changes(project) == [modified(MODEL)]


def test_a_file_that_became_a_link_is_modified(project: Path) -> None:
    (project / MODEL).unlink()
    (project / MODEL).symlink_to("dim_dog.sql")
    assert changes(project) == [modified(MODEL)]


@pytest.mark.parametrize("attributes", ["*.sql text=auto eol=crlf\n", "*.sql text\n", "* text=auto\n"])
def test_line_endings_of_the_checkout_are_no_change(attributes: str, tmp_path: Path) -> None:
    path = repository(tmp_path / "project", {".gitattributes": attributes, **BASE})
    write(path, {MODEL: "select 1 as dog_id\r\n"})
    assert changes(path) == []


def test_line_endings_that_git_keeps_are_a_change(project: Path) -> None:
    write(project, {MODEL: "select 1 as dog_id\r\n"})
    assert changes(project) == [modified(MODEL)]


def test_what_a_sparse_checkout_leaves_out_isn_t_deleted(tmp_path: Path) -> None:
    path = repository(tmp_path / "project", {"dbt/a.sql": "1\n", "other/b.sql": "1\n"})
    git(path, "checkout", "-q", "-b", "feature")
    commit(path, {"dbt/a.sql": "2\n", "other/c.sql": "1\n"})
    git(path, "sparse-checkout", "set", "dbt")
    assert not (path / "other").exists()
    assert changes(path) == [modified("dbt/a.sql"), added("other/c.sql")]


def test_a_conflict_that_isn_t_resolved_is_modified(project: Path) -> None:
    commit(project, {MODEL: "select 'mine'\n"})
    git(project, "checkout", "-q", "master")
    commit(project, {MODEL: "select 'theirs'\n"})
    git(project, "checkout", "-q", "feature")
    with pytest.raises(AssertionError, match=r"git \('merge', "):
        git(project, "merge", "-q", "master")
    assert changes(project) == [modified(MODEL)]


def test_the_user_s_own_diff_settings_change_nothing(project: Path) -> None:
    for setting in ("diff.noprefix=true", "diff.external=false", "diff.renames=false", "color.ui=always"):
        git(project, "config", *setting.split("="))
    for setting in ("diff.ignoreSubmodules=all", "status.showUntrackedFiles=no", "diff.relative=true"):
        git(project, "config", *setting.split("="))
    git(project, "mv", MODEL, "models/facts.sql")
    write(project, {"models/untracked.sql": "1\n"})
    assert changes(project) == [renamed(MODEL, "models/facts.sql"), added("models/untracked.sql")]
    assert not Repository.find(project).is_clean()


def test_no_hook_of_the_user_s_runs(project: Path, tmp_path: Path) -> None:
    for name in ("post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc"):
        hook = project / ".git/hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/called'\n")
        hook.chmod(0o755)
    changes(project)
    Repository.find(project).checkout("HEAD", tmp_path / "base")
    assert not (tmp_path / "called").exists()


class TestSubmodule:
    @pytest.fixture
    def package(self, project: Path, tmp_path: Path) -> Path:
        """The work tree of the submodule packages/dogs; master has it too."""
        repository(tmp_path / "dogs", {"macros/bark.sql": "1\n", "macros/sit.sql": "1\n"})
        git(project, "checkout", "-q", "master")
        git(project, "submodule", "--quiet", "add", str(tmp_path / "dogs"), "packages/dogs")
        commit(project, {}, "Add the package")
        git(project, "checkout", "-q", "-B", "feature")
        return project / "packages/dogs"

    def test_a_moved_submodule_stands_as_its_changed_files(self, project: Path, package: Path) -> None:
        commit(package, {"macros/bark.sql": "2\n", "macros/sit.sql": None})
        commit(project, {})
        write(package, {"macros/stay.sql": "draft\n"})
        assert changes(project) == [
            modified("packages/dogs/macros/bark.sql"),
            deleted("packages/dogs/macros/sit.sql"),
            added("packages/dogs/macros/stay.sql"),
        ]

    def test_an_edited_submodule_stands_as_its_changed_files(self, project: Path, package: Path) -> None:
        write(package, {"macros/bark.sql": "2\n"})
        assert changes(project) == [modified("packages/dogs/macros/bark.sql")]
        assert not Repository.find(project).is_clean()

    def test_a_new_submodule_stands_as_its_files(self, project: Path, package: Path) -> None:
        assert changes(project, base="master~1") == [
            added(".gitmodules"),
            added("packages/dogs/macros/bark.sql"),
            added("packages/dogs/macros/sit.sql"),
        ]

    def test_a_submodule_that_isn_t_checked_out_stands_as_itself(
        self, project: Path, package: Path, tmp_path: Path
    ) -> None:
        commit(package, {"macros/bark.sql": "2\n"})
        commit(project, {})
        git(tmp_path, "clone", "-q", str(project), "clone")
        assert changes(tmp_path / "clone", base="origin/master") == [modified("packages/dogs")]

    def test_a_submodule_without_the_base_s_commit_stands_as_itself(self, project: Path, package: Path) -> None:
        git(package, "checkout", "-q", "--orphan", "anew")
        commit(package, {"macros/roll.sql": "1\n"})
        commit(project, {})
        git(package, "branch", "-q", "-D", "master")
        git(package, "update-ref", "-d", "refs/remotes/origin/master")
        git(package, "symbolic-ref", "--delete", "refs/remotes/origin/HEAD")
        git(package, "reflog", "expire", "--all", "--expire=now")
        git(package, "gc", "-q", "--prune=now")
        assert changes(project) == [modified("packages/dogs")]

    def test_a_removed_submodule_is_deleted(self, project: Path, package: Path) -> None:
        git(project, "rm", "-q", "packages/dogs")
        assert deleted("packages/dogs") in changes(project)

    def test_a_submodule_at_another_path_is_renamed(self, project: Path, package: Path) -> None:
        git(project, "mv", "packages/dogs", "packages/hounds")
        write(project, {"models/new.sql": "1\n"})
        assert changes(project) == [
            modified(".gitmodules"),
            added("models/new.sql"),
            renamed("packages/dogs", "packages/hounds"),
        ]

    def test_another_repository_in_the_work_tree_stands_as_itself(self, project: Path) -> None:
        repository(project / "packages/loose")
        assert changes(project) == [added("packages/loose")]


def test_a_thousand_files_take_no_more_git_commands_than_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def commands(count: int) -> int:
        files = {f"models/m{n}.sql": f"select {n}\n" for n in range(count)}
        path = repository(tmp_path / f"project{count}", files)
        for name in files:
            (path / name).write_text("changed\n")
        trace = tmp_path / f"trace{count}"
        with monkeypatch.context() as patch:
            patch.setenv("GIT_TRACE", str(trace))
            assert len(changes(path)) == count
        return trace.read_text().count("trace: built-in: git")

    commands(2)  # the first in a process also asks for git's version
    assert 0 < commands(1000) == commands(1)
