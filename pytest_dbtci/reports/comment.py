"""Keep one comment on the pull request that every run updates: Azure Repos, GitHub, GitLab."""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from pytest_dbtci.ci.providers import Build
from pytest_dbtci.errors import DbtCiError

_TIMEOUT = 20.0  # seconds for each request
_PAGE = 100  # comments a page, the most that GitHub and GitLab give
_PAGES = 100
_TRIES = 4

_GRANTS = {
    "Azure Repos": "Map the token into the step (`env: {SYSTEM_ACCESSTOKEN: $(System.AccessToken)}`) and "
    "give the build service `Contribute to pull requests` under Project settings > Repositories > Security.",
    "GitHub": "Give the job `permissions: {pull-requests: write}` and the step "
    "`env: {GITHUB_TOKEN: ${{ github.token }}}`. A pull request from a fork gets a token that can only read.",
    "GitLab": "Set GITLAB_TOKEN, a masked variable, to a project access token with the scope `api` and the "
    "role Reporter or higher; CI_JOB_TOKEN may not write notes.",
}
_ORDER = re.compile(r"<!-- dbt-ci run=([0-9]{1,30}) -->\n")
# Azure sends a page to sign in with, as status 203 or as a redirect, where it doesn't know the token.
_DENIED = (203, 301, 302, 401, 403, 404)


@dataclass(frozen=True, kw_only=True)
class _Comment:
    """A comment that is there: where to update it, its text, and who wrote it (None where the provider doesn't say)."""

    where: str
    text: str
    author: str | None
    is_bot: bool = False

    @property
    def order(self) -> int:
        """Return the order of the run that wrote it, 0 for an unknown one."""
        found = _ORDER.match(self.text.partition("\n")[2])
        return int(found[1]) if found else 0


@dataclass(frozen=True, kw_only=True)
class _Api:
    """One provider's way to comment on one pull request.

    `comments` lists what is there, `me` gives the author that the token stands for, empty where that can't be known;
    `create`, `update` and `remove` say method, URL and body; `link` makes of an answer what a person can open.
    """

    name: str
    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    comments: Callable[[_Api], Iterator[_Comment]]
    me: Callable[[_Api], str]
    create: Callable[[str], tuple[str, str, object]]
    update: Callable[[str, str], tuple[str, str, object]]
    remove: Callable[[str], tuple[str, str]]
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
        if status == 204:
            return None
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
    """Write the run's comment on the pull request, or update the one of an earlier run; return its URL.

    It is found by a hidden first line that names project and pull request, so two dbt projects in one
    repository have a comment each, and by its author, who is the token's. Of several (two runs at a time wrote one
    each) that of the newest run stays; where it is not this run's, it stays as it is. The tokens are
    SYSTEM_ACCESSTOKEN, GITHUB_TOKEN, and GITLAB_TOKEN or CI_JOB_TOKEN. Raises DbtCiError that says what to grant; it
    holds no secret.
    """
    if not build.pr:
        raise DbtCiError("There is no comment to post: this build is not one of a pull request.")
    api = _api_of(build, environ)
    marker = f"<!-- dbt-ci project={re.sub(r'[^A-Za-z0-9_.]', '_', project)} pr={build.pr} -->"
    order = _order(environ)
    body = f"{marker}\n" + (f"<!-- dbt-ci run={order} -->\n" if order else "") + text
    try:
        return _settle(api, marker, body, order)
    except (AttributeError, KeyError, TypeError) as error:
        raise DbtCiError(
            f"The comment may not have been posted: {api.name} answered with JSON that is not a comment "
            f"({type(error).__name__}: {error}). Is the address of its API right?"
        ) from error


def _settle(api: _Api, marker: str, body: str, order: int) -> str:
    """Write, look again, and mend what another run did meanwhile, until there is one comment, the newest run's."""
    me = cache(lambda: api.me(api))
    link = ""
    for _ in range(_TRIES):
        mine = _ours(api, marker, me)
        if not mine:
            # What was written may not be recognised as ours; a second one would help nobody.
            link = link or api.link(api.call(*api.create(body)), "")
            continue
        newest = max(mine, key=lambda c: c.order)
        stays = newest if newest.order >= order > 0 else mine[0]
        is_settled = stays.order >= order if order else stays.text.splitlines() == body.splitlines()
        if not is_settled:
            link = api.link(api.call(*api.update(stays.where, body)), stays.where)
        _remove(api, [c for c in mine if c is not stays])
        if is_settled and len(mine) == 1:
            return api.link({"id": stays.where}, stays.where) if stays.order > order or not link else link
    return link


def _ours(api: _Api, marker: str, me: Callable[[], str]) -> list[_Comment]:
    """Return the comments with the marker that the token's user wrote.

    A quoted copy has the marker too, but not in the first place. A person can write one with it; where the token's user
    can't be known, an author must at least be no person.
    """
    marked = [c for c in api.comments(api) if c.text.startswith(marker)]
    return [c for c in marked if c.author is None or (c.author == me() if me() else c.is_bot)]


