"""The CI providers, a file each."""

from __future__ import annotations

from pytest_dbtci.ci.providers.azure import Azure
from pytest_dbtci.ci.providers.bitbucket import Bitbucket
from pytest_dbtci.ci.providers.buildkite import Buildkite
from pytest_dbtci.ci.providers.circleci import CircleCI
from pytest_dbtci.ci.providers.codebuild import CodeBuild
from pytest_dbtci.ci.providers.github import GitHub
from pytest_dbtci.ci.providers.gitlab import GitLab
from pytest_dbtci.ci.providers.jenkins import Jenkins
from pytest_dbtci.ci.providers.local import Local
from pytest_dbtci.ci.providers.provider import Annotation, Provider
from pytest_dbtci.ci.providers.woodpecker import Woodpecker

__all__ = ["PROVIDERS", "Annotation", "Provider", "provider_of"]

PROVIDERS: list[Provider] = [
    Azure(),
    GitHub(),
    GitLab(),
    Bitbucket(),
    Buildkite(),
    CircleCI(),
    Woodpecker(),
    Jenkins(),
    CodeBuild(),  # after the others, as it also hosts runners of theirs
    Provider(),  # an unknown one, where CI is set
    Local(),
]
"""In the order in which they are asked; the first that recognises its build reads it."""


def provider_of(name: str) -> Provider:
    """Return the provider of that name, as a build or a plan holds it."""
    return next((p for p in PROVIDERS if p.name == name), Provider())
