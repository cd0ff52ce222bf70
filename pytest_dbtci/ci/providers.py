"""The build as each CI provider describes it in the environment; one function for each of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True, kw_only=True)
class FileLinks:
    """Where the provider's site shows a file at a commit: a template for the file, and what a line adds to it."""

    file: str
    line: str

    def address(self, commit: str, path: str, line: int | None = None) -> str:
        """Return the address of a file of the repository (POSIX path), at a line where one is given."""
        address = self.file.format(commit=commit, path=quote(path))
        return address + (self.line.format(line=line, after=line + 1) if line else "")


@dataclass(frozen=True, kw_only=True)
class Build:
    """What the environment says about this build; None is "the provider doesn't say".

    `provider` is "ci" where CI is set and nothing else is known. `pr` is digits only, so it is safe in a
    schema name. Branches are short names (`release/1.0`), `ref` is the full ref the build runs on
    (`refs/heads/feature/master`, `refs/pull/17/merge`). `head_sha` is the tip of the pull request's branch,
    never a merge commit. `base_sha` is the merge base as the provider recorded it: for when git lacks the
    history to find it, not before, as older GitLab keeps the old one when the target branch is changed.
    `url` is for people: the pull request, else the build. `files` leads to files at a commit.
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
    files: FileLinks | None = field(default=None, compare=False)


class Environment:
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
        return name and _digits(self(name) or "", name)


def _digits(value: str, source: str) -> str:
    """Return `value` if it is a pull request's number; it ends up in schema names, so nothing else passes."""
    if not re.fullmatch(r"[0-9]{1,18}", value):
        raise UsageError(
            f"{source} is {value[:80]!r}, which is not a pull request's number. A schema is named after it, "
            "so only digits are taken. Correct it, or unset it and pass the number with --dbt-ci-pr."
        )
    return value


def short(ref: str | None) -> str | None:
    """Return a branch's short name: `refs/heads/release/1.0` becomes `release/1.0`."""
    return re.sub(r"^refs/heads/", "", ref, flags=re.IGNORECASE) if ref else None


def full_ref(branch: str | None, tag: str | None = None) -> str | None:
    """Return the full ref of a tag or a branch given by short name."""
    return f"refs/tags/{tag}" if tag else f"refs/heads/{branch}" if branch else None


def _pr_of(ref: str | None) -> str | None:
    found = re.fullmatch(r"refs/(?:pull|pull-requests|merge-requests)/([0-9]{1,18})/\w+", ref or "")
    return found[1] if found else None


def _branch_of(ref: str | None) -> str | None:
    return short(ref) if ref and ref.lower().startswith("refs/heads/") else None


def _url(*parts: str | None) -> str | None:
    """Join the parts of an address; None where one of them is missing."""
    return "".join(part for part in parts if part) if all(parts) else None


def _file_links(repository: str | None, site: str) -> FileLinks | None:
    """Return where a kind of site shows files; None for an unknown one, or where the repository's address is."""
    if not repository or "{" in repository or "}" in repository:
        return None
    home = re.sub(r"^(https?://)[^/@]*@", r"\1", repository).removesuffix(".git")
    position = "&line={line}&lineEnd={after}&lineStartColumn=1&lineEndColumn=1"
    return {
        "github": FileLinks(file=home + "/blob/{commit}/{path}", line="#L{line}"),
        "gitlab": FileLinks(file=home + "/-/blob/{commit}/{path}", line="#L{line}"),
        "bitbucket": FileLinks(file=home + "/src/{commit}/{path}", line="#lines-{line}"),
        "tfsgit": FileLinks(file=home + "?path=/{path}&version=GC{commit}", line=position),
    }.get(site)


def _repository(url: str | None) -> str:
    """Return `owner/name` of a clone URL of any form, in lower case."""
    return "/".join(re.split(r"[/:]", (url or "").removesuffix(".git").lower())[-2:])


