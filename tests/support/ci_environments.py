"""Environments as the CI providers set them, and the build each one means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_dbtci.ci.build import Build
from pytest_dbtci.ci.detect import Verdict

HEAD = "5bc8e2a4f1d97c60e3b2a18f4d7c9e605a1b3c2d"
MERGE = "c0ffee00d1e2f30415263748596a7b8c9dae0f12"
BASE = "9049f1265b7d61be4a8904a9a27120d2064dab3b"
TARGET = "83a20ec058e2fb00e7fa4558c4c6e81e2dcf253d"

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
GITHUB = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "kennel/our-datamart",
    "GITHUB_RUN_ID": "8201",
    "GITHUB_SHA": MERGE,
    "GITHUB_BASE_REF": "",
    "GITHUB_HEAD_REF": "",
}
GITHUB_PULL_REQUEST = {
    **GITHUB,
    "GITHUB_EVENT_NAME": "pull_request",
    "GITHUB_REF": "refs/pull/17/merge",
    "GITHUB_REF_NAME": "17/merge",
    "GITHUB_BASE_REF": "main",
    "GITHUB_HEAD_REF": "feature/dogs",
}
GITHUB_EVENT: dict[str, object] = {
    "action": "synchronize",
    "number": 17,
    "repository": {"full_name": "kennel/our-datamart", "default_branch": "main"},
    "pull_request": {
        "number": 17,
        "html_url": "https://github.com/kennel/our-datamart/pull/17",
        "head": {"ref": "feature/dogs", "sha": HEAD, "repo": {"full_name": "kennel/our-datamart"}},
        "base": {"ref": "main", "sha": TARGET, "repo": {"full_name": "kennel/our-datamart"}},
    },
}
GITHUB_FORK_EVENT: dict[str, object] = {
    **GITHUB_EVENT,
    "pull_request": {
        "number": 17,
        "head": {"ref": "main", "sha": HEAD, "repo": {"full_name": "stranger/our-datamart"}},
        "base": {"ref": "main", "sha": TARGET, "repo": {"full_name": "kennel/our-datamart"}},
    },
}
GITHUB_DELETED_FORK_EVENT: dict[str, object] = {
    **GITHUB_EVENT,
    "pull_request": {
        "number": 17,
        "head": {"ref": "main", "sha": HEAD, "repo": None},
        "base": {"ref": "main", "sha": TARGET, "repo": {"full_name": "kennel/our-datamart"}},
    },
}
QUEUE = f"gh-readonly-queue/main/pr-17-{TARGET}"
GITHUB_PUSH_EVENT: dict[str, object] = {"repository": {"default_branch": "main"}}
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
BITBUCKET = {
    "CI": "true",
    "BITBUCKET_BUILD_NUMBER": "88",
    "BITBUCKET_REPO_FULL_NAME": "kennel/our-datamart",
    "BITBUCKET_COMMIT": HEAD,
}
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
CIRCLECI = {
    "CI": "true",
    "CIRCLECI": "true",
    "CIRCLE_BUILD_URL": "https://circleci.com/gh/kennel/our-datamart/901",
    "CIRCLE_SHA1": HEAD,
}
WOODPECKER = {
    "CI": "woodpecker",
    "CI_REPO": "kennel/our-datamart",
    "CI_REPO_DEFAULT_BRANCH": "main",
    "CI_COMMIT_SHA": HEAD,
    "CI_PIPELINE_URL": "https://ci.example.com/repos/7/pipeline/8",
}
JENKINS = {
    "CI": "true",
    "JENKINS_URL": "https://jenkins.example.com/",
    "BUILD_URL": "https://jenkins.example.com/job/dbt/job/PR-24/3/",
    "GIT_COMMIT": MERGE,
}
JENKINS_PR = {
    **JENKINS,
    "BRANCH_NAME": "PR-24",
    "CHANGE_ID": "24",
    "CHANGE_TARGET": "main",
    "CHANGE_BRANCH": "feature/dogs",
    "CHANGE_URL": "https://github.com/kennel/our-datamart/pull/24",
}
CODEBUILD = {
    "CODEBUILD_CI": "true",
    "CODEBUILD_BUILD_ID": "dbt-ci:b1e6661e-e4f2-4156-9ab9-82a19EXAMPLE",
    "CODEBUILD_BUILD_URL": "https://eu-west-1.console.aws.amazon.com/codebuild/home#/builds/dbt-ci",
    "CODEBUILD_RESOLVED_SOURCE_VERSION": HEAD,
}


@dataclass(frozen=True, kw_only=True)
class Case:
    environ: Mapping[str, str]
    build: Build
    kind: Verdict
    event: Mapping[str, object] | None = None


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
    "github: pull request": Case(
        environ=GITHUB_PULL_REQUEST,
        event=GITHUB_EVENT,
        build=Build(
            provider="github",
            pr="17",
            target_branch="main",
            source_branch="feature/dogs",
            default_branch="main",
            ref="refs/pull/17/merge",
            head_sha=HEAD,
            url="https://github.com/kennel/our-datamart/pull/17",
        ),
        kind="pull_request",
    ),
    "github: pull request in a container without the event": Case(
        environ={**GITHUB_PULL_REQUEST, "GITHUB_EVENT_PATH": "/home/runner/work/_temp/not-mounted.json"},
        build=Build(
            provider="github",
            pr="17",
            target_branch="main",
            source_branch="feature/dogs",
            ref="refs/pull/17/merge",
            url="https://github.com/kennel/our-datamart/pull/17",
        ),
        kind="pull_request",
    ),
    "github: pull request of a fork": Case(
        environ={**GITHUB_PULL_REQUEST, "GITHUB_HEAD_REF": "main"},
        event=GITHUB_FORK_EVENT,
        build=Build(
            provider="github",
            pr="17",
            target_branch="main",
            source_branch="main",
            default_branch="main",
            ref="refs/pull/17/merge",
            head_sha=HEAD,
            is_fork=True,
            url="https://github.com/kennel/our-datamart/pull/17",
        ),
        kind="pull_request",
    ),
    "github: pull request of a fork that was deleted": Case(
        environ={**GITHUB_PULL_REQUEST, "GITHUB_HEAD_REF": "main"},
        event=GITHUB_DELETED_FORK_EVENT,
        build=Build(
            provider="github",
            pr="17",
            target_branch="main",
            source_branch="main",
            default_branch="main",
            ref="refs/pull/17/merge",
            head_sha=HEAD,
            is_fork=True,
            url="https://github.com/kennel/our-datamart/pull/17",
        ),
        kind="pull_request",
    ),
    "github: pull_request_target runs on the default branch, yet is a pull request": Case(
        environ={
            **GITHUB,
            "GITHUB_EVENT_NAME": "pull_request_target",
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_BASE_REF": "main",
            "GITHUB_HEAD_REF": "feature/dogs",
        },
        event=GITHUB_EVENT,
        build=Build(
            provider="github",
            pr="17",
            target_branch="main",
            source_branch="feature/dogs",
            default_branch="main",
            ref="refs/heads/main",
            head_sha=HEAD,
            url="https://github.com/kennel/our-datamart/pull/17",
        ),
        kind="pull_request",
    ),
    "github: a pull request closed by its merge": Case(
        environ={
            **GITHUB,
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_BASE_REF": "main",
            "GITHUB_HEAD_REF": "feature/dogs",
        },
        event={**GITHUB_EVENT, "action": "closed"},
        build=Build(
            provider="github",
            pr="17",
            target_branch="main",
            source_branch="feature/dogs",
            default_branch="main",
            ref="refs/heads/main",
            head_sha=HEAD,
            url="https://github.com/kennel/our-datamart/pull/17",
        ),
        kind="pull_request",
    ),
    "github: merge queue": Case(
        environ={**GITHUB, "GITHUB_EVENT_NAME": "merge_group", "GITHUB_REF": f"refs/heads/{QUEUE}"},
        event={
            "action": "checks_requested",
            "merge_group": {"head_ref": f"refs/heads/{QUEUE}", "head_sha": MERGE, "base_sha": TARGET},
            "repository": {"default_branch": "main"},
        },
        build=Build(
            provider="github",
            pr="17",
            target_branch="main",
            source_branch=QUEUE,
            default_branch="main",
            ref=f"refs/heads/{QUEUE}",
            url="https://github.com/kennel/our-datamart/actions/runs/8201",
        ),
        kind="pull_request",
    ),
    "github: push to the default branch": Case(
        environ={**GITHUB, "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/main"},
        event=GITHUB_PUSH_EVENT,
        build=Build(
            provider="github",
            source_branch="main",
            default_branch="main",
            ref="refs/heads/main",
            url="https://github.com/kennel/our-datamart/actions/runs/8201",
        ),
        kind="default_branch",
    ),
    "github: push to master where main is the default": Case(
        environ={**GITHUB, "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/master"},
        event=GITHUB_PUSH_EVENT,
        build=Build(
            provider="github",
            source_branch="master",
            default_branch="main",
            ref="refs/heads/master",
            url="https://github.com/kennel/our-datamart/actions/runs/8201",
        ),
        kind="other_branch",
    ),
    "github: workflow_dispatch on a branch": Case(
        environ={**GITHUB, "GITHUB_EVENT_NAME": "workflow_dispatch", "GITHUB_REF": "refs/heads/feature/main"},
        event=GITHUB_PUSH_EVENT,
        build=Build(
            provider="github",
            source_branch="feature/main",
            default_branch="main",
            ref="refs/heads/feature/main",
            url="https://github.com/kennel/our-datamart/actions/runs/8201",
        ),
        kind="other_branch",
    ),
    "github: tag": Case(
        environ={**GITHUB, "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/tags/v1.0"},
        event=GITHUB_PUSH_EVENT,
        build=Build(
            provider="github",
            default_branch="main",
            ref="refs/tags/v1.0",
            url="https://github.com/kennel/our-datamart/actions/runs/8201",
        ),
        kind="other_branch",
    ),
    "forgejo, gitea: pull request": Case(
        environ={
            **GITHUB_PULL_REQUEST,
            "GITHUB_SERVER_URL": "https://git.example.com",
            "GITHUB_REF": "refs/pull/17/head",
        },
        build=Build(
            provider="github",
            pr="17",
            target_branch="main",
            source_branch="feature/dogs",
            ref="refs/pull/17/head",
            url="https://git.example.com/kennel/our-datamart/pull/17",
        ),
        kind="pull_request",
    ),
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
    "jenkins: pull request of a multibranch job": Case(
        environ=JENKINS_PR,
        build=Build(
            provider="jenkins",
            pr="24",
            target_branch="main",
            source_branch="feature/dogs",
            url="https://github.com/kennel/our-datamart/pull/24",
        ),
        kind="pull_request",
    ),
    "jenkins: pull request of a fork": Case(
        environ={**JENKINS_PR, "CHANGE_FORK": "stranger"},
        build=Build(
            provider="jenkins",
            pr="24",
            target_branch="main",
            source_branch="feature/dogs",
            is_fork=True,
            url="https://github.com/kennel/our-datamart/pull/24",
        ),
        kind="pull_request",
    ),
    "jenkins: pull request builder": Case(
        environ={
            **JENKINS,
            "GIT_BRANCH": "origin/pr/24/merge",
            "ghprbPullId": "24",
            "ghprbTargetBranch": "main",
            "ghprbSourceBranch": "feature/dogs",
            "ghprbActualCommit": HEAD,
            "ghprbPullLink": "https://github.com/kennel/our-datamart/pull/24",
        },
        build=Build(
            provider="jenkins",
            pr="24",
            target_branch="main",
            source_branch="feature/dogs",
            head_sha=HEAD,
            url="https://github.com/kennel/our-datamart/pull/24",
        ),
        kind="pull_request",
    ),
    "jenkins: primary branch of a multibranch job": Case(
        environ={**JENKINS, "BRANCH_NAME": "trunk", "BRANCH_IS_PRIMARY": "true"},
        build=Build(
            provider="jenkins",
            source_branch="trunk",
            default_branch="trunk",
            ref="refs/heads/trunk",
            url="https://jenkins.example.com/job/dbt/job/PR-24/3/",
        ),
        kind="default_branch",
    ),
    "jenkins: branch of a plain job": Case(
        environ={**JENKINS, "GIT_BRANCH": "origin/feature/master"},
        build=Build(
            provider="jenkins",
            source_branch="feature/master",
            ref="refs/heads/feature/master",
            url="https://jenkins.example.com/job/dbt/job/PR-24/3/",
        ),
        kind="other_branch",
    ),
    "jenkins: tag": Case(
        environ={**JENKINS, "BRANCH_NAME": "v1.0", "TAG_NAME": "v1.0"},
        build=Build(provider="jenkins", ref="refs/tags/v1.0", url="https://jenkins.example.com/job/dbt/job/PR-24/3/"),
        kind="other_branch",
    ),
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
    "github runner hosted by codebuild": Case(
        environ={**CODEBUILD, **GITHUB, "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/main"},
        build=Build(
            provider="github",
            source_branch="main",
            ref="refs/heads/main",
            url="https://github.com/kennel/our-datamart/actions/runs/8201",
        ),
        kind="default_branch",
    ),
    "azure agent on a machine that knows a jenkins": Case(
        environ={**AZURE_PR, "JENKINS_URL": "https://jenkins.example.com/", "CHANGE_ID": "99"},
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
    "a ci nobody knows": Case(environ={"CI": "true"}, build=Build(provider="ci"), kind="other_branch"),
    "a laptop": Case(environ={"HOME": "/home/anton", "USER": "anton"}, build=Build(provider="local"), kind="local"),
    "a laptop with CI switched off": Case(
        environ={"CI": "false", "TF_BUILD": ""}, build=Build(provider="local"), kind="local"
    ),
    "a laptop before a push": Case(
        environ={"PRE_COMMIT": "1", "PRE_COMMIT_FROM_REF": BASE, "PRE_COMMIT_TO_REF": HEAD},
        build=Build(provider="local"),
        kind="local",
    ),
}
