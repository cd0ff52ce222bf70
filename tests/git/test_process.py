"""What git says of a remote, without what logs in to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pytest_dbtci.git.process import Git, GitError


class Closed(BaseHTTPRequestHandler):
    """Wants to know who asks."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def remote() -> Iterator[str]:
    """The address of a remote that lets nobody in."""
    with HTTPServer(("127.0.0.1", 0), Closed) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}/repository"
        server.shutdown()


@pytest.mark.parametrize("login", ["ghp-own-token", "ghp-own-token:", "anton:hush@ghp-own-token"])
def test_a_remote_that_refuses_is_told_without_what_logs_in(tmp_path: Path, remote: str, login: str) -> None:
    git = Git(tmp_path)
    git("init", "--quiet")
    git("remote", "add", "origin", f"http://{login}@{remote}")
    with pytest.raises(GitError) as caught:
        git.network("fetch", "origin")
    assert remote.partition("/")[0] in str(caught.value)
    assert "ghp-own-token" not in str(caught.value)