def _azure(env: Environment) -> Build:
    ref = env("BUILD_SOURCEBRANCH")
    # For a repository on GitHub the ID is an internal one; only the NUMBER is what people see.
    pr = env.number("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "SYSTEM_PULLREQUEST_PULLREQUESTID") or _pr_of(ref)
    site = _url(env("SYSTEM_COLLECTIONURI"), quote(env("SYSTEM_TEAMPROJECT") or ""))
    kind, repository = (env("BUILD_REPOSITORY_PROVIDER") or "").lower(), env("BUILD_REPOSITORY_URI")
    if kind == "tfsgit":
        repository = _url(site, "/_git/", quote(env("BUILD_REPOSITORY_NAME") or ""))
    page = {"tfsgit": "/pullrequest/", "github": "/pull/", "bitbucket": "/pull-requests/"}.get(kind)
    return Build(
        provider="azure",
        pr=pr,
        target_branch=short(env("SYSTEM_PULLREQUEST_TARGETBRANCH")),
        source_branch=short(env("SYSTEM_PULLREQUEST_SOURCEBRANCH")) or _branch_of(ref),
        ref=ref,
        head_sha=env("SYSTEM_PULLREQUEST_SOURCECOMMITID"),
        is_fork=env.true("SYSTEM_PULLREQUEST_ISFORK"),
        url=_url(repository, page, pr) or _url(site, "/_build/results?buildId=", env("BUILD_BUILDID")),
        files=_file_links(repository, kind),
    )


def _github(env: Environment) -> Build:
    event = _github_event(env)
    name, ref = env("GITHUB_EVENT_NAME") or "", env("GITHUB_REF")
    pr = _pr_of(ref)
    # Only the event knows the number on pull_request_target and once the pull request is merged: the ref is
    # then the target branch, and going by it alone the build would pass for one of the default branch.
    if name.startswith("pull_request") and not pr:
        pr = _digits(_at(event, "pull_request", "number") or "", f"pull_request.number in GITHUB_EVENT_PATH ({name})")
    site = _url(env("GITHUB_SERVER_URL"), "/", env("GITHUB_REPOSITORY"))
    pull = ("pull_request",)
    home, head = (
        _at(event, *pull, "base", "repo", "full_name"),
        _at(event, *pull, "head", "repo", "full_name"),
    )
    return Build(
        provider="github",
        pr=pr,
        target_branch=env("GITHUB_BASE_REF") or _at(event, *pull, "base", "ref"),
        source_branch=env("GITHUB_HEAD_REF") or _at(event, *pull, "head", "ref") or _branch_of(ref),
        default_branch=_at(event, "repository", "default_branch"),
        ref=ref,
        head_sha=_at(event, *pull, "head", "sha"),
        is_fork=home is not None and head != home,  # a fork that was deleted since has no name
        url=_url(site, "/pull/", pr) or _url(site, "/actions/runs/", env("GITHUB_RUN_ID")),
        files=_file_links(site, "github"),
    )


def _github_event(env: Environment) -> object:
    """Read the event that started the workflow; {} where the file isn't there, as in a container."""
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


def _gitlab(env: Environment) -> Build:
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
            "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
            "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME",
            "CI_COMMIT_BRANCH",
        ),
        default_branch=env("CI_DEFAULT_BRANCH"),
        ref=env("CI_MERGE_REQUEST_REF_PATH") if merge_request else full_ref(branch, env("CI_COMMIT_TAG")),
        # In a merged-results pipeline or a train CI_COMMIT_SHA is a merge commit, and what differs from the
        # recorded base is also what others merged since.
        head_sha=env("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA")
        or (env("CI_COMMIT_SHA") if detached else None),
        base_sha=env("CI_MERGE_REQUEST_DIFF_BASE_SHA") if detached else None,
        is_fork=source != home,
        url=_url(env("CI_MERGE_REQUEST_PROJECT_URL"), "/-/merge_requests/", pr) or env("CI_PIPELINE_URL"),
        files=_file_links(env("CI_PROJECT_URL"), "gitlab"),
    )


def _bitbucket(env: Environment) -> Build:
    pr = env.number("BITBUCKET_PR_ID")
    site = _url("https://bitbucket.org/", env("BITBUCKET_REPO_FULL_NAME"))
    return Build(
        provider="bitbucket",
        pr=pr,
        target_branch=env("BITBUCKET_PR_DESTINATION_BRANCH"),
        source_branch=env("BITBUCKET_BRANCH"),
        ref=full_ref(env("BITBUCKET_BRANCH"), env("BITBUCKET_TAG")),
        # The build merges the destination into the source by itself, so HEAD is not this commit.
        head_sha=env("BITBUCKET_COMMIT") if pr else None,
        url=_url(site, "/pull-requests/", pr) or _url(site, "/pipelines/results/", env("BITBUCKET_BUILD_NUMBER")),
        files=_file_links(site, "bitbucket"),
    )


