"""Keep one comment on the pull request that every run updates: Azure Repos, GitHub, GitLab."""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from pytest_dbtci.ci.providers import Build
from pytest_dbtci.errors import DbtCiError

_TIMEOUT = 20.0  # seconds for each request
_PAGE = 100  # comments a page, the most that GitHub and GitLab give
_PAGES = 100

_GRANTS = {
    "Azure Repos": "Map the token into the step (`env: {SYSTEM_ACCESSTOKEN: $(System.AccessToken)}`) and "
    "give the build service `Contribute to pull requests` under Project settings > Repositories > Security.",
    "GitHub": "Give the job `permissions: {pull-requests: write}` and the step "
    "`env: {GITHUB_TOKEN: ${{ github.token }}}`. A pull request from a fork gets a token that can only read.",
    "GitLab": "Set GITLAB_TOKEN, a masked variable, to a project access token with the scope `api` and the "
    "role Reporter or higher; CI_JOB_TOKEN may not write notes.",
}
# Azure sends a page to sign in with, as status 203 or as a redirect, where it doesn't know the token.
_DENIED = (203, 301, 302, 401, 403, 404)


@dataclass(frozen=True, kw_only=True)
class _Api:
    """One provider's way to comment on one pull request.

    `comments` lists what is there as (where to update it, text); `create` and `update` say method, URL and
    body; `link` makes of an answer what a person can open.
    """

    name: str
    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    comments: Callable[[_Api], Iterator[tuple[str, str]]]
    create: Callable[[str], tuple[str, str, object]]
    update: Callable[[str, str], tuple[str, str, object]]
    link: Callable[[Mapping[str, Any], str], str]

    def call(self, method: str, url: str, body: object = None) -> Any:
        """Send one request and give the JSON of the answer; raise DbtCiError for anything else."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"User-Agent": "pytest-dbtci", "Content-Type": "application/json", **self.headers}
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        try:
            with _OPENER.open(request, timeout=_TIMEOUT) as answer:
                status, text = answer.status, answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read(2000).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise self._trouble(request, f"no answer ({getattr(error, 'reason', None) or error})") from None
        except ValueError:  # not quoted: what http.client says of a header holds the token
            raise self._trouble(request, "the address or the token has characters that can't be sent") from None
        if status not in (200, 201):
            raise self._trouble(request, f"status {status}: {_message(text)}", status in _DENIED)
        try:
            return json.loads(text)
        except ValueError:
            raise self._trouble(request, "the answer is not JSON") from None

    def _trouble(self, request: urllib.request.Request, why: str, denied: bool = False) -> DbtCiError:
        text = f"The comment could not be posted: {self.name}, {request.get_method()} {request.full_url}, {why}."
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return DbtCiError(f"{text} {_GRANTS[self.name] if denied else 'Try again; the summary has the same text.'}")


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follow no redirect: urllib would send the token along, to whatever host it names."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_StayHere)


def post(build: Build, environ: Mapping[str, str], text: str, project: str) -> str:
    """Write the run's comment on the pull request, or update the one of an earlier run; give its URL.

    It is found by a hidden first line that names project and pull request, so two dbt projects in one
    repository have a comment each. The tokens are SYSTEM_ACCESSTOKEN, GITHUB_TOKEN, and GITLAB_TOKEN or
    CI_JOB_TOKEN. Raises DbtCiError that says what to grant; it holds no secret.
    """
    if not build.pr:
        raise DbtCiError("There is no comment to post: this build is not one of a pull request.")
    api = _api_of(build, environ)
    marker = f"<!-- dbt-ci project={re.sub(r'[^A-Za-z0-9_.]', '_', project)} pr={build.pr} -->"
    body = f"{marker}\n{text}"
    # A quoted copy of the comment has the marker too, but not in the first place.
    try:
        mine = next((where for where, said in api.comments(api) if said.startswith(marker)), None)
        method, url, content = api.update(mine, body) if mine else api.create(body)
        return api.link(api.call(method, url, content), mine or "")
    except (AttributeError, KeyError, TypeError) as error:
        raise DbtCiError(
            f"The comment may not have been posted: {api.name} answered with JSON that is not a comment "
            f"({type(error).__name__}: {error}). Is the address of its API right?"
        ) from error


def _api_of(build: Build, environ: Mapping[str, str]) -> _Api:
    if build.provider == "azure" and environ.get("BUILD_REPOSITORY_PROVIDER", "").lower() == "github":
        return _github(build, {"GITHUB_REPOSITORY": environ.get("BUILD_REPOSITORY_NAME", ""), **environ})
    makers = {"azure": _azure, "github": _github, "gitlab": _gitlab}
    if build.provider not in makers:
        raise DbtCiError(
            f"Comments on pull requests are not possible on {build.provider}, only on Azure Repos, GitHub "
            "and GitLab. Leave --dbt-ci-comment out; the summary has the same text."
        )
    return makers[build.provider](build, environ)


def _azure(build: Build, environ: Mapping[str, str]) -> _Api:
    need = _Need("Azure Repos", environ)
    token = need("SYSTEM_ACCESSTOKEN")
    collection, project = need("SYSTEM_COLLECTIONURI").rstrip("/"), quote(need("SYSTEM_TEAMPROJECT"))
    repository = quote(need("BUILD_REPOSITORY_ID"))
    site = f"{collection}/{project}"
    threads = f"{site}/_apis/git/repositories/{repository}/pullRequests/{build.pr}/threads"
    version = "?api-version=7.1"

    def comments(api: _Api) -> Iterator[tuple[str, str]]:
        for thread in api.call("GET", threads + version)["value"]:
            for comment in thread.get("comments") or ():
                if not comment.get("isDeleted"):
                    yield f"{thread['id']}/comments/{comment['id']}", comment.get("content") or ""

    def link(answer: Mapping[str, Any], mine: str) -> str:
        thread = mine.partition("/")[0] or answer["id"]
        return f"{site}/_git/{repository}/pullrequest/{build.pr}?discussionId={thread}"

    return _Api(
        name="Azure Repos",
        headers={"Authorization": f"Bearer {token}"},
        secrets=(token,),
        comments=comments,
        # Closed (4), so that a policy that wants every comment resolved does not wait for somebody.
        create=lambda text: (
            "POST",
            threads + version,
            {"comments": [{"parentCommentId": 0, "content": text, "commentType": 1}], "status": 4},
        ),
        update=lambda where, text: ("PATCH", f"{threads}/{where}{version}", {"content": text}),
        link=link,
    )


def _github(build: Build, environ: Mapping[str, str]) -> _Api:
    need = _Need("GitHub", environ)
    token = need("GITHUB_TOKEN")
    server = environ.get("GITHUB_API_URL") or "https://api.github.com"
    issues = f"{server}/repos/{quote(need('GITHUB_REPOSITORY'))}/issues"
    return _Api(
        name="GitHub",
        headers={
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        },
        secrets=(token,),
        comments=lambda api: _pages(api, f"{issues}/{build.pr}/comments", {}),
        create=lambda text: ("POST", f"{issues}/{build.pr}/comments", {"body": text}),
        update=lambda where, text: ("PATCH", f"{issues}/comments/{where}", {"body": text}),
        link=lambda answer, _: str(answer["html_url"]),
    )


def _gitlab(build: Build, environ: Mapping[str, str]) -> _Api:
    need = _Need("GitLab", environ)
    need("CI_MERGE_REQUEST_IID")  # else the number is that of a pull request on another host
    own = environ.get("GITLAB_TOKEN")
    headers = {"PRIVATE-TOKEN": own} if own else {"JOB-TOKEN": need("CI_JOB_TOKEN")}
    # In a fork's pipeline CI_PROJECT_ID is the fork; the merge request belongs to the target's project.
    project = quote(environ.get("CI_MERGE_REQUEST_PROJECT_ID") or need("CI_PROJECT_ID"), safe="")
    notes = f"{need('CI_API_V4_URL')}/projects/{project}/merge_requests/{build.pr}/notes"
    return _Api(
        name="GitLab",
        headers=headers,
        secrets=tuple(headers.values()),
        comments=lambda api: _pages(api, notes, {"sort": "asc", "order_by": "created_at"}),
        create=lambda text: ("POST", notes, {"body": text}),
        update=lambda where, text: ("PUT", f"{notes}/{where}", {"body": text}),
        link=lambda answer, _: f"{build.url}#note_{answer['id']}",
    )


class _Need:
    """Read variables of the environment that there is no comment without."""

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self._name, self._environ = name, environ

    def __call__(self, variable: str) -> str:
        value = self._environ.get(variable, "").strip()
        # Azure leaves a macro as it is where the variable has no value.
        if not value or value.startswith("$("):
            raise DbtCiError(f"The comment could not be posted: {variable} is not set. {_GRANTS[self._name]}")
        return value


def _pages(api: _Api, url: str, query: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for page in range(1, _PAGES + 1):
        found = api.call("GET", f"{url}?{urlencode({**query, 'per_page': _PAGE, 'page': page})}")
        yield from ((str(comment["id"]), comment.get("body") or "") for comment in found)
        if len(found) < _PAGE:
            return


def _message(said: str) -> str:
    """Give what the provider says of a refusal, in one line."""
    try:
        answer = json.loads(said)
        said = str(answer.get("message") or answer.get("error") or said) if isinstance(answer, dict) else said
    except ValueError:
        said = re.sub(r"<[^>]*>", " ", said)
    return " ".join(said.split())[:200] or "no reason given"
