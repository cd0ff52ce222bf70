"""GitHub Actions, Forgejo and Gitea."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from pytest_dbtci.ci.build import Build, Environment, address, branch_of, digits, file_links, pr_of
from pytest_dbtci.ci.providers.provider import HASH, HASHES, HIDDEN, Annotation, Provider
from pytest_dbtci.errors import UsageError

if TYPE_CHECKING:
    from pytest_dbtci.ci.http_api import CommentApi, PullsApi


_GRANT = (
    "Give the job `permissions: {pull-requests: write}` and the step "
    "`env: {GITHUB_TOKEN: ${{ github.token }}}`. A pull request from a fork gets a token that can only read."
)
_READ = _GRANT.partition(" A pull")[0].replace("write", "read")


_COLONS = re.compile(rf"(?:^|(?<=[\r\n]))([^!-~\r\n]*:)(?={HIDDEN}:)")
_COLONS_ANYWHERE = re.compile(rf"(?:^|(?<=[\r\n]))[^!-~\r\n]*:{HIDDEN}:")


def escape(text: str, *, is_property: bool = False) -> str:
    """Escape data of a workflow command, or a property (file, line, title), which needs more.

    Source: ActionCommand of actions/runner.
    """
    properties = ((":", "%3A"), (",", "%2C")) if is_property else ()
    for plain, escaped in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), *properties):
        text = text.replace(plain, escaped)
    return text


class GitHub(Provider):
    """GitHub Actions, Forgejo and Gitea."""

    name = "github"
    remedy = "set `with: {fetch-depth: 0}` on the step `uses: actions/checkout`"
    run_number = ("GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT")
    marks = (HASHES, _COLONS_ANYWHERE)
    annotates = True
    draws_mermaid = True
    appends_summaries = True

    def is_here(self, env: Environment) -> bool:
        return env.true("GITHUB_ACTIONS")

    def read(self, env: Environment) -> Build:
        event = _event(env)
        name, ref = env("GITHUB_EVENT_NAME") or "", env("GITHUB_REF")
        pr = pr_of(ref)
        # Only the event knows the number on pull_request_target and once the pull request is merged: the ref is
        # then the target branch, and going by it alone the build would pass for one of the default branch.
        if name.startswith("pull_request") and not pr:
            pr = digits(
                _at(event, "pull_request", "number") or "", f"pull_request.number in GITHUB_EVENT_PATH ({name})"
            )
        site = address(env("GITHUB_SERVER_URL"), "/", env("GITHUB_REPOSITORY"))
        pull = ("pull_request",)
        home, head = (
            _at(event, *pull, "base", "repo", "full_name"),
            _at(event, *pull, "head", "repo", "full_name"),
        )
        run = address(site, "/actions/runs/", env("GITHUB_RUN_ID"))
        return Build(
            provider="github",
            pr=pr,
            target_branch=env("GITHUB_BASE_REF") or _at(event, *pull, "base", "ref"),
            source_branch=env("GITHUB_HEAD_REF") or _at(event, *pull, "head", "ref") or branch_of(ref),
            default_branch=_at(event, "repository", "default_branch"),
            ref=ref,
            head_sha=_at(event, *pull, "head", "sha"),
            is_fork=home is not None and head != home,  # a fork that was deleted since has no name
            url=address(site, "/pull/", pr) or run,
            run=run,
            artifacts=address(run, "#artifacts"),
            files=file_links(site, "github"),
        )

    def neutralize(self, text: str) -> str:
        """Break `##[...]`, which is run anywhere in a line, and `::...::`, which is at the start of one."""
        return _COLONS.sub(r"\1 ", HASH.sub("# ", text))

    def warning(self, message: str) -> str | None:
        return f"::warning title=dbt-ci::{escape(self.neutralize(message))}"

    def annotation(self, annotation: Annotation) -> str:
        path, title = annotation.path, self.neutralize(annotation.title)
        properties = [f"file={escape(path, is_property=True)}"] if path else []
        properties += [f"line={annotation.line}"] if annotation.line and path else []
        properties.append(f"title={escape(title, is_property=True)}")
        text = escape(self.neutralize(annotation.text))
        return f"::{annotation.level} {','.join(properties)}::{text}"

    def notice(self, text: str) -> str:
        return f"::notice title=dbt-ci::{text}"

    def summary_file(self, environ: Mapping[str, str]) -> Path | None:
        """Return the step's summary, which other steps may have written to already."""
        return Path(environ["GITHUB_STEP_SUMMARY"]) if environ.get("GITHUB_STEP_SUMMARY") else None

    def comments(self, build: Build, environ: Mapping[str, str]) -> CommentApi:
        # HTTP and TLS take a while to import.
        from pytest_dbtci.ci.http_api import CommentApi, Needed, known, pages

        need = Needed(_GRANT, environ)
        token = need("GITHUB_TOKEN")
        server = _server(environ)
        graphql = environ.get("GITHUB_GRAPHQL_URL") or re.sub(r"/v3$", "", server) + "/graphql"
        issues = f"{server}/repos/{quote(need('GITHUB_REPOSITORY'))}/issues"
        return CommentApi(
            name="GitHub",
            grant=_GRANT,
            headers=_headers(token),
            secrets=(token,),
            comments=lambda api: pages(api, f"{issues}/{build.pr}/comments", {}, "user", "login"),
            # The token of a workflow has no user by the first way, and a bot by the second.
            me=lambda api: (
                known(api, "GET", f"{server}/user", "login")
                or known(api, "POST", graphql, "data", "viewer", "login", body={"query": "{viewer{login}}"})
            ),
            create=lambda text: ("POST", f"{issues}/{build.pr}/comments", {"body": text}),
            update=lambda where, text: ("PATCH", f"{issues}/comments/{where}", {"body": text}),
            remove=lambda where: ("DELETE", f"{issues}/comments/{where}"),
            link=lambda answer, mine: str(answer.get("html_url") or f"{build.url}#issuecomment-{mine}"),
        )

    def pulls(self, environ: Mapping[str, str]) -> PullsApi:
        from pytest_dbtci.ci.http_api import Needed, PullsApi

        need = Needed(_READ, environ, PullsApi.failed)
        token = need("GITHUB_TOKEN")
        pulls = f"{_server(environ)}/repos/{quote(need('GITHUB_REPOSITORY'))}/pulls"
        return PullsApi(
            name="GitHub",
            grant=_READ,
            headers=_headers(token),
            secrets=(token,),
            url=lambda number: f"{pulls}/{number}",
            key="state",
            open=("open",),
            closed=("closed",),
        )


def _server(environ: Mapping[str, str]) -> str:
    return environ.get("GITHUB_API_URL") or "https://api.github.com"


def _headers(token: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {token}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }


def _event(env: Environment) -> object:
    """Read the event that started the workflow; {} where the file isn't there, as in a container."""
    path = Path(env("GITHUB_EVENT_PATH") or "/nonexistent")
    try:
        return json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise UsageError(f"GITHUB_EVENT_PATH ({path}) can't be read as the event's JSON: {error}") from error


def _at(value: object, *keys: str) -> str | None:
    """Return what lies at the end of the keys as text, None where any step is missing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return str(value) if isinstance(value, (str, int)) and value != "" else None
