"""Azure Pipelines."""

from __future__ import annotations

from pytest_dbtci.ci.build import Build
from tests.support.ci_environments.case import HEAD, MERGE, Case
from tests.support.ci_environments.github import QUEUE

AZURE = {
    "TF_BUILD": "True",
    "SYSTEM_COLLECTIONURI": "https://dev.azure.com/kennel/",
    "SYSTEM_TEAMPROJECT": "Dog Data",
    "BUILD_REPOSITORY_PROVIDER": "TfsGit",
    "BUILD_REPOSITORY_NAME": "our-datamart",
    "BUILD_REPOSITORY_URI": "https://kennel@dev.azure.com/kennel/Dog%20Data/_git/our-datamart",
    "BUILD_BUILDID": "1764",
    "BUILD_SOURCEVERSION": MERGE,
    "SYSTEM_PULLREQUEST_ISFORK": "False",
}
AZURE_PR = {
    **AZURE,
    "BUILD_REASON": "PullRequest",
    "BUILD_SOURCEBRANCH": "refs/pull/1066/merge",
    "BUILD_SOURCEBRANCHNAME": "merge",
    "BUILD_SOURCEVERSIONMESSAGE": "Merge pull request 1066 from feature/dogs into master",
    "SYSTEM_PULLREQUEST_PULLREQUESTID": "1066",
    "SYSTEM_PULLREQUEST_TARGETBRANCH": "refs/heads/master",
    "SYSTEM_PULLREQUEST_TARGETBRANCHNAME": "master",
    "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/feature/dogs",
    "SYSTEM_PULLREQUEST_SOURCECOMMITID": HEAD,
    "SYSTEM_PULLREQUEST_PULLREQUESTITERATION": "3",
}
AZURE_GITHUB_PR = {
    **AZURE_PR,
    "BUILD_REPOSITORY_PROVIDER": "GitHub",
    "BUILD_REPOSITORY_NAME": "kennel/our-datamart",
    "BUILD_REPOSITORY_URI": "https://github.com/kennel/our-datamart",
    "BUILD_SOURCEBRANCH": "refs/pull/12/merge",
    "SYSTEM_PULLREQUEST_PULLREQUESTID": "2937538401",
    "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER": "12",
    "SYSTEM_PULLREQUEST_TARGETBRANCH": "release/1.0",
    "SYSTEM_PULLREQUEST_SOURCEBRANCH": "feature/dogs",
}

CASES = {
    "azure repos: pull request": Case(
        environ=AZURE_PR,
        build=Build(
            provider="azure",
            pr="1066",
            target_branch="master",
            source_branch="feature/dogs",
            ref="refs/pull/1066/merge",
            head_sha=HEAD,
            url="https://dev.azure.com/kennel/Dog%20Data/_git/our-datamart/pullrequest/1066",
        ),
        kind="pull_request",
    ),
    "azure repos: pull request into a branch with a slash, from a fork": Case(
        environ={
            **AZURE_PR,
            "SYSTEM_PULLREQUEST_TARGETBRANCH": "refs/heads/release/1.0",
            "SYSTEM_PULLREQUEST_ISFORK": "True",
        },
        build=Build(
            provider="azure",
            pr="1066",
            target_branch="release/1.0",
            source_branch="feature/dogs",
            ref="refs/pull/1066/merge",
            head_sha=HEAD,
            is_fork=True,
            url="https://dev.azure.com/kennel/Dog%20Data/_git/our-datamart/pullrequest/1066",
        ),
        kind="pull_request",
    ),
    "azure with github: the visible number, not the internal id": Case(
        environ=AZURE_GITHUB_PR,
        build=Build(
            provider="azure",
            pr="12",
            target_branch="release/1.0",
            source_branch="feature/dogs",
            ref="refs/pull/12/merge",
            head_sha=HEAD,
            url="https://github.com/kennel/our-datamart/pull/12",
        ),
        kind="pull_request",
    ),
    "azure: a pull request's merge ref queued by hand": Case(
        environ={**AZURE, "BUILD_REASON": "Manual", "BUILD_SOURCEBRANCH": "refs/pull/1066/merge"},
        build=Build(
            provider="azure",
            pr="1066",
            ref="refs/pull/1066/merge",
            url="https://dev.azure.com/kennel/Dog%20Data/_git/our-datamart/pullrequest/1066",
        ),
        kind="pull_request",
    ),
    "azure: default branch": Case(
        environ={
            **AZURE,
            "BUILD_REASON": "IndividualCI",
            "BUILD_SOURCEBRANCH": "refs/heads/master",
            "BUILD_SOURCEBRANCHNAME": "master",
        },
        build=Build(
            provider="azure",
            source_branch="master",
            ref="refs/heads/master",
            url="https://dev.azure.com/kennel/Dog%20Data/_build/results?buildId=1764",
        ),
        kind="default_branch",
    ),
    "azure: feature/master is not master": Case(
        environ={
            **AZURE,
            "BUILD_REASON": "IndividualCI",
            "BUILD_SOURCEBRANCH": "refs/heads/feature/master",
            "BUILD_SOURCEBRANCHNAME": "master",
        },
        build=Build(
            provider="azure",
            source_branch="feature/master",
            ref="refs/heads/feature/master",
            url="https://dev.azure.com/kennel/Dog%20Data/_build/results?buildId=1764",
        ),
        kind="other_branch",
    ),
    "azure: a tag named master": Case(
        environ={**AZURE, "BUILD_REASON": "IndividualCI", "BUILD_SOURCEBRANCH": "refs/tags/master"},
        build=Build(
            provider="azure",
            ref="refs/tags/master",
            url="https://dev.azure.com/kennel/Dog%20Data/_build/results?buildId=1764",
        ),
        kind="other_branch",
    ),
    "azure: schedule on the default branch": Case(
        environ={**AZURE, "BUILD_REASON": "Schedule", "BUILD_SOURCEBRANCH": "refs/heads/main"},
        build=Build(
            provider="azure",
            source_branch="main",
            ref="refs/heads/main",
            url="https://dev.azure.com/kennel/Dog%20Data/_build/results?buildId=1764",
        ),
        kind="default_branch",
    ),
    "azure with github: merge queue": Case(
        environ={**AZURE, "BUILD_REASON": "IndividualCI", "BUILD_SOURCEBRANCH": f"refs/heads/{QUEUE}"},
        build=Build(
            provider="azure",
            pr="17",
            target_branch="main",
            source_branch=QUEUE,
            ref=f"refs/heads/{QUEUE}",
            url="https://dev.azure.com/kennel/Dog%20Data/_build/results?buildId=1764",
        ),
        kind="pull_request",
    ),
}
