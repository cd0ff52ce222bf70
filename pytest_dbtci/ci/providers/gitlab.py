"""GitLab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from pytest_dbtci.ci.build import Build, Environment, address, file_links, full_ref
from pytest_dbtci.ci.providers.provider import Provider

if TYPE_CHECKING:
    from pytest_dbtci.ci.http_api import CommentApi, PullsApi


_GRANT = (
    "Set GITLAB_TOKEN, a masked variable, to a project access token with the scope `api` and the "
    "role Reporter or higher; CI_JOB_TOKEN may not write notes."
)
_READ = (
    "Set GITLAB_TOKEN, a masked variable, to a project access token with the scope `read_api` and the role Reporter or "
    "higher."
)


class GitLab(Provider):
    """GitLab."""

    name = "gitlab"
    remedy = "set `variables: {GIT_DEPTH: '0'}` for the job"
    draws_mermaid = True
    comment_limit = 999_000
    run_number = ("CI_JOB_ID", "")

    def is_here(self, env: Environment) -> bool:
        return env.true("GITLAB_CI")

    def read(self, env: Environment) -> Build:
        # CI_MERGE_REQUEST_ID counts over the whole instance; IID is the number people see.
        pr = env.number("CI_MERGE_REQUEST_IID", "CI_EXTERNAL_PULL_REQUEST_IID")
        merge_request, detached = env("CI_MERGE_REQUEST_IID"), env("CI_MERGE_REQUEST_EVENT_TYPE") == "detached"
        source, home = env("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH"), env("CI_MERGE_REQUEST_PROJECT_PATH")
        branch = env("CI_COMMIT_BRANCH") or (env("CI_COMMIT_REF_NAME") if pr and not merge_request else None)
        return Build(
            provider="gitlab",
            pr=pr,
            target_branch=env("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME"),
            source_branch=env(
                "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
                "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME",
                "CI_COMMIT_BRANCH",
            ),
            default_branch=env("CI_DEFAULT_BRANCH"),
            ref=env("CI_MERGE_REQUEST_REF_PATH") if merge_request else full_ref(branch, env("CI_COMMIT_TAG")),
            # In a merged-results pipeline or a train CI_COMMIT_SHA is a merge commit, and what differs from the
            # recorded base is also what others merged since.
            head_sha=env("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA")
            or (env("CI_COMMIT_SHA") if detached else None),
            base_sha=env("CI_MERGE_REQUEST_DIFF_BASE_SHA") if detached else None,
            is_fork=source != home,
            url=address(env("CI_MERGE_REQUEST_PROJECT_URL"), "/-/merge_requests/", pr) or env("CI_PIPELINE_URL"),
            run=env("CI_JOB_URL", "CI_PIPELINE_URL"),
            artifacts=address(env("CI_JOB_URL"), "/artifacts/browse"),
            files=file_links(env("CI_PROJECT_URL"), "gitlab"),
        )

    def comments(self, build: Build, environ: Mapping[str, str]) -> CommentApi:
        # HTTP and TLS take a while to import.
        from pytest_dbtci.ci.http_api import CommentApi, Needed, known, pages

        need = Needed(_GRANT, environ)
        need("CI_MERGE_REQUEST_IID")  # else the number is that of a pull request on another host
        own = environ.get("GITLAB_TOKEN")
        headers = {"PRIVATE-TOKEN": own} if own else {"JOB-TOKEN": need("CI_JOB_TOKEN")}
        # In a fork's pipeline CI_PROJECT_ID is the fork; the merge request belongs to the target's project.
        project = quote(environ.get("CI_MERGE_REQUEST_PROJECT_ID") or need("CI_PROJECT_ID"), safe="")
        notes = f"{need('CI_API_V4_URL')}/projects/{project}/merge_requests/{build.pr}/notes"
        return CommentApi(
            name="GitLab",
            grant=_GRANT,
            headers=headers,
            secrets=tuple(headers.values()),
            comments=lambda api: pages(api, notes, {"sort": "asc", "order_by": "created_at"}, "author", "username"),
            me=lambda api: known(api, "GET", f"{need('CI_API_V4_URL')}/user", "username"),
            create=lambda text: ("POST", notes, {"body": text}),
            update=lambda where, text: ("PUT", f"{notes}/{where}", {"body": text}),
            remove=lambda where: ("DELETE", f"{notes}/{where}"),
            link=lambda answer, _: f"{build.url}#note_{answer['id']}",
        )

    def pulls(self, environ: Mapping[str, str]) -> PullsApi:
        from pytest_dbtci.ci.http_api import Needed, PullsApi

        need = Needed(_READ, environ, PullsApi.failed)
        token = need("GITLAB_TOKEN")
        project = f"{need('CI_API_V4_URL')}/projects/{quote(need('CI_PROJECT_ID'), safe='')}"
        return PullsApi(
            name="GitLab",
            grant=_READ,
            headers={"PRIVATE-TOKEN": token},
            secrets=(token,),
            url=lambda number: f"{project}/merge_requests/{number}",
            key="state",
            open=("opened", "locked"),
            closed=("closed", "merged"),
        )
