"""CircleCI."""

from __future__ import annotations

import re

from pytest_dbtci.ci.build import Build, Environment, digits, full_ref, links_beside
from pytest_dbtci.ci.providers.provider import Provider


class CircleCI(Provider):
    """CircleCI."""

    name = "circleci"
    remedy = "set `method: full` on the step `checkout`"

    def is_here(self, env: Environment) -> bool:
        return env.true("CIRCLECI")

    def read(self, env: Environment) -> Build:
        links = (env("CIRCLE_PULL_REQUESTS", "CIRCLE_PULL_REQUEST") or "").split(",")
        # Of several pull requests of one branch CircleCI names one at random; the oldest is always the same one.
        numbers = [digits(link.rstrip("/").rpartition("/")[2], "CIRCLE_PULL_REQUEST") for link in links if link]
        pr = env.number("CIRCLE_PR_NUMBER") or min(numbers, key=int, default=None)
        branch = env("CIRCLE_BRANCH")
        of_fork = branch is not None and re.fullmatch(r"pull/[0-9]+", branch) is not None
        return Build(
            provider="circleci",
            pr=pr,
            source_branch=None if of_fork else branch,
            ref=f"refs/{branch}/head" if of_fork else full_ref(branch, env("CIRCLE_TAG")),
            head_sha=env("CIRCLE_SHA1") if pr else None,
            is_fork=of_fork or env("CIRCLE_PR_NUMBER") is not None,
            url=env("CIRCLE_PULL_REQUEST", "CIRCLE_BUILD_URL"),
            run=env("CIRCLE_BUILD_URL"),
            files=links_beside(env("CIRCLE_PULL_REQUEST")),
        )
