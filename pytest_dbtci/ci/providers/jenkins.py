"""Jenkins."""

from __future__ import annotations

import re

from pytest_dbtci.ci.build import Build, Environment, address, branch_of, full_ref, links_beside
from pytest_dbtci.ci.providers.provider import Provider


class Jenkins(Provider):
    """Jenkins."""

    name = "jenkins"
    remedy = "take `Shallow clone` and `Honor refspec on initial clone` out of the job's clone behaviours"

    def is_here(self, env: Environment) -> bool:
        return env("JENKINS_URL") is not None

    def read(self, env: Environment) -> Build:
        pr = env.number("CHANGE_ID", "ghprbPullId", "gitlabMergeRequestIid")
        # BRANCH_NAME is PR-24 in a pull request of a multibranch job; GIT_BRANCH of other jobs has the remote.
        branch = env("BRANCH_NAME") or re.sub(r"^origin/", "", env("GIT_BRANCH") or "")
        ref = None if pr else full_ref(branch, env("TAG_NAME"))
        return Build(
            provider="jenkins",
            pr=pr,
            target_branch=env("CHANGE_TARGET", "ghprbTargetBranch", "gitlabTargetBranch"),
            source_branch=env("CHANGE_BRANCH", "ghprbSourceBranch", "gitlabSourceBranch") or branch_of(ref),
            default_branch=branch if not pr and env.true("BRANCH_IS_PRIMARY") else None,
            ref=ref,
            head_sha=env("ghprbActualCommit"),  # GIT_COMMIT may be the merge that Jenkins made
            is_fork=env("CHANGE_FORK") is not None,
            url=env("CHANGE_URL", "ghprbPullLink", "BUILD_URL"),
            run=env("BUILD_URL"),
            artifacts=address(env("BUILD_URL"), "artifact/"),
            # What Jenkins merged by itself stands on no site.
            files=links_beside(env("ghprbPullLink")) if env("ghprbActualCommit") else None,
        )
