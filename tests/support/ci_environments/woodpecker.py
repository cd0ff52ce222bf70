"""Woodpecker."""

from __future__ import annotations

from pytest_dbtci.ci.build import Build
from tests.support.ci_environments.case import HEAD, Case

WOODPECKER = {
    "CI": "woodpecker",
    "CI_REPO": "kennel/our-datamart",
    "CI_REPO_DEFAULT_BRANCH": "main",
    "CI_COMMIT_SHA": HEAD,
    "CI_PIPELINE_URL": "https://ci.example.com/repos/7/pipeline/8",
}

CASES = {
    "woodpecker: pull request": Case(
        environ={
            **WOODPECKER,
            "CI_PIPELINE_EVENT": "pull_request",
            "CI_PIPELINE_FORGE_URL": "https://git.example.com/kennel/our-datamart/pulls/17",
            "CI_COMMIT_PULL_REQUEST": "17",
            "CI_COMMIT_BRANCH": "main",
            "CI_COMMIT_SOURCE_BRANCH": "feature/dogs",
            "CI_COMMIT_TARGET_BRANCH": "main",
            "CI_COMMIT_REF": "refs/pull/17/head",
        },
        build=Build(
            provider="woodpecker",
            pr="17",
            target_branch="main",
            source_branch="feature/dogs",
            default_branch="main",
            ref="refs/pull/17/head",
            head_sha=HEAD,
            url="https://git.example.com/kennel/our-datamart/pulls/17",
        ),
        kind="pull_request",
    ),
    "woodpecker: default branch": Case(
        environ={**WOODPECKER, "CI_PIPELINE_EVENT": "push", "CI_COMMIT_REF": "refs/heads/main"},
        build=Build(
            provider="woodpecker",
            source_branch="main",
            default_branch="main",
            ref="refs/heads/main",
            url="https://ci.example.com/repos/7/pipeline/8",
        ),
        kind="default_branch",
    ),
    "woodpecker: tag": Case(
        environ={**WOODPECKER, "CI_PIPELINE_EVENT": "tag", "CI_COMMIT_REF": "refs/tags/v1.0"},
        build=Build(
            provider="woodpecker",
            default_branch="main",
            ref="refs/tags/v1.0",
            url="https://ci.example.com/repos/7/pipeline/8",
        ),
        kind="other_branch",
    ),
}
