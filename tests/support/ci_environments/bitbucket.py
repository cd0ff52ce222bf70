"""Bitbucket Pipelines."""

from __future__ import annotations

from pytest_dbtci.ci.build import Build
from tests.support.ci_environments.case import HEAD, TARGET, Case

BITBUCKET = {
    "CI": "true",
    "BITBUCKET_BUILD_NUMBER": "88",
    "BITBUCKET_REPO_FULL_NAME": "kennel/our-datamart",
    "BITBUCKET_COMMIT": HEAD,
}

CASES = {
    "bitbucket: pull request": Case(
        environ={
            **BITBUCKET,
            "BITBUCKET_BRANCH": "feature/dogs",
            "BITBUCKET_PR_ID": "17",
            "BITBUCKET_PR_DESTINATION_BRANCH": "main",
            "BITBUCKET_PR_DESTINATION_COMMIT": TARGET[:12],
        },
        build=Build(
            provider="bitbucket",
            pr="17",
            target_branch="main",
            source_branch="feature/dogs",
            ref="refs/heads/feature/dogs",
            head_sha=HEAD,
            url="https://bitbucket.org/kennel/our-datamart/pull-requests/17",
        ),
        kind="pull_request",
    ),
    "bitbucket: default branch": Case(
        environ={**BITBUCKET, "BITBUCKET_BRANCH": "main"},
        build=Build(
            provider="bitbucket",
            source_branch="main",
            ref="refs/heads/main",
            url="https://bitbucket.org/kennel/our-datamart/pipelines/results/88",
        ),
        kind="default_branch",
    ),
    "bitbucket: other branch": Case(
        environ={**BITBUCKET, "BITBUCKET_BRANCH": "feature/main"},
        build=Build(
            provider="bitbucket",
            source_branch="feature/main",
            ref="refs/heads/feature/main",
            url="https://bitbucket.org/kennel/our-datamart/pipelines/results/88",
        ),
        kind="other_branch",
    ),
    "bitbucket: tag": Case(
        environ={**BITBUCKET, "BITBUCKET_TAG": "v1.0"},
        build=Build(
            provider="bitbucket",
            ref="refs/tags/v1.0",
            url="https://bitbucket.org/kennel/our-datamart/pipelines/results/88",
        ),
        kind="other_branch",
    ),
}
