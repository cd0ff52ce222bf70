"""Make real git repositories: on a laptop, at a remote, and checked out the way each CI system does it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Files = Mapping[str, "str | bytes | None"]
"""What a commit writes, by path from the root; None deletes."""

PULL_REQUEST = 1066

BASE: Files = {"models/dim_dog.sql": "select 1 as dog_id\n", "models/fact_dogs.sql": "select 1 as dog_id\n"}
CHANGE: Files = {
    "models/fact_dogs.sql": "select 2 as dog_id\n",
    "models/fact_walks.sql": "select 3 as walk_id\n",
}
MEANWHILE: Files = {
    "models/dim_dog.sql": "select 4 as dog_id\n",
    "models/dim_owner.sql": "select 5 as owner_id\n",
}

# Nothing of the machine's own settings counts, and every commit has the same author and date.
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    **{f"GIT_{who}_NAME": "Jane Doe" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "jane.doe@example.com" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_DATE": "2026-11-22T10:00:00+00:00" for who in ("AUTHOR", "COMMITTER")},
}


def git(directory: Path, *arguments: str, **environment: str) -> str:
    """Call git as a user would and return what it prints; AssertionError with its words when it fails."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", *arguments],
        cwd=directory,
        env={**inherited, **ENVIRONMENT, **environment},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, f"git {arguments}: {os.fsdecode(done.stderr)}"
    return os.fsdecode(done.stdout).rstrip("\n")


def write(directory: Path, files: Files) -> None:
    """Write or delete files below a directory."""
    for name, content in files.items():
        path = directory / name
        if content is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def commit(directory: Path, files: Files, message: str = "Change files") -> str:
    """Write files, commit everything in the work tree, and return the commit's sha."""
    write(directory, files)
    git(directory, "add", "-A")
    git(directory, "commit", "-q", "--allow-empty", "-m", message)
    return git(directory, "rev-parse", "HEAD")


def repository(directory: Path, files: Files = BASE, *, branch: str = "master") -> Path:
    """Make a repository with one commit and no remote."""
    directory.mkdir(parents=True, exist_ok=True)
    git(directory, "init", "-q", "-b", branch)
    commit(directory, files, "Start")
    return directory


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A bare repository with an open pull request from `feature` to `target`, both moved since they parted.

    `fork` is the last commit that they have in common; `merge` is the host's merge commit, at the refs that
    Azure Repos, GitHub and GitLab make (refs/pull/1066/merge, refs/merge-requests/1066/merge; head likewise).
    """

    path: Path
    target: str
    fork: str
    target_tip: str
    feature_tip: str
    merge: str

    @property
    def url(self) -> str:
        """The file:// URL: unlike for a plain path, a depth counts."""
        return self.path.as_uri()


def remote(
    directory: Path,
    *,
    base: Files = BASE,
    change: Files = CHANGE,
    meanwhile: Files = MEANWHILE,
    target: str = "master",
    older_commits: int = 60,
    newer_commits: int = 25,
) -> Remote:
    """Make the bare repository `directory`/remote.git.

    `base` is committed on the target branch, then `change` on feature and `meanwhile` on the target branch.
    Empty commits on the target branch before the fork and on both branches after it make a shallow clone miss
    the fork.
    """
    work = repository(directory / "author", base, branch=target)
    _empty_commits(work, "Before the fork", older_commits)
    fork = git(work, "rev-parse", "HEAD")
    git(work, "checkout", "-q", "-b", "feature")
    _empty_commits(work, "On the feature branch", newer_commits)
    feature_tip = commit(work, change, "Change models")
    git(work, "checkout", "-q", target)
    _empty_commits(work, "On the target branch", newer_commits)
    target_tip = commit(work, meanwhile, "Meanwhile")
    git(work, "checkout", "-q", "--detach")
    git(work, "merge", "-q", "--no-ff", "-m", f"Merge pull request {PULL_REQUEST} from feature", "feature")
    merge = git(work, "rev-parse", "HEAD")
    path = directory / "remote.git"
    git(directory, "init", "-q", "--bare", "-b", target, str(path))
    git(path, "config", "uploadpack.allowAnySHA1InWant", "true")
    refs = [f"{target}:refs/heads/{target}", "feature:refs/heads/feature"]
    for kind in ("pull", "merge-requests"):
        refs += [f"{merge}:refs/{kind}/{PULL_REQUEST}/merge", f"feature:refs/{kind}/{PULL_REQUEST}/head"]
    git(work, "push", "-q", str(path), *refs)
    shutil.rmtree(work)
    return Remote(path=path, target=target, fork=fork, target_tip=target_tip, feature_tip=feature_tip, merge=merge)


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A clone as a CI system leaves it: what it says about the base, and the base that is right."""

    path: Path
    base: str
    target: str | None
    provider_base: str | None = None
    provider_head: str | None = None


def azure_shallow(origin: Remote, path: Path) -> Checkout:
    """Azure Pipelines with `fetchDepth: 1`: the merge commit alone, without a branch."""
    _fetched(origin, path, f"+{origin.merge}:refs/remotes/origin/{origin.merge}", "--depth=1")
    git(path, "checkout", "-q", "--force", f"refs/remotes/origin/{origin.merge}")
    return _merged(origin, path)


def azure_full(origin: Remote, path: Path) -> Checkout:
    """Azure Pipelines with `fetchDepth: 0`."""
    merge = f"refs/remotes/pull/{PULL_REQUEST}/merge"
    _fetched(origin, path, "+refs/heads/*:refs/remotes/origin/*", f"+refs/pull/{PULL_REQUEST}/merge:{merge}")
    git(path, "checkout", "-q", "--force", merge)
    return _merged(origin, path)


def github_shallow(origin: Remote, path: Path) -> Checkout:
    """actions/checkout as it is: depth 1."""
    merge = f"refs/remotes/pull/{PULL_REQUEST}/merge"
    _fetched(origin, path, "--depth=1", f"+{origin.merge}:{merge}")
    git(path, "checkout", "-q", "--force", merge)
    return _merged(origin, path)


def github_full(origin: Remote, path: Path) -> Checkout:
    """actions/checkout with `fetch-depth: 0`."""
    merge = f"refs/remotes/pull/{PULL_REQUEST}/merge"
    _fetched(origin, path, "+refs/heads/*:refs/remotes/origin/*", f"+{origin.merge}:{merge}")
    git(path, "checkout", "-q", "--force", merge)
    return _merged(origin, path)


def gitlab_merged_result(origin: Remote, path: Path) -> Checkout:
    """GitLab's merged results pipeline, `GIT_DEPTH: 20`; it names the fork as the base."""
    _fetched(origin, path, "--depth=20", f"+refs/merge-requests/{PULL_REQUEST}/merge:refs/pipelines/1")
    git(path, "checkout", "-q", "--force", "--detach", "refs/pipelines/1")
    head = origin.feature_tip
    return Checkout(
        path=path, base=origin.target_tip, target=origin.target, provider_base=origin.fork, provider_head=head
    )


