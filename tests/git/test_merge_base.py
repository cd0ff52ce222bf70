"""Which commit a pull request is compared with, in the clone that each CI system makes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pytest_dbtci.errors import UsageError
from pytest_dbtci.git.repository import Comparison, Repository
from tests.support import repositories
from tests.support.repositories import CHECKOUTS, Checkout, Remote, commit, git, repository

PULL_REQUEST_FILES = [("models/fact_dogs.sql", "modified"), ("models/fact_walks.sql", "added")]


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    return repositories.remote(tmp_path_factory.mktemp("origin"))


def compare(checkout: Checkout, base: str | None = None) -> Comparison:
    return Repository.find(checkout.path).compare(
        base=base,
        target=checkout.target,
        provider_base=checkout.provider_base,
        provider_head=checkout.provider_head,
    )


def compare_branch(path: Path, base: str | None = None, target: str | None = None) -> Comparison:
    return Repository.find(path).compare(base=base, target=target, provider_base=None, provider_head=None)


def files(comparison: Comparison) -> list[tuple[str, str]]:
    return [(change.path, change.status) for change in comparison.changes]


def without_remote(path: Path) -> None:
    git(path, "remote", "set-url", "origin", (path.parent / "nothing-here.git").as_uri())


@pytest.mark.parametrize("how", CHECKOUTS)
def test_compares_a_pull_request_with_what_it_was_made_from_in_every_checkout(
    how: str, origin: Remote, tmp_path: Path
) -> None:
    checkout = CHECKOUTS[how](origin, tmp_path / "clone")
    before = git(checkout.path, "status", "--porcelain", "--branch"), git(checkout.path, "rev-parse", "HEAD")

    comparison = compare(checkout)

    assert files(comparison) == PULL_REQUEST_FILES
    assert comparison.base == checkout.base
    assert comparison.base_ref == "origin/master"
    assert comparison.head == before[1]
    assert git(checkout.path, "status", "--porcelain", "--branch").split("...")[0] == before[0].split("...")[0]


@pytest.mark.parametrize("how", ["azure_full", "github_full", "bitbucket", "jenkins", "buildkite", "laptop"])
def test_needs_no_network_when_the_clone_holds_the_history(how: str, origin: Remote, tmp_path: Path) -> None:
    checkout = CHECKOUTS[how](origin, tmp_path / "clone")
    without_remote(checkout.path)
    assert compare(checkout).base == checkout.base


def test_names_the_setting_to_change_when_history_is_missing_and_the_remote_gives_none(
    origin: Remote, tmp_path: Path
) -> None:
    checkout = CHECKOUTS["azure_shallow"](origin, tmp_path / "clone")
    without_remote(checkout.path)
    with pytest.raises(UsageError, match="shallow") as caught:
        Repository.find(checkout.path).compare(
            base=None, target="master", provider_base=None, provider_head=None, remedy="set `fetchDepth: '0'`"
        )
    assert "set `fetchDepth: '0'`" in str(caught.value)
    assert "nothing-here.git" in str(caught.value), "git's own words are shown"


def test_takes_the_parent_that_a_shallow_merge_commit_still_holds(origin: Remote, tmp_path: Path) -> None:
    checkout = CHECKOUTS["azure_shallow"](origin, tmp_path / "clone")
    git(checkout.path, "fetch", "-q", "--depth=2", "origin", origin.merge)
    without_remote(checkout.path)
    comparison = compare(checkout)
    assert (comparison.base, comparison.how) == (origin.target_tip, "parent of the merge commit")


def test_a_clone_of_depth_one_gets_one_commit_more(origin: Remote, tmp_path: Path) -> None:
    checkout = CHECKOUTS["azure_shallow"](origin, tmp_path / "clone")
    compare(checkout)
    assert git(checkout.path, "rev-list", "--count", "HEAD", origin.target_tip) == "2"


def test_deepens_a_shallow_clone_when_the_provider_says_nothing_about_its_merge(origin: Remote, tmp_path: Path) -> None:
    checkout = CHECKOUTS["azure_shallow"](origin, tmp_path / "clone")
    comparison = compare_branch(checkout.path, target="master")
    assert (comparison.base, comparison.how) == (origin.target_tip, "merge base")


def test_a_reused_clone_with_an_old_target_branch_is_compared_with_what_was_merged(
    origin: Remote, tmp_path: Path
) -> None:
    checkout = CHECKOUTS["azure_full"](origin, tmp_path / "clone")
    git(checkout.path, "update-ref", "refs/remotes/origin/master", origin.fork)
    assert files(compare(checkout)) == PULL_REQUEST_FILES


def test_a_target_that_moved_on_after_the_merge_commit_changes_nothing(tmp_path: Path) -> None:
    origin = repositories.remote(tmp_path, older_commits=1, newer_commits=1)
    checkout = CHECKOUTS["azure_shallow"](origin, tmp_path / "shallow")
    full = CHECKOUTS["azure_full"](origin, tmp_path / "full")
    git(tmp_path, "clone", "-q", str(origin.path), "other")
    commit(tmp_path / "other", {"models/later.sql": "select 6\n"})
    git(tmp_path / "other", "push", "-q", "origin", "master")
    git(full.path, "fetch", "-q", "origin")
    assert files(compare(checkout)) == files(compare(full)) == PULL_REQUEST_FILES


def test_takes_the_provider_s_base_when_the_target_can_t_be_fetched(origin: Remote, tmp_path: Path) -> None:
    checkout = CHECKOUTS["gitlab_detached"](origin, tmp_path / "clone")
    git(checkout.path, "fetch", "-q", "--depth=40", "origin", origin.feature_tip)
    without_remote(checkout.path)
    comparison = compare(checkout)
    assert (comparison.base, comparison.how) == (origin.fork, "the provider's base commit")


def test_refuses_a_provider_s_base_that_is_no_ancestor(origin: Remote, tmp_path: Path) -> None:
    checkout = CHECKOUTS["gitlab_detached"](origin, tmp_path / "clone")
    git(checkout.path, "fetch", "-q", "--depth=1", "origin", origin.target_tip)
    without_remote(checkout.path)
    with pytest.raises(UsageError, match="shallow"):
        Repository.find(checkout.path).compare(
            base=None, target="master", provider_base=origin.target_tip, provider_head=origin.feature_tip
        )


def test_a_retargeted_merge_request_isn_t_compared_with_the_old_target(tmp_path: Path) -> None:
    path = repository(tmp_path / "project")
    old_target = commit(path, {"models/from_develop.sql": "select 1\n"})
    git(path, "branch", "-q", "develop")
    git(path, "checkout", "-q", "-b", "feature")
    commit(path, {"models/new.sql": "select 1\n"})
    git(path, "branch", "-q", "--force", "master", "HEAD~2")
    comparison = Repository.find(path).compare(base=None, target="master", provider_base=old_target, provider_head=None)
    assert files(comparison) == [("models/from_develop.sql", "added"), ("models/new.sql", "added")]


@pytest.mark.parametrize("depth", [5, 30, 70])
def test_a_clone_of_any_depth_finds_the_same_base(depth: int, origin: Remote, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", f"--depth={depth}", "--no-single-branch", origin.url, "clone")
    git(tmp_path / "clone", "checkout", "-q", "feature")
    assert compare_branch(tmp_path / "clone").base == origin.fork


def test_a_shallow_clone_isn_t_content_with_an_older_merge_base(tmp_path: Path) -> None:
    # Both branches left at `late`, behind the cut, and both hold the older `root` before it, by a merge. The
    # feature branch takes back what `late` did, so that compared with `root` it would look unchanged.
    author = repository(tmp_path / "author", {"a.sql": "1\n"})
    root = git(author, "rev-parse", "HEAD")
    late = commit(author, {"a.sql": "2\n"})
    for branch, files_of in (("master", {"b.sql": "1\n"}), ("feature", {"a.sql": "1\n"})):
        git(author, "checkout", "-q", "-B", branch, late)
        for number in range(4):
            commit(author, files_of, f"{branch} {number}")
        merge = git(author, "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-p", root, "-m", "Merge")
        git(author, "reset", "-q", "--hard", merge)
    git(tmp_path, "clone", "-q", "--depth=3", "--no-single-branch", author.as_uri(), "clone")
    clone = tmp_path / "clone"
    git(clone, "checkout", "-q", "feature")
    assert git(clone, "merge-base", "--all", "feature", "origin/master") == root

    offline = tmp_path / "offline"
    shutil.copytree(clone, offline)
    without_remote(offline)
    with pytest.raises(UsageError, match="shallow"):
        compare_branch(offline, target="master")

    comparison = compare_branch(clone, target="master")
    assert comparison.base == late
    assert files(comparison) == [("a.sql", "modified")]


def test_an_explicit_branch_is_the_remote_s_even_when_a_local_one_is_older(origin: Remote, tmp_path: Path) -> None:
    checkout = CHECKOUTS["laptop"](origin, tmp_path / "clone")
    assert compare(checkout, base="master").base_ref == "origin/master"
    assert compare(checkout, base="refs/heads/master").base_ref == "refs/heads/master"


@pytest.mark.parametrize("name", ["HEAD~1", "v1", "{sha}", "{short}", "feature~1"])
def test_an_explicit_base_may_be_any_revision(name: str, tmp_path: Path) -> None:
    path = repository(tmp_path / "project")
    git(path, "tag", "v1")
    sha = git(path, "rev-parse", "HEAD")
    git(path, "checkout", "-q", "-b", "feature")
    commit(path, {"models/new.sql": "select 1\n"})
    comparison = compare_branch(path, base=name.format(sha=sha, short=sha[:9]))
    assert (comparison.base, comparison.how) == (sha, "given base")
    assert files(comparison) == [("models/new.sql", "added")]


def test_an_explicit_base_wins_over_all_that_the_provider_says(origin: Remote, tmp_path: Path) -> None:
    checkout = CHECKOUTS["azure_full"](origin, tmp_path / "clone")
    assert compare(checkout, base=origin.fork).base == origin.fork


def test_head_as_the_base_leaves_what_isn_t_committed(origin: Remote, tmp_path: Path) -> None:
    checkout = CHECKOUTS["laptop"](origin, tmp_path / "clone")
    repositories.write(checkout.path, {"models/draft.sql": "select 1\n"})
    assert files(compare(checkout, base="HEAD")) == [("models/draft.sql", "added")]


@pytest.mark.parametrize("name", ["release", "origin/release", "v7", "{sha}"])
def test_fetches_an_explicit_base_that_only_the_remote_has(name: str, tmp_path: Path) -> None:
    origin = repositories.remote(tmp_path, older_commits=1, newer_commits=1)
    git(origin.path, "branch", "release", origin.fork)
    git(origin.path, "tag", "v7", origin.fork)
    checkout = CHECKOUTS["github_shallow"](origin, tmp_path / "clone")
    assert compare(checkout, base=name.format(sha=origin.fork)).base == origin.fork


@pytest.mark.parametrize("name", ["mastre", "-x", "a..b", "master:other", "HEAD~99", "with space", "--all"])
def test_an_unknown_base_is_an_error_that_lists_near_names(name: str, tmp_path: Path) -> None:
    path = repository(tmp_path / "project")
    with pytest.raises(UsageError, match="no branch, tag or commit") as caught:
        compare_branch(path, base=name)
    assert "master" in str(caught.value).partition("There are:")[2]
    assert name in str(caught.value)


def test_a_target_that_the_remote_doesn_t_have_is_an_error(origin: Remote, tmp_path: Path) -> None:
    checkout = CHECKOUTS["azure_full"](origin, tmp_path / "clone")
    with pytest.raises(UsageError, match="nor of its remote"):
        compare_branch(checkout.path, target="mastre")


def test_unrelated_histories_are_an_error(tmp_path: Path) -> None:
    path = repository(tmp_path / "project")
    git(path, "checkout", "-q", "--orphan", "island")
    commit(path, {"other.sql": "select 1\n"})
    with pytest.raises(UsageError, match="unrelated"):
        compare_branch(path, base="master")


def test_criss_cross_merges_lose_no_change_of_the_branch(tmp_path: Path) -> None:
    path = repository(tmp_path / "project", {"a.sql": "0\n", "b.sql": "0\n"})
    git(path, "checkout", "-q", "-b", "feature")
    feature = commit(path, {"a.sql": "feature\n"})
    git(path, "checkout", "-q", "master")
    master = commit(path, {"b.sql": "master\n"})
    git(path, "merge", "-q", "--no-edit", feature)
    git(path, "checkout", "-q", "feature")
    git(path, "merge", "-q", "--no-edit", master)
    # Either merge base has one of the two files exactly as the branch now has it.
    commit(path, {"a.sql": "0\n", "b.sql": "0\n"})
    assert len(git(path, "merge-base", "--all", "master", "feature").split()) == 2

    comparison = compare_branch(path, target="master")

    assert files(comparison) == [("a.sql", "modified"), ("b.sql", "modified")]
    assert "2 merge bases" in comparison.how


@pytest.mark.parametrize("branch", ["master", "main"])
def test_a_single_commit_without_remote_is_compared_with_itself(branch: str, tmp_path: Path) -> None:
    path = repository(tmp_path / "project", branch=branch)
    comparison = compare_branch(path)
    assert comparison.base == comparison.head
    assert comparison.base_ref == branch
    assert comparison.changes == ()


def test_a_branch_without_any_known_default_needs_to_be_told_its_base(tmp_path: Path) -> None:
    path = repository(tmp_path / "project", branch="trunk")
    with pytest.raises(UsageError, match="--dbt-ci-base BRANCH"):
        compare_branch(path)


def test_master_with_unpushed_commits_is_compared_with_the_remote_s(origin: Remote, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", origin.url, "clone")
    commit(tmp_path / "clone", {"models/new.sql": "select 1\n"})
    assert files(compare_branch(tmp_path / "clone")) == [("models/new.sql", "added")]


def test_the_remote_s_own_default_branch_comes_before_master(tmp_path: Path) -> None:
    origin = repositories.remote(tmp_path, target="trunk", older_commits=1, newer_commits=1)
    checkout = CHECKOUTS["laptop"](origin, tmp_path / "clone")
    git(checkout.path, "branch", "-q", "master")
    assert Repository.find(checkout.path).default_branch() == "trunk"
    assert compare(checkout).base_ref == "origin/trunk"


@pytest.mark.parametrize("prune", ["--prune", "--no-prune"])
@pytest.mark.parametrize("new", ["main", "trunk"])
def test_a_renamed_default_branch_is_compared_with_under_its_new_name(prune: str, new: str, tmp_path: Path) -> None:
    origin = repositories.remote(tmp_path, older_commits=1, newer_commits=1)
    git(tmp_path, "clone", "-q", origin.url, "clone")
    git(origin.path, "branch", "-q", "-m", "master", new)
    clone = tmp_path / "clone"
    git(clone, "fetch", "-q", prune)
    git(clone, "switch", "-q", "-c", "mine", f"origin/{new}")
    repo = Repository.find(clone)
    if prune == "--no-prune" and new == "trunk":
        # Nothing in the clone says that its note of the default branch is stale; a release asks all the same.
        assert repo.default_branch() == "master"
        assert repo.default_branch(ask=True) == new
        return
    assert repo.default_branch() == new
    assert compare_branch(clone).base_ref == f"origin/{new}"


def test_a_local_branch_that_the_remote_has_lost_is_not_the_base(tmp_path: Path) -> None:
    origin = repositories.remote(tmp_path, older_commits=1, newer_commits=1)
    git(tmp_path, "clone", "-q", origin.url, "clone")
    git(origin.path, "branch", "-q", "-m", "master", "trunk")
    git(tmp_path / "clone", "fetch", "-q", "--prune")
    git(tmp_path / "clone", "remote", "set-url", "origin", str(tmp_path / "away"))
    with pytest.raises(UsageError, match="--dbt-ci-base BRANCH"):
        compare_branch(tmp_path / "clone")


def test_a_clone_that_notes_no_default_branch_believes_the_remote_s_before_its_own(tmp_path: Path) -> None:
    origin = repositories.remote(tmp_path, target="main", older_commits=1, newer_commits=1)
    git(tmp_path, "clone", "-q", origin.url, "clone")
    git(tmp_path / "clone", "remote", "set-head", "origin", "--delete")
    git(tmp_path / "clone", "branch", "-q", "master", "HEAD~1")
    assert Repository.find(tmp_path / "clone").default_branch() == "main"


def test_a_remote_of_another_name_is_used(origin: Remote, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "-o", "upstream", origin.url, "clone")
    git(tmp_path / "clone", "checkout", "-q", "feature")
    assert compare_branch(tmp_path / "clone", target="master").base_ref == "upstream/master"


def test_a_mirror_is_a_remote_like_any_other(origin: Remote, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--mirror", origin.url, "mirror.git")
    git(tmp_path, "clone", "-q", str(tmp_path / "mirror.git"), "clone")
    git(tmp_path / "clone", "checkout", "-q", "feature")
    assert compare_branch(tmp_path / "clone").base == origin.fork


def test_a_branch_that_adds_the_first_files_has_an_empty_base_and_its_files(tmp_path: Path) -> None:
    path = repository(tmp_path / "project", {})
    git(path, "checkout", "-q", "-b", "feature")
    commit(path, {"dbt/dbt_project.yml": "name: dogs\n"})
    assert files(compare_branch(path)) == [("dbt/dbt_project.yml", "added")]


# GitPython does not wait for what it kills, of which the oldest pytest makes an error.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_fetching_never_asks_and_ends_in_time(origin: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_dbtci.git.process.NETWORK_SECONDS", 1.0)
    checkout = CHECKOUTS["gitlab_detached"](origin, tmp_path / "clone")
    hangs = tmp_path / "ssh"
    seen = tmp_path / "seen"
    hangs.write_text(f'#!/bin/sh\necho "$@" > "{seen}"\nsleep 60\n')
    hangs.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(hangs))
    git(checkout.path, "remote", "set-url", "origin", "ssh://git@git.example.com/dogs.git")
    with pytest.raises(UsageError, match="did not complete in 1 secs"):
        compare(checkout)
    assert "BatchMode=yes" in seen.read_text()


@pytest.mark.parametrize("scheme", ["http", "git"])
def test_hides_a_password_in_what_git_says(scheme: str, origin: Remote, tmp_path: Path) -> None:
    checkout = CHECKOUTS["gitlab_detached"](origin, tmp_path / "clone")
    git(checkout.path, "remote", "set-url", "origin", f"{scheme}://ci:s3cret@127.0.0.1:9/dogs.git")
    with pytest.raises(UsageError, match="shallow") as caught:
        compare(checkout)
    assert "s3cret" not in str(caught.value)


def test_leaves_the_environment_as_it_was(origin: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    checkout = CHECKOUTS["laptop"](origin, tmp_path / "clone")
    before = dict(os.environ)
    compare(checkout)
    assert dict(os.environ) == before
