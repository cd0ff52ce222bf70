"""GitLab CI/CD."""

from __future__ import annotations

from pytest_dbtci.ci.build import Build
from tests.support.ci_environments.case import BASE, HEAD, MERGE, TARGET, Case

GITLAB = {
    "CI": "true",
    "GITLAB_CI": "true",
    "CI_DEFAULT_BRANCH": "main",
    "CI_PIPELINE_URL": "https://gitlab.com/kennel/our-datamart/-/pipelines/900",
    "CI_PROJECT_PATH": "kennel/our-datamart",
    "CI_COMMIT_SHA": HEAD,
}
GITLAB_MR = {
    **GITLAB,
    "CI_PIPELINE_SOURCE": "merge_request_event",
    "CI_COMMIT_REF_NAME": "feature/dogs",
    "CI_MERGE_REQUEST_ID": "34567890",
    "CI_MERGE_REQUEST_IID": "17",
    "CI_MERGE_REQUEST_EVENT_TYPE": "detached",
    "CI_MERGE_REQUEST_REF_PATH": "refs/merge-requests/17/head",
    "CI_MERGE_REQUEST_PROJECT_PATH": "kennel/our-datamart",
    "CI_MERGE_REQUEST_PROJECT_URL": "https://gitlab.com/kennel/our-datamart",
    "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "kennel/our-datamart",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "feature/dogs",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "release/1.0",
    "CI_MERGE_REQUEST_TARGET_BRANCH_SHA": "",
    "CI_MERGE_REQUEST_DIFF_BASE_SHA": BASE,
}
GITLAB_MR_URL = "https://gitlab.com/kennel/our-datamart/-/merge_requests/17"

CASES = {
    "gitlab: merge request": Case(
        environ=GITLAB_MR,
        build=Build(
            provider="gitlab",
            pr="17",
            target_branch="release/1.0",
            source_branch="feature/dogs",
            default_branch="main",
            ref="refs/merge-requests/17/head",
            head_sha=HEAD,
            base_sha=BASE,
            url=GITLAB_MR_URL,
        ),
        kind="pull_request",
    ),
    "gitlab: merge request of a fork": Case(
        environ={**GITLAB_MR, "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "stranger/our-datamart"},
        build=Build(
            provider="gitlab",
            pr="17",
            target_branch="release/1.0",
            source_branch="feature/dogs",
            default_branch="main",
            ref="refs/merge-requests/17/head",
            head_sha=HEAD,
            base_sha=BASE,
            is_fork=True,
            url=GITLAB_MR_URL,
        ),
        kind="pull_request",
    ),
    "gitlab: merged results": Case(
        environ={
            **GITLAB_MR,
            "CI_COMMIT_SHA": MERGE,
            "CI_MERGE_REQUEST_EVENT_TYPE": "merged_result",
            "CI_MERGE_REQUEST_REF_PATH": "refs/merge-requests/17/merge",
            "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": HEAD,
            "CI_MERGE_REQUEST_TARGET_BRANCH_SHA": TARGET,
        },
        build=Build(
            provider="gitlab",
            pr="17",
            target_branch="release/1.0",
            source_branch="feature/dogs",
            default_branch="main",
            ref="refs/merge-requests/17/merge",
            head_sha=HEAD,
            url=GITLAB_MR_URL,
        ),
        kind="pull_request",
    ),
    "gitlab: merge train": Case(
        environ={
            **GITLAB_MR,
            "CI_COMMIT_SHA": MERGE,
            "CI_MERGE_REQUEST_EVENT_TYPE": "merge_train",
            "CI_MERGE_REQUEST_REF_PATH": "refs/merge-requests/17/train",
        },
        build=Build(
            provider="gitlab",
            pr="17",
            target_branch="release/1.0",
            source_branch="feature/dogs",
            default_branch="main",
            ref="refs/merge-requests/17/train",
            url=GITLAB_MR_URL,
        ),
        kind="pull_request",
    ),
    "gitlab: external pull request on github": Case(
        environ={
            **GITLAB,
            "CI_PIPELINE_SOURCE": "external_pull_request_event",
            "CI_COMMIT_BRANCH": "feature/dogs",
            "CI_EXTERNAL_PULL_REQUEST_IID": "17",
            "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME": "feature/dogs",
            "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA": HEAD,
            "CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME": "main",
            "CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_SHA": TARGET,
        },
        build=Build(
            provider="gitlab",
            pr="17",
            target_branch="main",
            source_branch="feature/dogs",
            default_branch="main",
            ref="refs/heads/feature/dogs",
            head_sha=HEAD,
            url="https://gitlab.com/kennel/our-datamart/-/pipelines/900",
        ),
        kind="pull_request",
    ),
    "gitlab: default branch": Case(
        environ={**GITLAB, "CI_COMMIT_BRANCH": "main", "CI_COMMIT_REF_NAME": "main"},
        build=Build(
            provider="gitlab",
            source_branch="main",
            default_branch="main",
            ref="refs/heads/main",
            url="https://gitlab.com/kennel/our-datamart/-/pipelines/900",
        ),
        kind="default_branch",
    ),
    "gitlab: branch pipeline of a branch with an open merge request": Case(
        environ={
            **GITLAB,
            "CI_COMMIT_BRANCH": "feature/main",
            "CI_COMMIT_REF_NAME": "feature/main",
            "CI_OPEN_MERGE_REQUESTS": "kennel/our-datamart!17",
        },
        build=Build(
            provider="gitlab",
            source_branch="feature/main",
            default_branch="main",
            ref="refs/heads/feature/main",
            url="https://gitlab.com/kennel/our-datamart/-/pipelines/900",
        ),
        kind="other_branch",
    ),
    "gitlab: tag named like the default branch": Case(
        environ={**GITLAB, "CI_COMMIT_TAG": "main", "CI_COMMIT_REF_NAME": "main"},
        build=Build(
            provider="gitlab",
            default_branch="main",
            ref="refs/tags/main",
            url="https://gitlab.com/kennel/our-datamart/-/pipelines/900",
        ),
        kind="other_branch",
    ),
}
