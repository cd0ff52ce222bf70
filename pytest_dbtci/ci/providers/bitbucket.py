"""Bitbucket Pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from pytest_dbtci.ci.build import Build, Environment, address, file_links, full_ref
from pytest_dbtci.ci.providers.provider import Provider

if TYPE_CHECKING:
    from pytest_dbtci.ci.http_api import PullsApi

_READ = "Set BITBUCKET_TOKEN, a secured variable, to a repository access token with the scope `pullrequest`."


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

    def pulls(self, environ: Mapping[str, str]) -> PullsApi:
        # HTTP and TLS take a while to import.
        from pytest_dbtci.ci.http_api import Needed, PullsApi

        need = Needed(_READ, environ, PullsApi.failed)
        token = need("BITBUCKET_TOKEN")
        server = environ.get("BITBUCKET_API_URL") or "https://api.bitbucket.org/2.0"
        pulls = f"{server}/repositories/{quote(need('BITBUCKET_REPO_FULL_NAME'))}/pullrequests"
        return PullsApi(
            name="Bitbucket",
            grant=_READ,
            headers={"Authorization": f"Bearer {token}"},
            secrets=(token,),
            url=lambda number: f"{pulls}/{number}",
            key="state",
            open=("OPEN",),
            closed=("MERGED", "DECLINED", "SUPERSEDED"),
        )
