"""Who am I? The CI provider and the pull request, read from the environment into a frozen value."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pytest_dbtci.errors import UsageError

Provider = Literal[
    "azure",
    "github",
    "gitlab",
    "bitbucket",
    "buildkite",
    "circleci",
    "woodpecker",
    "jenkins",
    "codebuild",
    "ci",
    "local",
]
Verdict = Literal["pull_request", "default_branch", "other_branch", "local"]


@dataclass(frozen=True, kw_only=True)
class Build:
    """What the environment says about this build; None is "the provider doesn't say".

    `provider` is "ci" where CI is set and nothing else is known. `pr` is digits only, so it is safe in a schema
    name. Branches are short names (`release/1.0`), `ref` is the full ref the build runs on
    (`refs/heads/feature/master`, `refs/pull/17/merge`). `head_sha` is the tip of the pull request's branch, never
    a merge commit. `base_sha` is the merge base as the provider recorded it: a stand-in for when git lacks the
    history to find it, as GitLab before 18.5 keeps the old one when a merge request's target changes.
    `url` is for people: the pull request, else the build.
    """

    provider: Provider
    pr: str | None = None
    target_branch: str | None = None
    source_branch: str | None = None
    default_branch: str | None = None
    ref: str | None = None
    head_sha: str | None = None
    base_sha: str | None = None
    is_fork: bool = False
    url: str | None = None


class _Environment:
    """Read variables; an empty one counts as unset, as every provider leaves some empty."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __call__(self, *names: str) -> str | None:
        """Return the first of the variables that is set."""
        return next((value for name in names if (value := self._environ.get(name, "").strip())), None)

    def true(self, name: str) -> bool:
        return (self(name) or "").lower() not in ("", "0", "false", "no", "off")

    def number(self, *names: str) -> str | None:
        """Return the first set variable as a pull request's number; raise UsageError where it is not one."""
        name = next((name for name in names if self(name)), None)
        return name and digits(self(name) or "", name)


def digits(value: str, source: str) -> str:
    """Return `value` if it is a pull request's number; it ends up in schema names, so nothing else passes."""
    if not re.fullmatch(r"[0-9]{1,18}", value):
        raise UsageError(
            f"{source} is {value[:80]!r}, which is not a pull request's number. A schema is named after it, so "
            "only digits are taken. Correct the variable, or pass --dbt-ci-pr with the number."
        )
    return value


def short(ref: str | None) -> str | None:
    """Return a branch's short name: `refs/heads/release/1.0` becomes `release/1.0`."""
    return re.sub(r"^refs/heads/", "", ref, flags=re.IGNORECASE) if ref else None


def _full(branch: str | None, tag: str | None = None) -> str | None:
    """Return the full ref of a tag or a branch given by short name."""
    return f"refs/tags/{tag}" if tag else f"refs/heads/{branch}" if branch else None


def _repository(url: str | None) -> str:
    """Return `owner/name` of a clone URL of any form, in lower case."""
    return "/".join(re.split(r"[/:]", (url or "").removesuffix(".git").lower())[-2:])