def _remove(api: _Api, comments: Iterable[_Comment]) -> None:
    """Remove comments of other runs; what may not be removed says instead that it is out of date."""
    for comment in comments:
        try:
            api.call(*api.remove(comment.where))
        except DbtCiError:
            # Without the marker, so that no later run looks at it again.
            api.call(*api.update(comment.where, "Out of date: another comment of dbt-ci holds the last result."))


def _order(environ: Mapping[str, str]) -> int:
    """Return a number that grows from run to run, as the provider counts them; 0 where it doesn't."""
    for run, attempt in (
        ("GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT"),
        ("BUILD_BUILDID", "SYSTEM_JOBATTEMPT"),
        ("CI_JOB_ID", ""),
    ):
        if environ.get(run, "").isdecimal():
            again = environ.get(attempt, "")
            return int(environ[run]) * 1000 + (int(again) if again.isdecimal() else 0)
    return 0


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

    def comments(api: _Api) -> Iterator[_Comment]:
        for thread in api.call("GET", threads + version)["value"]:
            for comment in thread.get("comments") or ():
                if not comment.get("isDeleted"):
                    where, author = f"{thread['id']}/comments/{comment['id']}", comment.get("author") or {}
                    yield _Comment(where=where, text=comment.get("content") or "", author=author.get("id"))

    def me(api: _Api) -> str:
        return _known(api, "GET", f"{collection}/_apis/connectionData", "authenticatedUser", "id")

    def link(answer: Mapping[str, Any], mine: str) -> str:
        thread = mine.partition("/")[0] or answer["id"]
        return f"{site}/_git/{repository}/pullrequest/{build.pr}?discussionId={thread}"

    return _Api(
        name="Azure Repos",
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


def _github(build: Build, environ: Mapping[str, str]) -> _Api:
    need = _Need("GitHub", environ)
    token = need("GITHUB_TOKEN")
    server = environ.get("GITHUB_API_URL") or "https://api.github.com"
    graphql = environ.get("GITHUB_GRAPHQL_URL") or re.sub(r"/v3$", "", server) + "/graphql"
    issues = f"{server}/repos/{quote(need('GITHUB_REPOSITORY'))}/issues"
    return _Api(
        name="GitHub",
        headers={
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        },
        secrets=(token,),
        comments=lambda api: _pages(api, f"{issues}/{build.pr}/comments", {}, "user", "login"),
        # The token of a workflow has no user by the first way, and a bot by the second.
        me=lambda api: (
            _known(api, "GET", f"{server}/user", "login")
            or _known(api, "POST", graphql, "data", "viewer", "login", body={"query": "{viewer{login}}"})
        ),
        create=lambda text: ("POST", f"{issues}/{build.pr}/comments", {"body": text}),
        update=lambda where, text: ("PATCH", f"{issues}/comments/{where}", {"body": text}),
        remove=lambda where: ("DELETE", f"{issues}/comments/{where}"),
        link=lambda answer, mine: str(answer.get("html_url") or f"{build.url}#issuecomment-{mine}"),
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
        comments=lambda api: _pages(api, notes, {"sort": "asc", "order_by": "created_at"}, "author", "username"),
        me=lambda api: _known(api, "GET", f"{need('CI_API_V4_URL')}/user", "username"),
        create=lambda text: ("POST", notes, {"body": text}),
        update=lambda where, text: ("PUT", f"{notes}/{where}", {"body": text}),
        remove=lambda where: ("DELETE", f"{notes}/{where}"),
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


def _pages(api: _Api, url: str, query: Mapping[str, str], author: str, name: str) -> Iterator[_Comment]:
    for page in range(1, _PAGES + 1):
        found = api.call("GET", f"{url}?{urlencode({**query, 'per_page': _PAGE, 'page': page})}")
        for comment in found:
            who = comment.get(author) or {}
            yield _Comment(
                where=str(comment["id"]),
                text=comment.get("body") or "",
                author=who.get(name),
                is_bot=who.get("type") == "Bot",
            )
        if len(found) < _PAGE:
            return


def _known(api: _Api, method: str, url: str, *keys: str, body: object = None) -> str:
    """Return what lies at the end of the keys of an answer; empty where the provider refuses or answers otherwise."""
    try:
        answer = api.call(method, url, body)
        for key in keys:
            answer = answer[key]
        return str(answer)
    except (DbtCiError, KeyError, TypeError):
        return ""


def _message(said: str) -> str:
    """Give what the provider says of a refusal, in one line."""
    try:
        answer = json.loads(said)
        said = str(answer.get("message") or answer.get("error") or said) if isinstance(answer, dict) else said
    except ValueError:
        said = re.sub(r"<[^>]*>", " ", said)
    return " ".join(said.split())[:200] or "no reason given"
