from __future__ import annotations

import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pytest_dbtci.ci.build import Build
from pytest_dbtci.errors import DbtCiError
from pytest_dbtci.reports.comment import post
from tests.support.scripted_forge import Forge, forge

__all__ = ["forge"]

MARKER = "<!-- dbt-ci project=dogs pr=7 -->"
SECRET = "s3cr3t-t0ken"


def build(provider: str) -> Build:
    return Build(provider=provider, pr="7", url="https://forge/o/dogs/-/merge_requests/7")


def github(forge: Forge) -> dict[str, str]:
    return {"GITHUB_TOKEN": SECRET, "GITHUB_API_URL": forge.url, "GITHUB_REPOSITORY": "o/dogs"}


def azure(forge: Forge) -> dict[str, str]:
    return {
        "SYSTEM_ACCESSTOKEN": SECRET,
        "SYSTEM_COLLECTIONURI": f"{forge.url}/org/",
        "SYSTEM_TEAMPROJECT": "My Dogs",
        "BUILD_REPOSITORY_ID": "c0ffee",
        "BUILD_REPOSITORY_PROVIDER": "TfsGit",
    }


def gitlab(forge: Forge) -> dict[str, str]:
    return {
        "GITLAB_TOKEN": SECRET,
        "CI_JOB_TOKEN": "job",
        "CI_API_V4_URL": f"{forge.url}/api/v4",
        "CI_PROJECT_ID": "2",
        "CI_MERGE_REQUEST_PROJECT_ID": "1",
        "CI_MERGE_REQUEST_IID": "7",
    }


COMMENTS = "/repos/o/dogs/issues/7/comments"
THREADS = "/org/My%20Dogs/_apis/git/repositories/c0ffee/pullRequests/7/threads"
NOTES = "/api/v4/projects/1/merge_requests/7/notes"


def test_posts_a_first_comment_on_github(forge: Forge) -> None:
    written = [{"id": 1, "body": "Nice!"}, {"id": 2, "body": f"{MARKER}\n## red"}]
    forge.answers = [(200, written[:1]), (201, {"id": 2, "html_url": "https://g/7#c2"}), (200, written)]
    assert post(build("github"), github(forge), "## red", "dogs") == "https://g/7#c2"
    assert forge.asked() == [
        ("GET", f"{COMMENTS}?per_page=100&page=1", None),
        ("POST", COMMENTS, {"body": f"{MARKER}\n## red"}),
        ("GET", f"{COMMENTS}?per_page=100&page=1", None),
    ]
    for request in forge.requests:
        assert request.headers["authorization"] == f"Bearer {SECRET}"
        assert request.headers["accept"] == "application/vnd.github+json"
        assert request.headers["user-agent"] == "pytest-dbtci"


def test_updates_its_comment_on_github_wherever_it_stands(forge: Forge) -> None:
    others = [{"id": i, "body": f"> {MARKER}\n> quoted"} for i in range(100)]
    stranger = {"id": 100, "body": "<!-- dbt-ci project=cats pr=7 -->\nanother project's"}
    mine = {"id": 101, "body": f"{MARKER}\nold"}
    new = {"id": 101, "body": f"{MARKER}\nnew ä"}
    answer = {"id": 101, "html_url": "https://g/7#c101"}
    forge.answers = [(200, others), (200, [stranger, mine]), (200, answer), (200, [stranger, new])]
    assert post(build("github"), github(forge), "new ä", "dogs") == "https://g/7#c101"
    assert forge.asked() == [
        ("GET", f"{COMMENTS}?per_page=100&page=1", None),
        ("GET", f"{COMMENTS}?per_page=100&page=2", None),
        ("PATCH", "/repos/o/dogs/issues/comments/101", {"body": f"{MARKER}\nnew ä"}),
        ("GET", f"{COMMENTS}?per_page=100&page=1", None),
    ]


def test_opens_a_closed_thread_in_azure_repos(forge: Forge) -> None:
    threads = [
        {"id": 3, "comments": [{"id": 1, "content": f"{MARKER}\ndeleted", "isDeleted": True}]},
        {"id": 4, "comments": None},
        {"id": 5, "comments": [{"id": 1}]},
    ]
    new = {"id": 12, "comments": [{"id": 1, "content": f"{MARKER}\ntext"}]}
    forge.answers = [(200, {"value": threads, "count": 3}), (200, {"id": 12}), (200, {"value": [*threads, new]})]
    assert post(build("azure"), azure(forge), "text", "dogs") == (
        f"{forge.url}/org/My%20Dogs/_git/c0ffee/pullrequest/7?discussionId=12"
    )
    assert forge.asked() == [
        ("GET", f"{THREADS}?api-version=7.1", None),
        (
            "POST",
            f"{THREADS}?api-version=7.1",
            {
                "comments": [{"parentCommentId": 0, "content": f"{MARKER}\ntext", "commentType": 1}],
                "status": 4,
            },
        ),
        ("GET", f"{THREADS}?api-version=7.1", None),
    ]
    assert {r.headers["authorization"] for r in forge.requests} == {f"Bearer {SECRET}"}


