"""A pull request's comments as GitHub, Azure Repos and GitLab keep them, and the environment of its builds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.http_server import Request, serving

ME = "dbt-ci-bot"


@dataclass
class Forge:
    """The texts of the comments on pull request 7, by number; all are the token's own."""

    provider: str
    url: str = ""
    texts: dict[int, str] = field(default_factory=dict)

    @property
    def environ(self) -> Mapping[str, str]:
        """Return what the provider sets in a build of the pull request, and the token."""
        return {
            "github": {
                "GITHUB_ACTIONS": "true",
                "GITHUB_EVENT_NAME": "pull_request",
                "GITHUB_REF": "refs/pull/7/merge",
                "GITHUB_BASE_REF": "master",
                "GITHUB_REPOSITORY": "o/tiny",
                "GITHUB_API_URL": self.url,
                "GITHUB_TOKEN": "forge-token-123",
            },
            "azure": {
                "TF_BUILD": "True",
                "BUILD_SOURCEBRANCH": "refs/pull/7/merge",
                "SYSTEM_PULLREQUEST_PULLREQUESTID": "7",
                "SYSTEM_PULLREQUEST_TARGETBRANCH": "refs/heads/master",
                "SYSTEM_COLLECTIONURI": f"{self.url}/org/",
                "SYSTEM_TEAMPROJECT": "dogs",
                "BUILD_REPOSITORY_ID": "c0ffee",
                "BUILD_REPOSITORY_PROVIDER": "TfsGit",
                "SYSTEM_ACCESSTOKEN": "forge-token-123",
            },
            "gitlab": {
                "GITLAB_CI": "true",
                "CI_MERGE_REQUEST_IID": "7",
                "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "master",
                "CI_PROJECT_ID": "1",
                "CI_API_V4_URL": f"{self.url}/api/v4",
                "GITLAB_TOKEN": "forge-token-123",
            },
        }[self.provider] | {"no_proxy": "127.0.0.1"}

    def answer(self, method: str, path: str, body: Any) -> Any:
        """Return the answer to a request, as the provider gives it."""
        if path == "/user":
            return {"login": ME}
        if path == "/api/v4/user":
            return {"username": ME}
        if path.endswith("/connectionData"):
            return {"authenticatedUser": {"id": ME}}
        if method == "GET":
            found = [self._shown(number) for number in self.texts]
            return {"value": found} if self.provider == "azure" else found
        number = len(self.texts) + 1
        if method != "POST":
            is_thread = self.provider == "azure"  # …/threads/NUMBER/comments/1
            number = int(path.split("/")[-3 if is_thread else -1])
        self.texts[number] = body.get("content") or body.get("body") or body["comments"][0]["content"]
        return self._shown(number)

    def _shown(self, number: int) -> dict[str, Any]:
        text = self.texts[number]
        if self.provider == "azure":
            return {"id": number, "comments": [{"id": 1, "content": text, "author": {"id": ME}}]}
        return {"id": number, "body": text, "user": {"login": ME}, "author": {"username": ME}}


@contextmanager
def open_forge(provider: str) -> Iterator[Forge]:
    """Serve one pull request's comments until the end of the block."""
    forge = Forge(provider)

    def answer(asked: Request) -> tuple[int, Any, dict[str, str]]:
        return 200, forge.answer(asked.method, asked.path.partition("?")[0], asked.body), {}

    with serving(answer) as forge.url:
        yield forge
