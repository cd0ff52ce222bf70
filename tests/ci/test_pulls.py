"""Whether a pull request is closed is what its provider says of that very number, or not known."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_dbtci.ci.providers import provider_of
from pytest_dbtci.errors import DbtCiError
from tests.support.scripted_forge import Forge, forge

__all__ = ["forge"]

SECRET = "s3cr3t-t0ken"
ENVIRONS = {
    "azure": {
        "SYSTEM_ACCESSTOKEN": SECRET,
        "SYSTEM_COLLECTIONURI": "{url}/org/",
        "SYSTEM_TEAMPROJECT": "My Dogs",
        "BUILD_REPOSITORY_ID": "c0ffee",
        "BUILD_REPOSITORY_PROVIDER": "TfsGit",
    },
    "bitbucket": {
        "BITBUCKET_TOKEN": SECRET,
        "BITBUCKET_API_URL": "{url}/2.0",
        "BITBUCKET_REPO_FULL_NAME": "o/dogs",
    },
    "github": {"GITHUB_TOKEN": SECRET, "GITHUB_API_URL": "{url}", "GITHUB_REPOSITORY": "o/dogs"},
    "gitlab": {"GITLAB_TOKEN": SECRET, "CI_API_V4_URL": "{url}/api/v4", "CI_PROJECT_ID": "2"},
}
PATHS = {
    "azure": "/org/My%20Dogs/_apis/git/repositories/c0ffee/pullRequests/7?api-version=7.1",
    "bitbucket": "/2.0/repositories/o/dogs/pullrequests/7",
    "github": "/repos/o/dogs/pulls/7",
    "gitlab": "/api/v4/projects/2/merge_requests/7",
}
STATES = {
    "azure": ("status", ("active",), ("abandoned", "completed")),
    "bitbucket": ("state", ("OPEN",), ("MERGED", "DECLINED", "SUPERSEDED")),
    "github": ("state", ("open",), ("closed",)),
    "gitlab": ("state", ("opened", "locked"), ("closed", "merged")),
}


def is_closed(forge: Forge, provider: str, *answers: tuple[int, Any], without: str = "") -> bool:
    forge.answers = list(answers)
    environ = {k: v.format(url=forge.url) for k, v in ENVIRONS[provider].items() if k != without}
    return provider_of(provider).pulls(environ).is_closed("7")


@pytest.mark.parametrize("provider", ENVIRONS)
def test_asks_for_the_one_pull_request(forge: Forge, provider: str) -> None:
    key, opened, closed = STATES[provider]
    assert not any(is_closed(forge, provider, (200, {key: state})) for state in opened)
    assert all(is_closed(forge, provider, (200, {key: state})) for state in closed)
    assert {r[:2] for r in forge.asked()} == {("GET", PATHS[provider])}
    assert all(SECRET in r.headers.get("authorization", r.headers.get("private-token", "")) for r in forge.requests)


@pytest.mark.parametrize("provider", ENVIRONS)
@pytest.mark.parametrize(
    "answer", [(200, {"state": "else"}), (200, []), (200, "no JSON"), (403, {}), (404, {}), (500, {})]
)
def test_any_other_answer_leaves_it_unknown(forge: Forge, provider: str, answer: tuple[int, Any]) -> None:
    with pytest.raises(DbtCiError) as caught:
        is_closed(forge, provider, answer)
    assert str(caught.value).startswith("It is not known whether the pull request is closed: ")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("provider", ENVIRONS)
def test_names_the_token_that_is_missing(forge: Forge, provider: str) -> None:
    token = next(iter(ENVIRONS[provider]))
    with pytest.raises(DbtCiError, match=f"{token} is not set"):
        is_closed(forge, provider, without=token)
    assert not forge.requests


def test_asks_github_from_azure_pipelines_and_nobody_of_a_third(forge: Forge) -> None:
    forge.answers = [(200, {"state": "closed"})]
    environ = {"BUILD_REPOSITORY_PROVIDER": "GitHub", "BUILD_REPOSITORY_NAME": "o/dogs", "GITHUB_TOKEN": SECRET}
    assert provider_of("azure").pulls({**environ, "GITHUB_API_URL": forge.url}).is_closed("7")
    for provider, given in (("azure", {"BUILD_REPOSITORY_PROVIDER": "Bitbucket"}), ("jenkins", {}), ("local", {})):
        with pytest.raises(DbtCiError, match="known"):
            provider_of(provider).pulls(given)