def _buildkite(env: Environment) -> Build:
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
        ref=full_ref(env("BUILDKITE_BRANCH"), env("BUILDKITE_TAG")),
        head_sha=commit if pr and is_tip else None,
        is_fork=bool(pr and fork) and _repository(fork) != _repository(env("BUILDKITE_REPO")),
        url=env("BUILDKITE_BUILD_URL"),
    )


def _circleci(env: Environment) -> Build:
    links = (env("CIRCLE_PULL_REQUESTS", "CIRCLE_PULL_REQUEST") or "").split(",")
    # Of several pull requests of one branch CircleCI names one at random; the oldest is always the same one.
    numbers = [_digits(link.rstrip("/").rpartition("/")[2], "CIRCLE_PULL_REQUEST") for link in links if link]
    pr = env.number("CIRCLE_PR_NUMBER") or min(numbers, key=int, default=None)
    branch = env("CIRCLE_BRANCH")
    of_fork = branch is not None and re.fullmatch(r"pull/[0-9]+", branch) is not None
    return Build(
        provider="circleci",
        pr=pr,
        source_branch=None if of_fork else branch,
        ref=f"refs/{branch}/head" if of_fork else full_ref(branch, env("CIRCLE_TAG")),
        head_sha=env("CIRCLE_SHA1") if pr else None,
        is_fork=of_fork or env("CIRCLE_PR_NUMBER") is not None,
        url=env("CIRCLE_PULL_REQUEST", "CIRCLE_BUILD_URL"),
    )


def _woodpecker(env: Environment) -> Build:
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


def _jenkins(env: Environment) -> Build:
    pr = env.number("CHANGE_ID", "ghprbPullId", "gitlabMergeRequestIid")
    # BRANCH_NAME is PR-24 in a pull request of a multibranch job; GIT_BRANCH of other jobs has the remote.
    branch = env("BRANCH_NAME") or re.sub(r"^origin/", "", env("GIT_BRANCH") or "")
    ref = None if pr else full_ref(branch, env("TAG_NAME"))
    return Build(
        provider="jenkins",
        pr=pr,
        target_branch=env("CHANGE_TARGET", "ghprbTargetBranch", "gitlabTargetBranch"),
        source_branch=env("CHANGE_BRANCH", "ghprbSourceBranch", "gitlabSourceBranch") or _branch_of(ref),
        default_branch=branch if not pr and env.true("BRANCH_IS_PRIMARY") else None,
        ref=ref,
        head_sha=env("ghprbActualCommit"),  # GIT_COMMIT may be the merge that Jenkins made
        is_fork=env("CHANGE_FORK") is not None,
        url=env("CHANGE_URL", "ghprbPullLink", "BUILD_URL"),
    )


def _codebuild(env: Environment) -> Build:
    kind, _, name = (env("CODEBUILD_WEBHOOK_TRIGGER") or "").partition("/")
    source = env("CODEBUILD_SOURCE_VERSION") or ""
    if not kind and source.startswith("pr/"):  # started by hand on a pull request
        kind, _, name = source.partition("/")
    pr = _digits(name, "CODEBUILD_WEBHOOK_TRIGGER") if kind == "pr" else None
    head = env("CODEBUILD_WEBHOOK_HEAD_REF")
    return Build(
        provider="codebuild",
        pr=pr,
        target_branch=short(env("CODEBUILD_WEBHOOK_BASE_REF")) if pr else None,
        source_branch=_branch_of(head),
        ref=None if pr else head or (source if source.startswith("refs/") else None),
        url=env("CODEBUILD_PUBLIC_BUILD_URL", "CODEBUILD_BUILD_URL"),
    )


# The first that fits. CodeBuild comes last: it also hosts runners of the others.
PROVIDERS: tuple[tuple[Callable[[Environment], bool], Callable[[Environment], Build]], ...] = (
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
