"""Woodpecker."""

from __future__ import annotations

from pytest_dbtci.ci.build import Build, Environment, branch_of, file_links
from pytest_dbtci.ci.providers.provider import Provider


class Woodpecker(Provider):
    """Woodpecker."""

    name = "woodpecker"
    remedy = "set `partial: false` and no `depth` under `settings` of the clone step"

    def is_here(self, env: Environment) -> bool:
        return env("CI") == "woodpecker"

    def read(self, env: Environment) -> Build:
        pr, ref = env.number("CI_COMMIT_PULL_REQUEST"), env("CI_COMMIT_REF")
        return Build(
            provider="woodpecker",
            pr=pr,
            target_branch=env("CI_COMMIT_TARGET_BRANCH"),
            source_branch=env("CI_COMMIT_SOURCE_BRANCH") or branch_of(ref),
            default_branch=env("CI_REPO_DEFAULT_BRANCH"),
            ref=ref,
            head_sha=env("CI_COMMIT_SHA") if pr else None,
            url=env("CI_PIPELINE_FORGE_URL", "CI_PIPELINE_URL"),
            run=env("CI_PIPELINE_URL"),
            files=file_links(env("CI_REPO_URL"), env("CI_FORGE_TYPE") or ""),
        )
