"""AWS CodeBuild."""

from __future__ import annotations

from pytest_dbtci.ci.build import Build
from tests.support.ci_environments.case import HEAD, Case

CODEBUILD = {
    "CODEBUILD_CI": "true",
    "CODEBUILD_BUILD_ID": "dbt-ci:b1e6661e-e4f2-4156-9ab9-82a19EXAMPLE",
    "CODEBUILD_BUILD_URL": "https://eu-west-1.console.aws.amazon.com/codebuild/home#/builds/dbt-ci",
    "CODEBUILD_RESOLVED_SOURCE_VERSION": HEAD,
}

CASES = {
    "codebuild: pull request": Case(
        environ={
            **CODEBUILD,
            "CODEBUILD_WEBHOOK_TRIGGER": "pr/17",
            "CODEBUILD_WEBHOOK_EVENT": "PULL_REQUEST_UPDATED",
            "CODEBUILD_WEBHOOK_BASE_REF": "refs/heads/release/1.0",
            "CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/feature/dogs",
        },
        build=Build(
            provider="codebuild",
            pr="17",
            target_branch="release/1.0",
            source_branch="feature/dogs",
            url="https://eu-west-1.console.aws.amazon.com/codebuild/home#/builds/dbt-ci",
        ),
        kind="pull_request",
    ),
    "codebuild: pull request started by hand": Case(
        environ={**CODEBUILD, "CODEBUILD_SOURCE_VERSION": "pr/17"},
        build=Build(
            provider="codebuild",
            pr="17",
            url="https://eu-west-1.console.aws.amazon.com/codebuild/home#/builds/dbt-ci",
        ),
        kind="pull_request",
    ),
    "codebuild: push to the default branch": Case(
        environ={
            **CODEBUILD,
            "CODEBUILD_WEBHOOK_TRIGGER": "branch/main",
            "CODEBUILD_WEBHOOK_EVENT": "PUSH",
            "CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/main",
            "CODEBUILD_SOURCE_VERSION": HEAD,
        },
        build=Build(
            provider="codebuild",
            source_branch="main",
            ref="refs/heads/main",
            url="https://eu-west-1.console.aws.amazon.com/codebuild/home#/builds/dbt-ci",
        ),
        kind="default_branch",
    ),
    "codebuild: started by a pipeline, which names no branch": Case(
        environ={**CODEBUILD, "CODEBUILD_SOURCE_VERSION": "arn:aws:s3:::artifacts/dbt/source.zip"},
        build=Build(
            provider="codebuild",
            url="https://eu-west-1.console.aws.amazon.com/codebuild/home#/builds/dbt-ci",
        ),
        kind="other_branch",
    ),
}
