"""Buildkite."""

from __future__ import annotations

import re

from pytest_dbtci.ci.build import Build, Environment, full_ref, links_beside, owner_and_name
from pytest_dbtci.ci.providers.provider import Provider


class Buildkite(Provider):
    """Buildkite."""

    name = "buildkite"
    remedy = "take `--depth` out of BUILDKITE_GIT_CLONE_FLAGS and BUILDKITE_GIT_FETCH_FLAGS"

    def is_here(self, env: Environment) -> bool:
        return env.true("BUILDKITE")

    def read(self, env: Environment) -> Build:
        pr = env.number("BUILDKITE_PULL_REQUEST") if env.true("BUILDKITE_PULL_REQUEST") else None
        commit, fork = env("BUILDKITE_COMMIT") or "", env("BUILDKITE_PULL_REQUEST_REPO")
        # "HEAD" where the build was started by hand; a merge commit where the merge refspec is in use.
        is_tip = re.fullmatch(r"[0-9a-f]{40,64}", commit) and not env.true("BUILDKITE_PULL_REQUEST_USING_MERGE_REFSPEC")
        return Build(
            provider="buildkite",
            pr=pr,
            target_branch=env("BUILDKITE_PULL_REQUEST_BASE_BRANCH"),
            source_branch=None if env("BUILDKITE_TAG") else env("BUILDKITE_BRANCH"),
            default_branch=env("BUILDKITE_PIPELINE_DEFAULT_BRANCH"),
            ref=full_ref(env("BUILDKITE_BRANCH"), env("BUILDKITE_TAG")),
            head_sha=commit if pr and is_tip else None,
            is_fork=bool(pr and fork) and owner_and_name(fork) != owner_and_name(env("BUILDKITE_REPO")),
            url=env("BUILDKITE_BUILD_URL"),
            run=env("BUILDKITE_BUILD_URL"),
            files=links_beside(env("BUILDKITE_REPO")) if is_tip else None,
        )