def gitlab_detached(origin: Remote, path: Path) -> Checkout:
    """GitLab's merge request pipeline, `GIT_DEPTH: 20`: the head of the source branch."""
    _fetched(origin, path, "--depth=20", f"+refs/merge-requests/{PULL_REQUEST}/head:refs/pipelines/1")
    git(path, "checkout", "-q", "--force", "--detach", "refs/pipelines/1")
    head = origin.feature_tip
    return Checkout(path=path, base=origin.fork, target=origin.target, provider_base=origin.fork, provider_head=head)


def bitbucket(origin: Remote, path: Path) -> Checkout:
    """Bitbucket: a clone of the source branch, into which the destination is merged; sha cut to 12 digits."""
    git(path.parent, "clone", "-q", "--single-branch", "--branch=feature", origin.url, str(path))
    git(path, "fetch", "-q", "origin", origin.target)
    git(path, "merge", "-q", "--no-edit", "FETCH_HEAD")
    head = origin.feature_tip[:12]
    return Checkout(path=path, base=origin.target_tip, target=origin.target, provider_head=head)


def jenkins(origin: Remote, path: Path) -> Checkout:
    """Jenkins multibranch: the target is merged into the pull request's head, which is the first parent."""
    head = f"+refs/pull/{PULL_REQUEST}/head:refs/remotes/origin/PR-{PULL_REQUEST}"
    _fetched(origin, path, head, f"+refs/heads/{origin.target}:refs/remotes/origin/{origin.target}")
    git(path, "checkout", "-q", "--force", origin.feature_tip)
    git(path, "merge", "-q", "--no-edit", origin.target_tip)
    return Checkout(path=path, base=origin.target_tip, target=origin.target, provider_head=origin.feature_tip)


def buildkite(origin: Remote, path: Path) -> Checkout:
    """Buildkite: a whole clone, detached at the head of the pull request."""
    git(path.parent, "clone", "-q", origin.url, str(path))
    git(path, "checkout", "-q", "--force", origin.feature_tip)
    return Checkout(path=path, base=origin.fork, target=origin.target, provider_head=origin.feature_tip)


def circleci(origin: Remote, path: Path) -> Checkout:
    """CircleCI: a whole clone on the branch; nothing says what the target is."""
    git(path.parent, "clone", "-q", origin.url, str(path))
    git(path, "checkout", "-q", "-B", "feature", origin.feature_tip)
    return Checkout(path=path, base=origin.fork, target=None, provider_head=origin.feature_tip)


def laptop(origin: Remote, path: Path) -> Checkout:
    """A developer's clone, on the feature branch; the local target branch is older than the fork."""
    git(path.parent, "clone", "-q", origin.url, str(path))
    git(path, "checkout", "-q", "feature")
    git(path, "branch", "-q", "--force", origin.target, f"{origin.fork}~1")
    return Checkout(path=path, base=origin.fork, target=None)


CHECKOUTS: Mapping[str, Callable[[Remote, Path], Checkout]] = {
    make.__name__: make
    for make in (
        *(azure_shallow, azure_full, github_shallow, github_full, gitlab_merged_result, gitlab_detached),
        *(bitbucket, jenkins, buildkite, circleci, laptop),
    )
}
"""Every way to check the pull request out, by name."""


def _empty_commits(directory: Path, where: str, count: int) -> None:
    # Author and date are always the same, so without `where` both branches would hold the very same commits.
    for number in range(count):
        git(directory, "commit", "-q", "--allow-empty", "-m", f"{where}: {number}")


def _fetched(origin: Remote, path: Path, *arguments: str) -> None:
    path.mkdir(parents=True)
    git(path, "init", "-q")
    git(path, "remote", "add", "origin", origin.url)
    options = [argument for argument in arguments if argument.startswith("--")]
    refspecs = [argument for argument in arguments if not argument.startswith("--")]
    git(path, "fetch", "-q", "--no-tags", "--force", *options, "origin", *refspecs)


def _merged(origin: Remote, path: Path) -> Checkout:
    return Checkout(path=path, base=origin.target_tip, target=origin.target, provider_head=origin.feature_tip)
