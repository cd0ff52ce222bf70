"""A commit's files, written elsewhere as a checkout would, and the user's work tree left alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_dbtci.errors import DbtCiError, UsageError
from pytest_dbtci.git.repository import Repository
from tests.support.repositories import BASE, commit, git, repository, write

MODEL = "models/fact_dogs.sql"


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "aside" / "base åäö"


def contents(directory: Path) -> dict[str, str]:
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes().decode() for path in files}


def everything(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def test_writes_a_commit_and_touches_nothing_else(tmp_path: Path, into: Path) -> None:
    path = repository(tmp_path / "project")
    first = git(path, "rev-parse", "HEAD")
    commit(path, {MODEL: "select 2\n", "models/new.sql": "1\n"})
    write(path, {"models/draft.sql": "1\n", MODEL: "select 'draft'\n"})
    before = everything(path)
    Repository.find(path).checkout(first, into)
    assert contents(into) == BASE
    assert everything(path) == before, "work tree, index, HEAD, refs, objects and worktrees are as they were"


def test_writes_only_the_paths_wanted_and_leaves_out_what_the_commit_lacks(tmp_path: Path, into: Path) -> None:
    files = {"dbt/models/a.sql": "1\n", "dbt2/b.sql": "1\n", "shared/macros/c.sql": "1\n", "d.md": "1\n"}
    path = repository(tmp_path / "project", files)
    Repository.find(path).checkout("HEAD", into, ["dbt", "shared/macros", "not/there"])
    assert contents(into) == {"dbt/models/a.sql": "1\n", "shared/macros/c.sql": "1\n"}


def test_a_file_with_export_ignore_is_written(tmp_path: Path, into: Path) -> None:
    path = repository(tmp_path / "project", {".gitattributes": "models export-ignore\n*.sql export-subst\n", **BASE})
    Repository.find(path).checkout("HEAD", into)
    assert contents(into).keys() >= BASE.keys()


def test_line_endings_are_those_of_the_commit_s_own_attributes(tmp_path: Path, into: Path) -> None:
    path = repository(tmp_path / "project", {".gitattributes": "*.sql text eol=crlf\n", "dbt/a.sql": "1\n2\n"})
    first = git(path, "rev-parse", "HEAD")
    commit(path, {".gitattributes": "*.sql text eol=lf\n"})
    Repository.find(path).checkout(first, into, ["dbt"], ruled=["dbt/a.sql"])
    assert (into / "dbt/a.sql").read_bytes() == b"1\r\n2\r\n"


def test_settings_of_the_clone_apply(tmp_path: Path, into: Path) -> None:
    path = repository(tmp_path / "project", {"a.sql": "1\n2\n"})
    git(path, "config", "core.autocrlf", "true")
    (path / "a.sql").unlink()
    Repository.find(path).checkout("HEAD", into)
    assert (into / "a.sql").read_bytes() == b"1\r\n2\r\n"


@pytest.mark.parametrize("ruled", [(), ("a.sql",)])
@pytest.mark.parametrize(
    ("disk", "text"),
    [(b"1\n2\n", b"1\n2\n"), (b"1\n3", b"1\n2\n"), (b"1\r\n3", b"1\r\n2\r\n"), (b"1\r\n2\n", b"1\r\n2\n")],
    ids=["the same", "changed", "changed, CRLF", "mixed"],
)
def test_line_endings_are_those_on_the_disk(
    disk: bytes, text: bytes, ruled: tuple[str, ...], tmp_path: Path, into: Path
) -> None:
    """Whatever a checkout would write; not where a changed .gitattributes rules the file."""
    path = repository(tmp_path / "project", {"a.sql": "1\n2\n", "gone.sql": "1\n"})
    (path / "gone.sql").unlink()
    (path / "a.sql").write_bytes(disk)
    git(path, "config", "core.autocrlf", "true")
    Repository.find(path).checkout("HEAD", into, ruled=ruled)
    assert (into / "a.sql").read_bytes() == (b"1\r\n2\r\n" if ruled else text)


def test_line_endings_that_git_stores_differ(tmp_path: Path, into: Path) -> None:
    path = repository(tmp_path / "project", {"a.sql": "1\n2\n"})
    (path / "a.sql").write_bytes(b"1\r\n2\r\n")
    Repository.find(path).checkout("HEAD", into)
    assert (into / "a.sql").read_bytes() == b"1\n2\n"


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"
LARGE_FILE = {".gitattributes": "*.csv filter=lfs diff=lfs merge=lfs -text\n", "seeds/dogs.csv": POINTER}


class TestLfs:
    def test_a_pointer_stays_one_without_git_lfs(self, tmp_path: Path, into: Path) -> None:
        path = repository(tmp_path / "project", LARGE_FILE)
        Repository.find(path).checkout("HEAD", into)
        assert (into / "seeds/dogs.csv").read_text() == POINTER

    def test_a_filter_smudges_as_in_a_checkout(self, tmp_path: Path, into: Path) -> None:
        path = repository(tmp_path / "project", LARGE_FILE)
        git(path, "config", "filter.lfs.smudge", "tr a-z A-Z")
        Repository.find(path).checkout("HEAD", into, ["seeds"])
        assert (into / "seeds/dogs.csv").read_text() == POINTER.upper()

    def test_a_filter_that_fails_is_an_error(self, tmp_path: Path, into: Path) -> None:
        path = repository(tmp_path / "project", LARGE_FILE)
        git(path, "config", "filter.lfs.smudge", "false")
        git(path, "config", "filter.lfs.required", "true")
        with pytest.raises(DbtCiError, match=r"smudge filter lfs failed"):
            Repository.find(path).checkout("HEAD", into)


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege on Windows")
def test_links_and_modes_are_kept(tmp_path: Path, into: Path) -> None:
    path = repository(tmp_path / "project", {"run.sh": "#!/bin/sh\n"})
    (path / "run.sh").chmod(0o755)
    (path / "link.sql").symlink_to("models/a.sql")
    commit(path, {"models/a.sql": "1\n"})
    Repository.find(path).checkout("HEAD", into)
    assert (into / "run.sh").stat().st_mode & 0o111
    assert (into / "link.sql").readlink() == Path("models/a.sql")


@pytest.mark.parametrize(
    "setting", ["core.splitIndex=true", "core.fsmonitor=true", "index.sparse=true", "core.untrackedCache=true"]
)
def test_settings_of_the_user_s_index_don_t_reach_ours(setting: str, tmp_path: Path, into: Path) -> None:
    path = repository(tmp_path / "project")
    git(path, "config", *setting.split("="))
    before = everything(path)
    Repository.find(path).checkout("HEAD", into)
    assert contents(into) == BASE
    assert everything(path).keys() == before.keys()


def test_a_sparse_checkout_still_gives_all_of_the_commit(tmp_path: Path, into: Path) -> None:
    path = repository(tmp_path / "project", {"dbt/a.sql": "1\n", "other/b.sql": "1\n"})
    git(path, "sparse-checkout", "set", "dbt")
    Repository.find(path).checkout("HEAD", into)
    assert contents(into) == {"dbt/a.sql": "1\n", "other/b.sql": "1\n"}


def test_a_worktree_of_a_bare_repository_is_read_like_any_other(tmp_path: Path, into: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(repository(tmp_path / "project")), "bare.git")
    git(tmp_path / "bare.git", "worktree", "add", "-q", "-b", "feature", str(tmp_path / "linked"))
    write(tmp_path / "linked", {MODEL: "select 2\n"})
    repo = Repository.find(tmp_path / "linked")
    comparison = repo.compare(base="master", target=None, provider_base=None, provider_head=None)
    assert [change.path for change in comparison.changes] == [MODEL]
    repo.checkout("master", into)
    assert contents(into) == BASE


def test_a_place_inside_the_work_tree_is_fine(tmp_path: Path) -> None:
    path = repository(tmp_path / "project", {".gitignore": ".pytest_cache/\n", **BASE})
    Repository.find(path).checkout("HEAD", path / ".pytest_cache/d/base")
    assert (path / ".pytest_cache/d/base" / MODEL).exists()
    assert Repository.find(path).is_clean()


def test_two_calls_into_one_place_add_up(tmp_path: Path, into: Path) -> None:
    path = repository(tmp_path / "project", {"a/1.sql": "1\n", "b/2.sql": "1\n"})
    for folder in ("a", "b"):
        Repository.find(path).checkout("HEAD", into, [folder])
    assert contents(into) == {"a/1.sql": "1\n", "b/2.sql": "1\n"}


def test_files_that_a_partial_clone_lacks_are_fetched(tmp_path: Path, into: Path) -> None:
    path = repository(tmp_path / "origin")
    git(path, "config", "uploadpack.allowFilter", "true")
    commit(path, {MODEL: "select 2\n"})
    git(tmp_path, "clone", "-q", "--filter=blob:none", path.as_uri(), "clone")
    Repository.find(tmp_path / "clone").checkout("HEAD~1", into)
    assert contents(into) == BASE


def test_the_tree_is_a_key_for_its_contents(tmp_path: Path) -> None:
    path = repository(tmp_path / "project", {"dbt/a.sql": "1\n", "other.md": "1\n"})
    first = git(path, "rev-parse", "HEAD")
    commit(path, {"other.md": "2\n"})
    repo = Repository.find(path)
    assert repo.tree(first, "dbt") == repo.tree("HEAD", "dbt") == repo.tree("HEAD", "dbt/")
    assert repo.tree(first) != repo.tree("HEAD") == repo.tree("HEAD", ".")
    assert repo.tree("HEAD", "nothing") is None
    with pytest.raises(DbtCiError, match=r"`git rev-parse --verify .*0{40}.* ended with code 128"):
        repo.tree("0" * 40, "dbt")


class TestSubmodule:
    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        """A repository with the submodule packages/dogs, moved on since master~1's commit of it."""
        inner = repository(tmp_path / "inner", {"deep.sql": "1\n"})
        dogs = repository(tmp_path / "dogs", {"macros/bark.sql": "1\n", "docs/x.md": "1\n"})
        git(dogs, "submodule", "--quiet", "add", str(inner), "inner")
        commit(dogs, {})
        path = repository(tmp_path / "project")
        git(path, "submodule", "--quiet", "add", "--name", "a dog", str(dogs), "packages/dogs")
        commit(path, {}, "Add the package")
        commit(path / "packages/dogs", {"macros/bark.sql": "2\n"})
        commit(path, {}, "Move the package")
        git(path, "submodule", "--quiet", "update", "--init", "--recursive")
        return path

    def test_is_written_as_the_commit_names_it(self, project: Path, into: Path) -> None:
        assert Repository.find(project).checkout("HEAD~1", into) == ()
        assert (into / "packages/dogs/macros/bark.sql").read_text() == "1\n"
        assert (into / "packages/dogs/inner/deep.sql").read_text() == "1\n"
        assert (into / MODEL).exists()

    def test_a_path_inside_it_is_written_alone(self, project: Path, into: Path) -> None:
        Repository.find(project).checkout("HEAD~1", into, ["packages/dogs/macros"])
        assert contents(into) == {"packages/dogs/macros/bark.sql": "1\n"}

    def test_is_written_after_the_branch_removed_it(self, project: Path, into: Path) -> None:
        git(project, "rm", "-q", "-r", "packages/dogs")
        commit(project, {})
        Repository.find(project).checkout("HEAD~1", into, ["packages"])
        assert (into / "packages/dogs/macros/bark.sql").read_text() == "2\n"

    def test_is_named_when_it_isn_t_here(self, project: Path, into: Path, tmp_path: Path) -> None:
        git(tmp_path, "clone", "-q", str(project), "clone")
        repo = Repository.find(tmp_path / "clone")
        assert repo.checkout("HEAD", into) == ("packages/dogs",)
        assert (into / "packages/dogs").is_dir()
        assert repo.checkout("HEAD", into, ["models"]) == ()

    def test_is_an_error_when_it_is_wanted_and_isn_t_here(self, project: Path, into: Path, tmp_path: Path) -> None:
        git(tmp_path, "clone", "-q", str(project), "clone")
        with pytest.raises(UsageError, match="git submodule update --init packages/dogs"):
            Repository.find(tmp_path / "clone").checkout("HEAD", into, ["packages/dogs/macros"])

    def test_is_entered_where_an_object_is_looked_up(self, project: Path) -> None:
        repo = Repository.find(project)
        before, after = (repo.tree(commit, "packages/dogs/macros/bark.sql") for commit in ("HEAD~1", "HEAD"))
        assert before
        assert after
        assert before != after
        assert repo.tree("HEAD", "packages/dogs/inner/deep.sql")
        assert repo.tree("HEAD", "packages/dogs/nothing.sql") is None
        assert repo.tree("HEAD", f"{MODEL}/nothing.sql") is None
        assert repo.tree("HEAD", "packages/dogs") == git(project / "packages/dogs", "rev-parse", "HEAD")

    def test_is_an_error_where_an_object_is_looked_up_and_it_isn_t_here(self, project: Path, tmp_path: Path) -> None:
        git(tmp_path, "clone", "-q", str(project), "clone")
        with pytest.raises(UsageError, match="git submodule update --init packages/dogs"):
            Repository.find(tmp_path / "clone").tree("HEAD", "packages/dogs/macros")


class TestWhoseChangesCount:
    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        """A repository with a dbt project as its submodule."""
        path, module = repository(tmp_path / "project"), repository(tmp_path / "dw")
        git(path, "submodule", "--quiet", "add", str(module), "dw")
        commit(path, {}, "Add the submodule")
        return path

    def test_the_repository_s_where_the_run_was_started_in_it(self, project: Path) -> None:
        assert Repository.of_changes(project / "dw", project, None).root == project
        assert Repository.of_changes(project / "dw/models", project / "dw/models", None).root == project / "dw"

    def test_the_superproject_s_where_nobody_works_in_the_submodule(self, project: Path) -> None:
        git(project / "dw", "checkout", "-q", "--detach")
        assert Repository.of_changes(project / "dw", project / "dw", None).root == project

    def test_those_of_the_repository_with_the_commit_that_a_ci_system_names(self, project: Path) -> None:
        outer, inner = (git(p, "rev-parse", "HEAD") for p in (project, project / "dw"))
        assert Repository.of_changes(project / "dw", project / "dw", outer).root == project
        assert Repository.of_changes(project / "dw", project, inner).root == project / "dw"
