"""Buildkite."""

from __future__ import annotations

from pytest_dbtci.ci.build import Build
from tests.support.ci_environments.case import HEAD, MERGE, TARGET, Case
from tests.support.ci_environments.github import QUEUE

BUILDKITE = {
    "CI": "true",
    "BUILDKITE": "true",
    "BUILDKITE_BUILD_URL": "https://buildkite.com/kennel/dbt/builds/1514",
    "BUILDKITE_COMMIT": HEAD,
    "BUILDKITE_PIPELINE_DEFAULT_BRANCH": "main",
    "BUILDKITE_PULL_REQUEST": "false",
    "BUILDKITE_PULL_REQUEST_BASE_BRANCH": "",
    "BUILDKITE_PULL_REQUEST_REPO": "",
    "BUILDKITE_REPO": "git@github.com:kennel/our-datamart.git",
    "BUILDKITE_TAG": "",
}
BUILDKITE_PR = {
    **BUILDKITE,
    "BUILDKITE_BRANCH": "feature/dogs",
    "BUILDKITE_PULL_REQUEST": "17",
    "BUILDKITE_PULL_REQUEST_BASE_BRANCH": "main",
    "BUILDKITE_PULL_REQUEST_REPO": "git://github.com/kennel/our-datamart.git",
}

CASES = {
    "buildkite: pull request": Case(
        environ=BUILDKITE_PR,
        build=Build(
            provider="buildkite",
            pr="17",
            target_branch="main",
            source_branch="feature/dogs",
            default_branch="main",
            ref="refs/heads/feature/dogs",
            head_sha=HEAD,
            url="https://buildkite.com/kennel/dbt/builds/1514",
        ),
        kind="pull_request",
    ),
    "buildkite: pull request of a fork, on its merge commit": Case(
        environ={
            **BUILDKITE_PR,
            "BUILDKITE_BRANCH": "stranger:main",
            "BUILDKITE_PULL_REQUEST_REPO": "git://github.com/stranger/our-datamart.git",
            "BUILDKITE_PULL_REQUEST_USING_MERGE_REFSPEC": "true",
            "BUILDKITE_COMMIT": MERGE,
        },
        build=Build(
            provider="buildkite",
            pr="17",
            target_branch="main",
            source_branch="stranger:main",
            default_branch="main",
            ref="refs/heads/stranger:main",
            is_fork=True,
            url="https://buildkite.com/kennel/dbt/builds/1514",
        ),
        kind="pull_request",
    ),
    "buildkite: merge queue": Case(
        environ={
            **BUILDKITE,
            "BUILDKITE_BRANCH": QUEUE,
            "BUILDKITE_COMMIT": MERGE,
            "BUILDKITE_MERGE_QUEUE_BASE_BRANCH": "main",
            "BUILDKITE_MERGE_QUEUE_BASE_COMMIT": TARGET,
        },
        build=Build(
            provider="buildkite",
            pr="17",
            target_branch="main",
            source_branch=QUEUE,
            default_branch="main",
            ref=f"refs/heads/{QUEUE}",
            url="https://buildkite.com/kennel/dbt/builds/1514",
        ),
        kind="pull_request",
    ),
    "buildkite: default branch, by hand": Case(
        environ={**BUILDKITE, "BUILDKITE_BRANCH": "main", "BUILDKITE_COMMIT": "HEAD"},
        build=Build(
            provider="buildkite",
            source_branch="main",
            default_branch="main",
            ref="refs/heads/main",
            url="https://buildkite.com/kennel/dbt/builds/1514",
        ),
        kind="default_branch",
    ),
    "buildkite: tag, whose branch is the tag": Case(
        environ={**BUILDKITE, "BUILDKITE_BRANCH": "v1.0", "BUILDKITE_TAG": "v1.0"},
        build=Build(
            provider="buildkite",
            default_branch="main",
            ref="refs/tags/v1.0",
            url="https://buildkite.com/kennel/dbt/builds/1514",
        ),
        kind="other_branch",
    ),
}
