"""Bitbucket Pipelines."""

from __future__ import annotations

from pytest_dbtci.ci.build import Build, Environment, address, file_links, full_ref
from pytest_dbtci.ci.providers.provider import Provider


class Bitbucket(Provider):
    """Bitbucket Pipelines."""

    name = "bitbucket"
    remedy = "set `clone: {depth: full}` at the top of bitbucket-pipelines.yml"

    def is_here(self, env: Environment) -> bool:
        return env("BITBUCKET_BUILD_NUMBER") is not None

    def read(self, env: Environment) -> Build:
        pr = env.number("BITBUCKET_PR_ID")
        site = address("https://bitbucket.org/", env("BITBUCKET_REPO_FULL_NAME"))
        return Build(
            provider="bitbucket",
            pr=pr,
            target_branch=env("BITBUCKET_PR_DESTINATION_BRANCH"),
            source_branch=env("BITBUCKET_BRANCH"),
            ref=full_ref(env("BITBUCKET_BRANCH"), env("BITBUCKET_TAG")),
            # The build merges the destination into the source by itself, so HEAD is not this commit.
            head_sha=env("BITBUCKET_COMMIT") if pr else None,
            url=address(site, "/pull-requests/", pr)
            or address(site, "/pipelines/results/", env("BITBUCKET_BUILD_NUMBER")),
            run=address(site, "/pipelines/results/", env("BITBUCKET_BUILD_NUMBER")),
            files=file_links(site, "bitbucket"),
        )
