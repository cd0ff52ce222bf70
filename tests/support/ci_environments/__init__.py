"""Environments as the CI providers set them, and the build each one means: a file for each provider."""

from __future__ import annotations

from tests.support.ci_environments import (
    azure,
    bitbucket,
    buildkite,
    circleci,
    codebuild,
    github,
    gitlab,
    jenkins,
    other,
    woodpecker,
)
from tests.support.ci_environments.azure import AZURE, AZURE_GITHUB_PR, AZURE_PR
from tests.support.ci_environments.bitbucket import BITBUCKET
from tests.support.ci_environments.buildkite import BUILDKITE, BUILDKITE_PR
from tests.support.ci_environments.case import BASE, HEAD, MERGE, TARGET, Case
from tests.support.ci_environments.circleci import CIRCLECI
from tests.support.ci_environments.codebuild import CODEBUILD
from tests.support.ci_environments.github import (
    GITHUB,
    GITHUB_DELETED_FORK_EVENT,
    GITHUB_EVENT,
    GITHUB_FORK_EVENT,
    GITHUB_PULL_REQUEST,
    GITHUB_PUSH_EVENT,
    QUEUE,
)
from tests.support.ci_environments.gitlab import GITLAB, GITLAB_MR, GITLAB_MR_URL
from tests.support.ci_environments.jenkins import JENKINS, JENKINS_PR
from tests.support.ci_environments.woodpecker import WOODPECKER

__all__ = [
    "AZURE",
    "AZURE_GITHUB_PR",
    "AZURE_PR",
    "BASE",
    "BITBUCKET",
    "BUILDKITE",
    "BUILDKITE_PR",
    "CASES",
    "CIRCLECI",
    "CODEBUILD",
    "GITHUB",
    "GITHUB_DELETED_FORK_EVENT",
    "GITHUB_EVENT",
    "GITHUB_FORK_EVENT",
    "GITHUB_PULL_REQUEST",
    "GITHUB_PUSH_EVENT",
    "GITLAB",
    "GITLAB_MR",
    "GITLAB_MR_URL",
    "HEAD",
    "JENKINS",
    "JENKINS_PR",
    "MERGE",
    "QUEUE",
    "TARGET",
    "WOODPECKER",
    "Case",
]

CASES: dict[str, Case] = {
    **azure.CASES,
    **github.CASES,
    **gitlab.CASES,
    **bitbucket.CASES,
    **buildkite.CASES,
    **circleci.CASES,
    **woodpecker.CASES,
    **jenkins.CASES,
    **codebuild.CASES,
    **other.CASES,
}
