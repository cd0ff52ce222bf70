"""Machines that know several providers, one that nobody knows, and laptops."""

from __future__ import annotations

from pytest_dbtci.ci.build import Build
from tests.support.ci_environments.azure import AZURE_PR
from tests.support.ci_environments.case import BASE, HEAD, Case
from tests.support.ci_environments.codebuild import CODEBUILD
from tests.support.ci_environments.github import GITHUB

CASES = {
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
