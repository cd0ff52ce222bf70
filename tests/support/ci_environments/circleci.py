"""CircleCI."""

from __future__ import annotations

from pytest_dbtci.ci.build import Build
from tests.support.ci_environments.case import HEAD, Case

CIRCLECI = {
    "CI": "true",
    "CIRCLECI": "true",
    "CIRCLE_BUILD_URL": "https://circleci.com/gh/kennel/our-datamart/901",
    "CIRCLE_SHA1": HEAD,
}

CASES = {
    "circleci: pull request": Case(
        environ={
            **CIRCLECI,
            "CIRCLE_BRANCH": "feature/dogs",
            "CIRCLE_PULL_REQUEST": "https://github.com/kennel/our-datamart/pull/17",
        },
        build=Build(
            provider="circleci",
            pr="17",
            source_branch="feature/dogs",
            ref="refs/heads/feature/dogs",
            head_sha=HEAD,
            url="https://github.com/kennel/our-datamart/pull/17",
        ),
        kind="pull_request",
    ),
    "circleci: of several pull requests the oldest, whichever CircleCI names": Case(
        environ={
            **CIRCLECI,
            "CIRCLE_BRANCH": "feature/dogs",
            "CIRCLE_PULL_REQUEST": "https://github.com/kennel/our-datamart/pull/103",
            "CIRCLE_PULL_REQUESTS": "https://github.com/kennel/our-datamart/pull/103,"
            "https://github.com/kennel/our-datamart/pull/17",
        },
        build=Build(
            provider="circleci",
            pr="17",
            source_branch="feature/dogs",
            ref="refs/heads/feature/dogs",
            head_sha=HEAD,
            url="https://github.com/kennel/our-datamart/pull/103",
        ),
        kind="pull_request",
    ),
    "circleci: pull request of a fork": Case(
        environ={
            **CIRCLECI,
            "CIRCLE_BRANCH": "pull/17",
            "CIRCLE_PR_NUMBER": "17",
            "CIRCLE_PR_USERNAME": "stranger",
            "CIRCLE_PULL_REQUEST": "https://github.com/kennel/our-datamart/pull/17",
        },
        build=Build(
            provider="circleci",
            pr="17",
            ref="refs/pull/17/head",
            head_sha=HEAD,
            is_fork=True,
            url="https://github.com/kennel/our-datamart/pull/17",
        ),
        kind="pull_request",
    ),
    "circleci: default branch": Case(
        environ={**CIRCLECI, "CIRCLE_BRANCH": "main"},
        build=Build(
            provider="circleci",
            source_branch="main",
            ref="refs/heads/main",
            url="https://circleci.com/gh/kennel/our-datamart/901",
        ),
        kind="default_branch",
    ),
    "circleci: tag": Case(
        environ={**CIRCLECI, "CIRCLE_TAG": "v1.0"},
        build=Build(provider="circleci", ref="refs/tags/v1.0", url="https://circleci.com/gh/kennel/our-datamart/901"),
        kind="other_branch",
    ),
}
