"""A provider's HTTP API, as far as it takes to keep comments on a pull request, and to know which are closed."""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from pytest_dbtci.errors import DbtCiError

_TIMEOUT = 20.0  # seconds for each request
_PAGE = 100  # comments a page, the most that GitHub and GitLab give
_PAGES = 100

_ORDER = re.compile(r"<!-- dbt-ci run=([0-9]{1,30}) -->\n")
# Azure sends a page to sign in with, as status 203 or as a redirect, where it doesn't know the token.
_DENIED = (203, 301, 302, 401, 403, 404)


@dataclass(frozen=True, kw_only=True)
class Comment:
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
class Api:
    """Ask one provider, as `headers` allow; `grant` says how to let the token do more."""

    name: str
    grant: str
    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    failed = "What was asked is not known"
    otherwise = "Try again."

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
        text = f"{self.failed}: {self.name}, {request.get_method()} {request.full_url}, {why}."
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return DbtCiError(f"{text} {self.grant if denied else self.otherwise}")


@dataclass(frozen=True, kw_only=True)
class PullsApi(Api):
    """One provider's way to tell whether a pull request is closed.

    `url` is asked for one by its number, `key` names its state in the answer, which is one of `open` or `closed`.
    """

    url: Callable[[str], str]
    key: str
    open: tuple[str, ...]
    closed: tuple[str, ...]
    failed = "It is not known whether the pull request is closed"

    def is_closed(self, number: str) -> bool:
        """Ask; DbtCiError where the provider does not say one or the other of this very number."""
        answer = self.call("GET", self.url(number))
        state = answer.get(self.key) if isinstance(answer, dict) else None
        if state not in (*self.open, *self.closed):
            raise DbtCiError(f"{self.failed}: {self.name} says that {number} is {state}.")
        return state in self.closed


@dataclass(frozen=True, kw_only=True)
class CommentApi(Api):
    """One provider's way to comment on one pull request.

    `comments` lists what is there, `me` gives the author that the token stands for, empty where that can't be known;
    `create`, `update` and `remove` say method, URL and body; `link` makes of an answer what a person can open.
    """

    failed = "The comment could not be posted"
    otherwise = "Try again; the summary has the same text."
    comments: Callable[[CommentApi], Iterator[Comment]]
    me: Callable[[CommentApi], str]
    create: Callable[[str], tuple[str, str, object]]
    update: Callable[[str, str], tuple[str, str, object]]
    remove: Callable[[str], tuple[str, str]]
    link: Callable[[Mapping[str, Any], str], str]


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follow no redirect: urllib would send the token along, to whatever host it names."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_StayHere)


class Needed:
    """Read variables of the environment that there is no comment, or whatever else is asked, without."""

    def __init__(self, grant: str, environ: Mapping[str, str], failed: str = CommentApi.failed) -> None:
        self._grant, self._environ, self._failed = grant, environ, failed

    def __call__(self, variable: str) -> str:
        value = self._environ.get(variable, "").strip()
        # Azure leaves a macro as it is where the variable has no value.
        if not value or value.startswith("$("):
            raise DbtCiError(f"{self._failed}: {variable} is not set. {self._grant}")
        return value


def pages(api: CommentApi, url: str, query: Mapping[str, str], author: str, name: str) -> Iterator[Comment]:
    for page in range(1, _PAGES + 1):
        found = api.call("GET", f"{url}?{urlencode({**query, 'per_page': _PAGE, 'page': page})}")
        for comment in found:
            who = comment.get(author) or {}
            yield Comment(
                where=str(comment["id"]),
                text=comment.get("body") or "",
                author=who.get(name),
                is_bot=who.get("type") == "Bot",
            )
        if len(found) < _PAGE:
            return


def known(api: CommentApi, method: str, url: str, *keys: str, body: object = None) -> str:
    """Return what lies at the end of the keys of an answer; empty where the provider refuses or answers otherwise."""
    try:
        answer = api.call(method, url, body)
        for key in keys:
            answer = answer[key]
        return str(answer)
    except (DbtCiError, KeyError, TypeError):
        return ""


def _message(said: str) -> str:
    """Return what the provider says of a refusal, in one line."""
    try:
        answer = json.loads(said)
        said = str(answer.get("message") or answer.get("error") or said) if isinstance(answer, dict) else said
    except ValueError:
        said = re.sub(r"<[^>]*>", " ", said)
    return " ".join(said.split())[:200] or "no reason given"
