"""Azure Pipelines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pytest_dbtci.ci.build import Build, Environment, address, branch_of, file_links, pr_of, short
from pytest_dbtci.ci.providers.github import GitHub
from pytest_dbtci.ci.providers.provider import HASH, HASHES, Annotation, Provider
from pytest_dbtci.errors import DbtCiError

if TYPE_CHECKING:
    from pytest_dbtci.ci.http_api import CommentApi, PullsApi


_GRANT = (
    "Map the token into the step (`env: {SYSTEM_ACCESSTOKEN: $(System.AccessToken)}`) and "
    "give the build service `Contribute to pull requests` under Project settings > Repositories > Security."
)
_READ = "Map the token into the step: `env: {SYSTEM_ACCESSTOKEN: $(System.AccessToken)}`."


def escape(text: str) -> str:
    """Escape data or a property of a logging command.

    Source: CommandStringConvertor of azure-pipelines-agent. The percent sign comes first: it is what escapes.
    """
    for plain, escaped in (("%", "%AZP25"), (";", "%3B"), ("\r", "%0D"), ("\n", "%0A"), ("]", "%5D")):
        text = text.replace(plain, escaped)
    return text


class Azure(Provider):
    """Azure Pipelines."""

    name = "azure"
    remedy = "set `fetchDepth: '0'` and `persistCredentials: 'true'` on the step `- checkout: self`"
    run_number = ("BUILD_BUILDID", "SYSTEM_JOBATTEMPT")
    marks = (HASHES,)
    annotates = True
    comment_limit = 149_000

    def is_here(self, env: Environment) -> bool:
        return env.true("TF_BUILD")

    def read(self, env: Environment) -> Build:
        ref = env("BUILD_SOURCEBRANCH")
        # For a repository on GitHub the ID is an internal one; only the NUMBER is what people see.
        pr = env.number("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "SYSTEM_PULLREQUEST_PULLREQUESTID") or pr_of(ref)
        site = address(env("SYSTEM_COLLECTIONURI"), quote(env("SYSTEM_TEAMPROJECT") or ""))
        kind, repository = (env("BUILD_REPOSITORY_PROVIDER") or "").lower(), env("BUILD_REPOSITORY_URI")
        if kind == "tfsgit":
            repository = address(site, "/_git/", quote(env("BUILD_REPOSITORY_NAME") or ""))
        page = {"tfsgit": "/pullrequest/", "github": "/pull/", "bitbucket": "/pull-requests/"}.get(kind)
        run = address(site, "/_build/results?buildId=", env("BUILD_BUILDID"))
        return Build(
            provider="azure",
            pr=pr,
            target_branch=short(env("SYSTEM_PULLREQUEST_TARGETBRANCH")),
            source_branch=short(env("SYSTEM_PULLREQUEST_SOURCEBRANCH")) or branch_of(ref),
            ref=ref,
            head_sha=env("SYSTEM_PULLREQUEST_SOURCECOMMITID"),
            is_fork=env.true("SYSTEM_PULLREQUEST_ISFORK"),
            url=address(repository, page, pr) or run,
            run=run,
            artifacts=address(run, "&view=artifacts&pathAsName=false&type=publishedArtifacts"),
            files=file_links(repository, kind),
        )

    def neutralize(self, text: str) -> str:
        """Break `##vso[...]` and `##[...]`, which are run anywhere in a line: a zero-width character would not do."""
        return HASH.sub("# ", text)

    def warning(self, message: str) -> str | None:
        """Return a warning, and what ends the build as "partially succeeded"; the exit code still has to be 0."""
        text = escape(self.neutralize(message))
        return f"##vso[task.logissue type=warning]{text}\n##vso[task.complete result=SucceededWithIssues;]{text}"

    def annotation(self, annotation: Annotation) -> str:
        # The agent turns an absolute path into one of the repository, and puts path and line before the text.
        where = f"sourcepath={escape(str(annotation.file.absolute()))};" if annotation.file.is_file() else ""
        where += f"linenumber={annotation.line};" if annotation.line and where else ""
        text = escape(self.neutralize(annotation.headline))
        return f"##vso[task.logissue type={annotation.level};{where}]{text}"

    def summary_file(self, environ: Mapping[str, str]) -> Path | None:
        """Return a new file in the agent's temporary folder; its name is the attachment's, so each has its own."""
        if not environ.get("AGENT_TEMPDIRECTORY"):
            return None
        folder = Path(environ["AGENT_TEMPDIRECTORY"])
        names = (f"dbt-ci{f'-{i}' if i > 1 else ''}.md" for i in count(1))
        return next(folder / name for name in names if not (folder / name).exists())

    def show_summary(self, path: Path) -> tuple[str, ...]:
        return (f"##vso[task.uploadsummary]{escape(str(path.absolute()))}",)

    def comments(self, build: Build, environ: Mapping[str, str]) -> CommentApi:
        # HTTP and TLS take a while to import.
        from pytest_dbtci.ci.http_api import Comment, CommentApi, Needed, known

        if environ.get("BUILD_REPOSITORY_PROVIDER", "").lower() == "github":
            return GitHub().comments(build, {"GITHUB_REPOSITORY": environ.get("BUILD_REPOSITORY_NAME", ""), **environ})
        need = Needed(_GRANT, environ)
        token = need("SYSTEM_ACCESSTOKEN")
        collection, repository = need("SYSTEM_COLLECTIONURI").rstrip("/"), quote(need("BUILD_REPOSITORY_ID"))
        site = f"{collection}/{quote(need('SYSTEM_TEAMPROJECT'))}"
        threads = f"{site}/_apis/git/repositories/{repository}/pullRequests/{build.pr}/threads"
        version = "?api-version=7.1"

        def comments(api: CommentApi) -> Iterator[Comment]:
            for thread in api.call("GET", threads + version)["value"]:
                for comment in thread.get("comments") or ():
                    if not comment.get("isDeleted"):
                        where, author = f"{thread['id']}/comments/{comment['id']}", comment.get("author") or {}
                        yield Comment(where=where, text=comment.get("content") or "", author=author.get("id"))

        def me(api: CommentApi) -> str:
            return known(api, "GET", f"{collection}/_apis/connectionData", "authenticatedUser", "id")

        def link(answer: Mapping[str, Any], mine: str) -> str:
            thread = mine.partition("/")[0] or answer["id"]
            return f"{site}/_git/{repository}/pullrequest/{build.pr}?discussionId={thread}"

        return CommentApi(
            name="Azure Repos",
            grant=_GRANT,
            headers={"Authorization": f"Bearer {token}"},
            secrets=(token,),
            comments=comments,
            me=me,
            # Closed (4), so that a policy that wants every comment resolved does not wait for somebody.
            create=lambda text: (
                "POST",
                threads + version,
                {"comments": [{"parentCommentId": 0, "content": text, "commentType": 1}], "status": 4},
            ),
            update=lambda where, text: ("PATCH", f"{threads}/{where}{version}", {"content": text}),
            remove=lambda where: ("DELETE", f"{threads}/{where}{version}"),
            link=link,
        )

    def pulls(self, environ: Mapping[str, str]) -> PullsApi:
        from pytest_dbtci.ci.http_api import Needed, PullsApi

        kind = environ.get("BUILD_REPOSITORY_PROVIDER", "").lower()
        if kind == "github":
            return GitHub().pulls({"GITHUB_REPOSITORY": environ.get("BUILD_REPOSITORY_NAME", ""), **environ})
        if kind not in ("", "tfsgit"):
            raise DbtCiError(f"{PullsApi.failed}: Azure Pipelines does not know those of a repository of {kind}.")
        need = Needed(_READ, environ, PullsApi.failed)
        token = need("SYSTEM_ACCESSTOKEN")
        site = f"{need('SYSTEM_COLLECTIONURI').rstrip('/')}/{quote(need('SYSTEM_TEAMPROJECT'))}"
        repository = f"{site}/_apis/git/repositories/{quote(need('BUILD_REPOSITORY_ID'))}"
        return PullsApi(
            name="Azure Repos",
            grant=_READ,
            headers={"Authorization": f"Bearer {token}"},
            secrets=(token,),
            url=lambda number: f"{repository}/pullRequests/{number}?api-version=7.1",
            key="status",
            open=("active",),
            closed=("abandoned", "completed"),
        )
