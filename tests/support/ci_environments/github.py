"""GitHub Actions, and Forgejo and Gitea, which set the same."""

from __future__ import annotations

from pytest_dbtci.ci.build import Build
from tests.support.ci_environments.case import HEAD, MERGE, TARGET, Case

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

CASES = {
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
}