def _azure(env: _Environment) -> Build:
    # The ID of a pull request on GitHub is an internal one; only the NUMBER is what people see.
    pr = env.number("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "SYSTEM_PULLREQUEST_PULLREQUESTID")
    ref = env("BUILD_SOURCEBRANCH")
    pr = pr or _pr_of(ref)
    site = f"{env('SYSTEM_COLLECTIONURI') or ''}{quote(env('SYSTEM_TEAMPROJECT') or '')}"
    page = {"tfsgit": "pullrequest", "github": "pull", "githubenterprise": "pull", "bitbucket": "pull-requests"}
    kind = (env("BUILD_REPOSITORY_PROVIDER") or "").lower()
    repository = (env("BUILD_REPOSITORY_URI") or "").removesuffix(".git")
    if kind == "tfsgit":
        repository = f"{site}/_git/{quote(env('BUILD_REPOSITORY_NAME') or '')}"
    in_pr = pr and kind in page and repository
    return Build(
        provider="azure",
        pr=pr,
        target_branch=short(env("SYSTEM_PULLREQUEST_TARGETBRANCH")),
        source_branch=short(env("SYSTEM_PULLREQUEST_SOURCEBRANCH")) or _branch_of(ref),
        ref=ref,
        head_sha=env("SYSTEM_PULLREQUEST_SOURCECOMMITID"),
        is_fork=env.true("SYSTEM_PULLREQUEST_ISFORK"),
        url=f"{repository}/{page[kind]}/{pr}" if in_pr else f"{site}/_build/results?buildId={env('BUILD_BUILDID')}",
    )


def _github(env: _Environment) -> Build:
    event = _github_event(env)
    name, ref = env("GITHUB_EVENT_NAME") or "", env("GITHUB_REF")
    pr = _pr_of(ref)
    # Only the event knows the number on pull_request_target and once the pull request is merged: the ref is then
    # the target branch, and going by it alone the build would pass for one of the default branch.
    if name.startswith("pull_request") and not pr:
        pr = digits(_at(event, "pull_request", "number") or "", f"pull_request.number of the {name} event")
    site = f"{env('GITHUB_SERVER_URL') or 'https://github.com'}/{env('GITHUB_REPOSITORY')}"
    pull = ("pull_request",)
    home, head = _at(event, *pull, "base", "repo", "full_name"), _at(event, *pull, "head", "repo", "full_name")
    return Build(
        provider="github",
        pr=pr,
        target_branch=env("GITHUB_BASE_REF") or _at(event, *pull, "base", "ref"),
        source_branch=env("GITHUB_HEAD_REF") or _at(event, *pull, "head", "ref") or _branch_of(ref),
        default_branch=_at(event, "repository", "default_branch"),
        ref=ref,
        head_sha=_at(event, *pull, "head", "sha"),
        is_fork=home is not None and head != home,  # a fork that was deleted since has no name
        url=f"{site}/pull/{pr}" if pr else f"{site}/actions/runs/{env('GITHUB_RUN_ID')}",
    )


def _github_event(env: _Environment) -> object:
    """Read the event that started the workflow; {} where the file isn't there (a container has its own files)."""
    path = Path(env("GITHUB_EVENT_PATH") or "/nonexistent")
    try:
        return json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise UsageError(f"GITHUB_EVENT_PATH ({path}) can't be read as the event's JSON: {error}") from error


def _at(value: object, *keys: str) -> str | None:
    """Return what lies at the end of the keys as text, None where any step is missing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return str(value) if isinstance(value, (str, int)) and value != "" else None


def _gitlab(env: _Environment) -> Build:
    # CI_MERGE_REQUEST_ID counts over the whole instance; IID is the number people see.
    pr = env.number("CI_MERGE_REQUEST_IID", "CI_EXTERNAL_PULL_REQUEST_IID")
    merge_request, detached = env("CI_MERGE_REQUEST_IID"), env("CI_MERGE_REQUEST_EVENT_TYPE") == "detached"
    source, home = env("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH"), env("CI_MERGE_REQUEST_PROJECT_PATH")
    branch = env("CI_COMMIT_BRANCH") or (env("CI_COMMIT_REF_NAME") if pr and not merge_request else None)
    return Build(
        provider="gitlab",
        pr=pr,
        target_branch=env("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME"),
        source_branch=env(
            "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH"
        ),
        default_branch=env("CI_DEFAULT_BRANCH"),
        ref=env("CI_MERGE_REQUEST_REF_PATH") if merge_request else _full(branch, env("CI_COMMIT_TAG")),
        # In a merged-results pipeline or a train CI_COMMIT_SHA is a merge commit, and what differs from the
        # recorded base is also what others merged since.
        head_sha=env("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA")
        or (env("CI_COMMIT_SHA") if detached else None),
        base_sha=env("CI_MERGE_REQUEST_DIFF_BASE_SHA") if detached else None,
        is_fork=source != home,
        url=f"{env('CI_MERGE_REQUEST_PROJECT_URL')}/-/merge_requests/{pr}" if merge_request else env("CI_PIPELINE_URL"),
    )


def _bitbucket(env: _Environment) -> Build:
    pr = env.number("BITBUCKET_PR_ID")
    site = f"https://bitbucket.org/{env('BITBUCKET_REPO_FULL_NAME')}"
    return Build(
        provider="bitbucket",
        pr=pr,
        target_branch=env("BITBUCKET_PR_DESTINATION_BRANCH"),
        source_branch=env("BITBUCKET_BRANCH"),
        ref=_full(env("BITBUCKET_BRANCH"), env("BITBUCKET_TAG")),
        # The build merges the destination into the source by itself, so HEAD is not this commit.
        head_sha=env("BITBUCKET_COMMIT") if pr else None,
        url=f"{site}/pull-requests/{pr}" if pr else f"{site}/pipelines/results/{env('BITBUCKET_BUILD_NUMBER')}",
    )


def _buildkite(env: _Environment) -> Build:
    pr = env.number("BUILDKITE_PULL_REQUEST") if env.true("BUILDKITE_PULL_REQUEST") else None
    commit, fork = env("BUILDKITE_COMMIT") or "", env("BUILDKITE_PULL_REQUEST_REPO")
    # "HEAD" where the build was started by hand; a merge commit where the merge refspec is in use.
    is_tip = re.fullmatch(r"[0-9a-f]{40,64}", commit) and not env.true("BUILDKITE_PULL_REQUEST_USING_MERGE_REFSPEC")
    return Build(
        provider="buildkite",
        pr=pr,
        target_branch=env("BUILDKITE_PULL_REQUEST_BASE_BRANCH"),
        source_branch=None if env("BUILDKITE_TAG") else env("BUILDKITE_BRANCH"),
        default_branch=env("BUILDKITE_PIPELINE_DEFAULT_BRANCH"),
        ref=_full(env("BUILDKITE_BRANCH"), env("BUILDKITE_TAG")),
        head_sha=commit if pr and is_tip else None,
        is_fork=bool(pr and fork) and _repository(fork) != _repository(env("BUILDKITE_REPO")),
        url=env("BUILDKITE_BUILD_URL"),
    )


def _circleci(env: _Environment) -> Build:
    links = (env("CIRCLE_PULL_REQUESTS", "CIRCLE_PULL_REQUEST") or "").split(",")
    # Of several pull requests of one branch CircleCI names one at random; the oldest is always the same one.
    numbers = [digits(link.rstrip("/").rpartition("/")[2], "CIRCLE_PULL_REQUEST") for link in links if link]
    pr = env.number("CIRCLE_PR_NUMBER") or min(numbers, key=int, default=None)
    branch = env("CIRCLE_BRANCH")
    of_fork = branch is not None and re.fullmatch(r"pull/[0-9]+", branch) is not None
    return Build(
        provider="circleci",
        pr=pr,
        source_branch=None if of_fork else branch,
        ref=f"refs/{branch}/head" if of_fork else _full(branch, env("CIRCLE_TAG")),
        head_sha=env("CIRCLE_SHA1") if pr else None,
        is_fork=of_fork or env("CIRCLE_PR_NUMBER") is not None,
        url=env("CIRCLE_PULL_REQUEST", "CIRCLE_BUILD_URL"),
    )


def _woodpecker(env: _Environment) -> Build:
    pr, ref = env.number("CI_COMMIT_PULL_REQUEST"), env("CI_COMMIT_REF")
    return Build(
        provider="woodpecker",
        pr=pr,
        target_branch=env("CI_COMMIT_TARGET_BRANCH"),
        source_branch=env("CI_COMMIT_SOURCE_BRANCH") or _branch_of(ref),
        default_branch=env("CI_REPO_DEFAULT_BRANCH"),
        ref=ref,
        head_sha=env("CI_COMMIT_SHA") if pr else None,
        url=env("CI_PIPELINE_FORGE_URL", "CI_PIPELINE_URL"),
    )


def _jenkins(env: _Environment) -> Build:
    pr = env.number("CHANGE_ID", "ghprbPullId", "gitlabMergeRequestIid")
    # BRANCH_NAME is PR-24 in a pull request of a multibranch job; GIT_BRANCH, of any other job, names the remote.
    branch = env("BRANCH_NAME") or re.sub(r"^origin/", "", env("GIT_BRANCH") or "") or None
    return Build(
        provider="jenkins",
        pr=pr,
        target_branch=env("CHANGE_TARGET", "ghprbTargetBranch", "gitlabTargetBranch"),
        source_branch=env("CHANGE_BRANCH", "ghprbSourceBranch", "gitlabSourceBranch") or (None if pr else branch),
        default_branch=branch if env.true("BRANCH_IS_PRIMARY") else None,
        ref=None if pr else _full(branch, env("TAG_NAME")),
        head_sha=env("ghprbActualCommit"),  # GIT_COMMIT may be the merge that Jenkins made
        is_fork=env("CHANGE_FORK") is not None,
        url=env("CHANGE_URL", "ghprbPullLink", "BUILD_URL"),
    )


def _codebuild(env: _Environment) -> Build:
    kind, _, name = (env("CODEBUILD_WEBHOOK_TRIGGER") or "").partition("/")
    source = env("CODEBUILD_SOURCE_VERSION") or ""
    if not kind and source.startswith("pr/"):  # started by hand on a pull request
        kind, _, name = source.partition("/")
    pr = digits(name, "CODEBUILD_WEBHOOK_TRIGGER") if kind == "pr" else None
    head = env("CODEBUILD_WEBHOOK_HEAD_REF")
    return Build(
        provider="codebuild",
        pr=pr,
        target_branch=short(env("CODEBUILD_WEBHOOK_BASE_REF")) if pr else None,
        source_branch=_branch_of(head),
        ref=f"refs/pull/{pr}/head" if pr else head or (source if source.startswith("refs/") else None),
        url=env("CODEBUILD_PUBLIC_BUILD_URL", "CODEBUILD_BUILD_URL"),
    )


# The first that fits. CodeBuild comes last: it also hosts runners of the others.
_PROVIDERS: tuple[tuple[Callable[[_Environment], bool], Callable[[_Environment], Build]], ...] = (
    (lambda env: env.true("TF_BUILD"), _azure),
    (lambda env: env.true("GITHUB_ACTIONS"), _github),
    (lambda env: env.true("GITLAB_CI"), _gitlab),
    (lambda env: env("BITBUCKET_BUILD_NUMBER") is not None, _bitbucket),
    (lambda env: env.true("BUILDKITE"), _buildkite),
    (lambda env: env.true("CIRCLECI"), _circleci),
    (lambda env: env("CI") == "woodpecker", _woodpecker),
    (lambda env: env("JENKINS_URL") is not None, _jenkins),
    (lambda env: env("CODEBUILD_BUILD_ID") is not None, _codebuild),
    (lambda env: env.true("CI"), lambda env: Build(provider="ci")),
)


def detect(environ: Mapping[str, str]) -> Build:
    """Read the build from an environment; `Build(provider="local")` outside CI.

    Touches nothing but the file GITHUB_EVENT_PATH names. Raises UsageError where the pull request's number is
    missing or is not a number.
    """
    env = _Environment(environ)
    build = next((read(env) for fits, read in _PROVIDERS if fits(env)), Build(provider="local"))
    return build if build.pr else _of_merge_queue(build)


def _of_merge_queue(build: Build) -> Build:
    """Recognise GitHub's merge queue on any provider: a branch gh-readonly-queue/TARGET/pr-N-SHA.

    It is a pull request about to be merged. The sha is that of the entry ahead of it, whose changes are not in
    production yet, so the comparison stays with the target branch and covers both.
    """
    queue = re.fullmatch(r"refs/heads/gh-readonly-queue/(.+)/pr-([0-9]{1,18})-[0-9a-f]+", build.ref or "")
    return replace(build, target_branch=queue[1], pr=queue[2]) if queue else build


def _pr_of(ref: str | None) -> str | None:
    found = re.fullmatch(r"refs/(?:pull|pull-requests|merge-requests)/([0-9]{1,18})/\w+", ref or "")
    return found[1] if found else None


def _branch_of(ref: str | None) -> str | None:
    return short(ref) if ref and ref.lower().startswith("refs/heads/") else None


def verdict(build: Build, default_branch: str | None = None) -> Verdict:
    """Say what kind of build this is; full refs are compared, so `feature/master` is not `master`.

    `default_branch` is a short name and wins over the provider's; where neither is known, `master` and `main` are
    taken for it.
    """
    if build.pr:
        return "pull_request"
    if build.provider == "local":
        return "local"
    name = default_branch or build.default_branch
    return "default_branch" if build.ref in map(_full, (name,) if name else ("master", "main")) else "other_branch"
