"""Nothing is released but a commit of the remote's default branch, as it is there, as a whole; else exit code 4."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from examples import demo
from pytest_dbtci.ci import detect as ci
from pytest_dbtci.errors import DbtCiError, UsageError
from pytest_dbtci.git.repository import Repository
from pytest_dbtci.project.project import read_project
from pytest_dbtci.release.checks import Origin, check_clean, check_origin
from pytest_dbtci.settings import read_settings
from tests.support.ci_environments import AZURE, AZURE_PR, GITLAB_MR
from tests.support.validation import Validation, validate

pytestmark = pytest.mark.slow

PROD = "--dbt-ci-release=prod"
MASTER = {**AZURE, "BUILD_REASON": "Manual", "BUILD_SOURCEBRANCH": "refs/heads/master"}
LAPTOP: dict[str, str] = {}
MODEL = "models/staging/dim_dog.sql"


@pytest.fixture
def master(released: Path, tmp_path: Path) -> Path:
    """The released example with master checked out."""
    directory = tmp_path / "dogs"
    demo.copy_repository(released, directory)
    demo.git(directory, "switch", "--quiet", "master")
    return directory


def commit(directory: Path, message: str = "Feed the dogs") -> str:
    """Commit a change of a model; give its sha."""
    with (directory / MODEL).open("a") as model:
        model.write(f"-- {message}\n")
    demo.git(directory, "commit", "--quiet", "--all", f"--message={message}")
    return demo.git(directory, "rev-parse", "HEAD").strip()


def refused(directory: Path, *args: str, **environ: str) -> str:
    """Give why a release was refused, having seen that it was and that nothing was written."""
    before = demo.contents(directory)
    done = validate(directory, PROD, *args, **environ)
    assert done.code == 4, done.output
    assert demo.contents(directory) == before
    assert {case.outcome for case in done.cases.values()} == {"error"}
    return done.output


def on_another_branch(directory: Path) -> None:
    demo.git(directory, "switch", "--quiet", demo.BRANCH)


def on_a_branch_with_the_same_last_part(directory: Path) -> None:
    demo.git(directory, "switch", "--quiet", "--create", "feature/master")


def with_a_changed_model(directory: Path) -> None:
    (directory / MODEL).write_text("select 1 as dog_id\n")


def with_an_untracked_model(directory: Path) -> None:
    (directory / "models/staging/stray.sql").write_text("select 1 as dog_id\n")


def with_an_ignored_model(directory: Path) -> None:
    with_an_untracked_model(directory)
    (directory / ".git/info/exclude").write_text("stray.sql\n")


def in_a_sparse_checkout(directory: Path) -> None:
    demo.git(directory, "sparse-checkout", "set", "--no-cone", "/*", "!/models/marts")


def behind_the_remote(directory: Path) -> None:
    commit(directory)
    demo.git(directory, "push", "--quiet")
    demo.git(directory, "reset", "--quiet", "--hard", "HEAD~1")


def detached_behind_the_remote(directory: Path) -> None:
    behind_the_remote(directory)
    demo.git(directory, "checkout", "--quiet", "--detach")


def ahead_of_the_remote(directory: Path) -> None:
    commit(directory)


def without_a_remote(directory: Path) -> None:
    demo.git(directory, "remote", "remove", "origin")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (on_another_branch, f"The branch {demo.BRANCH} is checked out"),
        (on_a_branch_with_the_same_last_part, "The branch feature/master is checked out"),
        (with_a_changed_model, MODEL),
        (with_an_untracked_model, "models/staging/stray.sql"),
        (with_an_ignored_model, "models/staging/stray.sql"),
        (in_a_sparse_checkout, "`git sparse-checkout disable` brings everything back"),
        (behind_the_remote, "is not the tip of the remote's master"),
        (detached_behind_the_remote, "is not the tip of the remote's master"),
        (ahead_of_the_remote, "is not the tip of the remote's master"),
        (without_a_remote, "The remote has no branch master"),
    ],
)
def test_refuses_to_release(master: Path, how: Callable[[Path], None], reason: str) -> None:
    how(master)
    assert reason in refused(master)


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        (AZURE_PR, "This build is that of pull request 1066"),
        (GITLAB_MR, "This build is that of pull request"),
        (
            {**MASTER, "BUILD_SOURCEBRANCH": "refs/heads/feature/master", "BUILD_SOURCEBRANCHNAME": "master"},
            "This build is of refs/heads/feature/master",
        ),
        ({**MASTER, "BUILD_SOURCEBRANCH": "refs/tags/master"}, "This build is of refs/tags/master"),
    ],
    ids=["azure", "gitlab", "last part", "tag"],
)
def test_refuses_to_release_in_a_build_of(master: Path, environ: dict[str, str], reason: str) -> None:
    demo.git(master, "checkout", "--quiet", "--detach")
    assert reason in refused(master, **environ)


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["--dbt-ci-release=production"], "has no target 'production'"),
        (["--dbt-ci-select=fact_dogs"], "a release builds and tests the whole project"),
        (["--dbt-ci-exclude=tag:slow"], "-o dbt_ci_exclude="),
        (["--dbt-ci-pr=1066"], "--dbt-ci-pr 1066 does not go with --dbt-ci-release"),
        (["-k", "fact_dogs"], "were deselected"),
        (["models/staging/fact_dogs.sql"], "were deselected"),
        (["-k", "fact_dogs", "-n2"], "were deselected"),
        (["--dbt-ci-docs=models"], "it holds other files"),
        (["--dbt-ci-docs=dbt_project.yml"], "this is no folder"),
    ],
    ids=" ".join,
)
def test_refuses_to_release_with(master: Path, args: list[str], reason: str) -> None:
    before = demo.contents(master)
    done = validate(master, PROD, *args)
    assert (done.code, demo.contents(master)) == (4, before), done.output
    assert reason in done.output


def test_documents_nothing_but_a_release(master: Path) -> None:
    done = validate(master, "--dbt-ci-docs=../page")
    assert done.code == 4
    assert "is for a release" in done.output


def test_releases_nothing_when_the_remote_cannot_be_asked(master: Path) -> None:
    demo.git(master, "remote", "set-url", "origin", str(master / "nowhere.git"))
    before = demo.contents(master)
    done: Validation = validate(master, PROD)
    assert done.code not in (0, 5)
    assert "can't be asked for the branch master" in done.output
    assert demo.contents(master) == before


def origin(directory: Path, environ: Mapping[str, str] = LAPTOP, *, behind: bool = False) -> Origin:
    """Ask whether HEAD may be released."""
    return check_origin(Repository.find(directory), ci.detect(environ), behind=behind)


@pytest.mark.parametrize("environ", [LAPTOP, MASTER], ids=["laptop", "azure"])
def test_accepts_the_tip_on_the_branch_and_detached(master: Path, environ: dict[str, str]) -> None:
    tip = demo.git(master, "rev-parse", "HEAD").strip()
    expected = Origin(branch="master", commit=tip, how="the remote's tip")
    assert origin(master, environ) == expected
    demo.git(master, "checkout", "--quiet", "--detach")
    assert origin(master, environ) == expected


def test_accepts_an_earlier_commit_when_told_to(master: Path) -> None:
    behind_the_remote(master)
    # As on an agent whose clone is older than the remote's newest commit.
    demo.git(master, "update-ref", "refs/remotes/origin/master", "HEAD")
    assert origin(master, behind=True).how.startswith("behind the remote's tip")


def test_accepts_an_earlier_commit_in_a_shallow_clone(master: Path, tmp_path: Path) -> None:
    for number in range(3):
        commit(master, f"Walk {number}")
    demo.git(master, "push", "--quiet")
    clone = tmp_path / "clone"
    url = (master / ".git/origin.git").as_uri()
    demo.git(tmp_path, "clone", "--quiet", "--depth=1", url, str(clone))
    demo.git(clone, "fetch", "--quiet", "--depth=1", "origin", demo.git(master, "rev-parse", "HEAD~2").strip())
    demo.git(clone, "checkout", "--quiet", "FETCH_HEAD")
    assert origin(clone, MASTER, behind=True).commit == demo.git(master, "rev-parse", "HEAD~2").strip()


def test_refuses_what_was_never_merged_even_when_told_to_go_back(master: Path) -> None:
    ahead_of_the_remote(master)
    with pytest.raises(UsageError, match="it was never merged"):
        origin(master, behind=True)


def test_refuses_what_a_rewritten_branch_no_longer_holds(master: Path) -> None:
    demo.git(master, "commit", "--quiet", "--amend", "--message=Open the other house")
    demo.git(master, "push", "--quiet", "--force")
    demo.git(master, "checkout", "--quiet", "HEAD@{1}")
    with pytest.raises(UsageError, match="was rewritten since"):
        origin(master, behind=True)


def test_does_not_take_an_unreachable_remote_for_a_no(master: Path) -> None:
    behind_the_remote(master)
    (master / ".git/origin.git").rename(master / ".git/elsewhere.git")
    with pytest.raises(DbtCiError, match="can't be asked"):
        origin(master, behind=True)


def test_does_not_take_a_fetch_that_fails_for_an_answer(master: Path, tmp_path: Path) -> None:
    """The remote tells its tip, as one that goes away just after does, and has not all of it to give."""
    origins, clone = master / ".git/origin.git", tmp_path / "clone"
    demo.copy_repository(master, clone)
    demo.git(clone, "remote", "set-url", "origin", str(origins))
    commit(clone)
    demo.git(clone, "push", "--quiet")
    blob = demo.git(clone, "rev-parse", f"HEAD:{MODEL}").strip()
    (origins / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(DbtCiError, match="can't be fetched from origin, so whether it holds"):
        origin(master, behind=True)


@pytest.mark.parametrize("path", ["notes.txt", "tests/python/__pycache__/x.pyc", ".env", "profiles/profiles.yml"])
def test_lets_files_lie_about_that_no_release_is_made_of(master: Path, path: str) -> None:
    (master / ".gitignore").unlink()
    demo.git(master, "commit", "--quiet", "--all", "--message=Ignore nothing")
    (master / path).parent.mkdir(parents=True, exist_ok=True)
    (master / path).write_text("")
    repository = Repository.find(master)
    check_clean(repository, read_project(master.resolve(), repository.root.resolve()), repository.head())


def test_does_not_let_a_pull_requests_settings_bend_a_release(tmp_path: Path) -> None:
    ini = {"dbt_ci_defer_target": "prod", "dbt_ci_incremental": "clone", "dbt_ci_base": "develop"}
    known = {"rootdir": tmp_path, "invocation_dir": tmp_path}
    settings = read_settings(
        lambda name: "prod" if name == "dbtci_release" else None, lambda key: ini.get(key, ""), **known
    )
    assert (settings.defer_target, settings.incremental, settings.base) == ("", "build", "")
    settings = read_settings(lambda name: None, lambda key: ini.get(key, ""), **known)
    assert (settings.defer_target, settings.incremental, settings.base) == ("prod", "clone", "develop")
