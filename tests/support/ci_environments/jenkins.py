"""Jenkins."""

from __future__ import annotations

from pytest_dbtci.ci.build import Build
from tests.support.ci_environments.case import HEAD, MERGE, Case

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

CASES = {
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
}