def test_updates_its_comment_in_azure_repos(forge: Forge) -> None:
    threads = [{"id": 12, "comments": [{"id": 1, "content": f"{MARKER}\nold"}, {"id": 2, "content": "ok"}]}]
    new = [{"id": 12, "comments": [{"id": 1, "content": f"{MARKER}\nnew"}]}]
    forge.answers = [(200, {"value": threads}), (200, {"id": 1}), (200, {"value": new})]
    assert post(build("azure"), azure(forge), "new", "dogs").endswith("/pullrequest/7?discussionId=12")
    assert forge.asked()[1:2] == [("PATCH", f"{THREADS}/12/comments/1?api-version=7.1", {"content": f"{MARKER}\nnew"})]


def test_posts_and_updates_a_note_on_the_targets_project_in_gitlab(forge: Forge) -> None:
    forge.answers = [(200, []), (201, {"id": 9}), (200, [{"id": 9, "body": f"{MARKER}\na"}])]
    link = "https://forge/o/dogs/-/merge_requests/7#note_9"
    assert post(build("gitlab"), gitlab(forge), "a", "dogs") == link
    new = {"id": 9, "body": f"{MARKER}\nb"}
    forge.answers = [(200, [{"id": 9, "body": f"{MARKER}\na"}]), (200, {"id": 9}), (200, [new])]
    assert post(build("gitlab"), gitlab(forge), "b", "dogs") == link
    listing = f"{NOTES}?sort=asc&order_by=created_at&per_page=100&page=1"
    assert forge.asked() == [
        ("GET", listing, None),
        ("POST", NOTES, {"body": f"{MARKER}\na"}),
        ("GET", listing, None),
        ("GET", listing, None),
        ("PUT", f"{NOTES}/9", {"body": f"{MARKER}\nb"}),
        ("GET", listing, None),
    ]
    assert {r.headers["private-token"] for r in forge.requests} == {SECRET}


def test_uses_gitlabs_job_token_for_want_of_a_better_one(forge: Forge) -> None:
    environ = gitlab(forge)
    del environ["GITLAB_TOKEN"]
    forge.answers = [(200, []), (201, {"id": 9}), (200, [{"id": 9, "body": f"{MARKER}\na"}])]
    post(build("gitlab"), environ, "a", "dogs")
    assert {r.headers["job-token"] for r in forge.requests} == {"job"}
    assert not any("private-token" in r.headers for r in forge.requests)


def test_comments_on_github_from_azure_pipelines(forge: Forge) -> None:
    environ = {
        **azure(forge),
        "BUILD_REPOSITORY_PROVIDER": "GitHub",
        "BUILD_REPOSITORY_NAME": "o/dogs",
        "GITHUB_TOKEN": "ghs",
        "GITHUB_API_URL": forge.url,
    }
    forge.answers = [(200, []), (201, {"html_url": "https://g"}), (200, [{"id": 1, "body": f"{MARKER}\na"}])]
    assert post(build("azure"), environ, "a", "dogs") == "https://g"
    assert [r.path for r in forge.requests][:2] == [f"{COMMENTS}?per_page=100&page=1", COMMENTS]
    assert {r.headers["authorization"] for r in forge.requests} == {"Bearer ghs"}


@pytest.mark.parametrize(
    ("provider", "grant"),
    [
        ("azure", "Contribute to pull requests"),
        ("github", "pull-requests: write"),
        ("gitlab", "scope `api`"),
    ],
)
@pytest.mark.parametrize("status", [401, 403, 404, 302, 203])
def test_says_what_to_grant_when_refused(forge: Forge, provider: str, grant: str, status: int) -> None:
    environ = {"azure": azure, "github": github, "gitlab": gitlab}[provider](forge)
    forge.answers = [(status, {"message": f"no access for {SECRET}"})]
    forge.answer_headers = {"Location": f"{forge.url}/signin"}
    with pytest.raises(DbtCiError) as caught:
        post(build(provider), environ, "a", "dogs")
    text = str(caught.value)
    assert f"status {status}: no access for ***." in text
    assert grant in text
    assert SECRET not in text
    assert len(forge.requests) == 1, "a redirect was followed, with the token"
    if status == 302:
        forge.answers = [(302, {}), (200, {})]
        urllib.request.urlopen(forge.url).close()
        assert [r.path for r in forge.requests[1:]] == ["/", "/signin"], "there was nowhere to be led to"


