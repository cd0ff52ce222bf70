"""What the repository says about itself, wherever git is called from."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_dbtci.errors import DbtCiError, UsageError
from pytest_dbtci.git.repository import Repository
from tests.support.git_changes import added, changes, modified
from tests.support.repositories import commit, git, repository, write

MODEL = "models/fact_dogs.sql"


class TestHooks:
    """The environment that git gives to a hook names another index or directory than ours."""

    SCRIPT = """
import json, pathlib, sys
from pytest_dbtci.git.repository import Repository
repository = Repository.find(pathlib.Path(sys.argv[1]))
found = repository.compare(base="master", target=None, provider_base=None, provider_head=None)
answer = [str(repository.root), [change.path for change in found.changes]]
pathlib.Path(sys.argv[2]).write_text(json.dumps(answer))
"""

    def hook(self, git_dir: Path, name: str, looks_at: Path, answer: Path) -> None:
        script = git_dir.parent / "hook.py"
        script.write_text(self.SCRIPT)
        hook = git_dir / "hooks" / name
        root = Path(__file__).parents[2]
        hook.write_text(
            f"#!/bin/sh\nenv | grep ^GIT_ > '{answer}.env'\n"
            f"PYTHONPATH='{root}' exec '{sys.executable}' '{script}' '{looks_at}' '{answer}'\n"
        )
        hook.chmod(0o755)

    def test_a_push_from_a_linked_worktree_is_validated_there(self, project: Path, tmp_path: Path) -> None:
        git(project, "checkout", "-q", "master")
        linked = tmp_path / "linked"
        git(project, "worktree", "add", "-q", str(linked), "feature")
        commit(linked, {"models/linked.sql": "1\n"})
        self.hook(project / ".git", "pre-push", linked, tmp_path / "answer")
        git(tmp_path, "init", "-q", "--bare", "remote.git")
        git(linked, "push", "-q", str(tmp_path / "remote.git"), "feature")
        assert "GIT_DIR=" in (tmp_path / "answer.env").read_text()
        assert json.loads((tmp_path / "answer").read_text()) == [str(linked), ["models/linked.sql"]]

    def test_a_commit_of_one_path_still_sees_the_whole_work_tree(self, project: Path, tmp_path: Path) -> None:
        write(project, {"models/one.sql": "1\n", "models/two.sql": "1\n"})
        git(project, "add", "-A", "models")
        (project / "models/two.sql").unlink()
        self.hook(project / ".git", "pre-commit", project, tmp_path / "answer")
        git(project, "commit", "-q", "-m", "One", "--", "models/one.sql")
        assert "GIT_INDEX_FILE=" in (tmp_path / "answer.env").read_text()
        root, paths = json.loads((tmp_path / "answer").read_text())
        assert root == str(project)
        assert "models/one.sql" in paths
        assert "models/two.sql" not in paths

    def test_variables_of_another_repository_mislead_nobody(
        self, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = repository(tmp_path / "other", {"x.sql": "1\n"})
        write(project, {"models/new.sql": "1\n"})
        for name, value in {
            "GIT_DIR": other / ".git",
            "GIT_WORK_TREE": other,
            "GIT_INDEX_FILE": other / ".git/index",
            "GIT_OBJECT_DIRECTORY": other / ".git/objects",
            "GIT_COMMON_DIR": other / ".git",
            "GIT_PREFIX": "models/",
            "GIT_GLOB_PATHSPECS": "1",
            "GIT_EXTERNAL_DIFF": "false",
        }.items():
            monkeypatch.setenv(name, str(value))
        repo = Repository.find(project)
        assert repo.root == project
        assert changes(project) == [added("models/new.sql")]
        repo.checkout(repo.head(), tmp_path / "base", ["models"])
        assert (tmp_path / "base" / MODEL).exists()
        assert repo.tree("HEAD", "models")


def test_finds_the_repository_from_a_folder_in_it(project: Path) -> None:
    assert Repository.find(project / "models").root == project


def test_a_linked_worktree_is_a_repository_of_its_own(project: Path, tmp_path: Path) -> None:
    git(project, "worktree", "add", "-q", "-b", "other", str(tmp_path / "linked dir"), "master")
    commit(tmp_path / "linked dir", {"models/new.sql": "1\n"})
    repo = Repository.find(tmp_path / "linked dir")
    assert (repo.root, repo.branch()) == (tmp_path / "linked dir", "other")
    assert changes(repo.root) == [added("models/new.sql")]
    repo.checkout("master", tmp_path / "base")
    assert (tmp_path / "base" / MODEL).exists()
    assert len(git(project, "worktree", "list").split("\n")) == 2, "nothing is left behind"


def test_a_root_with_a_space_and_non_ascii_characters(tmp_path: Path) -> None:
    path = repository(tmp_path / "mina hundar åäö")
    write(path, {MODEL: "select 2\n"})
    assert Repository.find(path).root == path
    assert changes(path) == [modified(MODEL)]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "is in no git repository"),
        (lambda path: git(path, "init", "-q", "--bare", "."), "bare repository"),
        (lambda path: (path / ".git").write_text("gitdir: /nowhere\n"), "is in no git repository"),
        (lambda path: path.rmdir(), "is not a directory"),
    ],
)
def test_a_folder_outside_any_work_tree_is_a_usage_error(make: object, says: str, tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    assert callable(make)
    make(path)
    with pytest.raises(UsageError, match=says):
        Repository.find(path)


def test_a_repository_of_another_user_is_a_usage_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch for this
    with pytest.raises(UsageError, match=r"safe\.directory"):
        Repository.find(project)


def test_without_git_on_the_path_the_error_says_so(tmp_path: Path) -> None:
    script = (
        "import pathlib\n"
        "from pytest_dbtci.git.repository import Repository\n"
        "from pytest_dbtci.errors import UsageError\n"
        "try:\n"
        "    Repository.find(pathlib.Path('.'))\n"
        "except UsageError as error:\n"
        "    print(error)\n"
    )
    for refresh in ("raise", "quiet"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=Path(__file__).parents[2],
            env={"PATH": str(tmp_path), "GIT_PYTHON_REFRESH": refresh},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "install git" in done.stdout


def test_a_repository_without_a_commit_is_a_usage_error(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "master", "project")
    repo = Repository.find(tmp_path / "project")
    assert repo.branch() == "master"
    with pytest.raises(UsageError, match="has no commit yet"):
        repo.head()
    with pytest.raises(UsageError, match="has no commit yet"):
        repo.compare(base=None, target=None, provider_base=None, provider_head=None)


def test_head_and_branch(project: Path) -> None:
    git(project, "checkout", "-q", "-b", "fix/tools")
    git(project, "tag", "fix/tools")
    repo = Repository.find(project)
    assert repo.head() == git(project, "rev-parse", "HEAD")
    assert repo.branch() == "fix/tools"
    git(project, "checkout", "-q", "--detach")
    assert repo.branch() is None


def test_the_user_is_git_s_else_the_system_s(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = Repository.find(project)
    assert repo.user() == getpass.getuser()
    git(project, "config", "user.email", "jane.doe@example.com")
    assert repo.user() == "jane.doe"
    git(project, "config", "user.name", "Jane Doe")
    assert repo.user() == "Jane Doe"


def test_somebody_without_any_name_is_still_called_something(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)  # as in a container started with --user
    assert Repository.find(project).user() == "user"


def test_is_clean_only_without_any_change(project: Path) -> None:
    repo = Repository.find(project)
    assert repo.is_clean()
    write(project, {"models/untracked.sql": "1\n"})
    assert not repo.is_clean()
    git(project, "add", "-A")
    assert not repo.is_clean()
    commit(project, {})
    assert repo.is_clean()


def test_the_tip_of_the_remote_is_asked_now(project: Path, tmp_path: Path) -> None:
    repo = Repository.find(project)
    assert repo.remote_tip("master") is None
    git(tmp_path, "clone", "-q", "--bare", str(project), "remote.git")
    git(project, "remote", "add", "origin", str(tmp_path / "remote.git"))
    assert repo.remote_tip("master") == git(project, "rev-parse", "master")
    assert repo.remote_tip("gone") is None
    git(tmp_path, "clone", "-q", "-b", "master", str(tmp_path / "remote.git"), "other")
    newer = commit(tmp_path / "other", {"models/new.sql": "1\n"})
    git(tmp_path / "other", "push", "-q", "origin", "master")
    assert repo.remote_tip("master") == newer


def test_a_remote_that_can_t_be_reached_is_an_error(project: Path, tmp_path: Path) -> None:
    git(project, "remote", "add", "origin", str(tmp_path / "nothing-here"))
    with pytest.raises(DbtCiError, match="origin can't be asked for the branch master") as caught:
        Repository.find(project).remote_tip("master")
    assert not isinstance(caught.value, UsageError)


def test_a_git_error_shows_command_code_and_words(project: Path) -> None:
    shutil.rmtree(project / ".git/objects")
    (project / ".git/objects").mkdir()
    with pytest.raises(DbtCiError) as caught:
        Repository.find(project).tree("HEAD")
    assert "`git rev-parse --verify 'HEAD^{tree}'` ended with code 128 in" in str(caught.value)
    assert str(project) in str(caught.value)
