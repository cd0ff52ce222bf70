"""One comment of our own, the newest run's: whoever else writes on the pull request, and whichever run ends last."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pytest_dbtci.ci.build import Build
from pytest_dbtci.reports.comment import post

MARKER = "<!-- dbt-ci project=dogs pr=7 -->"
US, ANTON = {"login": "ci-bot", "type": "Bot"}, {"login": "anton", "type": "User"}


@dataclass
class Hub:
    """The comments of one pull request on GitHub; `user` and `viewer` are what it says of the token, if anything."""

    url: str = ""
    comments: dict[int, dict[str, Any]] = field(default_factory=dict)
    user: str = ""
    viewer: str = "ci-bot"
    refuses_to_delete: bool = False
    meanwhile: Callable[[], None] = lambda: None
    requests: list[str] = field(default_factory=list)
    interrupted_at: int = 0
    interrupt: Callable[[], None] = lambda: None

    def add(self, body: str, author: dict[str, str] | None = US) -> int:
        number = len(self.comments) + 1
        self.comments[number] = {"id": number, "body": body, "html_url": f"https://g/{number}"}
        if author is not None:
            self.comments[number]["user"] = author
        return number

    def texts(self) -> dict[int, str]:
        return {number: comment["body"] for number, comment in self.comments.items()}

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        number = path.rpartition("/")[2]
        self.requests.append(method)
        if len(self.requests) == self.interrupted_at:
            self.interrupt()
        if path == "/user":
            return (200, {"login": self.user}) if self.user else (403, {"message": "not by integration"})
        if path == "/graphql":
            return 200, {"data": {"viewer": {"login": self.viewer}}} if self.viewer else {"errors": []}
        if method == "GET":
            return 200, list(self.comments.values())
        if method == "DELETE":
            if self.refuses_to_delete:
                return 403, {"message": "no"}
            del self.comments[int(number)]
            return 204, None
        written = self.comments[int(number) if method == "PATCH" else self.add("")]
        written["body"] = body["body"]
        happens, self.meanwhile = self.meanwhile, lambda: None
        happens()
        return 200, written


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    found = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_any(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            status, answer = found.answer(self.command, self.path.partition("?")[0], body)
            content = b"" if status == 204 else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = do_any  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Stay quiet."""

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def comment(hub: Hub, text: str, run: str = "", attempt: str = "1") -> str:
    """Post as a run with that number does."""
    environ = {"GITHUB_TOKEN": "t", "GITHUB_API_URL": hub.url, "GITHUB_REPOSITORY": "o/dogs"}
    environ |= {"GITHUB_RUN_ID": run, "GITHUB_RUN_ATTEMPT": attempt} if run else {}
    return post(Build(provider="github", pr="7", url="https://g/o/dogs/pull/7"), environ, text, "dogs")


@pytest.mark.parametrize(("user", "viewer"), [("ci-bot", ""), ("", "ci-bot"), ("", "")])
def test_never_touches_what_somebody_else_wrote(hub: Hub, user: str, viewer: str) -> None:
    hub.user, hub.viewer = user, viewer
    theirs = hub.add(f"{MARKER}\nforged", ANTON)
    comment(hub, "red")
    comment(hub, "green")
    assert hub.texts() == {theirs: f"{MARKER}\nforged", 2: f"{MARKER}\ngreen"}


def test_another_bots_comment_is_not_ours_either(hub: Hub) -> None:
    theirs = hub.add(f"{MARKER}\nother", {"login": "other-bot", "type": "Bot"})
    comment(hub, "red")
    assert hub.texts() == {theirs: f"{MARKER}\nother", 2: f"{MARKER}\nred"}


@pytest.mark.parametrize("author", [US, None])
@pytest.mark.parametrize("refuses", [True, False])
def test_leaves_no_old_verdict_in_further_comments(hub: Hub, refuses: bool, author: dict[str, str] | None) -> None:
    hub.refuses_to_delete = refuses
    for _ in range(3):
        hub.add(f"{MARKER}\nOLD", author)
    comment(hub, "new")
    assert [text for text in hub.texts().values() if MARKER in text] == [f"{MARKER}\nnew"]
    assert "OLD" not in str(hub.texts())
    assert len(hub.texts()) == (3 if refuses else 1)


def test_an_older_run_that_ends_later_leaves_the_newer_verdict(hub: Hub) -> None:
    assert comment(hub, "newer", run="20") == "https://g/1"
    assert comment(hub, "older", run="19") == "https://g/o/dogs/pull/7#issuecomment-1"
    assert list(hub.texts().values()) == [f"{MARKER}\n<!-- dbt-ci run=20001 -->\nnewer"]
    comment(hub, "again", run="20", attempt="2")
    assert list(hub.texts().values()) == [f"{MARKER}\n<!-- dbt-ci run=20002 -->\nagain"]


@pytest.mark.parametrize(("first", "second"), [("19", "20"), ("20", "19")])
def test_of_two_first_comments_at_once_the_newer_runs_stays(hub: Hub, first: str, second: str) -> None:
    # The second run has listed before the first one wrote, so it writes a comment of its own, too.
    text = f"{MARKER}\n<!-- dbt-ci run={second}001 -->\n{second}"
    hub.meanwhile = lambda: hub.comments[hub.add("")].update(body=text)
    comment(hub, first, run=first)
    assert list(hub.texts().values()) == [f"{MARKER}\n<!-- dbt-ci run=20001 -->\n20"]


def test_a_newer_verdict_that_an_older_run_wrote_over_comes_back(hub: Hub) -> None:
    number = hub.add(f"{MARKER}\n<!-- dbt-ci run=1001 -->\nfirst")
    old = f"{MARKER}\n<!-- dbt-ci run=19001 -->\nolder"
    hub.meanwhile = lambda: hub.comments[number].update(body=old)
    comment(hub, "newer", run="20")
    assert hub.texts() == {number: f"{MARKER}\n<!-- dbt-ci run=20001 -->\nnewer"}


@pytest.mark.parametrize("is_there", [True, False], ids=["updated", "created"])
@pytest.mark.parametrize(("first", "second"), [("19", "20"), ("20", "19")])
def test_whichever_request_another_run_comes_between_the_newer_verdict_stays(
    hub: Hub, first: str, second: str, is_there: bool
) -> None:
    hub.interrupt = lambda: (comment(hub, f"verdict {second}", run=second), None)[1]
    late = []
    for at in range(1, 20):
        hub.comments.clear()
        hub.requests.clear()
        if is_there:
            hub.add(f"{MARKER}\n<!-- dbt-ci run=1001 -->\nfirst")
        hub.interrupted_at = at
        comment(hub, f"verdict {first}", run=first)
        if len(hub.requests) < at:
            break
        found = [text.splitlines()[-1] for text in hub.texts().values()]
        if found != ["verdict 20"]:
            assert found == ["verdict 19"]
            late.append(hub.requests[at - 1])
    assert at > 3, "it was interrupted at each of its requests"
    # No provider has a conditional update: what an older run has sent before it could know comes after all.
    assert late == (["PATCH"] if first == "19" and is_there else [])