def test_gives_no_grants_for_what_is_no_refusal(forge: Forge) -> None:
    forge.answers = [(502, "<html><body>Bad  gateway</body></html>")]
    with pytest.raises(DbtCiError, match=r"status 502: Bad gateway\. Try again") as caught:
        post(build("github"), github(forge), "a", "dogs")
    assert "permissions" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("<html>hello</html>", "the answer is not JSON"),
        ({"no": "list"}, "JSON that is not a comment"),
        ([7], "JSON that is not a comment"),
    ],
)
def test_does_not_trip_over_an_odd_answer(forge: Forge, answer: Any, message: str) -> None:
    forge.answers = [(200, answer)]
    with pytest.raises(DbtCiError, match=message):
        post(build("github"), github(forge), "a", "dogs")


def test_says_so_when_nobody_answers(monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    environ = github(Forge(url=f"http://127.0.0.1:{unused_tcp_port}"))
    with pytest.raises(DbtCiError, match=r"no answer \(.*refused"):
        post(build("github"), environ, "a", "dogs")


@pytest.fixture
def unused_tcp_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return server.server_port


def test_shows_no_token_that_cannot_be_sent(forge: Forge) -> None:
    environ = {**github(forge), "GITHUB_TOKEN": f"{SECRET}\nX: y"}
    with pytest.raises(DbtCiError, match="can't be sent") as caught:
        post(build("github"), environ, "a", "dogs")
    assert SECRET not in str(caught.value)
    assert forge.requests == []


@pytest.mark.parametrize(
    ("provider", "variable"),
    [
        ("azure", "SYSTEM_ACCESSTOKEN"),
        ("github", "GITHUB_TOKEN"),
        ("github", "GITHUB_REPOSITORY"),
        ("gitlab", "CI_MERGE_REQUEST_IID"),
    ],
)
def test_names_the_variable_that_is_missing(forge: Forge, provider: str, variable: str) -> None:
    environ = {"azure": azure, "github": github, "gitlab": gitlab}[provider](forge)
    for value in ("", " ", f"$({variable})"):
        with pytest.raises(DbtCiError, match=f"{variable} is not set"):
            post(build(provider), {**environ, variable: value}, "a", "dogs")


def test_refuses_where_there_is_no_pull_request_or_no_way(forge: Forge) -> None:
    with pytest.raises(DbtCiError, match="not one of a pull request"):
        post(Build(provider="github"), github(forge), "a", "dogs")
    with pytest.raises(DbtCiError, match="not possible on bitbucket"):
        post(build("bitbucket"), {}, "a", "dogs")


def test_no_project_name_ends_the_marker(forge: Forge) -> None:
    written = {"id": 1, "body": "<!-- dbt-ci project=x_____b_ pr=7 -->\na"}
    forge.answers = [(200, []), (201, {"html_url": "https://g"}), (200, [written])]
    post(build("github"), github(forge), "a", "x --><b>")
    assert forge.requests[1].body == {"body": "<!-- dbt-ci project=x_____b_ pr=7 -->\na"}


def test_knows_its_own_comment_by_its_author_in_azure_repos(forge: Forge) -> None:
    def thread(number: int, text: str, author: str) -> dict[str, Any]:
        return {"id": number, "comments": [{"id": 1, "content": f"{MARKER}\n{text}", "author": {"id": author}}]}

    theirs = thread(1, "forged", "anton")
    me = (200, {"authenticatedUser": {"id": "build"}})
    listed = (200, {"value": [theirs, thread(2, "old", "build"), thread(3, "old", "build")]})
    after = (200, {"value": [theirs, thread(2, "new", "build")]})
    forge.answers = [listed, me, listed, (200, {"id": 1}), (200, {}), after]
    post(build("azure"), azure(forge), "new", "dogs")
    asked = [(method, path.partition("?")[0]) for method, path, _ in forge.asked()]
    assert asked == [
        ("GET", THREADS),
        ("GET", "/org/_apis/connectionData"),
        # Between this look and what is written there is no other request.
        ("GET", THREADS),
        ("PATCH", f"{THREADS}/2/comments/1"),
        ("DELETE", f"{THREADS}/3/comments/1"),
        ("GET", THREADS),
    ]


def test_knows_its_own_note_by_its_author_in_gitlab(forge: Forge) -> None:
    theirs = {"id": 8, "body": f"{MARKER}\nforged", "author": {"username": "anton"}}
    mine = {"id": 9, "body": f"{MARKER}\nold", "author": {"username": "project_1_bot"}}
    new = {**mine, "body": f"{MARKER}\nnew"}
    forge.answers = [
        (200, [theirs, mine]),
        (200, {"username": "project_1_bot"}),
        (200, [theirs, mine]),
        (200, {"id": 9}),
        (200, [theirs, new]),
    ]
    post(build("gitlab"), gitlab(forge), "new", "dogs")
    assert [r.path.partition("?")[0] for r in forge.requests] == [NOTES, "/api/v4/user", NOTES, f"{NOTES}/9", NOTES]
